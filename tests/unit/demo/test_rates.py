"""The rates of the sample are counted from facts: who is counted, from when to when, and beside which odds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo import population
from demo.rates import Rate, rates
from demo.witnesses import Heard

ADMITTED_AT = datetime(2026, 1, 7, 14, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SAMPLE = min(population.FACILITIES)


class Told:
    """What was heard, said in any order; each subject's facts are numbered as they are said."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def say(
        self, name: str, who: int, at: datetime, facility: str = SAMPLE, /, **data: Any
    ) -> None:
        source, fact = name.split(".")
        headers = {
            "ce_type": f"care.{source}.{fact}.v1",
            "ce_subject": f"episode/{who}",
            "ce_sequence": str(len(self.heard) + 1),
            "ce_time": at.isoformat(),
            "ce_facilityid": facility,
        }
        self.heard.append(Heard(f"care.{source}", 0, 0, headers, data))

    def arrives(self, who: int, minutes: float = 0, facility: str = SAMPLE) -> None:
        """Referred two days before the admission, and taken on so many minutes later."""
        referred_at = ADMITTED_AT - 2 * DAY
        self.say("intake.referral-received", who, referred_at, facility)
        self.say("intake.referral-acknowledged", who, referred_at + minutes * MINUTE)

    def stays(self, who: int, days: float, kind: str, facility: str = SAMPLE) -> datetime:
        """Admitted, and gone after so many days; returns when."""
        self.arrives(who, facility=facility)
        self.say("intake.patient-admitted", who, ADMITTED_AT)
        self.say("plans.episode-discharged", who, ADMITTED_AT + days * DAY, kind=kind)
        return ADMITTED_AT + days * DAY

    def rate(self, name: str) -> Rate:
        [found] = [rate for rate in rates(self.heard) if rate.name == name]
        return found


def counted(rate: Rate) -> tuple[int, float | None]:
    return rate.people, rate.value


@pytest.fixture
def told() -> Told:
    return Told()


def test_each_rate_stands_beside_what_it_was_drawn_with(told: Told) -> None:
    assert {rate.name: rate.drawn for rate in rates(told.heard)} == {
        "acknowledged_within_30_minutes": population.ACKNOWLEDGED_AT_ONCE,
        "sent_for_withdrawal_care": population.WITHDRAWAL_CARE_FIRST,
        "gone_before_day_30": population.GONE_BEFORE_DAY_30,
        "stay_of_graduates_median": 11,
        "used_within_12_months": population.USED_WITHIN_A_YEAR,
        "engaged_again": population.ENGAGED_AGAIN,
    }


def test_of_nobody_there_is_no_rate(told: Told) -> None:
    assert all(counted(rate) == (0, None) for rate in rates(told.heard))
    assert rates(told.heard)[0].report()["value"] is None


@pytest.mark.parametrize(("minutes", "share"), [(0, 1), (30, 1), (31, 0), (24 * 60, 0)])
def test_acknowledged_within_thirty_minutes(told: Told, minutes: float, share: float) -> None:
    told.arrives(1, minutes)
    assert counted(told.rate("acknowledged_within_30_minutes")) == (1, share)


def test_a_referral_nobody_took_on_counts_as_not_taken_on_in_time(told: Told) -> None:
    told.arrives(1)
    told.say("intake.referral-received", 2, ADMITTED_AT)
    assert counted(told.rate("acknowledged_within_30_minutes")) == (2, 0.5)


@pytest.mark.parametrize(
    ("days", "kind", "gone"),
    [
        (29.9, "against_advice", 1),
        (29.9, "lost_contact", 1),
        (30, "against_advice", 0),
        (28, "graduated", 0),  # whoever graduates is not lost
    ],
)
def test_gone_before_day_30(told: Told, days: float, kind: str, gone: float) -> None:
    told.stays(1, days, kind)
    assert counted(told.rate("gone_before_day_30")) == (1, gone)
    told.arrives(2)  # referred, and not admitted: not of those
    told.arrives(3)
    told.say("intake.patient-admitted", 3, ADMITTED_AT)  # still here
    assert counted(told.rate("gone_before_day_30")) == (2, gone / 2)


def test_the_median_stay_is_that_of_graduates(told: Told) -> None:
    for who, weeks in enumerate((6, 16, 9)):
        told.stays(who, 7 * weeks, "graduated")
    told.stays(9, 10, "lost_contact")
    assert counted(told.rate("stay_of_graduates_median")) == (3, 9)


@pytest.mark.parametrize(("days", "used"), [(0, 1), (365, 1), (366, 0)])
def test_used_at_least_once_within_twelve_months_of_the_end(
    told: Told, days: int, used: float
) -> None:
    left_at = told.stays(1, 70, "graduated")
    for again in (0, 1):  # twice is once, and the first time counts
        told.say("followup.return-to-use-reported", 1, left_at + (days + again) * DAY)
    assert counted(told.rate("used_within_12_months")) == (1, used)
    assert told.rate("engaged_again").people == used


@pytest.mark.parametrize(
    ("outcome", "share"),
    [("outpatient", 1), ("readmitted", 1), ("medication", 1), ("declined", 0), ("unreachable", 0)],
)
def test_engaged_again_are_those_who_took_a_way_back(
    told: Told, outcome: str, share: float
) -> None:
    left_at = told.stays(1, 70, "graduated")
    told.say("followup.return-to-use-reported", 1, left_at + DAY)
    told.say("followup.reengagement-completed", 1, left_at + 3 * DAY, outcome=outcome)
    told.stays(2, 70, "graduated")
    told.say("followup.reengagement-completed", 2, left_at, outcome="outpatient")  # did not use
    assert counted(told.rate("engaged_again")) == (1, share)


def test_sent_for_withdrawal_care(told: Told) -> None:
    for who, eligible in enumerate((True, True, True, False)):
        told.arrives(who)
        told.say("intake.eligibility-determined", who, ADMITTED_AT, eligible=eligible)
    assert counted(told.rate("sent_for_withdrawal_care")) == (4, 0.25)


def test_nobody_of_the_cast_is_counted(told: Told) -> None:
    told.stays(1, 10, "lost_contact")
    before = rates(told.heard)
    left_at = told.stays(2, 70, "graduated", "summit-iop")
    told.say("intake.eligibility-determined", 2, ADMITTED_AT, eligible=False)
    told.say("followup.return-to-use-reported", 2, left_at + DAY)
    told.say("followup.reengagement-completed", 2, left_at + DAY, outcome="outpatient")
    assert rates(told.heard) == before


def test_what_is_told_again_changes_nothing(told: Told) -> None:
    left_at = told.stays(1, 70, "graduated")
    told.say("followup.return-to-use-reported", 1, left_at + DAY)
    before = rates(told.heard)
    assert rates([*told.heard, *told.heard]) == rates(reversed(told.heard)) == before
