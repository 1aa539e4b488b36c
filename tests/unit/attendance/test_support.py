"""Mutual support and the family: what is logged, what a patient may choose, and what counts toward nothing."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.attendance.episode import mutual_support
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import FamilySessionKind, Fellowship, Verification
from shared.contracts.codes import Modality
from shared.contracts.terms import ProgramTerms
from shared.errors import CareError
from tests.unit.attendance.screened import MONDAY
from tests.unit.attendance.world import DAY, NO_SHOW, Episode, local
from tests.unit.support import fact, uid

TWO_A_WEEK = ProgramTerms(mutual_support_meetings_per_week=2, family_sessions_per_week=1)
REAL = [f for f in Fellowship if f != "unknown"]


class Supported(Episode):
    """An episode in a program that asks for two meetings and one family session a week."""

    def __init__(self) -> None:
        super().__init__(MONDAY, terms=TWO_A_WEEK)

    def log(self, day: str, fellowship: Fellowship = Fellowship.AA) -> None:
        on, how = date.fromisoformat(day), Verification.SELF
        self.command(lambda s, c: mutual_support.log_meeting(s, on, fellowship, how, c))

    def choose(self, *alternatives: Fellowship, opted_out: bool = False) -> None:
        self.command(
            lambda s, _c: mutual_support.choose(s, opted_out=opted_out, alternatives=alternatives)
        )

    def visit(self, name: str = "sister", *, session: str = "s", present: bool = True) -> None:
        visit = mutual_support.Visit(
            session_id=uid(session),
            attendee_id=uid(name),
            kind=FamilySessionKind.EDUCATION,
            minutes_attended=90,
            patient_present=present,
        )
        self.command(lambda s, c: mutual_support.family_attended(s, visit, c))

    @property
    def view(self) -> dict[str, Any]:
        return mutual_support.support_view(self.state, self.now)

    @property
    def family(self) -> dict[str, Any]:
        return mutual_support.family_view(self.state, self.now)


@pytest.mark.fact("1.11", "2.1", "1.12")
@pytest.mark.parametrize("fellowship", REAL)
def test_a_meeting_of_any_fellowship_counts_for_its_week_and_never_toward_hours(
    fellowship: Fellowship,
) -> None:
    episode = Supported()
    episode.at(local("2026-03-04 20:00"))
    episode.log("2026-03-02", fellowship)
    assert (episode.view["this_week"], episode.view["met"]) == (1, False)
    episode.log("2026-03-04", fellowship)
    assert (episode.view["this_week"], episode.view["met"]) == (2, True)
    told = episode.of(attendance.MutualSupportLogged)
    assert [(e.fellowship, e.attended_on) for e in told] == [
        (fellowship, date(2026, 3, 2)),
        (fellowship, date(2026, 3, 4)),
    ]
    episode.at(local("2026-03-09 00:00"))
    assert (episode.view["this_week"], episode.view["met"]) == (0, False)
    assert episode.weeks()[0].minutes_credited == 0
    episode.log("2026-03-08", fellowship)
    assert episode.view["weeks"] == {"2026-03-02": 3}


@pytest.mark.fact("1.11", "2.1")
@pytest.mark.parametrize(
    ("alternatives", "opted_out", "allowed"),
    [
        ([Fellowship.AA], False, False),
        ([Fellowship.AA, Fellowship.NA], False, False),
        ([], False, False),
        ([Fellowship.SMART], False, True),
        ([Fellowship.AA, Fellowship.LIFERING], False, True),
        ([], True, True),
        ([Fellowship.AA], True, True),
    ],
)
def test_nobody_is_made_to_go_to_a_religious_meeting(
    alternatives: list[Fellowship], opted_out: bool, allowed: bool
) -> None:
    episode = Supported()
    if not allowed:
        with pytest.raises(CareError) as refused:
            episode.choose(*alternatives, opted_out=opted_out)
        assert (refused.value.code, refused.value.status) == ("no-secular-alternative", 422)
        return
    episode.choose(*alternatives, opted_out=opted_out)
    assert episode.view["opted_out"] is opted_out
    assert episode.view["asked_per_week"] == (0 if opted_out else 2)
    assert episode.view["met"] is opted_out
    [event] = episode.said
    assert isinstance(event, attendance.MutualSupportRequirementSet)
    assert (event.opted_out, event.meetings_per_week) == (opted_out, 0 if opted_out else 2)
    episode.choose(*alternatives, opted_out=opted_out)
    assert episode.said == [event], "the same choice is no news"


@pytest.mark.parametrize("day", ["2026-03-01", "2026-03-05"])
def test_a_meeting_lies_between_the_admission_and_today(day: str) -> None:
    episode = Supported()
    episode.at(local("2026-03-04 23:59"))
    with pytest.raises(CareError) as refused:
        episode.log(day)
    assert refused.value.code == "attended-on-impossible"


@pytest.mark.fact("2.7", "2.1")
def test_the_family_comes_weekly_and_is_known_by_an_opaque_id() -> None:
    episode = Supported()
    episode.at(local("2026-03-04 20:00"))
    assert episode.family["met"] is False
    episode.visit()
    episode.visit("mother")
    episode.visit()
    assert len(episode.of(attendance.FamilySessionAttended)) == 2, "told again is no second visit"
    assert episode.family == {
        "asked_per_week": 1,
        "this_week": 1,
        "met": True,
        "kinds_this_week": ["education"],
    }
    episode.at(local("2026-03-09 00:00"))
    assert episode.family["met"] is False


@pytest.mark.fact("2.7")
@pytest.mark.parametrize(("family_only", "minutes"), [(False, 90), (True, 0)])
def test_a_family_session_counts_toward_hours_only_with_the_patient(
    family_only: bool, minutes: int
) -> None:
    episode = Supported()
    booked = episode.book(local("2026-03-03 18:00"), 90, Modality.FAMILY)
    if family_only:
        episode = Supported()
        booked = booked.model_copy(update={"family_only": True})
        episode.hand(booked.session_id, booked)
    episode.at(local("2026-03-03 20:00"))
    episode.roll(booked)
    visit = mutual_support.Visit(
        session_id=booked.session_id,
        attendee_id=uid("sister"),
        kind=None,
        minutes_attended=90,
        patient_present=not family_only,
    )
    episode.command(lambda s, c: mutual_support.family_attended(s, visit, c))
    [told] = episode.of(attendance.FamilySessionAttended)
    assert told.patient_present is not family_only
    episode.at(local("2026-03-09 00:00"))
    assert episode.weeks()[0].minutes_credited == minutes


def test_a_visit_that_the_roll_contradicts_is_refused() -> None:
    episode = Supported()
    booked = episode.book(local("2026-03-03 18:00"), 90, Modality.FAMILY)
    episode.at(local("2026-03-03 20:00"))
    episode.roll(booked, NO_SHOW)
    visit = mutual_support.Visit(
        session_id=booked.session_id,
        attendee_id=uid("sister"),
        kind=None,
        minutes_attended=90,
        patient_present=True,
    )
    with pytest.raises(CareError) as refused:
        episode.command(lambda s, c: mutual_support.family_attended(s, visit, c))
    assert refused.value.code == "patient-was-absent"
    alone = visit.replace(patient_present=False)
    episode.command(lambda s, c: mutual_support.family_attended(s, alone, c))


def test_the_family_has_no_part_in_a_group() -> None:
    episode = Supported()
    booked = episode.book(local("2026-03-03 18:00"))
    visit = mutual_support.Visit(
        session_id=booked.session_id,
        attendee_id=uid("sister"),
        kind=None,
        minutes_attended=90,
        patient_present=True,
    )
    with pytest.raises(CareError) as refused:
        episode.command(lambda s, c: mutual_support.family_attended(s, visit, c))
    assert refused.value.code == "not-a-family-session"


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (fact(plans.EpisodeDischarged, discharged_at=MONDAY + DAY), "episode-closed"),
        (fact(intake.EpisodeEnteredInError), "entered-in-error"),
        (fact(intake.AdmissionUndone), "not-yet-known"),
    ],
)
def test_nothing_is_logged_for_who_is_not_in_care(ends: Any, code: str) -> None:
    episode = Supported()
    episode.at(MONDAY + DAY)
    episode.hear(ends)
    for act in (
        lambda: episode.log("2026-03-02"),
        lambda: episode.choose(opted_out=True),
        episode.visit,
    ):
        with pytest.raises(CareError) as refused:
            act()
        assert refused.value.code == code
