"""Organisations outside: of what kind and class each is, and what facilities have agreed with it. Pure.

One record per organisation, which the operating organisation owns and every facility reads. What a partner is stands
here and nowhere else: no request ever states it. See docs/domain.md 4.2 (Consent).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Final

from pydantic import AwareDatetime, Field

from services.intake.person.may_disclose import Agreement, Partner
from services.intake.person.requests import AskPartner, AskPerson
from shared.contracts import intake
from shared.contracts.intake import PartnerKind, RecipientClass
from shared.decision import Cause, Decision, Handoff, State
from shared.errors import Invalid, Refused, Unknown

PARTNER_INDEX: Final = "partner"
AGREEMENTS_MAX: Final = 5_000
STANDINGS_MAX: Final = 100
"""How many times an organisation is something else before the earliest is forgotten."""
RESERVED: Final = frozenset({"capacity", *RecipientClass})
"""Codes that no partner has: a class of recipients, and a path of the API."""

_TREATING: Final = (
    PartnerKind.WITHDRAWAL_MANAGEMENT,
    PartnerKind.RESIDENTIAL,
    PartnerKind.INPATIENT,
    PartnerKind.PARTIAL_HOSPITALIZATION,
    PartnerKind.INTENSIVE_OUTPATIENT,
    PartnerKind.OUTPATIENT,
    PartnerKind.OPIOID_TREATMENT,
    PartnerKind.EMERGENCY_DEPARTMENT,
    PartnerKind.PRIMARY_CARE,
    PartnerKind.PSYCHIATRY,
)
CLASS_OF: Final[Mapping[RecipientClass, tuple[PartnerKind, ...]]] = {
    RecipientClass.TREATING_PROVIDERS: _TREATING,
    RecipientClass.PAYERS: (PartnerKind.PAYER,),
    RecipientClass.OPERATIONS_CONTRACTORS: (PartnerKind.CONTRACTOR, PartnerKind.LABORATORY),
    RecipientClass.RECOVERY_RESIDENCES: (PartnerKind.SOBER_LIVING,),
    RecipientClass.PEER_ORGANIZATIONS: (PartnerKind.PEER_ORGANIZATION,),
}
"""Which kinds of organisation a class of recipients can hold. A court is of none."""


class PartnerState(State):
    """What is known of one organisation."""

    INDEXES: ClassVar[tuple[str, ...]] = (PARTNER_INDEX,)
    known: Partner | None = None
    """None until it is registered: others may have asked about it before."""
    registered_at: AwareDatetime | None = None
    agreements: dict[str, Agreement] = Field(default_factory=dict[str, Agreement])

    def index_entries(self) -> Mapping[str, datetime]:
        """All that are registered, in the order of their registration."""
        return {} if self.registered_at is None else {PARTNER_INDEX: self.registered_at}

    def seen_by(self, facility_id: str) -> Partner | None:
        """What it is to one facility, with the agreements of that facility; None while it is not registered.

        To itself it is nothing outside, whoever else refers to it.
        """
        if self.known is None or self.known.partner_id == facility_id:
            return None
        ours = tuple(one for one in self.agreements.values() if one.facility_id == facility_id)
        return self.known.replace(agreements=ours)


# --- commands of the operating organisation ---------------------------------------------------------------


def register(state: PartnerState, new: Partner, cause: Cause) -> Decision[PartnerState]:
    """An organisation is known from now on, or as something else."""
    if new.partner_id in RESERVED:
        raise Invalid(
            "partner-code-reserved",
            "This code is that of a class of recipients, or of a path.",
            hint="Register the organisation under a code of its own.",
        )
    kinds = () if new.recipient_class is None else CLASS_OF[new.recipient_class]
    if new.recipient_class is not None and new.kind not in kinds:
        raise Invalid(
            "class-not-of-this-kind",
            "An organisation of this kind does not belong to this recipient_class.",
            hint=f"State one of these as kind: {', '.join(kinds)}; or no recipient_class.",
        )
    event = intake.PartnerRegistered(
        partner_id=new.partner_id,
        kind=new.kind,
        recipient_class=new.recipient_class,
        covered_entity=new.covered_entity,
        programs=new.programs,
    )
    state = state.replace(
        known=_registered(state.known, new, cause.now),
        registered_at=state.registered_at or cause.now,
    )
    return Decision(state, (event,), answer={"partner_id": new.partner_id})


def _registered(before: Partner | None, new: Partner, now: datetime) -> Partner:
    """The organisation with what it was before: what was disclosed to it is judged by what it was then."""
    if before is None:
        return new.replace(since=now)
    if before.standing == new.replace(since=before.since).standing:
        return before
    earlier = (*before.earlier, before.standing)[-STANDINGS_MAX:]
    return new.replace(since=now, earlier=earlier)


def agree(state: PartnerState, new: Agreement, cause: Cause) -> Decision[PartnerState]:
    """A facility and the organisation have an agreement in writing; the same one again is the one on file."""
    known = _known(state)
    if new.until_on is not None and new.until_on < new.from_on:
        raise Invalid(
            "agreement-ends-before-it-begins",
            "until_on lies before from_on.",
            hint="Check both days.",
        )
    for agreement_id, one in state.agreements.items():
        if one == new.replace(recorded_at=one.recorded_at):
            return Decision(state, answer={"agreement_id": agreement_id})
    if len(state.agreements) >= AGREEMENTS_MAX:
        raise Refused("too-many-agreements", "No more are kept.", hint="Ask an operator.")
    agreement_id = cause.derive_id("agreement")
    event = intake.PartnerAgreementRecorded(
        agreement_id=agreement_id,
        partner_id=known.partner_id,
        facility_id=new.facility_id,
        kind=new.kind,
        from_on=new.from_on,
        until_on=new.until_on,
    )
    on_file = new.replace(recorded_at=cause.now)
    state = state.replace(agreements={**state.agreements, agreement_id: on_file})
    return Decision(state, (event,), answer={"agreement_id": agreement_id})


def end_agreement(
    state: PartnerState, agreement_id: str, until_on: date, _cause: Cause
) -> Decision[PartnerState]:
    """An agreement ends with a day; what rested on it until then stays lawful."""
    known = _known(state)
    agreement = state.agreements.get(agreement_id)
    if agreement is None:
        raise Unknown("agreement")
    if until_on < agreement.from_on:
        raise Invalid(
            "agreement-ends-before-it-begins",
            "until_on lies before the agreement began.",
            hint="Check the day.",
        )
    if agreement.until_on is not None and agreement.until_on <= until_on:
        raise Refused(
            "agreement-ended",
            "It ends no later than that already.",
            hint="There is nothing left to do; record a new agreement if there is one.",
        )
    event = intake.PartnerAgreementEnded(
        agreement_id=agreement_id, partner_id=known.partner_id, until_on=until_on
    )
    ended = agreement.replace(until_on=until_on)
    return Decision(state.replace(agreements={**state.agreements, agreement_id: ended}), (event,))


def partner_view(state: PartnerState, facility_id: str) -> dict[str, Any]:
    """An organisation as a facility sees it: with its own agreements, by id."""
    known = _known(state)
    view = known.model_dump(mode="json", exclude={"agreements", "earlier"})
    ours = {
        agreement_id: one.model_dump(mode="json")
        for agreement_id, one in state.agreements.items()
        if one.facility_id == facility_id
    }
    return {**view, "agreements": ours}


def _known(state: PartnerState) -> Partner:
    if state.known is None:
        raise Unknown("partner")
    return state.known


# --- what episodes leave for it --------------------------------------------------------------------------


def asked(state: PartnerState, body: AskPartner, cause: Cause) -> Decision[PartnerState]:
    """Somebody asks whether something may be disclosed to it: the person decides, and hears what it is."""
    ask = AskPerson(request=body.request, partner=state.seen_by(cause.facility_id))
    return Decision(state, handoffs=(Handoff(f"person/{body.request.person_id}", ask),))
