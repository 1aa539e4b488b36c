"""Clocks in the manner of HEDIS: their day zero, their last day, whose day it is, and who owns what is still open."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup import invariants
from services.followup.measures import measures
from services.followup.measures.measures import Measure, Standing
from shared.contracts import followup, intake, plans
from shared.contracts.codes import ClearedReason, FollowupLoop, Role
from shared.contracts.followup import RiskFlag, TransitionKind
from shared.contracts.intake import PartnerKind
from shared.contracts.plans import DischargeKind
from shared.errors import Invalid, NotYetKnown
from tests.unit.followup.world import (
    DAY,
    Followup,
    admitted,
    attended,
    discharged,
    in_aftercare,
    in_program,
)
from tests.unit.support import START, fact, uid

INDEX = date(2026, 3, 2)
ED, WM = TransitionKind.ED_VISIT, TransitionKind.WM_DISCHARGE


def after(*days: int) -> list[date]:
    return [INDEX + timedelta(days=day) for day in days]


def standings(clocks: tuple[measures.Clock, ...], today: int = 100) -> dict[str, Standing]:
    return {c.rule.name: c.standing(INDEX + timedelta(days=today)) for c in clocks}


MET, OPEN, LAPSED = Standing.MET, Standing.OPEN, Standing.LAPSED


@pytest.mark.parametrize(
    ("day", "within_7", "within_30"),
    [
        (-1, LAPSED, LAPSED),
        (0, MET, MET),  # the same day counts
        (1, MET, MET),
        (7, MET, MET),
        (8, LAPSED, MET),
        (30, LAPSED, MET),
        (31, LAPSED, LAPSED),
    ],
)
def test_fua_by_the_day_of_the_service(day: int, within_7: Standing, within_30: Standing) -> None:
    found = standings(measures.follow_up(Measure.FUA, INDEX, after(day)))
    assert found == {"within_7": within_7, "within_30": within_30}


@pytest.mark.parametrize(
    ("day", "within_7", "within_30"),
    [
        (-1, LAPSED, LAPSED),
        (0, LAPSED, LAPSED),  # the day of discharge does not count
        (1, MET, MET),
        (7, MET, MET),
        (8, LAPSED, MET),
        (30, LAPSED, MET),
        (31, LAPSED, LAPSED),
    ],
)
def test_fui_by_the_day_of_the_service(day: int, within_7: Standing, within_30: Standing) -> None:
    found = standings(measures.follow_up(Measure.FUI, INDEX, after(day)))
    assert found == {"within_7": within_7, "within_30": within_30}


@pytest.mark.parametrize(
    ("days", "begun", "engaged"),
    [
        ((), LAPSED, None),
        ((-1,), LAPSED, None),
        ((0,), MET, LAPSED),
        ((13,), MET, LAPSED),
        ((14,), MET, LAPSED),
        ((15,), LAPSED, None),
        ((15, 16, 17), LAPSED, None),
        ((0, 0, 0), MET, LAPSED),  # the day of initiation is not engagement
        ((0, 1), MET, LAPSED),  # two are needed
        ((0, 1, 1), MET, MET),
        ((0, 1, 34), MET, MET),
        ((0, 1, 35), MET, LAPSED),
        ((0, 34, 34), MET, MET),
        ((0, 35, 36), MET, LAPSED),
        ((14, 15, 48), MET, MET),  # counted from the day of initiation, not from the index
        ((14, 15, 49), MET, LAPSED),
    ],
)
def test_iet_by_the_days_of_sessions(
    days: tuple[int, ...], begun: Standing, engaged: Standing | None
) -> None:
    found = standings(measures.treatment(INDEX, after(*days)))
    expected = {"initiation_14": begun} | ({} if engaged is None else {"engagement_34": engaged})
    assert found == expected


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (0, (OPEN, OPEN)),
        (7, (OPEN, OPEN)),
        (8, (LAPSED, OPEN)),
        (30, (LAPSED, OPEN)),
        (31, (LAPSED, LAPSED)),
    ],
)
def test_a_clock_is_open_through_its_last_day(
    today: int, expected: tuple[Standing, Standing]
) -> None:
    found = standings(measures.follow_up(Measure.FUA, INDEX, []), today)
    assert tuple(found.values()) == expected


@given(
    st.sampled_from(list(Measure)),
    st.lists(st.integers(-5, 60), max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_order_of_services_is_no_matter_and_more_of_them_never_harm(
    measure: Measure, days: list[int], luck: object
) -> None:
    def run(found: list[int]) -> tuple[measures.Clock, ...]:
        if measure is Measure.IET:
            return measures.treatment(INDEX, after(*found))
        return measures.follow_up(measure, INDEX, after(*found))

    shuffled = list(days)
    luck.shuffle(shuffled)  # type: ignore[attr-defined]
    assert run(days) == run(shuffled)
    met = {clock.rule.name for clock in run(days) if clock.met_on}
    if measure is not Measure.IET:
        assert met <= {clock.rule.name for clock in run([*days, 3]) if clock.met_on}


class TestIndex:
    def test_is_the_day_of_the_assessment_that_found_the_person_eligible(self) -> None:
        history = Followup(START)
        history.hear(fact(intake.AssessmentScheduled, starts_at=START - 3 * DAY))
        assert invariants.clocks(history.state) == ()
        history.hear(fact(intake.EligibilityDetermined, eligible=True))
        [clock] = invariants.clocks(history.state)
        assert (clock.rule.measure, clock.index_on) == (Measure.IET, date(2026, 2, 27))
        history.hear(admitted())
        assert invariants.clocks(history.state) == (clock,)

    def test_is_the_admission_when_no_assessment_was_heard_of(self) -> None:
        [clock] = invariants.clocks(in_program().state)
        assert clock.index_on == START.date()

    def test_a_readmission_is_no_new_episode(self) -> None:
        history = Followup()
        history.hear(admitted(prior=uid("prior")))
        assert invariants.clocks(history.state) == ()

    def test_who_is_ineligible_has_none(self) -> None:
        history = Followup()
        history.hear(fact(intake.AssessmentScheduled, starts_at=START))
        history.hear(fact(intake.EligibilityDetermined, eligible=False))
        assert invariants.clocks(history.state) == ()

    @pytest.mark.parametrize(
        ("kind", "measure"),
        [
            (PartnerKind.EMERGENCY_DEPARTMENT, Measure.FUA),
            (PartnerKind.WITHDRAWAL_MANAGEMENT, Measure.FUI),
            (PartnerKind.RESIDENTIAL, Measure.FUI),
            (PartnerKind.PRIMARY_CARE, None),
            (PartnerKind.COURT, None),
            (PartnerKind.SELF, None),
        ],
    )
    def test_who_refers_says_what_the_person_came_out_of(
        self, kind: PartnerKind, measure: Measure | None
    ) -> None:
        history = Followup()
        history.hear(fact(intake.ReferralReceived, source_kind=kind, received_at=START))
        assert {c.rule.measure for c in invariants.clocks(history.state)} == ({measure} - {None})

    def test_a_day_that_staff_state_corrects_the_referral(self) -> None:
        history = Followup()
        wm = PartnerKind.WITHDRAWAL_MANAGEMENT
        history.hear(fact(intake.ReferralReceived, source_kind=wm, received_at=START))
        history.transition(WM, date(2026, 3, 1))
        assert {c.index_on for c in invariants.clocks(history.state)} == {date(2026, 3, 1)}

    @pytest.mark.parametrize(
        ("zone", "expected"),
        [
            ("America/Chicago", date(2026, 3, 1)),
            ("UTC", date(2026, 3, 2)),
            ("Asia/Tokyo", date(2026, 3, 2)),
        ],
    )
    def test_days_are_the_facilitys(self, zone: str, expected: date) -> None:
        history = Followup(START.replace(hour=3))
        history.hear(
            fact(
                intake.PatientAdmitted,
                admitted_at=history.now,
                time_zone=zone,
                prior_episode_id=None,
            )
        )
        [clock] = invariants.clocks(history.state)
        assert clock.index_on == expected

    def test_a_session_late_in_the_evening_is_of_its_local_day(self) -> None:
        history = in_program()
        history.transition(ED, date(2026, 3, 2))
        history.at(datetime(2026, 3, 10, 4, 30, tzinfo=UTC))  # 9 March, 23:30, in Chicago: day 7
        history.hear(attended(history.now))
        fua = [c for c in invariants.clocks(history.state) if c.rule.measure is Measure.FUA]
        assert [c.met_on for c in fua] == [date(2026, 3, 9)] * 2


class TestLoops:
    def timely(self, history: Followup) -> list[tuple[str, int]]:
        return [
            (e.owner_role.value, e.step)
            for e in history.of(followup.LoopEscalated)
            if e.loop is FollowupLoop.TIMELY_VISIT
        ]

    def test_a_running_clock_has_an_owner_before_it_lapses(self) -> None:
        history = in_program()
        [loop] = history.loops(FollowupLoop.TIMELY_VISIT)
        assert loop.owner_role is Role.CASE_MANAGER
        # The last day but one, 15 March, begins in Chicago: the clocks have gone forward by then.
        assert loop.deadline_at == datetime(2026, 3, 15, 5, tzinfo=UTC)
        history.at(loop.deadline_at)
        assert self.timely(history) == [("clinical_supervisor", 1)]
        [loop] = history.loops(FollowupLoop.TIMELY_VISIT)
        assert loop.deadline_at == datetime(2026, 3, 17, 5, tzinfo=UTC)
        history.at(loop.deadline_at)
        assert history.loops(FollowupLoop.TIMELY_VISIT) == []
        [over] = [e for e in history.of(followup.EscalationCleared) if e.loop_id == loop.id]
        assert over.reason is ClearedReason.SUPERSEDED

    def test_being_seen_closes_it_and_engagement_is_waited_for_next(self) -> None:
        history = in_program()
        [first] = history.loops(FollowupLoop.TIMELY_VISIT)
        history.after(days=13)
        history.hear(attended(history.now))
        [second] = history.loops(FollowupLoop.TIMELY_VISIT)
        assert second.id != first.id
        [over] = [e for e in history.of(followup.EscalationCleared) if e.loop_id == first.id]
        assert over.reason is ClearedReason.RESOLVED
        for day in (1, 2):
            history.after(days=day)
            history.hear(attended(history.now))
        assert history.loops(FollowupLoop.TIMELY_VISIT) == []

    def test_after_seven_days_the_thirty_are_waited_for(self) -> None:
        history = in_aftercare()
        history.transition(ED, history.now.date())
        [first] = history.loops(FollowupLoop.TIMELY_VISIT)
        history.after(days=9)
        [second] = history.loops(FollowupLoop.TIMELY_VISIT)
        assert second.id != first.id
        history.after(days=30)
        assert history.loops(FollowupLoop.TIMELY_VISIT) == []

    @pytest.mark.parametrize("kind", [DischargeKind.DECEASED, DischargeKind.TRANSFERRED])
    def test_ends_with_who_is_gone(self, kind: DischargeKind) -> None:
        history = in_program()
        history.hear(discharged(START, kind))
        assert history.loops(FollowupLoop.TIMELY_VISIT) == []

    def test_a_transfer_that_arrived_is_a_service(self) -> None:
        history = in_program()
        history.transition(WM, START.date())
        history.hear(fact(plans.TransferCompleted, first_contact_at=START + DAY))
        fui = [c for c in invariants.clocks(history.state) if c.rule.measure is Measure.FUI]
        assert [c.met_on for c in fui] == [date(2026, 3, 3)] * 2


class TestReport:
    @pytest.mark.parametrize(("days", "code"), [(1, "day-in-future"), (-400, "day-too-long-ago")])
    def test_days_that_cannot_be(self, days: int, code: str) -> None:
        with pytest.raises(Invalid) as refused:
            in_program().transition(ED, START.date() + timedelta(days=days))
        assert refused.value.code == code

    def test_of_nobody_heard_of(self) -> None:
        with pytest.raises(NotYetKnown):
            Followup().transition(ED, START.date())

    def test_the_same_again_says_nothing_new(self) -> None:
        history = in_program()
        for _ in range(2):
            history.transition(ED, START.date())
        assert len(history.of(followup.TransitionReported)) == 1


@pytest.mark.scenario(15)
def test_danger_at_a_check_in_goes_to_the_emergency_department_and_the_person_is_seen_after_it() -> (
    None
):
    history = in_aftercare()
    told = history.complete(history.open_check_in(0), RiskFlag.SUICIDE_RISK)
    [risk] = history.loops(FollowupLoop.RISK_RESPONSE)
    assert risk.owner_role is Role.CLINICIAN
    history.after(minutes=20).answer_risk(str(told.answer["risk_loop_id"]), "emergency_department")
    [visit] = history.of(followup.TransitionReported)
    assert (visit.kind, visit.occurred_on) == (ED, date(2026, 3, 5))
    [loop] = history.loops(FollowupLoop.TIMELY_VISIT)
    history.after(days=3)
    history.hear(attended(history.now))
    fua = [c for c in invariants.clocks(history.state) if c.rule.measure is Measure.FUA]
    assert [c.met_on for c in fua] == [date(2026, 3, 8)] * 2
    assert loop.id not in [one.id for one in history.loops(FollowupLoop.TIMELY_VISIT)]


@pytest.mark.scenario(15)
def test_danger_found_at_the_assessment_starts_the_clock_on_its_day() -> None:
    history = Followup(START)
    history.hear(fact(intake.AssessmentScheduled, starts_at=START))
    history.hear(
        fact(intake.ImminentDangerIdentified, action=intake.EmergencyAction.EMERGENCY_DEPARTMENT)
    )
    assert {c.rule.measure for c in invariants.clocks(history.state)} == {Measure.FUA}


@pytest.mark.scenario(13)
def test_who_comes_back_from_withdrawal_care_is_seen_within_days_of_it() -> None:
    history = Followup(START)
    wm = PartnerKind.WITHDRAWAL_MANAGEMENT
    history.hear(fact(intake.ReferralReceived, source_kind=wm, received_at=START))
    [loop] = history.loops(FollowupLoop.TIMELY_VISIT)
    assert loop.owner_role is Role.CASE_MANAGER
    history.hear(fact(intake.AssessmentScheduled, starts_at=START + 2 * DAY))
    history.after(days=2).hear(fact(intake.EligibilityDetermined, eligible=True))
    fui = [c for c in invariants.clocks(history.state) if c.rule.measure is Measure.FUI]
    assert [c.standing(history.now.date()) for c in fui] == [MET, MET]


def test_a_tally_counts_by_the_index_day() -> None:
    clocks = [
        (clock, INDEX + timedelta(days=10))
        for days in ([], [3], [9], [40])
        for clock in measures.follow_up(Measure.FUA, INDEX, after(*days))
    ]
    counted = measures.tally(Measure.FUA, clocks, INDEX, INDEX)
    seven, thirty = counted["within_7"], counted["within_30"]
    assert (seven.denominator, seven.numerator, seven.open, seven.rate) == (4, 1, 0, 0.25)
    assert (thirty.denominator, thirty.numerator, thirty.open, thirty.rate) == (4, 2, 2, 0.5)
    assert measures.tally(Measure.FUA, clocks, INDEX + DAY, INDEX + DAY)["within_7"].rate is None


def test_engagement_is_counted_against_everyone_whose_treatment_should_have_begun() -> None:
    clocks = [
        (clock, INDEX + timedelta(days=60))
        for days in ([], [1], [1, 2, 3])
        for clock in measures.treatment(INDEX, after(*days))
    ]
    engaged = measures.tally(Measure.IET, clocks, INDEX, INDEX)["engagement_34"]
    assert (engaged.denominator, engaged.numerator) == (3, 1)
