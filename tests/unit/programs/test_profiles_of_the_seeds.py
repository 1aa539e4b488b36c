"""Five programs ship. Each number that one of them says of itself is what its profile holds people to."""

from __future__ import annotations

from datetime import date, time, timedelta
from importlib import import_module
from typing import Any

import pytest

from services.attendance.groups.groups import GroupState, NewGroup, open_group, reserve
from services.intake.episode.admissions import _length as planned_weeks
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import Fellowship, Matrix
from shared.contracts.codes import LEVEL_CODES, LevelOfCare, Milestone, Modality, Population
from shared.contracts.plans import AncillaryKind
from shared.contracts.terms import HOUSE
from shared.errors import Invalid, Refused
from shared.programs.parts import SECULAR
from shared.programs.profile import ProgramProfile
from shared.runtime.http.programs import Programs
from tests.unit.support import FACILITY, START, History, cause, fact, uid

TODAY = date(2026, 3, 2)
PROGRAMS = Programs.load()
ADULT = Population.ADULT


def profile(code: str) -> ProgramProfile:
    return PROGRAMS.current(FACILITY, code, TODAY)


EVENING = profile("evening-groups")
STEP_DOWN = profile("community-step-down")
MATRIX = profile("matrix-family")
DAILY = profile("daily-dual-diagnosis")
NINE = profile("nine-step-path")
ALL = (EVENING, STEP_DOWN, MATRIX, DAILY, NINE)


def admitted(of: ProgramProfile, **changes: Any) -> intake.PatientAdmitted:
    told = {"level": of.level, "program": of.program, "admitted_at": START, "population": ADULT}
    return fact(
        intake.PatientAdmitted,
        **{**told, "time_zone": "America/New_York", "terms": of.terms(), **changes},
    )


def in_service(name: str, of: ProgramProfile, **changes: Any) -> History:
    """An episode of this program, as one service knows it on its first day."""
    service = import_module(f"services.{name}.app").SERVICE
    history = History(
        service.source, service.kinds["episode"], service.reactions, service.handoffs, now=START
    )
    history.hear(admitted(of, **changes))
    return history


def test_these_ship() -> None:
    assert {p.program for p in PROGRAMS.all_current(FACILITY, TODAY)} == {p.program for p in ALL}


# --- the hours of a week -----------------------------------------------------------------------------------


@pytest.mark.fact("0.2", "1.4", "3.8")
@pytest.mark.parametrize(
    ("of", "population", "minutes", "enough", "too_much"),
    [
        (EVENING, "adult", 539, False, False),
        (EVENING, "adult", 9 * 60, True, False),
        (EVENING, "adult", 15 * 60, True, False),
        (EVENING, "adult", 15 * 60 + 1, True, True),
        (EVENING, "adolescent", 359, False, False),
        (EVENING, "adolescent", 6 * 60, True, False),
        (EVENING, "adolescent", 15 * 60 + 1, True, True),
        (STEP_DOWN, "adult", 2 * 2 * 60, False, False),  # what the page allows, the level does not
        (STEP_DOWN, "adult", 5 * 3 * 60, True, False),
        (STEP_DOWN, "adult", 5 * 3 * 60 + 1, True, True),
        (DAILY, "adult", 3 * 3 * 60, True, False),
        (DAILY, "adult", 3 * 3 * 60 - 1, False, False),
        (MATRIX, "adult", 539, False, False),
        (NINE, "adult", 1199, True, False),
        (NINE, "adult", 1200, True, True),
    ],
    ids=lambda value: value.program if isinstance(value, ProgramProfile) else None,
)
def test_a_week_of_so_many_minutes(
    of: ProgramProfile, population: str, minutes: int, enough: bool, too_much: bool
) -> None:
    band = of.terms().band("2.1", Population(population))
    assert band is not None
    assert (minutes >= band.minutes_floor) is enough
    assert (band.minutes_ceiling is not None and minutes >= band.minutes_ceiling) is too_much


@pytest.mark.fact("0.2")
def test_every_program_keeps_the_floor_of_the_level_above() -> None:
    """Who moves up within a program is held to the hours of that level."""
    for of in ALL:
        band = of.terms().band("2.5", ADULT)
        assert band is not None
        assert band.minutes_floor == 1200


# --- groups and sessions: the rules that attendance and intake ask the profile with ---------------------------


def opened(of: ProgramProfile, **asked: Any) -> GroupState:
    track = next(iter(track.code for track in of.tracks), "day")
    new = NewGroup(program=of.program, track=track, **asked)
    return open_group(GroupState(), new, of, cause(subject=f"group/{uid('group')}")).state


def refused_group(of: ProgramProfile, **asked: Any) -> None:
    with pytest.raises(Refused) as caught:
        opened(of, **asked)
    assert caught.value.code == "outside-program"


@pytest.mark.fact("0.3")
@pytest.mark.parametrize(
    ("least", "most", "fits"),
    [(2, 12, True), (2, 13, False), (1, 12, False), (5, 8, True), (8, 5, False)],
)
def test_a_group_has_two_to_twelve(least: int, most: int, fits: bool) -> None:
    if fits:
        group = opened(EVENING, seats_min=least, seats_max=most)
        assert (group.seats_min, group.seats_max) == (least, most)
    else:
        refused_group(EVENING, seats_min=least, seats_max=most)


@pytest.mark.fact("0.3")
def test_the_thirteenth_finds_the_group_full() -> None:
    group = opened(EVENING)
    at = cause(subject=f"group/{uid('group')}")
    for number in range(12):
        group = reserve(group, uid(f"person {number}"), None, at).state
    with pytest.raises(Refused, match="group-full"):
        reserve(group, uid("the thirteenth"), None, at)


@pytest.mark.fact("1.4", "3.8")
@pytest.mark.parametrize(
    ("of", "minutes", "fits"),
    [
        *((STEP_DOWN, n, 120 <= n <= 180) for n in (60, 119, 120, 150, 180, 181, 240)),
        *((DAILY, n, n <= 180) for n in (60, 180, 181, 240)),
    ],
)
def test_a_group_lasts_so_long(of: ProgramProfile, minutes: int, fits: bool) -> None:
    if fits:
        assert opened(of, session_minutes=minutes).minutes_max == minutes
    else:
        refused_group(of, session_minutes=minutes)


@pytest.mark.fact("1.4", "3.4")
@pytest.mark.parametrize(
    ("of", "per_week", "fits"),
    [
        *((STEP_DOWN, n, 2 <= n <= 5) for n in range(1, 8)),
        *((DAILY, n, 3 <= n <= 7) for n in range(1, 9)),
    ],
)
def test_groups_meet_so_often(of: ProgramProfile, per_week: int, fits: bool) -> None:
    if fits:
        assert opened(of, sessions_per_week=per_week).sessions_per_week == per_week
    else:
        refused_group(of, sessions_per_week=per_week)


@pytest.mark.fact("3.8")
def test_three_times_three_hours_are_a_full_week() -> None:
    band = DAILY.terms().band("2.1", ADULT)
    assert band is not None
    assert (DAILY.sessions.per_week_min, DAILY.sessions.minutes_max) == (3, 180)
    assert band.minutes_floor == 3 * 180
    assert "individual" in DAILY.components


@pytest.mark.fact("3.4")
def test_it_meets_daily() -> None:
    assert DAILY.days_per_week == 7
    assert DAILY.sessions.per_week_max == 7


@pytest.mark.fact("1.6")
def test_twelve_topics_and_no_other() -> None:
    assert len(STEP_DOWN.topics) == len(set(STEP_DOWN.topics)) == 12
    assert opened(STEP_DOWN).topics == STEP_DOWN.topics
    for topic in STEP_DOWN.topics:
        opened(STEP_DOWN, topics=(topic,))
    refused_group(STEP_DOWN, topics=("triggers", "astrology"))


@pytest.mark.fact("4.6", "2.1", "4.5")
@pytest.mark.parametrize(
    ("of", "topic"),
    [
        *((NINE, topic) for topic in ("triggers", "cravings", "relapse-prevention", "coping")),
        *((MATRIX, t) for t in ("early-recovery", "relapse-prevention", "family-education")),
        (MATRIX, "social-support"),
    ],
)
def test_these_are_taught(of: ProgramProfile, topic: str) -> None:
    assert opened(of, topics=(topic,)).topics == (topic,)
    refused_group(of, topics=("astrology",))


@pytest.mark.fact("1.5", "2.5", "3.10")
@pytest.mark.parametrize(
    ("of", "weeks", "fits"),
    [
        *((STEP_DOWN, n, 6 <= n <= 8) for n in (1, 5, 6, 7, 8, 9, 16)),
        *((of, n, True) for of in (MATRIX, DAILY) for n in (1, 6, 16, 52)),
    ],
)
def test_a_stay_of_so_many_weeks(of: ProgramProfile, weeks: int, fits: bool) -> None:
    if fits:
        assert planned_weeks(weeks, of) == weeks
    else:
        with pytest.raises(Invalid, match="length-outside-program"):
            planned_weeks(weeks, of)


@pytest.mark.fact("2.6", "3.10")
def test_a_length_that_nobody_says_is_not_made_up() -> None:
    for of in (MATRIX, DAILY):
        with pytest.raises(Invalid, match="length-missing"):
            planned_weeks(None, of)


@pytest.mark.fact("1.7", "3.4")
@pytest.mark.parametrize(("of", "days"), [(STEP_DOWN, 7), (DAILY, 4)])
def test_individual_sessions_are_never_further_apart(of: ProgramProfile, days: int) -> None:
    """Twice a week, with three and four days between, fits; with a gap of five it does not."""
    assert of.terms().individual_every_days == days


@pytest.mark.fact("1.7")
def test_individual_sessions_go_on_after_the_program() -> None:
    assert "individual-therapy" in STEP_DOWN.aftercare.elements


# --- what stands beside the groups -------------------------------------------------------------------------


@pytest.mark.fact("0.1", "0.5")
def test_what_is_offered_beside_groups() -> None:
    offered = {service.modality for service in EVENING.services}
    assert offered == {Modality.CASE_MANAGEMENT, Modality.MEDICATION, Modality.INDIVIDUAL}
    assert {"group", "recovery-education"} <= set(EVENING.components)


@pytest.mark.fact("2.1")
def test_components() -> None:
    assert set(MATRIX.components) == {
        *(f"{kind}-group" for kind in ("early-recovery", "relapse-prevention", "social-support")),
        *("family-education-group", "individual-session", "twelve-step-meeting"),
        *("smart-recovery", "medication-assisted-treatment"),
    }
    assert {Fellowship.AA, Fellowship.SMART} <= set(MATRIX.mutual_support.alternatives)
    [medication] = [s for s in MATRIX.services if s.modality is Modality.MEDICATION]
    assert medication.code == "medication-assisted-treatment"


@pytest.mark.fact("2.7")
def test_a_weekly_family_program_for_one_family_and_in_groups() -> None:
    family = MATRIX.family
    assert family is not None
    assert (family.per_week, family.group, family.individual) == (1, True, True)
    assert MATRIX.terms().family_sessions_per_week == 1
    assert STEP_DOWN.terms().family_sessions_per_week == 0


@pytest.mark.fact("3.5")
def test_additions_on_site_or_elsewhere() -> None:
    additions = {service.code for service in DAILY.services}
    wanted = {"fitness", "nutrition", "psychiatry", "yoga", "acupuncture", "meditation"}
    assert additions == {*wanted, "whole-health"}
    assert wanted <= {kind.value for kind in AncillaryKind}, "a plan can name each"
    assert all(service.on_site and service.off_site for service in DAILY.services)
    assert all(service.modality is None for service in DAILY.services), "none counts by itself"


@pytest.mark.fact("3.9")
def test_therapies_by_need() -> None:
    assert DAILY.therapies == (
        "relapse-prevention",
        "cognitive-behavioral",
        "motivational-enhancement",
        "dialectical-behavior",
    )


@pytest.mark.fact("4.7")
def test_holistic_approaches() -> None:
    assert NINE.holistic == ("mindfulness", "yoga", "art-therapy", "exercise")


@pytest.mark.fact("1.8")
def test_random_screens_of_urine_and_breath() -> None:
    assert set(STEP_DOWN.screens.matrices) == {Matrix.URINE, Matrix.BREATH}
    assert STEP_DOWN.terms().screen_every_days == 7
    assert set(STEP_DOWN.terms().panels) == {"urine-12", "breath"}
    assert "screens" in STEP_DOWN.rules


@pytest.mark.fact("1.9", "1.10", "1.11")
def test_rules_that_are_accepted_at_orientation() -> None:
    assert {"participation", "treatment-plan", "mutual-support"} <= set(STEP_DOWN.rules)


@pytest.mark.fact("1.11")
def test_meetings_are_asked_for_and_nobody_is_forced_into_a_religious_one() -> None:
    support = STEP_DOWN.mutual_support
    assert STEP_DOWN.terms().mutual_support_meetings_per_week == 1
    assert {Fellowship.AA, Fellowship.NA} <= set(support.alternatives)
    assert set(support.alternatives) & SECULAR
    assert support.opt_out


@pytest.mark.fact("1.12")
def test_peers_and_counselors_and_peer_support_that_outlasts_the_program() -> None:
    assert {"group", "individual", "peer-support"} <= set(STEP_DOWN.components)
    assert "peer-support" in STEP_DOWN.aftercare.elements


@pytest.mark.fact("1.13")
def test_a_confidential_line_at_all_hours() -> None:
    for of in ALL:
        assert of.crisis.hours_per_day == 24
        assert of.crisis.confidential
        assert "988" in of.crisis.lines
    assert "program-helpline" in STEP_DOWN.crisis.lines


# --- who comes, from where, and when -----------------------------------------------------------------------


@pytest.mark.fact("0.6", "1.1")
def test_coming_from_elsewhere_is_usual_and_no_condition() -> None:
    assert set(EVENING.referred_from) >= {"self", "partial-hospitalization", "residential"}
    assert STEP_DOWN.referred_from == ("partial-hospitalization",)
    assert not set(STEP_DOWN.referred_from) & set(STEP_DOWN.eligibility)


@pytest.mark.fact("0.9", "0.10", "0.11", "0.13")
def test_conditions() -> None:
    assert set(EVENING.eligibility) == {
        "detox-completed-or-medically-cleared",
        "no-round-the-clock-supervision",
        "can-adhere-to-structure",
    }


@pytest.mark.fact("0.12", "0.14", "0.15")
def test_duties_are_a_reason_and_risks_shut_nobody_out() -> None:
    assert EVENING.reasons == ("duties-requiring-presence",)
    assert set(EVENING.risks) == {"well-between-contacts", "stable-home"}
    assert not {*EVENING.reasons, *EVENING.risks} & set(EVENING.eligibility)


@pytest.mark.fact("0.16", "0.12")
def test_the_desk_closes_and_an_evening_track_is_open() -> None:
    office = EVENING.office_hours
    assert office is not None
    for weekday in range(1, 6):
        assert office.covers(weekday, time(8, 0), time(16, 30))
        assert not office.covers(weekday, time(7, 59), time(9, 0))
        assert not office.covers(weekday, time(16, 0), time(16, 31))
    assert not any(office.covers(day, time(9, 0), time(10, 0)) for day in (6, 7))
    assert [track.code for track in EVENING.tracks if track.outside(office)] == ["evening"]


@pytest.mark.fact("1.2", "3.2", "3.3")
def test_where_people_live_meanwhile() -> None:
    assert set(STEP_DOWN.housing) == {"home", "halfway-house", "sober-living"}
    assert set(DAILY.housing) == {"home", "sober-living"}
    assert "dual-diagnosis-treatment" in DAILY.components


@pytest.mark.fact("0.7", "2.4", "3.6")
@pytest.mark.parametrize(
    ("of", "first", "then"),
    [
        (EVENING, "biopsychosocial-assessment", "recommendation"),
        (EVENING, "dimensional-assessment", "recommendation"),
        (MATRIX, "comprehensive-screening", "level-match"),
        (DAILY, "stage-of-recovery-assessment", "customized-plan"),
        (DAILY, "customized-plan", "support-at-every-stage"),
    ],
)
def test_the_way_in_is_told_in_order(of: ProgramProfile, first: str, then: str) -> None:
    assert of.steps.index(first) < of.steps.index(then)


@pytest.mark.fact("4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "4.8", "4.9")
def test_nine_steps_in_order() -> None:
    assert len(NINE.steps) == 9
    assert NINE.steps[0] == "initial-assessment"
    assert NINE.steps[-1] == "graduation-and-follow-up"
    assert set(NINE.rules) >= {"schedule", "modalities", "expectations", "paperwork"}
    assert set(NINE.aftercare.elements) == {
        "individual-therapy",
        "support-groups",
        "community-resources",
    }


@pytest.mark.fact("0.8")
@pytest.mark.parametrize(
    ("edition", "code", "label"),
    [
        ("3", "0.5", "tier 1"),
        ("3", "1", "tier 2"),
        ("4", "1.5", "tier 2"),
        ("4", "2.1", "tier 3"),
        ("4", "2.5", "tier 3, slightly higher"),
        ("4", "3.5", "tier 4"),
        ("3", "4", "tier 5"),
        ("3", "2-WM", "withdrawal management"),
    ],
)
def test_five_tiers_are_labels(edition: str, code: str, label: str) -> None:
    told = {"system": "asam", "edition": edition, "code": code}
    assert LevelOfCare.model_validate(told).seed_tier() == label


@pytest.mark.fact("0.8")
def test_no_level_is_a_bare_number_and_no_program_is_of_a_tier() -> None:
    for of in ALL:
        assert of.level.code in LEVEL_CODES[of.level.edition]
        assert of.level.seed_tier() == "tier 3"
    with pytest.raises(ValueError, match="level"):
        ProgramProfile.model_validate({**EVENING.model_dump(), "level": 3})


# --- what is said and not acted on -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "code", "standing"),
    [
        pytest.param(EVENING, "core-purpose", "own-view", marks=pytest.mark.fact("0.4")),
        pytest.param(STEP_DOWN, "better-odds-of-sobriety", "claim", marks=pytest.mark.fact("1.3")),
        pytest.param(MATRIX, "matrix-is-the-foundation", "disputed", marks=pytest.mark.fact("2.2")),
        pytest.param(MATRIX, "goals", "own-view", marks=pytest.mark.fact("2.3")),
        pytest.param(DAILY, "who-gets-treatment", "dated", marks=pytest.mark.fact("3.1")),
        pytest.param(DAILY, "two-kinds-of-treatment", "own-view", marks=pytest.mark.fact("3.2")),
        pytest.param(DAILY, "behavioral-not-disease", "disputed", marks=pytest.mark.fact("3.7")),
        pytest.param(DAILY, "single-focus-of-fellowships", "claim", marks=pytest.mark.fact("3.11")),
    ],
)
def test_a_claim_is_shown_with_its_standing_and_changes_nothing(
    of: ProgramProfile, code: str, standing: str
) -> None:
    [claim] = [claim for claim in of.about if claim.code == code]
    assert claim.standing == standing
    assert claim.source
    assert of.model_copy(update={"about": ()}).terms() == of.terms()


# --- in the services: the terms that travel are the terms that hold ------------------------------------------


@pytest.mark.fact("2.6")
def test_a_year_of_aftercare_with_its_check_ins() -> None:
    terms = MATRIX.terms()
    assert terms.aftercare_days == 365
    assert terms.check_ins[-1] is Milestone.MONTHS_12
    assert Milestone.MONTHS_9 in terms.check_ins
    assert MATRIX.weeks_min is MATRIX.weeks_max is None, "the number of days is not said"


@pytest.mark.fact("2.6", "4.9")
def test_check_ins_are_scheduled_by_the_program_s_calendar() -> None:
    history = in_service("followup", MATRIX)
    history.hear(fact(plans.AftercarePlanDrafted, aftercare_plan_id=uid("plan"), version=1))
    history.hear(
        fact(
            plans.EpisodeDischarged,
            kind=plans.DischargeKind.GRADUATED,
            discharged_at=START + timedelta(days=60),
        )
    )
    scheduled = [name for name in history.names if name == "check-in-scheduled"]
    assert len(scheduled) == len(MATRIX.terms().check_ins) == 9


@pytest.mark.fact("4.4", "2.5")
def test_a_plan_is_asked_for_within_the_days_of_the_terms() -> None:
    history = in_service("plans", NINE)
    days = NINE.terms().plan_within_days
    assert days == HOUSE.plan_within_days == 7
    history.after(days=days - 1)
    assert "loop-escalated" not in history.names
    history.after(days=1, hours=12)
    assert "loop-escalated" in history.names


@pytest.mark.fact("0.2")
def test_a_week_is_held_to_the_hours_of_the_terms() -> None:
    history = in_service("attendance", EVENING).after(days=8)
    [week] = history.of(attendance.WeeklyHoursEvaluated)
    assert week.minutes_threshold == 540


def test_a_profile_that_changes_later_changes_nothing_for_who_is_admitted() -> None:
    """Admitted at a floor of 540; the program asks for 600 from the second day on. The week is closed at 540."""
    stricter = EVENING.model_copy(
        update={
            "version": "2026.2",
            "effective_on": TODAY + timedelta(days=1),
            "hours": tuple(
                hours.model_copy(update={"minutes_floor": 600}) for hours in EVENING.hours
            ),
        }
    )
    both = Programs([EVENING, stricter])
    on_the_day = both.current(FACILITY, "iop-evening", TODAY)
    history = in_service("attendance", on_the_day).after(days=8)
    [week] = history.of(attendance.WeeklyHoursEvaluated)
    assert week.minutes_threshold == 540
    later = both.current(FACILITY, "iop-evening", TODAY + timedelta(days=1))
    history = in_service("attendance", later).after(days=8)
    [week] = history.of(attendance.WeeklyHoursEvaluated)
    assert week.minutes_threshold == 600
