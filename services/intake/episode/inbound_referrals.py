"""The inbound referral: received, taken on, declined, or closed without an admission. Pure."""

from __future__ import annotations

from datetime import timedelta

from services.intake.episode import episode_state
from services.intake.episode.episode_state import EpisodeState
from services.intake.episode.values import NewReferral, Referral
from services.intake.handoffs import EpisodeOpened
from services.intake.loop_table import ACKNOWLEDGE_WITHIN
from shared import loops
from shared.contracts import intake
from shared.contracts.codes import IntakeLoop
from shared.contracts.intake import DeclineReason, ReferralOutcome
from shared.decision import Cause, Decision, Handoff
from shared.errors import Invalid, Refused


def receive(
    state: EpisodeState, new: NewReferral, person_id: str, cause: Cause, time_zone: str = "UTC"
) -> Decision[EpisodeState]:
    """A referral arrives, and from now on there is an episode. `time_zone` is the facility's."""
    if state.referral is not None:
        raise Refused(
            "referral-exists",
            "This referral was received before.",
            hint="Read the episode; use a new Idempotency-Key for another referral.",
        )
    referral = Referral(**dict(new), received_at=cause.now)
    event = intake.ReferralReceived(
        referral_id=cause.subject_id,
        person_id=person_id,
        received_at=cause.now,
        time_zone=time_zone,
        **dict(new),
    )
    state = loops.open_loop(
        state.replace(referral=referral, person_id=person_id),
        IntakeLoop.REFERRAL_ACKNOWLEDGEMENT,
        cause.subject_id,
        cause,
        deadline_at=cause.now + ACKNOWLEDGE_WITHIN[new.urgency],
    )
    opened = EpisodeOpened(episode_id=cause.subject_id, time_zone=time_zone)
    return Decision(
        state,
        (event,),
        (Handoff(f"person/{person_id}", opened),),
        {"episode_id": cause.subject_id, "person_id": person_id},
    )


def acknowledge(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Someone takes the referral on; the assessment is due from here."""
    referral = episode_state.in_intake(state)
    if referral.acknowledged_at is not None:
        raise Refused(
            "already-acknowledged",
            "Someone took this referral on before.",
            hint="Go on with the assessment.",
        )
    event = intake.ReferralAcknowledged(
        referral_id=cause.subject_id,
        acknowledged_at=cause.now,
        minutes_to_acknowledge=episode_state.elapsed(
            referral.received_at, cause.now, timedelta(minutes=1)
        ),
    )
    state = state.replace(referral=referral.replace(acknowledged_at=cause.now))
    state, cleared = loops.close(state, IntakeLoop.REFERRAL_ACKNOWLEDGEMENT, cause.subject_id)
    return Decision(
        loops.open_loop(state, IntakeLoop.ASSESSMENT, cause.subject_id, cause), (event, *cleared)
    )


def decline(
    state: EpisodeState, reason: DeclineReason, alternatives: tuple[str, ...], cause: Cause
) -> Decision[EpisodeState]:
    """The referral goes no further here; the episode ends, and the referrer is informed."""
    episode_state.in_intake(state)
    event = intake.ReferralDeclined(
        referral_id=cause.subject_id, reason=reason, alternatives=alternatives
    )
    ended = close(state, ReferralOutcome.DECLINED, cause)
    return Decision(ended.state, (event, *ended.events), ended.handoffs)


def close(state: EpisodeState, outcome: ReferralOutcome, cause: Cause) -> Decision[EpisodeState]:
    """What became of the referral is known, and it is not an admission here: the episode ends."""
    episode_state.in_intake(state)
    if outcome is ReferralOutcome.ADMITTED:
        raise Invalid(
            "outcome-not-stated",
            "An inbound referral is closed as admitted by the admission itself.",
            hint="Admit the person, or state another outcome.",
        )
    state, closed = episode_state.close_inbound(state, outcome, cause)
    return episode_state.end(state, cause.now, cause, (closed,))
