"""May this be disclosed? The one function that decides, held against `disclosure_law.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import pytest

from services.intake.person.may_disclose import (
    Agreement,
    Allowed,
    Withheld,
    may_disclose,
)
from shared.contracts.intake import AgreementKind, PartnerKind, RecipientClass, WithheldReason
from tests.unit.intake.disclosure_cases import DISCLOSER, Case, cases
from tests.unit.intake.disclosure_law import OBJECTIONS, Question, lawful
from tests.unit.intake.partners import known
from tests.unit.support import START

CASES: Final = 10_000


def decided(case: Case) -> Allowed | Withheld:
    return may_disclose(
        case.consents, DISCLOSER, case.partner, case.categories, case.purpose, case.at, case.zone
    )


def by_law(case: Case) -> set[str]:
    """The consents to which the regulation does not object."""
    if case.partner is None:
        return set()
    asked = Question(DISCLOSER, case.partner, case.categories, case.purpose, case.at, case.zone)
    return lawful(case.consents, asked)


def test_ten_thousand_cases_agree_with_the_regulation() -> None:
    seen: Counter[str] = Counter()
    for number, case in enumerate(cases(CASES)):
        found, allowed_by = decided(case), by_law(case)
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


def test_each_paragraph_decides_cases_alone() -> None:
    """Without any one of them something would be lawful that is not: the cases reach every paragraph."""
    decided = Counter[str]()
    for case in cases(CASES):
        if case.partner is None:
            continue
        asked = Question(DISCLOSER, case.partner, case.categories, case.purpose, case.at, case.zone)
        for consent in case.consents.values():
            objecting = [one.__name__ for one in OBJECTIONS if one(consent, asked)]
            if len(objecting) == 1:
                decided[objecting[0]] += 1
    unreached = {one.__name__ for one in OBJECTIONS} - {*decided}
    assert unreached <= {"not_understood"}, unreached


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
        isinstance(decided(BROKEN[mistake](case)), Allowed) is not bool(by_law(case))
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
        found, allowed_by = decided(case), by_law(case)
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
            "recorded_at": "2026-01-01T12:00:00Z",
        }
    )
    partner = known("county-exchange")["county-exchange"].replace(agreements=(agreement,))
    on = datetime.fromisoformat(day).date()
    assert partner.has_agreed(AgreementKind.QSOA, on, "UTC") is holds
    assert not partner.has_agreed(AgreementKind.AUDIT, on, "UTC")


def test_an_organisation_that_nobody_registered_hears_nothing() -> None:
    found = may_disclose({}, DISCLOSER, None, (), next(cases(1)).purpose, START, "UTC")
    assert found == Withheld(reason=WithheldReason.PARTNER_UNKNOWN)
    assert PartnerKind.COURT in known("northside-court")["northside-court"].kinds
