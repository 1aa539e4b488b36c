"""Which events go to whom, and when a topic is followed by the next: nothing in doubt is passed on."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.outlet import planning
from services.outlet.planning import Outlet, Plan, entitled
from shared.contracts import attendance, intake
from shared.contracts.event import CATALOGUE, Envelope
from shared.contracts.publish.subscribers import Subscriber

DAY = date(2026, 11, 27)
YESTERDAY = DAY - timedelta(days=1)
PART2 = attendance.SessionAttended
OPERATIONAL = attendance.SessionScheduled
SENSITIVITIES = {event.SENSITIVITY for event in (PART2, OPERATIONAL)}


def envelope(event_type: str = PART2.TYPE, **changes: Any) -> Envelope:
    event = CATALOGUE.get(event_type, PART2)
    one = "00000000-0000-4000-8000-000000000001"
    return Envelope(
        id=one,
        source=event.SOURCE,
        type=event_type,
        subject=f"{event.SUBJECT}/{one}",
        sequence=1,
        time=datetime(2026, 11, 27, tzinfo=UTC),
        correlationid=one,
        causationid=one,
        facilityid="harbor-iop",
        actorrole="system",
        sensitivity=event.SENSITIVITY,
        dataschema=event.schema_id(),
    )._replace(**changes)


def outlet(**changes: Any) -> Outlet:
    made = Outlet(
        topic="care.out.billing",
        team="billing",
        facilities=("harbor-iop",),
        types=(PART2.TYPE, OPERATIONAL.TYPE),
        sensitivity="part2",
    )
    return made.model_copy(update=changes)


def team(name: str = "billing", **changes: Any) -> Subscriber:
    values: dict[str, Any] = {
        "name": name,
        "owner": "A team",
        "contact": "a-team@throughcare.example",
        "agreement": "same-entity",
        "group_prefix": name,
        "facilities": ("harbor-iop",),
        "sensitivity": "part2",
        "reads": {PART2.TYPE: ()},
    }
    return Subscriber.model_validate(values | changes)


def test_the_table_has_both_sensitivities() -> None:
    assert {"part2", "operational"} == SENSITIVITIES


@pytest.mark.parametrize(
    ("made", "event", "passes"),
    [
        ({}, {}, True),
        ({"facilities": "all"}, {"facilityid": "lakeside-iop"}, True),
        ({}, {"event_type": OPERATIONAL.TYPE}, True),
        ({"until": DAY}, {}, True),
        ({"until": YESTERDAY}, {}, False),
        ({"ended": True}, {}, False),
        ({}, {"facilityid": "lakeside-iop"}, False),
        ({}, {"facilityid": "harbor-iop-2"}, False),
        ({}, {"facilityid": ""}, False),
        ({}, {"event_type": intake.PatientAdmitted.TYPE}, False),
        ({}, {"event_type": PART2.TYPE.replace(".v1", ".v2")}, False),
        ({"types": ("care.attendance.new.v1",)}, {"event_type": "care.attendance.new.v1"}, False),
        # The header and the catalogue both have to be below the ceiling, whichever is wrong.
        ({"sensitivity": "operational"}, {}, False),
        ({"sensitivity": "operational"}, {"sensitivity": "operational"}, False),
        ({"sensitivity": "operational"}, {"event_type": OPERATIONAL.TYPE}, True),
        (
            {"sensitivity": "operational"},
            {"event_type": OPERATIONAL.TYPE, "sensitivity": "part2"},
            False,
        ),
        ({}, {"sensitivity": "notes"}, False),
        ({}, {"sensitivity": "unheard-of"}, False),
        ({}, {"sensitivity": ""}, False),
        ({"sensitivity": "notes"}, {}, False),
    ],
)
def test_an_event_is_passed_on_when_all_of_it_is_known_and_allowed(
    made: dict[str, Any], event: dict[str, Any], passes: bool
) -> None:
    assert entitled(outlet(**made), envelope(**event), DAY) is passes


facilities = st.one_of(
    st.just("all"),
    st.lists(st.sampled_from(["harbor-iop", "lakeside-iop", "elm-iop"]), min_size=1).map(tuple),
)


@given(
    facilities,
    st.sampled_from(["operational", "part2"]),
    st.lists(st.sampled_from(sorted(CATALOGUE)), min_size=1).map(tuple),
    st.sampled_from(sorted(CATALOGUE)),
    st.sampled_from(["harbor-iop", "lakeside-iop", "elm-iop", "no-such"]),
    st.sampled_from(["operational", "part2", "notes", "other"]),
)
def test_whatever_goes_out_is_below_each_of_the_three_bounds(
    where: Any, ceiling: str, types: tuple[str, ...], kind: str, facility: str, sensitivity: str
) -> None:
    made = outlet(facilities=where, sensitivity=ceiling, types=types)
    if entitled(made, envelope(kind, facilityid=facility, sensitivity=sensitivity), DAY):
        assert kind in types
        assert where == "all" or facility in where
        assert sensitivity in ("operational", "part2")
        assert ceiling == "part2" or (sensitivity, CATALOGUE[kind].SENSITIVITY) == (ceiling,) * 2


def planned(
    before: Plan, teams: list[Subscriber], existing: Collection[str], today: date, epoch: int = 0
) -> Plan:
    return planning.planned(before, teams, existing, today, epoch)


# --- which topics there are ---------------------------------------------------------------------------


def test_who_may_read_everything_gets_no_outlet() -> None:
    assert planned(Plan(), [team(facilities="all")], (), DAY) == Plan()


def test_the_same_files_ask_for_nothing_new() -> None:
    plan = planned(Plan(), [team()], (), DAY)
    assert [one.topic for one in plan.outlets] == ["care.out.billing"]
    assert planned(plan, [team()], {"care.out.billing"}, DAY) == plan
    moved = team(owner="Another", contact="other@throughcare.example", until=DAY)
    assert planned(plan, [moved], (), DAY).epoch == plan.epoch


@pytest.mark.parametrize(
    "change",
    [
        {"facilities": ("harbor-iop", "lakeside-iop")},
        {"reads": {PART2.TYPE: (), OPERATIONAL.TYPE: ()}},
        {"sensitivity": "operational", "reads": {OPERATIONAL.TYPE: ()}},
        {"facilities": "all", "sensitivity": "operational", "reads": {OPERATIONAL.TYPE: ()}},
    ],
)
def test_a_change_makes_the_next_topic_and_the_old_one_names_it(change: dict[str, Any]) -> None:
    before = planned(Plan(), [team()], (), DAY)
    old, new = planned(before, [team(**change)], {"care.out.billing"}, DAY).outlets
    assert (old.ended, old.successor) == (True, "care.out.billing.2")
    assert (new.ended, new.topic) == (False, "care.out.billing.2")
    assert old.made_for == before.outlets[0].made_for
    assert planned(before, [team(**change)], (), DAY).epoch == before.epoch + 1


@pytest.mark.parametrize("gone", [[], [team(facilities="all")], [team(until=YESTERDAY)]])
def test_who_gets_nothing_any_more_has_an_ended_topic_without_a_successor(
    gone: list[Subscriber],
) -> None:
    before = planned(Plan(), [team()], (), DAY)
    after = planned(before, gone, (), DAY)
    assert [(one.ended, one.successor) for one in after.outlets] == [(True, None)]
    assert after.epoch == before.epoch
    back = planned(after, [team()], (), DAY)
    assert [one.topic for one in back.open] == ["care.out.billing.2"]
    assert back.outlets[0].successor == "care.out.billing.2"  # it named none for ever


def test_an_agreement_renewed_in_time_goes_on_and_a_late_one_begins_the_next() -> None:
    before = planned(Plan(), [team(until=DAY)], (), DAY)
    later = DAY + timedelta(days=30)
    in_time = planned(before, [team(until=later)], (), DAY)
    assert [one.topic for one in in_time.open] == ["care.out.billing"]
    too_late = planned(before, [team(until=later)], (), DAY + timedelta(days=1))
    assert [one.topic for one in too_late.open] == ["care.out.billing.2"]


def test_a_name_is_never_used_twice_and_teams_do_not_touch_each_other() -> None:
    existing = {"care.out.billing", "care.out.billing.7", "care.out.billing-2", "care.out.bill.9"}
    plan = planned(Plan(), [team()], existing, DAY)
    assert [one.topic for one in plan.open] == ["care.out.billing.8"]
    both = planned(plan, [team(), team("quality")], existing, DAY)
    assert {one.topic for one in both.open} == {"care.out.billing.8", "care.out.quality"}


def test_a_store_that_has_lost_its_plan_ends_what_there_is_and_begins_anew() -> None:
    """Whatever the rebuilt records have heard, the next topic is filled: its epoch was never used."""
    existing = {"care.out.billing", "care.out.billing.2", "care.out.gone", "care.out.x.y"}
    plan = planned(Plan(), [team()], existing, DAY, 1_795_000_000)
    assert plan.epoch == 1_795_000_000
    assert [one.topic for one in plan.open] == ["care.out.billing.3"]
    assert {one.topic: one.successor for one in plan.outlets if one.ended} == {
        "care.out.billing": "care.out.billing.3",
        "care.out.billing.2": "care.out.billing.3",
        "care.out.gone": None,
    }
    assert not any(planning.takes(one, envelope()) for one in plan.outlets if one.ended)
    assert planned(plan, [team()], existing, DAY, 1_795_000_009) == plan


def test_a_store_that_is_older_than_the_bus_goes_on_behind_what_is_there() -> None:
    """It went on in the first topic, whose readers had gone on, and nobody ever ended the second."""
    before = planned(Plan(), [team(), team("quality")], (), DAY)
    existing = {"care.out.billing", "care.out.billing.2", "care.out.quality", "care.out.quality.x"}
    plan = planned(before, [team(), team("quality")], existing, DAY, 1_795_000_000)
    assert [one.topic for one in plan.open] == ["care.out.quality", "care.out.billing.3"]
    assert plan.epoch == 1_795_000_000
    third = "care.out.billing.3"
    assert {one.topic: one.successor for one in plan.outlets if one.ended} == {
        "care.out.billing": third,
        "care.out.billing.2": third,
    }


files = st.dictionaries(
    st.sampled_from(["billing", "quality"]),
    st.sampled_from([("harbor-iop",), ("lakeside-iop",), "all"]),
)


@given(st.lists(st.tuples(files, st.integers(0, 2)), max_size=8))
def test_every_topic_of_a_team_leads_to_the_one_that_is_written(
    starts: list[tuple[dict[str, Any], int]],
) -> None:
    """Whatever the files say from one start to the next, and however many plans back the store is restored."""
    plans, existing = [Plan()], set[str]()
    for number, (said, lost) in enumerate(starts, 1):
        plans = plans[: max(1, len(plans) - lost)]
        teams = [team(name, facilities=where) for name, where in said.items()]
        plan = planned(plans[-1], teams, existing, DAY, number * 1_000)
        assert planned(plan, teams, existing, DAY, number * 1_000 + 1) == plan
        writing = {one.team: one.topic for one in plan.open}
        assert set(writing) == {one.name for one in teams if not one.direct}
        assert existing <= {one.topic for one in plan.outlets}
        followed = {one.topic: one.successor for one in plan.outlets}
        for one in plan.outlets:
            topic = one.topic
            while one.team in writing and topic != writing[one.team]:
                topic = followed[topic] or ""
            if one.topic not in {before.topic for before in plans[-1].open}:
                assert one.ended or one.topic not in existing, "a name is used twice"
        existing |= set(writing.values())
        plans = [*plans, plan]


@pytest.mark.parametrize(
    ("files_of", "existing", "missing"),
    [
        ({"billing", "quality"}, (), []),
        ({"billing"}, (), ["quality"]),
        ({"reporting"}, (), ["billing", "quality"]),
        ({"reporting"}, ("care.out.gone",), ["billing", "quality"]),
        ((), ("care.out.gone.2", "care.out.x.y"), ["billing", "gone", "quality"]),
    ],
)
def test_a_running_outlet_does_not_end_because_a_file_is_not_there(
    files_of: Collection[str], existing: Collection[str], missing: list[str]
) -> None:
    over = team("over", until=DAY)
    plan = planned(Plan(), [team(), team("quality"), over], (), DAY)
    ended = planned(plan, [team(), team("quality"), over], (), DAY)
    assert planning.without_file(ended, files_of, existing, DAY + timedelta(days=1)) == missing
    assert planning.without_file(Plan(), (), (), DAY) == []
