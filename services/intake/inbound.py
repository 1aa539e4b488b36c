"""The inbound referral: received, taken on, declined, or closed without an admission. Pure."""

from __future__ import annotations

from datetime import timedelta

from services.intake import domain
from services.intake.domain import EpisodeState
from services.intake.handoffs import EpisodeOpened
from services.intake.steps import NewReferral, Referral
from shared.contracts import intake
from shared.contracts.codes import IntakeLoop
from shared.contracts.intake import DeclineReason, ReferralOutcome
from shared.decision import Cause, Decision, Handoff
from shared.errors import Invalid, Refused


def receive(
    state: EpisodeState, new: NewReferral, person_id: str, cause: Cause
) -> Decision[EpisodeState]:
    """A referral arrives, and from now on there is an episode."""
    if state.referral is not None:
        raise Refused(
            "referral-exists",
            "This referral was received before.",
            way_out="Read the episode; use a new Idempotency-Key for another referral.",
        )
    referral = Referral(**dict(new), received_at=cause.now)
    event = intake.ReferralReceived(
        referral_id=cause.subject_id,
        person_id=person_id,
        received_at=cause.now,
        **dict(new),
    )
    state = domain.wait_until(
        state.but(referral=referral, person_id=person_id),
        IntakeLoop.REFERRAL_ACKNOWLEDGEMENT,
        cause.subject_id,
        cause.now + domain.ACKNOWLEDGE_WITHIN[new.priority],
        cause,
    )
    return Decision(
        state,
        (event,),
        (Handoff(f"person/{person_id}", EpisodeOpened(episode_id=cause.subject_id)),),
        {"episode_id": cause.subject_id, "person_id": person_id},
    )


def acknowledge(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Someone takes the referral on; the assessment is due from here."""
    referral = domain.in_intake(state)
    if referral.acknowledged_at is not None:
        raise Refused(
            "already-acknowledged",
            "Someone took this referral on before.",
            way_out="Go on with the assessment.",
        )
    event = intake.ReferralAcknowledged(
        referral_id=cause.subject_id,
        acknowledged_at=cause.now,
        minutes_to_acknowledge=domain.elapsed(
            referral.received_at, cause.now, timedelta(minutes=1)
        ),
    )
    state = state.but(referral=referral.model_copy(update={"acknowledged_at": cause.now}))
    state, cleared = domain.settle(state, IntakeLoop.REFERRAL_ACKNOWLEDGEMENT, cause=cause)
    return Decision(domain.wait_for(state, IntakeLoop.ASSESSMENT, cause), (event, *cleared))


def decline(
    state: EpisodeState, reason: DeclineReason, alternatives: tuple[str, ...], cause: Cause
) -> Decision[EpisodeState]:
    """The referral goes no further here; the episode ends, and the referrer is told."""
    domain.in_intake(state)
    event = intake.ReferralDeclined(
        referral_id=cause.subject_id, reason=reason, alternatives=alternatives
    )
    ended = close(state, ReferralOutcome.DECLINED, cause)
    return Decision(ended.state, (event, *ended.events), ended.handoffs)


def close(state: EpisodeState, outcome: ReferralOutcome, cause: Cause) -> Decision[EpisodeState]:
    """What became of the referral is known, and it is not an admission here: the episode ends."""
    domain.in_intake(state)
    if outcome is ReferralOutcome.ADMITTED:
        raise Invalid(
            "outcome-not-stated",
            "An inbound referral is closed as admitted by the admission itself.",
            way_out="Admit the person, or state another outcome.",
        )
    state, closed = domain.close_inbound(state, outcome, cause)
    return domain.end(state, cause.now, cause, (closed,))
