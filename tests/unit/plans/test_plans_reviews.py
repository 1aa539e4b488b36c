"""Clinical reviews: what asks for one, by when it is done, and what happens when it is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.plans.reviews import next_working_day
from shared.contracts import attendance, followup, plans
from shared.contracts.attendance import NotProvidedKind
from shared.contracts.event import Event
from shared.contracts.followup import OutreachCause
from shared.contracts.plans import ReviewOutcome, ReviewTrigger
from shared.errors import Refused, Unknown
from tests.unit.plans.world import DAY, Plans, failed, in_treatment, with_plan
from tests.unit.support import START, fact, uid

CHICAGO = ZoneInfo("America/Chicago")


def outreach(cause: OutreachCause, tier: int) -> followup.OutreachEscalated:
    return fact(followup.OutreachEscalated, cause=cause, tier=tier)


TRIGGERS: list[tuple[Event, ReviewTrigger | None]] = [
    (fact(attendance.ScreenFailed), ReviewTrigger.SCREEN),
    (fact(attendance.AbsenceThresholdReached), ReviewTrigger.ABSENCE),
    (fact(attendance.WeeklyHoursShortfallDetected, projected=False), ReviewTrigger.HOURS),
    (fact(attendance.WeeklyHoursShortfallDetected, projected=True), None),
    (fact(attendance.ScreenNotProvided, kind=NotProvidedKind.REFUSED), ReviewTrigger.REFUSAL),
    *[
        (fact(attendance.ScreenNotProvided, kind=kind), None)
        for kind in NotProvidedKind
        if kind is not NotProvidedKind.REFUSED
    ],
    (outreach(OutreachCause.SESSION_MISSED, 1), None),
    (outreach(OutreachCause.SESSION_MISSED, 2), ReviewTrigger.ABSENCE),
    (outreach(OutreachCause.SESSION_MISSED, 3), ReviewTrigger.ABSENCE),
    (outreach(OutreachCause.CHECK_IN_MISSED, 3), None),
    (fact(followup.ReturnToUseReported), ReviewTrigger.RETURN_TO_USE),
]


class TestRequest:
    @pytest.mark.parametrize(("event", "trigger"), TRIGGERS)
    def test_what_asks_for_one(self, event: Event, trigger: ReviewTrigger | None) -> None:
        history = with_plan()
        outcome = history.hear(event)
        assert outcome.status == "applied"
        requested = history.of(plans.ClinicalReviewRequested)
        assert [one.trigger for one in requested] == ([] if trigger is None else [trigger])
        for one in requested:
            assert one.due_at == START + DAY
            assert history.state.reviews[one.review_id].open

    @pytest.mark.parametrize(("event", "_trigger"), TRIGGERS)
    def test_none_after_the_episode_ended(
        self, event: Event, _trigger: ReviewTrigger | None
    ) -> None:
        history = with_plan()
        history.discharge()
        history.hear(event)
        assert history.of(plans.ClinicalReviewRequested) == []

    def test_one_open_per_reason(self) -> None:
        history = with_plan()
        history.hear_all([failed("one"), failed("two")])
        history.hear_all([fact(attendance.AbsenceThresholdReached)])
        history.hear(outreach(OutreachCause.SESSION_MISSED, 2))
        triggers = [one.trigger for one in history.of(plans.ClinicalReviewRequested)]
        assert triggers == [ReviewTrigger.SCREEN, ReviewTrigger.ABSENCE]
        history.complete(history.of(plans.ClinicalReviewRequested)[0].review_id, drivers=())
        history.hear(failed("three"))
        assert len(history.of(plans.ClinicalReviewRequested)) == 3

    def test_is_asked_for_before_the_admission_is_heard(self) -> None:
        history = Plans()
        history.hear(fact(attendance.ScreenFailed))
        [requested] = history.of(plans.ClinicalReviewRequested)
        assert requested.due_at == START + DAY


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02T15:00", "2026-03-03T15:00"),  # Monday
        ("2026-03-05T15:00", "2026-03-06T15:00"),  # Thursday
        ("2026-03-06T15:00", "2026-03-09T15:00"),  # Friday, over the change of clocks
        ("2026-03-07T15:00", "2026-03-09T15:00"),  # Saturday
        ("2026-03-08T15:00", "2026-03-09T15:00"),  # Sunday
        ("2026-03-05T23:30", "2026-03-06T23:30"),  # Friday already in UTC
        ("2026-10-30T09:00", "2026-11-02T09:00"),  # Friday, over the other change
    ],
)
def test_next_working_day(moment: str, expected: str) -> None:
    begin, end = (datetime.fromisoformat(t).replace(tzinfo=CHICAGO) for t in (moment, expected))
    utc = begin.astimezone(START.tzinfo)
    found = next_working_day(utc, "America/Chicago")
    assert found == end
    assert found.tzinfo is START.tzinfo


class TestDeadline:
    @pytest.mark.parametrize(
        ("hours", "overdue"), [(23, []), (24, [0]), (48, [0, 24]), (200, [0, 24])]
    )
    def test_said_a_day_apart_until_the_director_has_it(
        self, hours: int, overdue: list[int]
    ) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        found = history.after(hours=hours).of(plans.ClinicalReviewOverdue)
        assert [event.hours_overdue for event in found] == overdue

    def test_completing_it_ends_it(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        [requested] = history.of(plans.ClinicalReviewRequested)
        history.after(hours=30).complete(requested.review_id)
        [completed] = history.of(plans.ClinicalReviewCompleted)
        assert completed.review_id == requested.review_id
        assert completed.outcome is ReviewOutcome.INTENSIFY
        assert len(history.after(days=9).of(plans.ClinicalReviewOverdue)) == 1

    def test_discharge_ends_it(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        history.discharge()
        assert history.after(days=9).of(plans.ClinicalReviewOverdue) == []
        assert not any(item.open for item in history.state.reviews.values())


class TestIllegal:
    def test_not_twice(self) -> None:
        history = in_treatment()
        history.hear(fact(attendance.ScreenFailed))
        [requested] = history.of(plans.ClinicalReviewRequested)
        history.complete(requested.review_id)
        with pytest.raises(Refused) as refused:
            history.complete(requested.review_id)
        assert refused.value.code == "review-closed"

    def test_unknown(self) -> None:
        with pytest.raises(Unknown):
            in_treatment().complete(uid("none"))

    def test_nobody_graduates_while_one_is_open(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        with pytest.raises(Refused) as refused:
            history.graduate()
        assert refused.value.code == "review-open"
        history.complete(history.of(plans.ClinicalReviewRequested)[0].review_id)
        history.after(hours=float(timedelta(days=1) / timedelta(hours=1))).ready().graduate()
        assert history.names[-1] == "episode-discharged"
