"""Disclosures that are asked for beforehand, what became of them, and the accounting of them. Pure.

42 CFR 2.24 and 2.25 (accounting); see docs/domain.md 4.5 (Accounting). Kept from the first day, for everything: the
accounting is only ever added to. What is recorded afterwards stands in `recorded.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from services.intake.handoffs import (
    DeliveryReported,
    ReferralAllowed,
    ReportHeard,
    ReviewAsked,
    ReviewWithdrawn,
)
from services.intake.person import person_state
from services.intake.person.accounting import (
    Disclosed,
    Disclosure,
    EntrySettled,
    EntryState,
    Mistake,
    RevokedBefore,
)
from services.intake.person.may_disclose import Allowed, Partner, Withheld, may_disclose
from services.intake.person.person_state import PersonState
from services.intake.person.requests import Answered, AskPerson, Request
from shared.contracts import intake
from shared.contracts.intake import (
    ConsentPurpose,
    DisclosureBasis,
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
    theirs(state, request.episode_id)
    found = _decided(state, request, partner, cause)
    if isinstance(found, Withheld):
        raise refusal(found)
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
    theirs(state, request.episode_id)
    found = _decided(state, request, partner, cause)
    if isinstance(found, Withheld):
        raise refusal(found)
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
    return state, (accounted(Disclosed(disclosure=entry), cause),)


def _digest_of(what: Request | Disclosure) -> str:
    """What a delivery consists of, in a few characters."""
    categories = sorted(one.value for one in what.categories)
    return derive_id("delivery", str(what.recipient_id), str(what.purpose), *categories)[:8]


def refusal(withheld: Withheld) -> CareError:
    """What a caller hears of what is withheld."""
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
    state = remembered(state.replace(on_the_way=left), body.delivery_id, _digest_of(entry))
    handoffs = [accounted(EntrySettled(disclosure=entry), cause)]
    if entry.episode_id is not None:
        heard = ReportHeard(delivery_id=body.delivery_id, made=made)
        handoffs.append(Handoff(f"episode/{entry.episode_id}", heard))
        if _came_too_late(state, entry):
            look = ReviewAsked(disclosure_id=body.delivery_id)
            handoffs.append(Handoff(f"episode/{entry.episode_id}", look))
    if not made:
        return Decision(state, handoffs=tuple(handoffs))
    state = relied_on(state, entry.consent_id)
    return Decision(state, (published(entry),), tuple(handoffs))


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
    state = relied_on(state, found.consent_id, mistaken=True)
    handoffs = [Handoff(kept_in, EntrySettled(disclosure=marked))]
    if found.episode_id is not None:
        nothing = ReviewWithdrawn(disclosure_id=found.disclosure_id)
        handoffs.append(Handoff(f"episode/{found.episode_id}", nothing))
    return Decision(state, (event,), tuple(handoffs))


def remembered(state: PersonState, disclosure_id: str, digest: str) -> PersonState:
    """An entry of this id is there: whoever comes with it again has it."""
    kept = [*state.reported.items(), (disclosure_id, digest)][-REPORTED_KEPT:]
    return state.replace(reported=dict(kept))


# --- what has to be true --------------------------------------------------------------------------------


def theirs(state: PersonState, episode_id: str) -> None:
    """Raise unless the episode is this person's."""
    person_state.known(state)
    if episode_id not in state.episodes:
        raise Invalid(
            "episode-not-theirs", "The episode is not this person's.", hint="Check the id."
        )


def _is_between(entry: Disclosure, made_at: datetime, now: datetime) -> bool:
    return entry.recorded_at - CLOCKS_APART <= made_at <= now + CLOCKS_APART


def _came_too_late(state: PersonState, entry: Disclosure) -> bool:
    """It was made when the consent that had allowed it had ended."""
    consent = None if entry.consent_id is None else state.consents.get(entry.consent_id)
    at = entry.disclosed_at
    return consent is not None and at is not None and consent.has_ended(at, state.time_zone)


def relied_on(state: PersonState, consent_id: str | None, *, mistaken: bool = False) -> PersonState:
    """Something was disclosed under this consent, where it was one; or was not after all."""
    consent = None if consent_id is None else state.consents.get(consent_id)
    if consent is None or consent_id is None:
        return state
    made = max(0, consent.made + (-1 if mistaken else 1))
    return person_state.with_consent(state, consent_id, consent.replace(made=made))


def published(row: Disclosure) -> intake.DisclosureRecorded:
    """What is published of an entry that was made."""
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


def accounted(body: Disclosed | EntrySettled | RevokedBefore, cause: Cause) -> Handoff:
    """To the person's accounting."""
    return Handoff(f"accounting/{cause.subject_id}", body)
