"""What goes with the plan: co-occurring needs, further services, medications, relapse prevention, aftercare."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.plans import additional_services, tables
from services.plans.episode_state import EpisodeState
from shared.contracts import intake, plans
from shared.contracts.codes import CoOccurring, PlansLoop
from shared.contracts.plans import AncillaryKind, CoOccurringCategory, ExpectedAnalyte
from shared.errors import NotYetKnown, Refused
from tests.unit.plans.world import DAY, SETTLED, Plans, admitted, in_treatment, with_plan
from tests.unit.support import START, fact


def prescription(code: str, *, verified: bool = True) -> ExpectedAnalyte:
    return ExpectedAnalyte(code=code, from_on=START.date(), verified=verified)


def prescribed(history: Plans, *codes: str) -> list[ExpectedAnalyte]:
    items = tuple(prescription(code) for code in codes)
    history.command(lambda s, c: additional_services.prescribe(s, items, c))
    return list(history.of(plans.ExpectedAnalytesUpdated)[-1].analytes)


def dual() -> Plans:
    """Somebody whose assessment found an enhanced co-occurring need."""
    history = Plans()
    history.hear(fact(intake.AssessmentCompleted, co_occurring=CoOccurring.ENHANCED, drivers=()))
    history.hear_all([admitted(), fact(intake.OrientationCompleted)])
    history.draft()
    return history


@pytest.mark.scenario(14)
@pytest.mark.fact("0.1", "3.3", "3.11")
class TestCoOccurring:
    def test_an_enhanced_need_is_named_and_psychiatry_planned_before_anyone_signs(self) -> None:
        history = dual()
        codes: list[str] = []
        for mend in (history.identify_need, history.add_service):
            with pytest.raises(Refused) as error:
                history.sign(by_patient=True)
            codes.append(error.value.code)
            mend()
        assert codes == ["co-occurring-need-not-named", "psychiatry-missing"]
        history.sign(by_patient=True)
        history.sign(by_patient=False)
        [named] = history.of(plans.CoOccurringNeedIdentified)
        assert (named.category, named.enhanced_program_needed) == (CoOccurringCategory.TRAUMA, True)

    def test_it_is_reviewed_closer_together(self) -> None:
        history = with_plan()
        history.identify_need()
        assert history.state.plan.next_review_on == date(2026, 3, 16)
        history.after(days=13).review()
        assert history.state.plan.next_review_on == date(2026, 3, 29)

    def test_a_need_never_postpones_a_review(self) -> None:
        history = with_plan().after(days=25)
        before = history.state.plan.next_review_on
        history.identify_need()
        assert history.state.plan.next_review_on == before

    def test_a_capable_program_is_enough_for_other_needs(self) -> None:
        history = with_plan()
        history.identify_need(CoOccurringCategory.ANXIETY, enhanced=False)
        assert history.state.plan.next_review_on == date(2026, 4, 1)
        history.identify_need(CoOccurringCategory.ANXIETY, enhanced=True)
        assert [need.enhanced for need in history.state.needs] == [True]

    def test_once(self) -> None:
        history = with_plan()
        history.identify_need()
        with pytest.raises(Refused) as error:
            history.identify_need()
        assert error.value.code == "need-known"


@pytest.mark.fact("0.5", "3.5", "4.7")
class TestServices:
    @pytest.mark.parametrize("on_site", [True, False])
    @pytest.mark.parametrize("kind", [kind for kind in AncillaryKind if kind.name != "UNKNOWN"])
    def test_only_medication_management_here_counts_toward_hours(
        self, kind: AncillaryKind, on_site: bool
    ) -> None:
        history = with_plan()
        history.add_service(kind, on_site=on_site)
        [added] = history.of(plans.AncillaryServiceAdded)
        assert (added.kind, added.on_site) == (kind, on_site)
        assert added.counts_toward_hours is (kind is AncillaryKind.MEDICATION and on_site)
        assert not (kind in tables.HOLISTIC and added.counts_toward_hours)

    def test_once(self) -> None:
        history = with_plan()
        history.add_service()
        with pytest.raises(Refused) as error:
            history.add_service()
        assert error.value.code == "service-known"
        history.add_service(on_site=False)


@pytest.mark.fact("2.1")
class TestMedications:
    @pytest.mark.scenario(3)
    def test_methadone_brings_its_metabolite(self) -> None:
        found = prescribed(with_plan(), "methadone")
        assert [(a.code, a.companion_of) for a in found] == [
            ("methadone", None),
            ("eddp", "methadone"),
        ]
        assert {a.verified for a in found} == {True}

    def test_what_panels_do_not_look_for_is_not_expected(self) -> None:
        history = with_plan()
        assert prescribed(history, "naltrexone", "acamprosate") == []
        assert [m.code for m in history.state.medications] == ["naltrexone", "acamprosate"]

    def test_what_is_prescribed_itself_is_no_companion(self) -> None:
        found = prescribed(with_plan(), "codeine", "morphine")
        assert [a.companion_of for a in found if a.code == "morphine"] == [None]

    @given(st.lists(st.sampled_from(sorted(tables.COMPANIONS)), max_size=10, unique=True))
    def test_every_companion_is_of_something_prescribed(self, codes: list[str]) -> None:
        found = prescribed(with_plan(), *codes)
        assert {a.code for a in found if a.companion_of is None} == set(codes)
        assert {a.companion_of for a in found} - {None} <= set(codes)


@pytest.mark.fact("4.6")
class TestRelapsePrevention:
    def test_complete_when_all_three_are_named_in_any_order(self) -> None:
        history = with_plan()
        answers = [
            history.name_relapse_prevention(element).answer["complete"]
            for element in ("strategies", "triggers", "cravings")
        ]
        assert answers == [False, False, True]
        with pytest.raises(Refused) as error:
            history.name_relapse_prevention("hope")
        assert error.value.code == "element-not-listed"


@pytest.mark.fact("3.12", "4.8")
class TestAftercare:
    def test_from_the_first_day_to_complete(self) -> None:
        history = with_plan()
        first = history.aftercare(("support-meetings", "housing"), (), None)
        assert first.answer == {"version": 2, "complete": False}
        second = history.aftercare()
        assert second.answer == {"version": 3, "complete": True}
        drafted = history.of(plans.AftercarePlanDrafted)
        assert [event.version for event in drafted] == [1, 2, 3]
        assert [event.complete for event in drafted] == [False, False, True]
        assert drafted[-1].appointment_at == START + 30 * DAY
        assert {event.aftercare_plan_id for event in drafted} == {history.state.aftercare_plan_id}

    @pytest.mark.parametrize("code", sorted(tables.AFTERCARE_MAY_BE_NONE))
    def test_what_some_people_do_not_need(self, code: str) -> None:
        others = tuple(element for element in SETTLED if element != code)
        history = with_plan()
        assert history.aftercare(others).answer["complete"] is False
        assert history.aftercare(others, (code,)).answer["complete"] is True

    @pytest.mark.parametrize(
        ("elements", "not_needed", "timed", "code"),
        [
            (("happiness",), (), False, "element-not-listed"),
            ((), ("housing",), False, "element-needed"),
            (("first-appointment",), (), False, "first-appointment-without-time"),
            ((), (), True, "first-appointment-without-time"),
        ],
    )
    def test_what_is_refused(
        self, elements: tuple[str, ...], not_needed: tuple[str, ...], timed: bool, code: str
    ) -> None:
        with pytest.raises(Refused) as error:
            with_plan().aftercare(elements, not_needed, START + DAY if timed else None)
        assert error.value.code == code

    def test_not_before_the_admission_is_heard(self) -> None:
        with pytest.raises(NotYetKnown):
            Plans().aftercare()

    @pytest.mark.parametrize(("weeks", "opens"), [(16, 98), (6, 28), (1, 0)])
    def test_towards_the_end_it_is_waited_for(self, weeks: int, opens: int) -> None:
        history = in_treatment(length_weeks=weeks)
        if opens:
            history.at(START + timedelta(days=opens) - timedelta(seconds=1))
            assert PlansLoop.AFTERCARE_PLAN not in history.open
        history.at(START + timedelta(days=opens))
        assert history.deadline(PlansLoop.AFTERCARE_PLAN) == START + timedelta(weeks=weeks)
        history.aftercare()
        assert PlansLoop.AFTERCARE_PLAN not in history.open

    def test_nothing_is_waited_for_when_it_is_complete(self) -> None:
        history = with_plan()
        history.aftercare()
        state: EpisodeState = history.at(START + timedelta(days=99)).state
        assert (
            state.loop(PlansLoop.AFTERCARE_PLAN, history.record.subject.partition("/")[2]) is None
        )
