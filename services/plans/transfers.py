"""Handing a person over to a partner that has accepted: asked of intake, which keeps the consents, then begun. Pure.

What plans knows of a consent can be older than its revocation, so it never decides by it: docs/decisions/0017. It asks,
and begins the hand-over when intake has allowed it, or looks for another way. See docs/domain.md 4.2 (Consent).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from services.plans import episode_state
from services.plans.episode_state import AskedTransfer, EpisodeState, Transfer
from shared import loops
from shared.contracts import intake, plans
from shared.contracts.codes import ClearedReason, PlansLoop
from shared.decision import Cause, Decision
from shared.errors import Invalid, Refused, Unknown

MOVES: Final = (PlansLoop.TRANSFER, PlansLoop.LEVEL_CHANGE)
"""What a hand-over takes the place of."""
ANSWERED_WITHIN: Final = timedelta(days=1)
"""How soon intake has answered; after that somebody looks why it has not. House rule."""


def ask(state: EpisodeState, new: AskedTransfer, cause: Cause) -> Decision[EpisodeState]:
    """Ask whether the partner may be told. Asked again for the same, it is the same question, decided anew."""
    episode_state.in_treatment(state)
    if state.transfer is not None:
        raise Refused(
            "transfer-open",
            "The person is being handed over already.",
            hint="Record the first contact, or take the transfer back: POST /episodes/{id}/transfer/undo.",
        )
    referral = state.outbound.get(new.referral_id)
    if referral is None:
        raise Unknown("referral")
    if not referral.accepted:
        raise Refused(
            "referral-not-accepted",
            "The partner has not accepted this referral.",
            hint="Wait for the partner's answer, or refer to another one.",
        )
    asked_for = (referral.to_facility_id, referral.to_level or new.to_level)
    if asked_for != (new.to_facility_id, new.to_level):
        raise Invalid(
            "transfer-differs-from-referral",
            "Facility or level is not the referral's.",
            hint="Hand over to whom the referral asked.",
        )
    before = state.transfer_asked
    if before is not None and before.replace(delivery_id="", waited={}) != new:
        raise Refused(
            "transfer-asked",
            "Another transfer is asked for, and intake has not answered yet.",
            hint="Wait for the answer, which comes within moments.",
        )
    delivery_id = cause.derive_id("transfer") if before is None else before.delivery_id
    event = plans.TransferRequested(
        delivery_id=delivery_id,
        to_facility_id=new.to_facility_id,
        categories=new.categories,
        purpose=new.purpose,
        requested_by_id=cause.actor_id,
        consent_id=new.consent_id,
    )
    begun = {loop.key: loop for loop in state.loops_of(PlansLoop.TRANSFER)}
    waited = begun if before is None else before.waited
    asked = new.replace(delivery_id=delivery_id, waited=waited)
    state = loops.open_loop(
        state.replace(transfer_asked=asked, transfer_withheld=None),
        PlansLoop.TRANSFER,
        cause.subject_id,
        cause,
        deadline_at=cause.now + ANSWERED_WITHIN,
    )
    return Decision(state, (event,), answer={"delivery_id": delivery_id})


def allowed(
    state: EpisodeState, event: intake.DisclosureAllowed, cause: Cause
) -> Decision[EpisodeState]:
    """The partner may be told: the hand-over begins. This program stays responsible until first contact."""
    asked = state.transfer_asked
    if asked is None or asked.delivery_id != event.delivery_id:
        return Decision(state)
    state = state.replace(transfer_asked=None)
    referral = state.outbound.get(asked.referral_id)
    treated = state.admission is not None and state.discharged is None
    if not treated or state.transfer is not None or referral is None or not referral.accepted:
        return Decision(
            _looks_again(state, cause), (plans.TransferNotBegun(delivery_id=asked.delivery_id),)
        )
    transfer = Transfer(
        referral_id=asked.referral_id,
        to_facility_id=asked.to_facility_id,
        to_level=asked.to_level,
        consent_id=event.consent_id,
        handoff_at=asked.handoff_at,
        waited={
            **asked.waited,
            **{loop.key: loop for loop in state.loops_of(PlansLoop.LEVEL_CHANGE)},
        },
        level_change=state.level_change,
    )
    initiated = plans.TransferInitiated(
        delivery_id=asked.delivery_id,
        to_facility_id=transfer.to_facility_id,
        to_level=transfer.to_level,
        consent_id=transfer.consent_id,
        handoff_at=transfer.handoff_at,
    )
    state = loops.open_loop(
        state.replace(transfer=transfer, level_change=None).disarm("level-effective"),
        PlansLoop.TRANSFER,
        cause.subject_id,
        cause,
        deadline_at=max(transfer.handoff_at, cause.now) + episode_state.ARRIVAL_GRACE,
    )
    state, cleared = loops.close(
        state, PlansLoop.LEVEL_CHANGE, cause.subject_id, ClearedReason.SUPERSEDED
    )
    return Decision(state, (initiated, *cleared))


def also_waited(state: EpisodeState, rule: Callable[[EpisodeState], EpisodeState]) -> EpisodeState:
    """What a rule does about a move holds as well for what comes back if the hand-over under way is taken back."""
    under_way = state.transfer
    if under_way is None:
        return state
    never = state.replace(
        transfer=None,
        level_change=under_way.level_change,
        loops=under_way.waited,
        deadlines={},
    )
    after = rule(never)
    waited = {loop.key: loop for loop in after.loops_of(*MOVES)}
    changed = under_way.replace(waited=waited, level_change=after.level_change)
    return state.replace(transfer=changed)


def withheld(
    state: EpisodeState, event: intake.DisclosureWithheld, cause: Cause
) -> Decision[EpisodeState]:
    """The partner may not be told: nothing begins, and somebody looks for another way, with the reason."""
    asked = state.transfer_asked
    if asked is None or asked.delivery_id != event.delivery_id:
        return Decision(state)
    state = state.replace(transfer_asked=None, transfer_withheld=event.reason)
    not_begun = plans.TransferNotBegun(delivery_id=asked.delivery_id)
    return Decision(_looks_again(state, cause), (not_begun,))


def _looks_again(state: EpisodeState, cause: Cause) -> EpisodeState:
    if state.admission is None or state.discharged is not None or state.transfer is not None:
        return state
    return loops.open_loop(state, PlansLoop.TRANSFER, cause.subject_id, cause)
