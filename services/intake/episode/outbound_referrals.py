"""Referrals to partners: sent under a consent, answered or not, and open until somebody knows what became of them.

The person decides whether a partner may be asked (`person/disclosures.py`). A partner that answers was reached.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.intake.episode import deliveries, episode_state
from services.intake.episode.episode_state import EpisodeState
from services.intake.episode.values import Outbound
from services.intake.handoffs import ReferralAllowed
from shared import loops
from shared.contracts import intake
from shared.contracts.codes import IntakeLoop, LevelOfCare, Value
from shared.contracts.intake import (
    ConsentPurpose,
    NotMadeReason,
    PartnerKind,
    ReferralOutcome,
    RejectionReason,
)
from shared.decision import Cause, Decision, Handoffs, derive_id
from shared.errors import Refused, Unknown

DEADLINE: Final = "outbound"
REMIND_EVERY: Final = timedelta(hours=24)
REMINDERS_MAX: Final = 10
"""How often an open referral is published as overdue. House rule."""
ARRIVAL_GRACE: Final = timedelta(hours=24)
"""How long after a booked appointment it should be known whether the person arrived. House rule."""


class Asked(Value):
    """What a partner is asked for. Who asks it twice, as by a second click, asks once."""

    target_kind: PartnerKind
    target_facility_id: str
    target_level: LevelOfCare | None
    purpose: ConsentPurpose


def id_for(state: EpisodeState, asked: Asked, episode_id: str) -> str:
    """The id of the referral that asks this: of the one that does already, or of a new one once that is over."""
    over = sum(not one.answers_for and asked_by(one) == asked for one in state.outbound.values())
    what = asked.model_dump_json()
    return derive_id("outbound-referral", episode_id, state.person_id, what, str(over))


def asked_by(outbound: Outbound) -> Asked:
    """What this referral asks for."""
    return Asked.model_validate({name: getattr(outbound, name) for name in Asked.model_fields})


def allowed(state: EpisodeState, body: ReferralAllowed, cause: Cause) -> Decision[EpisodeState]:
    """A partner is asked to take the person, as the person's consent allows. Not if the episode has ended meanwhile."""
    referral_id = body.referral_id
    if referral_id in state.outbound:
        return Decision(state)
    if state.referral is None or state.closed_at is not None or state.void:
        state = deliveries.waiting(state, referral_id, body.person_id)
        back = deliveries.not_made(state, referral_id, NotMadeReason.EPISODE_CLOSED)
        return Decision(deliveries.without(state, referral_id), handoffs=back)
    due_at = cause.now + body.respond_within
    outbound = Outbound(
        target_kind=body.target_kind,
        target_facility_id=body.target_facility_id,
        target_level=body.target_level,
        purpose=body.purpose,
        consent_id=body.consent_id,
        sent_at=cause.now,
    )
    event = intake.ReferralSent(
        referral_id=referral_id,
        target_kind=body.target_kind,
        target_facility_id=body.target_facility_id,
        target_level=body.target_level,
        consent_id=body.consent_id,
        response_due_at=due_at,
    )
    state = deliveries.waiting(_with(state, referral_id, outbound), referral_id, body.person_id)
    state, cleared = loops.close(state, IntakeLoop.OUTBOUND_REFERRAL, cause.subject_id)
    state = loops.open_loop(state, IntakeLoop.DISCLOSURE_REPORT, referral_id, cause)
    return Decision(
        _waits(state, referral_id, due_at, cause).arm(f"{DEADLINE}:{referral_id}", due_at),
        (event, *cleared),
    )


def accepted(
    state: EpisodeState, referral_id: str, appointment_at: datetime | None, cause: Cause
) -> Decision[EpisodeState]:
    """The partner will take the person. That closes nothing: the person has to arrive."""
    outbound = _unanswered(state, referral_id)
    event = intake.PartnerReferralAccepted(
        referral_id=referral_id, accepted_at=cause.now, appointment_at=appointment_at
    )
    state = _with(state, referral_id, outbound.replace(accepted_at=cause.now))
    arrival = cause.now if appointment_at is None else appointment_at
    if arrival > cause.now:
        known_by = arrival + ARRIVAL_GRACE
        state = _waits(state, referral_id, known_by, cause)
        if outbound.reminders < REMINDERS_MAX:
            state = state.arm(f"{DEADLINE}:{referral_id}", known_by)
    return Decision(state, (event,), _reached(state, referral_id, outbound))


def rejected(
    state: EpisodeState, referral_id: str, reason: RejectionReason | None, cause: Cause
) -> Decision[EpisodeState]:
    """The partner will not take the person; the loop stays open until somebody closes it."""
    outbound = _unanswered(state, referral_id)
    event = intake.PartnerReferralRejected(
        referral_id=referral_id, rejected_at=cause.now, reason=reason
    )
    state = _with(state, referral_id, outbound.replace(rejected_at=cause.now))
    return Decision(state, (event,), _reached(state, referral_id, outbound))


def close(
    state: EpisodeState, referral_id: str, outcome: ReferralOutcome, cause: Cause
) -> Decision[EpisodeState]:
    """What became of the person is known. Who suits no program here still has to be answered for."""
    outbound = _open(state, referral_id)
    event = intake.ReferralLoopClosed(
        referral_id=referral_id,
        outcome=outcome,
        hours_open=episode_state.elapsed(outbound.sent_at, cause.now),
    )
    state = _with(state, referral_id, outbound.replace(outcome=outcome))
    state, cleared = loops.close(
        state.disarm(f"{DEADLINE}:{referral_id}"), IntakeLoop.OUTBOUND_REFERRAL, referral_id
    )
    return Decision(_next_owner(state, cause), (event, *cleared))


def overdue(state: EpisodeState, referral_id: str, cause: Cause) -> Decision[EpisodeState]:
    """No outcome in time. Published again every day until there is one, up to `REMINDERS_MAX` times."""
    outbound = state.outbound[referral_id]
    event = intake.ReferralLoopOverdue(
        referral_id=referral_id, hours_open=episode_state.elapsed(outbound.sent_at, cause.now)
    )
    reminded = outbound.replace(reminders=outbound.reminders + 1)
    state = _with(state, referral_id, reminded)
    if reminded.reminders < REMINDERS_MAX:
        state = state.arm(f"{DEADLINE}:{referral_id}", cause.now + REMIND_EVERY)
    return Decision(state, (event,))


def _reached(state: EpisodeState, referral_id: str, outbound: Outbound) -> Handoffs:
    """Who answers a referral has received it: at the latest now, and no earlier than it was sent."""
    return deliveries.made(state, referral_id, outbound.sent_at)


def _waits(state: EpisodeState, referral_id: str, until: datetime, cause: Cause) -> EpisodeState:
    """Each referral sent out is a loop of its own, from the asking to the outcome."""
    return loops.open_loop(
        state, IntakeLoop.OUTBOUND_REFERRAL, referral_id, cause, deadline_at=until
    )


def _next_owner(state: EpisodeState, cause: Cause) -> EpisodeState:
    """Whom this program does not suit is somebody's until they are elsewhere and the episode has ended."""
    ineligible = state.recommendation is not None and not state.recommendation.eligible
    if state.closed_at is not None or not ineligible:
        return state
    return episode_state.send_on(state, cause)


def _open(state: EpisodeState, referral_id: str) -> Outbound:
    """A referral without an outcome. The episode may have ended: what became of the person still matters."""
    episode_state.standing(state)
    outbound = state.outbound.get(referral_id)
    if outbound is None:
        raise Unknown("referral")
    if outbound.outcome is not None:
        raise Refused(
            "loop-closed",
            "What became of this referral is known.",
            hint="Ask again with a new referral.",
        )
    return outbound


def _unanswered(state: EpisodeState, referral_id: str) -> Outbound:
    outbound = _open(state, referral_id)
    if outbound.accepted_at is not None or outbound.rejected_at is not None:
        raise Refused(
            "referral-answered",
            "The partner has answered this referral.",
            hint="Close it with its outcome; ask again with a new referral.",
        )
    return outbound


def _with(state: EpisodeState, referral_id: str, outbound: Outbound) -> EpisodeState:
    return state.replace(outbound={**state.outbound, referral_id: outbound})
