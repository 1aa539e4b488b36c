"""May this be disclosed? The one function that decides, held against an oracle written from the regulation's text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from services.intake.person.may_disclose import (
    Agreement,
    Allowed,
    Consent,
    Partner,
    Withheld,
    may_disclose,
)
from shared.contracts.intake import AgreementKind, PartnerKind, RecipientClass, WithheldReason
from tests.unit.intake.disclosure_cases import Case, cases
from tests.unit.intake.partners import known
from tests.unit.support import START

CASES: Final = 10_000


def decided(case: Case) -> Allowed | Withheld:
    return may_disclose(
        case.consents, case.partner, case.categories, case.purpose, case.at, case.zone
    )


# --- the oracle -------------------------------------------------------------------------------------------
#
# Reads the form as a person does who has the regulation beside it: it collects objections, in the regulation's order,
# and works with wall clocks where the function works with instants.


def objections(form: Consent, case: Case) -> set[str]:
    """What 42 CFR part 2 has against a disclosure under this form, by paragraph."""
    assert case.partner is not None
    found: set[str] = set()
    wall = case.at.astimezone(ZoneInfo(case.zone))
    found |= {"2.31(a)(3)" for what in case.categories if what.value not in _words(form.categories)}
    found |= {
        "2.31(b)"
        for what in case.categories
        if what.value == "counseling_notes" and form.kind.value != "notes"
    }
    if not _addressed(form, case.partner):
        found.add("2.31(a)(4)")
    if case.purpose.value not in _purposes(form, case.partner):
        found.add("2.31(a)(5)")
    if form.revoked_at is not None and not case.at < form.revoked_at:
        found.add("2.31(a)(6)")
    if any(end is not None and case.at >= end for end in (form.ends_at, form.expired_at)):
        found.add("2.31(a)(7)")
    if form.expires_on is not None and f"{wall:%Y-%m-%d}" > form.expires_on.isoformat():
        found.add("2.31(a)(7)")
    if f"{wall:%Y-%m-%d}" < form.signed_on.isoformat():
        found.add("2.31(a)(9)")
    if form.effective_at > case.at:
        found.add("2.33(a)")
    if form.kind.value == "cjs" and case.partner.kind.value != "court":
        found.add("2.35(a)")
    return found


def _words(values: tuple[object, ...]) -> set[str]:
    return {str(getattr(one, "value", one)) for one in values}


def _addressed(form: Consent, partner: Partner) -> bool:
    """By its own name, or as one of a class of persons on a form that may name one."""
    if partner.partner_id in _words(form.recipients) | {form.intermediary_id or ""}:
        return True
    may_name = {
        "tpo": {"treating-providers", "payers", "operations-contractors"},
        "intermediary": {"treating-providers"},
        "specific": {
            *("treating-providers", "payers", "operations-contractors"),
            *("recovery-residences", "peer-organizations"),
        },
    }.get(form.kind.value, set())
    belongs = "" if partner.recipient_class is None else partner.recipient_class.value
    return belongs in may_name & _words(form.recipients)


def _purposes(form: Consent, partner: Partner) -> set[str]:
    """A single consent for all treatment, payment and operations is for all three; else what it says."""
    said = form.purpose.value
    three = {"treatment", "payment", "operations"}
    if form.kind.value != "tpo" or said not in three:
        return {said}
    cares = partner.recipient_class is RecipientClass.TREATING_PROVIDERS
    return three | ({"care_coordination"} if cares else set())


def lawful(case: Case) -> set[str]:
    """The consents that the regulation has nothing against."""
    if case.partner is None:
        return set()
    return {key for key, form in case.consents.items() if not objections(form, case)}


def test_ten_thousand_cases_agree_with_the_regulation() -> None:
    seen: Counter[str] = Counter()
    for number, case in enumerate(cases(CASES)):
        found, allowed_by = decided(case), lawful(case)
        if isinstance(found, Allowed):
            assert found.consent_id in allowed_by, (number, case)
            seen["allowed"] += 1
        else:
            assert not allowed_by, (number, case)
            seen[found.reason.value] += 1
    of_the_record = {"unknown", "person_changed", "delivery_differs", "too_many_unreported"}
    reasons = {one.value for one in WithheldReason} - of_the_record
    assert reasons | {"allowed"} <= set(seen), "every answer comes up"
    assert seen["allowed"] > CASES // 10, seen


def test_every_objection_comes_up_alone() -> None:
    """The cases are near enough to every limit that each paragraph alone decides some of them."""
    alone: Counter[str] = Counter()
    for case in cases(CASES):
        if case.partner is not None:
            for form in case.consents.values():
                against = objections(form, case)
                if len(against) == 1:
                    alone[against.pop()] += 1
    assert set(alone) == {
        *("2.31(a)(3)", "2.31(a)(4)", "2.31(a)(5)", "2.31(a)(6)", "2.31(a)(7)", "2.31(a)(9)"),
        *("2.31(b)", "2.33(a)", "2.35(a)"),
    }


BROKEN: dict[str, Callable[[Case], Case]] = {
    "later than it is": lambda case: case.replace(at=case.at + timedelta(hours=4)),
    "in another zone": lambda case: case.replace(zone="Pacific/Kiritimati"),
    "to another class": lambda case: case.replace(
        partner=case.partner
        and case.partner.replace(recipient_class=RecipientClass.TREATING_PROVIDERS)
    ),
}


@pytest.mark.parametrize("mistake", [*BROKEN])
def test_the_cases_would_show_a_mistake(mistake: str) -> None:
    wrong = sum(
        isinstance(decided(BROKEN[mistake](case)), Allowed) is not bool(lawful(case))
        for case in cases(2_000)
    )
    assert wrong > 3


# --- what goes along ----------------------------------------------------------------------------------------


def test_scope_and_form_go_along_with_what_is_allowed() -> None:
    for case in cases(1_000):
        found = decided(case)
        if not isinstance(found, Allowed):
            continue
        consent, obligations = case.consents[found.consent_id], found.obligations
        assert (obligations.categories, obligations.purpose) == (case.categories, case.purpose)
        assert obligations.document_sha256 == consent.document_sha256
        assert case.partner is not None
        tpo = consent.kind.value == "tpo"
        assert obligations.may_redisclose is (tpo and case.partner.covered_entity)


def test_a_specific_consent_is_relied_on_before_a_general_one() -> None:
    for case in cases(CASES):
        found, allowed_by = decided(case), lawful(case)
        if isinstance(found, Allowed) and len(allowed_by) > 1:
            kinds = {case.consents[key].kind.value for key in allowed_by}
            assert case.consents[found.consent_id].kind.value != "tpo" or kinds == {"tpo"}


# --- agreements ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "holds"),
    [("2026-03-01", False), ("2026-03-02", True), ("2026-03-31", True), ("2026-04-01", False)],
)
def test_an_agreement_holds_on_both_of_its_days(day: str, *, holds: bool) -> None:
    agreement = Agreement.model_validate(
        {
            "facility_id": "harbor-iop",
            "kind": "qsoa",
            "from_on": "2026-03-02",
            "until_on": "2026-03-31",
        }
    )
    partner = known("county-exchange")["county-exchange"].replace(agreements=(agreement,))
    on = datetime.fromisoformat(day).date()
    assert partner.has_agreed(AgreementKind.QSOA, on) is holds
    assert not partner.has_agreed(AgreementKind.AUDIT, on)


def test_an_organisation_that_nobody_registered_hears_nothing() -> None:
    found = may_disclose({}, None, (), next(cases(1)).purpose, START, "UTC")
    assert found == Withheld(reason=WithheldReason.PARTNER_UNKNOWN)
    assert PartnerKind.COURT in known("northside-court")["northside-court"].kinds
