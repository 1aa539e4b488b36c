"""People on duty: who holds what, who is away, who acts, who takes over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.app import SERVICE
from services.intake.resources import care_teams
from shared.contracts import intake, plans
from shared.contracts.codes import Role
from shared.duty import ABSENCES_KEPT, staff_subject
from tests.unit.served import Served, refused
from tests.unit.support import FACILITY, START, fact, uid

ANNA, BEN, CARO, DAN = (uid(name) for name in ("anna", "ben", "caro", "dan"))
OTHER = "river-iop"
REFERRAL = {"source_kind": "self", "urgency": "routine"}
DAY = timedelta(days=1)


def at(days: float) -> str:
    return (START + timedelta(days=days)).isoformat()


ASSIGNED = intake.CareTeamAssigned


class Desk:
    """The commands about people on duty."""

    def __init__(self, served: Served) -> None:
        self.served = served

    async def referred(self) -> str:
        told = await self.served.acting_as("intake_coordinator").does("/referrals", REFERRAL)
        episode_id: str = told["episode_id"]
        return episode_id

    async def assigns(self, episode_id: str, who: str | None, role: str = "clinician") -> Any:
        return await self.served.acting_as("case_manager").put(
            f"/episodes/{episode_id}/team", {"role": role, "staff_id": who}
        )

    async def away(
        self, who: str, begin: float, end: float, deputy: str, *, by: str | None = None
    ) -> Any:
        body = {"from_at": at(begin), "until_at": at(end), "deputy_id": deputy}
        return await self.served.acting_as("clinician", by or who).post(
            f"/staff/{who}/absences", body
        )

    async def hands_over(self, who: str, to: str, episodes: list[str] | None = None) -> Any:
        body = {"to_id": to, **({} if episodes is None else {"episode_ids": episodes})}
        return await self.served.acting_as("clinical_supervisor", DAN).post(
            f"/staff/{who}/hand-over", body
        )

    def team(self, episode_id: str) -> dict[str, str]:
        team: dict[str, str] = self.served.state(f"episode/{episode_id}").team
        return team

    def at(self, facility_id: str) -> Served:
        """Call as the supervisor of a facility from now on."""
        return self.served.acting_as("clinical_supervisor", DAN, facility_id)

    def holds(self, who: str, facility_id: str = FACILITY) -> dict[str, tuple[str, ...]]:
        holds: dict[str, tuple[str, ...]] = self.served.state(staff_subject(facility_id, who)).holds
        return holds

    def absences(self, facility_id: str) -> list[intake.StaffAbsencePlanned]:
        said = self.served.said(staff_subject(facility_id, ANNA))
        return [event for event in said if isinstance(event, intake.StaffAbsencePlanned)]

    def said(self, episode_id: str) -> list[tuple[str, str | None]]:
        return [
            (event.role.value, event.staff_id if isinstance(event, ASSIGNED) else None)
            for event in self.served.said(f"episode/{episode_id}")
            if isinstance(event, ASSIGNED | intake.CareTeamRoleVacated)
        ]


@pytest.fixture
def desk() -> Desk:
    return Desk(Served(SERVICE))


# --- the team -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [role.value for role in care_teams.TEAM_ROLES])
async def test_a_role_is_taken_passed_on_and_left(desk: Desk, role: str) -> None:
    episode_id = await desk.referred()
    for who in (ANNA, ANNA, BEN, None, None):
        assert (await desk.assigns(episode_id, who, role)).status_code == 200
    assert desk.said(episode_id) == [(role, ANNA), (role, BEN), (role, None)], (
        "said when it changes"
    )
    assert desk.team(episode_id) == {}
    assert desk.holds(ANNA) == desk.holds(BEN) == {}


async def test_one_may_hold_several_roles(desk: Desk) -> None:
    episode_id = await desk.referred()
    await desk.assigns(episode_id, ANNA, "clinician")
    await desk.assigns(episode_id, ANNA, "counselor")
    assert desk.holds(ANNA) == {episode_id: ("clinician", "counselor")}
    await desk.assigns(episode_id, BEN, "clinician")
    assert (desk.holds(ANNA), desk.holds(BEN)) == (
        {episode_id: ("counselor",)},
        {episode_id: ("clinician",)},
    )


async def test_aftercare_is_somebodys_too(desk: Desk) -> None:
    episode_id = await desk.referred()
    await desk.served.hear(
        f"episode/{episode_id}", fact(plans.EpisodeDischarged, discharged_at=START)
    )
    assert (await desk.assigns(episode_id, ANNA)).status_code == 200
    assert desk.team(episode_id) == {"clinician": ANNA}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"role": "clinician"}, 422, "request-invalid"),
        ({"staff_id": ANNA}, 422, "request-invalid"),
        ({"role": "unknown", "staff_id": ANNA}, 422, "request-invalid"),
        ({"role": "wizard", "staff_id": ANNA}, 422, "request-invalid"),
        ({"role": "clinician", "staff_id": "anna"}, 422, "request-invalid"),
        ({"role": "system", "staff_id": ANNA}, 422, "role-not-of-a-team"),
        ({"role": "partner", "staff_id": ANNA}, 422, "role-not-of-a-team"),
        ({"role": "operator", "staff_id": ANNA}, 422, "role-not-of-a-team"),
    ],
)
async def test_teams_that_are_none(
    desk: Desk, body: dict[str, Any], status: int, code: str
) -> None:
    path = f"/episodes/{await desk.referred()}/team"
    refused(await desk.served.put(path, body), status, code)


async def test_who_assigns_whom(desk: Desk) -> None:
    episode_id = await desk.referred()
    path, body = f"/episodes/{episode_id}/team", {"role": "clinician", "staff_id": ANNA}
    refused(await desk.served.acting_as("nurse").put(path, body), 403, "role-not-allowed")
    stranger = desk.served.acting_as("clinician", "x", "river-iop")
    refused(await stranger.put(path, body), 403, "other-facility")
    nothing = f"/episodes/{uid('nothing')}/team"
    refused(await desk.served.put(nothing, body), 404, "unknown-episode")


async def test_nobody_holds_more_than_they_can(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(care_teams, "HELD_MAX", 2)
    episodes = [await desk.referred() for _ in range(4)]
    for episode_id in episodes[:2]:
        await desk.assigns(episode_id, ANNA)
    refused(await desk.assigns(episodes[2], ANNA), 409, "caseload-full")
    for episode_id in episodes[2:]:
        await desk.assigns(episode_id, BEN)
    refused(await desk.hands_over(ANNA, BEN), 409, "caseload-full")
    assert len(desk.holds(ANNA)) == len(desk.holds(BEN)) == 2


# --- away -----------------------------------------------------------------------------------------------


async def test_an_absence_is_planned_and_called_off(desk: Desk) -> None:
    told = (await desk.away(ANNA, 1, 5, BEN)).json()
    [planned] = desk.served.said(staff_subject(FACILITY, ANNA))
    assert isinstance(planned, intake.StaffAbsencePlanned)
    assert (planned.absence_id, planned.deputy_id) == (told["absence_id"], BEN)
    assert (planned.from_at, planned.until_at) == (START + DAY, START + 5 * DAY)
    view = (await desk.served.get(f"/staff/{ANNA}")).json()
    assert [*view["absences"]] == [told["absence_id"]]
    end = f"/staff/{ANNA}/absences/{told['absence_id']}/end"
    assert (await desk.served.post(end)).status_code == 200
    assert desk.served.names(staff_subject(FACILITY, ANNA)) == [
        "staff-absence-planned",
        "staff-absence-ended",
    ]
    refused(await desk.served.post(end), 404, "unknown-absence")
    assert (await desk.away(ANNA, 1, 5, BEN)).status_code == 201, "the time is free again"


@pytest.mark.parametrize(
    ("begin", "end", "deputy", "status", "code"),
    [
        (1, 5, ANNA, 422, "deputy-is-oneself"),
        (5, 1, BEN, 422, "absence-ends-before-it-begins"),
        (1, 1, BEN, 422, "absence-ends-before-it-begins"),
        (-5, -1, BEN, 422, "absence-is-over"),
        (-5, 0, BEN, 422, "absence-is-over"),
        (12, 14, BEN, 409, "absences-overlap"),
        (9, 11, BEN, 409, "absences-overlap"),
        (19, 21, BEN, 409, "absences-overlap"),
        (9, 21, BEN, 409, "absences-overlap"),
        (10, 20, BEN, 409, "absences-overlap"),
        (9, 10, BEN, 201, ""),
        (20, 21, BEN, 201, ""),
        (-1, 1, BEN, 201, ""),
        (1, 2, "ben", 422, "request-invalid"),
        (80_000, 80_001, BEN, 422, "request-invalid"),
    ],
)
async def test_absences_and_what_stands_in_their_way(
    desk: Desk, begin: float, end: float, deputy: str, status: int, code: str
) -> None:
    assert (await desk.away(ANNA, 10, 20, BEN)).status_code == 201
    answer = await desk.away(ANNA, begin, end, deputy)
    if code:
        refused(answer, status, code)
    assert answer.status_code == status
    assert len(desk.served.names(staff_subject(FACILITY, ANNA))) == 1 + (status == 201)


async def test_an_absence_that_is_over_stands_in_nobodys_way(desk: Desk) -> None:
    absence_id = (await desk.away(ANNA, 0, 2, BEN)).json()["absence_id"]
    await desk.served.after(days=3)
    end = f"/staff/{ANNA}/absences/{absence_id}/end"
    refused(await desk.served.post(end), 409, "absence-is-over")
    for number in range(ABSENCES_KEPT):
        assert (await desk.away(ANNA, 4 + number, 5 + number, BEN)).status_code == 201
    refused(await desk.away(ANNA, 900, 901, BEN), 409, "too-many-absences")


async def test_who_plans_for_whom(desk: Desk) -> None:
    body = {"from_at": at(1), "until_at": at(2), "deputy_id": BEN}
    for role, who, allowed in (
        ("clinician", ANNA, True),
        ("clinician", BEN, False),
        ("operator", DAN, False),
        ("clinical_supervisor", DAN, True),
        ("program_director", DAN, True),
    ):
        served = desk.served.acting_as(role, who)
        answer = await served.post(f"/staff/{ANNA}/absences", body)
        if not allowed:
            refused(answer, 403, "not-yours")
            refused(await served.get(f"/staff/{ANNA}"), 403, "not-yours")
            refused(
                await served.post(f"/staff/{ANNA}/hand-over", {"to_id": CARO}), 403, "not-yours"
            )
        else:
            assert answer.status_code in (201, 409), answer.text
    stranger = desk.served.acting_as("clinical_supervisor", "x", "river-iop")
    refused(await stranger.get(f"/staff/{ANNA}"), 404, "unknown-staff")
    refused(await stranger.get(f"/staff/{uid('nobody')}"), 404, "unknown-staff")


SPANS = st.tuples(st.integers(1, 30), st.integers(1, 6))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(SPANS, st.sampled_from([BEN, CARO])), max_size=8), st.integers(0, 40))
async def test_there_is_never_more_than_one_deputy(plans_: list[Any], day: int) -> None:
    desk = Desk(Served(SERVICE))
    for (begin, length), deputy in plans_:
        await desk.away(ANNA, begin, begin + length, deputy)
    state: care_teams.StaffRecord = desk.served.state(staff_subject(FACILITY, ANNA))
    moment = START + timedelta(days=day)
    deputies = [a.deputy_id for a in state.absences.values() if a.covers(moment)]
    assert len(deputies) <= 1
    assert state.deputy_at(moment) == (deputies[0] if deputies else None)


# --- hand-over ------------------------------------------------------------------------------------------


async def test_everything_goes_to_the_colleague(desk: Desk) -> None:
    episodes = [await desk.referred() for _ in range(3)]
    for episode_id in episodes:
        await desk.assigns(episode_id, ANNA)
    await desk.assigns(episodes[0], ANNA, "counselor")
    await desk.assigns(episodes[1], CARO, "counselor")
    answer = await desk.hands_over(ANNA, BEN)
    assert (answer.status_code, answer.json()["episodes"]) == (200, 3)
    assert desk.holds(ANNA) == {}
    assert set(desk.holds(BEN)) == set(episodes)
    assert desk.team(episodes[0]) == {"clinician": BEN, "counselor": BEN}
    assert desk.team(episodes[1]) == {"clinician": BEN, "counselor": CARO}
    assert [desk.said(episode_id)[-1][1] for episode_id in episodes] == [BEN, BEN, BEN]


async def test_some_of_it_goes(desk: Desk) -> None:
    one, two = await desk.referred(), await desk.referred()
    for episode_id in (one, two):
        await desk.assigns(episode_id, ANNA)
    assert (await desk.hands_over(ANNA, BEN, [one, one])).json()["episodes"] == 1
    assert (set(desk.holds(ANNA)), set(desk.holds(BEN))) == ({two}, {one})


async def test_hand_overs_that_are_none(desk: Desk) -> None:
    episode_id = await desk.referred()
    await desk.assigns(episode_id, ANNA)
    refused(await desk.hands_over(ANNA, ANNA), 422, "hand-over-to-oneself")
    refused(await desk.hands_over(ANNA, BEN, [uid("other")]), 409, "episode-not-held")
    refused(await desk.hands_over(ANNA, BEN, []), 422, "request-invalid")
    refused(await desk.hands_over(ANNA, "ben"), 422, "request-invalid")
    assert desk.team(episode_id) == {"clinician": ANNA}
    assert (await desk.hands_over(CARO, BEN)).json()["episodes"] == 0


@pytest.mark.parametrize(
    ("deputy", "deputies_deputy", "allowed"),
    [
        (CARO, None, True),
        (ANNA, None, False),  # then Anna would go on herself
        (CARO, ANNA, False),
        (CARO, BEN, False),  # a circle: nobody would act
        (CARO, DAN, True),
    ],
)
async def test_a_colleague_who_is_away_takes_over_when_somebody_else_acts(
    desk: Desk, deputy: str, deputies_deputy: str | None, *, allowed: bool
) -> None:
    episode_id = await desk.referred()
    await desk.assigns(episode_id, ANNA)
    await desk.away(BEN, -1, 5, deputy)
    if deputies_deputy is not None:
        await desk.away(deputy, -1, 5, deputies_deputy)
    answer = await desk.hands_over(ANNA, BEN)
    if allowed:
        assert answer.status_code == 200
        assert desk.team(episode_id) == {"clinician": BEN}
    else:
        refused(answer, 409, "colleague-away")
        assert desk.team(episode_id) == {"clinician": ANNA}
    await desk.served.after(days=6)
    assert (await desk.hands_over(ANNA, BEN)).status_code == 200, "back again"


async def test_what_was_entered_in_error_is_nobodys(desk: Desk) -> None:
    episode_id = await desk.referred()
    await desk.assigns(episode_id, ANNA)
    desk.served.acting_as("clinical_supervisor")
    await desk.served.does(f"/episodes/{episode_id}/entered-in-error", {"reason": "duplicate"})
    assert (desk.holds(ANNA), desk.team(episode_id)) == ({}, {})
    assert (await desk.hands_over(ANNA, BEN)).json()["episodes"] == 0


# --- who works at two facilities --------------------------------------------------------------------------


async def test_who_works_at_two_facilities_is_away_deputised_and_relieved_at_each(
    desk: Desk,
) -> None:
    """All that can be said of a member of staff, at both facilities in turn: neither sees or moves the other's."""
    here, there = await desk.referred(), (await desk.at(OTHER).does("/referrals", REFERRAL))
    away = {"from_at": at(0), "until_at": at(5), "deputy_id": BEN}
    absences: dict[str, str] = {}
    for facility_id, episode_id in ((FACILITY, here), (OTHER, there["episode_id"])):
        served = desk.at(facility_id)
        given = {"role": "intake_coordinator", "staff_id": ANNA}
        assert (await served.put(f"/episodes/{episode_id}/team", given)).status_code == 200
        assert set(desk.holds(ANNA, facility_id)) == {episode_id}
        told = await served.does(f"/staff/{ANNA}/absences", away)
        absences[facility_id] = told["absence_id"]
        view = (await served.get(f"/staff/{ANNA}")).json()
        assert ([*view["absences"]], [*view["holds"]]) == ([told["absence_id"]], [episode_id])
    for facility_id in (FACILITY, OTHER):
        assert [event.staff_id for event in desk.absences(facility_id)] == [ANNA]
    strange = desk.at(OTHER)
    refused(
        await strange.post(f"/staff/{ANNA}/absences/{absences[FACILITY]}/end"),
        404,
        "unknown-absence",
    )
    refused(
        await strange.post(f"/staff/{ANNA}/hand-over", {"to_id": CARO, "episode_ids": [here]}),
        409,
        "episode-not-held",
    )
    await strange.does(f"/staff/{ANNA}/absences/{absences[OTHER]}/end")
    await strange.does(f"/staff/{ANNA}/hand-over", {"to_id": CARO})
    assert desk.team(there["episode_id"]) == {"intake_coordinator": CARO}
    assert desk.team(here) == {"intake_coordinator": ANNA}
    assert await work(desk, BEN) == [here], "still deputy where the absence goes on"
    assert desk.holds(CARO, OTHER).keys() == {there["episode_id"]}


async def test_one_full_caseload_fills_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(care_teams, "HELD_MAX", 1)
    await desk.assigns(await desk.referred(), ANNA)
    told = await desk.at(OTHER).does("/referrals", REFERRAL)
    given = {"role": "clinician", "staff_id": ANNA}
    answer = await desk.served.put(f"/episodes/{told['episode_id']}/team", given)
    assert answer.status_code == 200


async def test_an_entry_in_error_releases_at_its_own_facility(desk: Desk) -> None:
    here, there = await desk.referred(), (await desk.at(OTHER).does("/referrals", REFERRAL))
    await desk.assigns(here, ANNA)
    path = f"/episodes/{there['episode_id']}"
    await desk.at(OTHER).put(f"{path}/team", {"role": "nurse", "staff_id": ANNA})
    await desk.served.does(f"{path}/entered-in-error", {"reason": "duplicate"})
    assert desk.holds(ANNA, OTHER) == {}
    assert desk.holds(ANNA) == {here: ("clinician",)}


# --- the work follows -----------------------------------------------------------------------------------


async def work(desk: Desk, who: str, role: str = "intake_coordinator") -> list[str]:
    answer = await desk.served.acting_as(role, who).get("/tasks")
    assert answer.status_code == 200, answer.text
    return [item["subject"].partition("/")[2] for item in answer.json()["tasks"]]


async def test_the_work_goes_with_the_role_the_absence_and_the_hand_over(desk: Desk) -> None:
    episode_id, coordinator = await desk.referred(), Role.INTAKE_COORDINATOR.value
    assert await work(desk, ANNA) == await work(desk, BEN) == [episode_id], "the role's"
    await desk.assigns(episode_id, ANNA, coordinator)
    assert (await work(desk, ANNA), await work(desk, BEN)) == ([episode_id], [])
    absence_id = (await desk.away(ANNA, -1, 5, BEN)).json()["absence_id"]
    assert (await work(desk, ANNA), await work(desk, BEN)) == ([], [episode_id])
    await desk.served.acting_as("clinician", ANNA).does(f"/staff/{ANNA}/absences/{absence_id}/end")
    assert (await work(desk, ANNA), await work(desk, BEN)) == ([episode_id], [])
    await desk.hands_over(ANNA, CARO)
    assert [await work(desk, who) for who in (ANNA, BEN, CARO)] == [[], [], [episode_id]]
    await desk.assigns(episode_id, None, coordinator)
    assert await work(desk, BEN) == [episode_id], "vacant again"


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("assign"), st.integers(0, 2), st.sampled_from([ANNA, BEN, CARO, None])
            ),
            st.tuples(st.just("hand"), st.sampled_from([ANNA, BEN]), st.sampled_from([BEN, CARO])),
        ),
        max_size=10,
    )
)
async def test_staff_and_episodes_always_agree_on_who_holds_what(deeds: list[Any]) -> None:
    desk = Desk(Served(SERVICE))
    episodes = [await desk.referred() for _ in range(3)]
    for deed, one, other in deeds:
        if deed == "assign":
            await desk.assigns(episodes[one], other)
        else:
            await desk.hands_over(one, other)
    held = {(e, who) for e in episodes for who in desk.team(e).values()}
    told = {(e, who) for who in (ANNA, BEN, CARO) for e in desk.holds(who)}
    assert held == told


def test_the_state_survives_the_store() -> None:
    absence = {
        "from_at": datetime(2026, 3, 3, tzinfo=UTC),
        "until_at": datetime(2026, 3, 4, tzinfo=UTC),
        "deputy_id": BEN,
    }
    state = care_teams.StaffRecord.model_validate(
        {"absences": {uid("a"): absence}, "holds": {uid("e"): ("clinician",)}}
    )
    assert care_teams.StaffRecord.model_validate(state.model_dump(mode="json")) == state
    assert FACILITY not in str(state)
