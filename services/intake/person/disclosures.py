"""Disclosures: asked for beforehand or recorded afterwards, on what ground, and the accounting of them. Pure.

42 CFR 2.51 (emergencies), 2.24 and 2.25 (accounting); see docs/domain.md 4.4 (Emergency) and 4.5 (Accounting). Kept
from the first day, for everything: the accounting is only ever added to.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from services.intake.handoffs import (
    DeliveryReported,
    ReferralAllowed,
    ReportHeard,
    ReviewAsked,
)
from services.intake.person import grounds, person_state
from services.intake.person.accounting import (
    Disclosed,
    Disclosure,
    EntrySettled,
    EntryState,
    Mistake,
)
from services.intake.person.grounds import Evidence
from services.intake.person.may_disclose import Allowed, Partner, Withheld, may_disclose
from services.intake.person.person_state import PersonState
from services.intake.person.requests import Answered, AskPerson, Request
from shared import calendar
from shared.contracts import intake
from shared.contracts.codes import Value
from shared.contracts.intake import (
    ConsentPurpose,
    DisclosureBasis,
    EmergencyNature,
    InformationCategory,
    MistakeReason,
    NotMadeReason,
    WithheldReason,
)
from shared.decision import Cause, Decision, Handoff, derive_id
from shared.errors import CareError, Forbidden, Invalid, Refused, Unknown

NOTICE_VERSION: Final = "part2-2024"
"""The redisclosure notice that goes along unless another is stated (42 CFR 2.32)."""
NOTICE: Final = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."
"""The words of the notice, in its short form (42 CFR 2.32(a)(2))."""
CLOCKS_APART: Final = timedelta(minutes=5)
ON_THE_WAY_MAX: Final = 500
REPORTED_KEPT: Final = 2_000
"""How many deliveries are remembered that were reported: asked for again, they have their entry already."""
REPORT_IT: Final = "Report what became of what was only allowed: POST /disclosures/{id}/report."
RECORD_IT: Final = "If it was disclosed after all, record that: POST /disclosures."
UNDO_OR_RECORD_IT: Final = (
    "If it was not disclosed: POST /disclosures/{id}/undo; if it was after all: POST /disclosures."
)
HINTS: Final = {
    WithheldReason.RECIPIENT_NOT_NAMED: "Record the person's consent for this recipient first.",
    WithheldReason.DISCLOSER_NOT_NAMED: "The consent is for another facility to disclose; have a form signed for this.",
    WithheldReason.NOT_IN_FORCE: "The consent has ended or not begun; have a new form signed.",
    WithheldReason.CATEGORY_NOT_COVERED: "Disclose only what the consent names, or have a new form signed.",
    WithheldReason.PURPOSE_NOT_COVERED: "The consent is for another purpose; have a new form signed.",
    WithheldReason.PARTNER_UNKNOWN: "Have the organisation registered: PUT /partners/{id}.",
    WithheldReason.DELIVERY_DIFFERS: "This delivery_id was used for something else; give each delivery its own.",
    WithheldReason.TOO_MANY_UNREPORTED: "Report what became of the others: POST /disclosures/{id}/report.",
    WithheldReason.PERSON_CHANGED: "The episode is another person's by now; ask again.",
}


class NewDisclosure(Value):
    """What was disclosed, whatever the ground."""

    episode_id: str
    categories: tuple[InformationCategory, ...]
    discloser_id: str
    disclosed_at: datetime
    notice_version: str = NOTICE_VERSION


class Emergency(NewDisclosure):
    """What was disclosed to medical personnel without consent, in an emergency."""

    recipient_id: str
    personnel_id: str
    personnel_role: str
    nature: EmergencyNature


class Ordinary(NewDisclosure):
    """What was disclosed on another ground."""

    recipient_id: str | None
    """None: the person."""
    basis: DisclosureBasis
    purpose: ConsentPurpose
    evidence: Evidence = Evidence()


# --- may this be disclosed? -----------------------------------------------------------------------------


def check(
    state: PersonState,
    discloser_id: str,
    partner: Partner | None,
    categories: tuple[InformationCategory, ...],
    purpose: ConsentPurpose,
    now: datetime,
) -> dict[str, Any]:
    """Whether a facility may tell somebody something for a purpose now, and by which consent. In doubt: no."""
    person_state.known(state)
    found = may_disclose(
        state.consents, discloser_id, partner, categories, purpose, now, state.time_zone
    )
    allowed = isinstance(found, Allowed)
    return {
        "allowed": allowed,
        "consent_id": found.consent_id if isinstance(found, Allowed) else None,
        "code": "consent-holds" if allowed else "consent-missing",
        "reason": found.reason.value if isinstance(found, Withheld) else None,
        "obligations": goes_along(found) if isinstance(found, Allowed) else None,
        "as_of": now.isoformat(),
    }


def goes_along(allowed: Allowed) -> dict[str, Any]:
    """What has to go along with what is disclosed, as the sender is told it (42 CFR 2.32)."""
    return {
        "notice_version": NOTICE_VERSION,
        "notice": NOTICE,
        **allowed.obligations.model_dump(mode="json"),
    }


def ask(
    state: PersonState, request: Request, partner: Partner | None, cause: Cause
) -> Decision[PersonState]:
    """May this be disclosed, before it is? Entered as allowed, until its sender reports what became of it."""
    _theirs(state, request.episode_id)
    found = _decided(state, request, partner, cause)
    if isinstance(found, Withheld):
        raise _refusal(found)
    state, entered = _entered(state, request, found, cause)
    waits = request.delivery_id in state.on_the_way
    answered = Handoff(
        f"episode/{request.episode_id}",
        Answered(request=request, allowed=found, report_due=waits),
    )
    answer = {
        "delivery_id": request.delivery_id,
        "consent_id": found.consent_id,
        "obligations": goes_along(found),
    }
    return Decision(state, (), (*entered, answered), answer)


def refer(
    state: PersonState, request: Request, new: ReferralAllowed, partner: Partner, cause: Cause
) -> Decision[PersonState]:
    """A partner is asked to take the person: that they are referred is disclosed, and the level that is asked for."""
    _theirs(state, request.episode_id)
    found = _decided(state, request, partner, cause)
    if isinstance(found, Withheld):
        raise _refusal(found)
    if new.target_kind not in partner.kinds:
        raise Invalid(
            "kind-not-of-partner",
            "The partner is not registered as such a place.",
            hint="Correct target_kind, or have the partner's programs registered.",
        )
    state, entered = _entered(state, request, found, cause)
    sent = new.model_copy(update={"consent_id": found.consent_id})
    answer = {
        "referral_id": new.referral_id,
        "episode_id": request.episode_id,
        "consent_id": found.consent_id,
        "obligations": goes_along(found),
    }
    return Decision(state, (), (*entered, Handoff(f"episode/{request.episode_id}", sent)), answer)


def asked(state: PersonState, body: AskPerson, cause: Cause) -> Decision[PersonState]:
    """Another service asks, by way of the episode and the partner: it hears the answer on the episode."""
    request, handoffs = body.request, ()
    if request.episode_id in state.episodes:
        found = _decided(state, request, body.partner, cause)
    else:
        found = Withheld(reason=WithheldReason.PERSON_CHANGED)
    if isinstance(found, Allowed):
        state, handoffs = _entered(state, request, found, cause)
        waits = request.delivery_id in state.on_the_way
        answer = Answered(request=request, allowed=found, report_due=waits)
    else:
        answer = Answered(request=request, withheld=found.reason)
    return Decision(state, handoffs=(*handoffs, Handoff(f"episode/{request.episode_id}", answer)))


def _decided(
    state: PersonState, request: Request, partner: Partner | None, cause: Cause
) -> Allowed | Withheld:
    digest = _digest_of(request)
    entry = state.on_the_way.get(request.delivery_id)
    known = state.reported.get(request.delivery_id) if entry is None else _digest_of(entry)
    if known not in (None, digest):
        # The same delivery has one entry: another content under its id would be in no accounting.
        return Withheld(reason=WithheldReason.DELIVERY_DIFFERS)
    if known is None and len(state.on_the_way) >= ON_THE_WAY_MAX:
        return Withheld(reason=WithheldReason.TOO_MANY_UNREPORTED)
    consents = state.consents
    if request.consent_id is not None:
        consents = {key: one for key, one in consents.items() if key == request.consent_id}
    return may_disclose(
        consents,
        cause.facility_id,
        partner,
        request.categories,
        request.purpose,
        cause.now,
        state.time_zone,
    )


def _entered(
    state: PersonState, request: Request, allowed: Allowed, cause: Cause
) -> tuple[PersonState, tuple[Handoff, ...]]:
    """The entry in the accounting, once per delivery."""
    delivery_id = request.delivery_id
    if delivery_id in state.on_the_way or delivery_id in state.reported:
        return state, ()
    entry = Disclosure(
        disclosure_id=delivery_id,
        state=EntryState.ALLOWED,
        recorded_at=cause.now,
        recipient_id=request.recipient_id,
        categories=request.categories,
        basis=DisclosureBasis.CONSENT,
        purpose=request.purpose,
        discloser_id=request.discloser_id,
        notice_version=NOTICE_VERSION,
        episode_id=request.episode_id,
        consent_id=allowed.consent_id,
        document_sha256=allowed.obligations.document_sha256,
    )
    state = state.replace(on_the_way={**state.on_the_way, delivery_id: entry})
    return state, (_accounted(Disclosed(disclosure=entry), cause),)


def _digest_of(what: Request | Disclosure) -> str:
    """What a delivery consists of, in a few characters."""
    categories = sorted(one.value for one in what.categories)
    return derive_id("delivery", str(what.recipient_id), str(what.purpose), *categories)[:8]


def _refusal(withheld: Withheld) -> CareError:
    reason, hint = withheld.reason, HINTS[withheld.reason]
    if reason is WithheldReason.DELIVERY_DIFFERS:
        return Refused("delivery-differs", "This delivery consisted of something else.", hint=hint)
    if reason is WithheldReason.TOO_MANY_UNREPORTED:
        return Refused("too-many-on-the-way", "Too much that was allowed is unreported.", hint=hint)
    return Forbidden(
        "consent-missing",
        f"No consent of this person allows all of this: {reason.value.replace('_', ' ')}.",
        hint=hint,
    )


# --- what became of it ----------------------------------------------------------------------------------


def report(
    state: PersonState,
    delivery_id: str,
    made_at: datetime | None,
    not_made: NotMadeReason | None,
    cause: Cause,
) -> Decision[PersonState]:
    """The sender says that it was disclosed, and when; or why it was not."""
    person_state.known(state)
    entry = state.on_the_way.get(delivery_id)
    if entry is None and delivery_id in state.reported:
        raise Refused(
            "delivery-reported",
            "What became of this is known.",
            hint=RECORD_IT if delivery_id in state.undone else UNDO_OR_RECORD_IT,
        )
    if entry is None:
        raise Unknown("delivery")
    if (made_at is None) is (not_made is None):
        raise Invalid(
            "report-unclear",
            "A report says when it was made, or why it was not.",
            hint="State made_at or not_made, and not both.",
        )
    if made_at is not None and not _is_between(entry, made_at, cause.now):
        raise Invalid(
            "made-at-impossible",
            "It was not made before it was allowed, nor after now.",
            hint="Give the time at which it was made.",
        )
    body = DeliveryReported(delivery_id=delivery_id, made_at=made_at, not_made=not_made)
    return reported(state, body, cause)


def reported(state: PersonState, body: DeliveryReported, cause: Cause) -> Decision[PersonState]:
    """What was allowed is made or not made; whoever reports again is heard no more.

    What was made after its consent had ended is somebody's to look at.
    """
    entry = state.on_the_way.get(body.delivery_id)
    if entry is None:
        return Decision(state)
    made = body.made_at is not None
    entry = entry.replace(
        state=EntryState.MADE if made else EntryState.NOT_MADE,
        disclosed_at=body.made_at,
        not_made=body.not_made,
    )
    left = {key: one for key, one in state.on_the_way.items() if key != body.delivery_id}
    state = _remembered(state.replace(on_the_way=left), body.delivery_id, _digest_of(entry))
    handoffs = [_accounted(EntrySettled(disclosure=entry), cause)]
    if entry.episode_id is not None:
        heard = ReportHeard(delivery_id=body.delivery_id, made=made)
        handoffs.append(Handoff(f"episode/{entry.episode_id}", heard))
        if _came_too_late(state, entry):
            look = ReviewAsked(disclosure_id=body.delivery_id)
            handoffs.append(Handoff(f"episode/{entry.episode_id}", look))
    if not made:
        return Decision(state, handoffs=tuple(handoffs))
    state = _relied_on(state, entry.consent_id)
    return Decision(state, (_recorded(entry),), tuple(handoffs))


def undo(
    state: PersonState,
    found: Disclosure,
    kept_in: str,
    reason: MistakeReason,
    cause: Cause,
) -> Decision[PersonState]:
    """An entry was a mistake. It stays in the accounting and is marked; `kept_in` is the record that has it."""
    person_state.known(state)
    if found.state is not EntryState.MADE:
        open_yet = found.state is EntryState.ALLOWED
        raise Refused(
            "disclosure-not-made",
            "Nothing was disclosed.",
            hint=REPORT_IT if open_yet else RECORD_IT,
        )
    if found.mistake is not None or found.disclosure_id in state.undone:
        raise Refused(
            "disclosure-undone",
            "This entry is marked as a mistake already.",
            hint=RECORD_IT,
        )
    marked = found.replace(mistake=Mistake(reason=reason, marked_at=cause.now))
    event = intake.DisclosureUndone(disclosure_id=found.disclosure_id, reason=reason)
    state = state.replace(undone=(*state.undone, found.disclosure_id))
    return Decision(state, (event,), (Handoff(kept_in, EntrySettled(disclosure=marked)),))


# --- recorded afterwards --------------------------------------------------------------------------------


def emergency(state: PersonState, new: Emergency, cause: Cause) -> Decision[PersonState]:
    """A disclosure to medical personnel without consent: published, accounted for, reviewed later (42 CFR 2.51)."""
    _possible(state, new, cause)
    disclosure_id = cause.derive_id("disclosure")
    made = intake.EmergencyDisclosureMade(
        disclosure_id=disclosure_id,
        episode_id=new.episode_id,
        recipient_id=new.recipient_id,
        personnel_id=new.personnel_id,
        discloser_id=new.discloser_id,
        categories=new.categories,
        nature=new.nature,
        notice_version=new.notice_version,
        disclosed_at=new.disclosed_at,
    )
    row = Disclosure(
        **dict(new),
        disclosure_id=disclosure_id,
        recorded_at=cause.now,
        basis=DisclosureBasis.EMERGENCY,
    )
    look = Handoff(f"episode/{new.episode_id}", ReviewAsked(disclosure_id=disclosure_id))
    return Decision(
        state,
        (made, _recorded(row)),
        (_accounted(Disclosed(disclosure=row), cause), look),
        {"disclosure_id": disclosure_id},
    )


def record(
    state: PersonState, new: Ordinary, partner: Partner | None, cause: Cause
) -> Decision[PersonState]:
    """A disclosure that was made on another ground than an emergency; `partner` is None when the person received it.

    One that comes again, to the moment and in every word, has its entry.
    """
    _possible(state, new, cause)
    disclosure_id, digest = _entry_id(state, new, cause)
    if disclosure_id in state.reported:
        return Decision(state, answer={"disclosure_id": disclosure_id})
    day = calendar.local_day(new.disclosed_at, state.time_zone)
    ground = grounds.check(new.basis, partner, new.categories, new.evidence, day)
    row = Disclosure(**dict(new), disclosure_id=disclosure_id, recorded_at=cause.now)
    if ground.consent:
        found = may_disclose(
            state.consents,
            cause.facility_id,
            partner,
            new.categories,
            new.purpose,
            new.disclosed_at,
            state.time_zone,
        )
        if isinstance(found, Withheld):
            raise _refusal(found)
        row = row.replace(
            consent_id=found.consent_id, document_sha256=found.obligations.document_sha256
        )
        state = _relied_on(state, found.consent_id)
    entered = _accounted(Disclosed(disclosure=row), cause)
    state = _remembered(state, disclosure_id, digest)
    return Decision(state, (_recorded(row),), (entered,), {"disclosure_id": disclosure_id})


def _entry_id(state: PersonState, new: Ordinary, cause: Cause) -> tuple[str, str]:
    """The id of the entry that this has or would have, and a digest of it. One that was a mistake is not its entry."""
    said = new.model_dump_json()
    ids = (derive_id("disclosure", cause.subject, said, str(number)) for number in count())
    return next(one for one in ids if one not in state.undone), derive_id("disclosed", said)[:8]


def _remembered(state: PersonState, disclosure_id: str, digest: str) -> PersonState:
    kept = [*state.reported.items(), (disclosure_id, digest)][-REPORTED_KEPT:]
    return state.replace(reported=dict(kept))


# --- what has to be true --------------------------------------------------------------------------------


def _theirs(state: PersonState, episode_id: str) -> None:
    person_state.known(state)
    if episode_id not in state.episodes:
        raise Invalid(
            "episode-not-theirs", "The episode is not this person's.", hint="Check the id."
        )


def _possible(state: PersonState, new: NewDisclosure, cause: Cause) -> None:
    _theirs(state, new.episode_id)
    if new.disclosed_at > cause.now + CLOCKS_APART:
        raise Invalid(
            "disclosure-in-future",
            "A disclosure cannot be recorded before it was made.",
            hint="Give the time at which it was made.",
        )


def _is_between(entry: Disclosure, made_at: datetime, now: datetime) -> bool:
    return entry.recorded_at - CLOCKS_APART <= made_at <= now + CLOCKS_APART


def _came_too_late(state: PersonState, entry: Disclosure) -> bool:
    """It was made when the consent that had allowed it had ended."""
    consent = None if entry.consent_id is None else state.consents.get(entry.consent_id)
    at = entry.disclosed_at
    return consent is not None and at is not None and consent.has_ended(at, state.time_zone)


def _relied_on(state: PersonState, consent_id: str | None) -> PersonState:
    consent = None if consent_id is None else state.consents.get(consent_id)
    if consent is None or consent_id is None:
        return state
    return person_state.with_consent(state, consent_id, consent.replace(relied_on=True))


def _recorded(row: Disclosure) -> intake.DisclosureRecorded:
    assert row.disclosed_at is not None
    return intake.DisclosureRecorded(
        disclosure_id=row.disclosure_id,
        episode_id=row.episode_id,
        recipient_id=row.recipient_id,
        categories=row.categories,
        basis=row.basis,
        consent_id=row.consent_id,
        notice_version=row.notice_version,
        disclosed_at=row.disclosed_at,
    )


def _accounted(body: Disclosed | EntrySettled, cause: Cause) -> Handoff:
    return Handoff(f"accounting/{cause.subject_id}", body)
