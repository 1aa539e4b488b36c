"""Groups: seats that two people never both get, holds that lapse, and what a group with too few people is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.attendance.groups import groups
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import SeatReleaseReason
from shared.contracts.codes import AttendanceLoop
from shared.contracts.intake import WaitlistExit
from tests.unit.attendance.clinic import PROGRAM, Clinic
from tests.unit.attendance.world import ZONE, level
from tests.unit.support import fact, uid

DAY = timedelta(days=1)


async def people(clinic: Clinic, count: int) -> list[str]:
    return [await clinic.admit(f"person {n}") for n in range(count)]


async def seated(clinic: Clinic, group_id: str, episodes: Sequence[str]) -> None:
    for episode in episodes:
        assert (await clinic.reserve(group_id, episode)).status_code == 201


def code(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


# --- the last seat ---------------------------------------------------------------------------------------


@pytest.mark.scenario(9)
@pytest.mark.fact("0.3")
async def test_of_two_who_ask_for_the_twelfth_seat_at_once_one_gets_it(clinic: Clinic) -> None:
    group_id = await clinic.group()
    *others, first, second = await people(clinic, 13)
    await seated(clinic, group_id, others)
    answers = await clinic.race(group_id, first, second)
    assert sorted(a.status_code for a in answers) == [201, 409]
    [lost] = [a for a in answers if a.status_code == 409]
    [won] = [a for a in answers if a.status_code == 201]
    assert code(lost) == (409, "group-full")
    assert lost.json()["hint"]
    assert won.json()["seats_left"] == 0
    assert won.json()["hold_until"] == (clinic.clock.now() + timedelta(hours=48)).isoformat()
    winner, loser = (first, second) if answers[0] is won else (second, first)
    assert "seat-reserved" in await clinic.names(f"episode/{winner}")
    assert "seat-reserved" not in await clinic.names(f"episode/{loser}")
    assert (await clinic.names(f"group/{group_id}")).count("group-filled") == 1

    # The freed seat is offered to the next, kept while the offer stands, and nobody else gets it meanwhile.
    released = await clinic.post(f"/groups/{group_id}/seats/release", {"episode_id": winner})
    assert released.status_code == 200
    [freed] = [
        event
        for event in await clinic.said(f"episode/{winner}")
        if isinstance(event, attendance.SeatReleased)
    ]
    assert (freed.seats_left, freed.reason) == (1, SeatReleaseReason.WITHDRAWN)
    waiting = uid("waiting")
    await clinic.hear(waiting, fact(intake.WaitlistJoined, track="evening-adult"))
    until = clinic.clock.now() + DAY
    offer = fact(intake.WaitlistOffered, group_id=group_id, offer_expires_at=until)
    await clinic.hear(waiting, offer)
    assert code(await clinic.reserve(group_id, loser)) == (409, "group-full")
    await clinic.at(until)
    assert await clinic.names(f"episode/{waiting}") == ["seat-reserved", "seat-released"]
    assert (await clinic.reserve(group_id, loser)).status_code == 201


async def test_a_race_of_many_for_one_group_gives_every_seat_once(clinic: Clinic) -> None:
    group_id = await clinic.group(seats_max=4)
    episodes = [uid(f"racer {n}") for n in range(9)]
    answers = await clinic.race(group_id, *episodes)
    assert sorted(a.status_code for a in answers) == [201] * 4 + [409] * 5
    state = await clinic.state(f"group/{group_id}")
    assert len(state.seats) == 4
    assert (await clinic.names(f"group/{group_id}")).count("group-filled") == 1


async def test_the_same_request_repeated_holds_one_seat(clinic: Clinic) -> None:
    group_id = await clinic.group()
    body = {"episode_id": uid("somebody")}
    answers = [await clinic.post(f"/groups/{group_id}/seats", body, key="same") for _ in range(3)]
    assert [a.status_code for a in answers] == [201] * 3
    assert len({a.json()["hold_until"] for a in answers}) == 1
    assert len((await clinic.state(f"group/{group_id}")).seats) == 1


# --- holds -----------------------------------------------------------------------------------------------


async def test_a_hold_that_nobody_confirms_lapses_and_says_so_once(clinic: Clinic) -> None:
    group_id, episode = await clinic.group(), uid("hesitant")
    answer = await clinic.reserve(group_id, episode, hold_minutes=30)
    until = clinic.clock.now() + timedelta(minutes=30)
    assert answer.json()["hold_until"] == until.isoformat()
    await clinic.at(until - timedelta(seconds=1))
    assert await clinic.names(f"episode/{episode}") == ["seat-reserved"]
    await clinic.at(until + DAY)
    [_, released] = await clinic.said(f"episode/{episode}")
    assert isinstance(released, attendance.SeatReleased)
    assert (released.reason, released.seats_left) == (SeatReleaseReason.HOLD_EXPIRED, 12)
    assert (await clinic.state(f"group/{group_id}")).deadlines == {}
    assert (await clinic.state(f"episode/{episode}")).seats == {}


@pytest.mark.parametrize("first", ["hold", "admission"])
async def test_a_held_seat_becomes_theirs_with_the_admission_whichever_comes_first(
    clinic: Clinic, first: str
) -> None:
    group_id = await clinic.group()
    if first == "hold":
        await clinic.reserve(group_id, uid("newcomer"))
        await clinic.admit("newcomer")
    else:
        await clinic.admit("newcomer")
        await clinic.reserve(group_id, uid("newcomer"))
    group = await clinic.state(f"group/{group_id}")
    assert group.confirmed == (uid("newcomer"),)
    assert group.deadlines == {}
    assert (await clinic.state(f"episode/{uid('newcomer')}")).seats[group_id].held_until is None
    [held, taken] = await clinic.said(f"episode/{uid('newcomer')}")
    assert isinstance(held, attendance.SeatReserved)
    assert isinstance(taken, attendance.SeatReserved)
    assert held.hold_expires_at is not None
    assert taken.hold_expires_at is None
    await clinic.after(days=5)
    assert (await clinic.state(f"group/{group_id}")).confirmed == (uid("newcomer"),)


async def test_a_seat_is_confirmed_by_hand_once(clinic: Clinic) -> None:
    group_id, body = await clinic.group(), {"episode_id": uid("somebody")}
    await clinic.reserve(group_id, uid("somebody"))
    path = f"/groups/{group_id}/seats/confirm"
    assert (await clinic.post(path, body)).status_code == 200
    assert code(await clinic.post(path, body)) == (409, "seat-taken")
    assert code(await clinic.post(path, {"episode_id": uid("else")})) == (404, "unknown-seat")
    await clinic.after(days=10)
    assert (await clinic.state(f"group/{group_id}")).confirmed == (uid("somebody"),)


# --- the waiting list ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "seats", "said"),
    [
        (WaitlistExit.ACCEPTED, 1, ["seat-reserved", "seat-reserved"]),
        (WaitlistExit.DECLINED, 0, ["seat-reserved", "seat-released"]),
        (WaitlistExit.EXPIRED, 0, ["seat-reserved", "seat-released"]),
        (WaitlistExit.WITHDRAWN, 0, ["seat-reserved", "seat-released"]),
        (WaitlistExit.REFERRED_ELSEWHERE, 0, ["seat-reserved", "seat-released"]),
    ],
)
@pytest.mark.scenario(9)
async def test_how_the_waiting_ends_decides_about_the_seat(
    clinic: Clinic, reason: WaitlistExit, seats: int, said: list[str]
) -> None:
    group_id, episode = await clinic.group(), uid("waiting")
    until = clinic.clock.now() + DAY
    for event in (
        fact(intake.WaitlistJoined),
        fact(intake.WaitlistOffered, group_id=group_id, offer_expires_at=until),
        fact(intake.WaitlistLeft, reason=reason),
    ):
        await clinic.hear(episode, event)
    await clinic.after(days=3)
    assert len((await clinic.state(f"group/{group_id}")).seats) == seats
    assert await clinic.names(f"episode/{episode}") == said
    assert (await clinic.state(f"episode/{episode}")).waiting is None


async def test_an_offer_of_a_seat_that_is_not_there_is_somebodys_to_mend(clinic: Clinic) -> None:
    group_id, episode = await clinic.group(seats_max=2), uid("waiting")
    await seated(clinic, group_id, [uid("a"), uid("b")])
    until = clinic.clock.now() + DAY
    await clinic.hear(
        episode, fact(intake.WaitlistOffered, group_id=group_id, offer_expires_at=until)
    )
    [loop] = (await clinic.get("/loops")).json()["loops"]
    assert (loop["kind"], loop["owner"]["role"]) == ("seat", "intake_coordinator")
    await clinic.at(until)
    [escalated] = await clinic.said(f"episode/{episode}")
    assert isinstance(escalated, attendance.LoopEscalated)
    assert escalated.owner_role == "program_director"
    await clinic.post(f"/groups/{group_id}/seats/release", {"episode_id": uid("a")})
    assert (await clinic.reserve(group_id, episode)).status_code == 201
    assert await clinic.names(f"episode/{episode}") == [
        "loop-escalated",
        "seat-reserved",
        "escalation-cleared",
    ]
    assert (await clinic.get("/loops")).json()["loops"] == []


async def test_another_offer_frees_the_seat_of_the_former_one(clinic: Clinic) -> None:
    one, other, episode = await clinic.group(), await clinic.group(), uid("waiting")
    until = clinic.clock.now() + DAY
    for group_id in (one, other):
        await clinic.hear(
            episode, fact(intake.WaitlistOffered, group_id=group_id, offer_expires_at=until)
        )
    assert list((await clinic.state(f"episode/{episode}")).seats) == [other]
    assert (await clinic.state(f"group/{one}")).seats == {}


# --- who leaves frees the seat ---------------------------------------------------------------------------


def ends() -> list[tuple[str, Any, str]]:
    up = {"system": "asam", "edition": "4", "code": "3.5"}
    return [
        ("discharged", plans.EpisodeDischarged, "episode_closed"),
        ("graduated", plans.ProgramGraduated, "episode_closed"),
        ("transferred", plans.TransferCompleted, "moved"),
        ("entered in error", intake.EpisodeEnteredInError, "episode_closed"),
        ("merged", intake.ReferralMerged, "episode_closed"),
        ("admission undone", intake.AdmissionUndone, "withdrawn"),
        ("level changed", (plans.LevelOfCareChanged, {"to_level": up}), "moved"),
    ]


def end(clinic: Clinic, what: Any) -> Any:
    event_type, changes = what if isinstance(what, tuple) else (what, {})
    moments = ("discharged_at", "graduated_at", "first_contact_at", "effective_at")
    now = clinic.clock.now()
    times = {name: now for name in moments if name in event_type.model_fields}
    return fact(event_type, **times, **changes)


@pytest.mark.parametrize(("name", "what", "reason"), ends(), ids=[n for n, _, _ in ends()])
@pytest.mark.scenario(5)
async def test_whoever_leaves_frees_their_seats(
    clinic: Clinic, name: str, what: Any, reason: str
) -> None:
    one, other = await clinic.group(), await clinic.group()
    episode = await clinic.admit("leaving")
    for group_id in (one, other):
        await clinic.reserve(group_id, episode)
    await clinic.after(days=1)
    await clinic.hear(episode, end(clinic, what))
    for group_id in (one, other):
        assert (await clinic.state(f"group/{group_id}")).seats == {}
    released = [
        event
        for event in await clinic.said(f"episode/{episode}")
        if isinstance(event, attendance.SeatReleased)
    ]
    assert [(r.group_id, r.reason) for r in released] == [(one, reason), (other, reason)]
    assert (await clinic.state(f"episode/{episode}")).seats == {}


async def test_a_seat_is_kept_until_the_other_facility_has_seen_the_person(clinic: Clinic) -> None:
    group_id = await clinic.group()
    episode = await clinic.admit("in transfer")
    await clinic.reserve(group_id, episode)
    await clinic.hear(episode, fact(plans.TransferInitiated))
    assert (await clinic.state(f"group/{group_id}")).confirmed == (episode,)
    await clinic.hear(episode, end(clinic, plans.TransferCompleted))
    assert (await clinic.state(f"group/{group_id}")).seats == {}


@pytest.mark.scenario(6)
async def test_a_change_of_level_frees_the_seat_on_its_day_and_not_a_seat_of_the_new_level(
    clinic: Clinic,
) -> None:
    group_id = await clinic.group()
    episode = await clinic.admit("stepping down", level=level("2.5"))
    await clinic.reserve(group_id, episode)
    effective_at = clinic.clock.now() + 3 * DAY
    into = fact(plans.LevelOfCareChanged, to_level=level("2.1"), effective_at=effective_at)
    await clinic.hear(episode, into)
    out_of = fact(
        plans.LevelOfCareChanged, to_level=level("1"), effective_at=effective_at + 7 * DAY
    )
    await clinic.hear(episode, out_of)
    await clinic.at(effective_at + 6 * DAY)
    assert (await clinic.state(f"group/{group_id}")).confirmed == (episode,), "it is of this level"
    await clinic.at(effective_at + 7 * DAY)
    assert (await clinic.state(f"group/{group_id}")).seats == {}
    [released] = [
        event
        for event in await clinic.said(f"episode/{episode}")
        if isinstance(event, attendance.SeatReleased)
    ]
    assert released.reason is SeatReleaseReason.MOVED


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("left", [0, 1])
async def test_a_seat_that_a_wrong_change_of_level_took_is_asked_for_again(
    clinic: Clinic, ahead: int, left: int
) -> None:
    """Another person may have it by then: somebody finds another one."""
    group_id = await clinic.group(seats_max=2)
    episode = await clinic.admit("not stepping down", level=level("2.1"))
    others = [await clinic.admit(f"other {n}") for n in range(2)]
    await clinic.reserve(group_id, episode)
    await clinic.after(days=1)
    said = {"to_level": level("1"), "effective_at": clinic.clock.now() + ahead * DAY}
    await clinic.hear(episode, fact(plans.LevelOfCareChanged, **said))
    await clinic.after(days=4)
    assert (await clinic.state(f"group/{group_id}")).seats == {}
    for other in others[left:]:
        await clinic.reserve(group_id, other)
    if not left:
        assert (await clinic.state(f"group/{group_id}")).seats_left == 0
    await clinic.hear(episode, fact(plans.LevelOfCareChangeUndone, **said))
    state = await clinic.state(f"episode/{episode}")
    assert (group_id in state.seats) == bool(left)
    assert len(state.loops_of(AttendanceLoop.SEAT)) == 1 - left


async def test_a_seat_for_somebody_who_has_left_meanwhile_is_given_back(clinic: Clinic) -> None:
    """The hold and the discharge pass one another: the group hears of the end after it gave the seat."""
    group_id = await clinic.group()
    episode = await clinic.admit("gone")
    rule = (
        "give",
        lambda state, cause: groups.reserve(state, episode, None, cause),
    )
    await clinic.hear(episode, end(clinic, plans.EpisodeDischarged))
    assert code(await clinic.reserve(group_id, episode)) == (409, "episode-closed")
    await clinic.command(f"group/{group_id}", *rule)
    assert (await clinic.state(f"group/{group_id}")).seats == {}
    assert await clinic.names(f"episode/{episode}") == ["seat-reserved", "seat-released"]


# --- too few people --------------------------------------------------------------------------------------


@pytest.mark.fact("0.3")
async def test_a_group_that_loses_its_people_is_none_and_somebody_has_to_say_what_it_is(
    clinic: Clinic,
) -> None:
    group_id = await clinic.group()
    await seated(clinic, group_id, [uid("a")])
    await clinic.post(f"/groups/{group_id}/seats/release", {"episode_id": uid("a")})
    assert "group-below-minimum" not in await clinic.names(f"group/{group_id}"), "it never was one"
    await seated(clinic, group_id, [uid("a"), uid("b")])
    await clinic.post(f"/groups/{group_id}/seats/release", {"episode_id": uid("a")})
    [below] = [
        event
        for event in await clinic.said(f"group/{group_id}")
        if isinstance(event, attendance.GroupBelowMinimum)
    ]
    assert (below.seats_min, below.seats_taken) == (2, 1)
    loops = (await clinic.get("/loops?kind=group_size")).json()["loops"]
    assert [(one["kind"], one["owner"]["role"]) for one in loops] == [
        ("group_size", "clinical_supervisor")
    ]
    await clinic.post(f"/groups/{group_id}/seats/confirm", {"episode_id": uid("b")})
    await clinic.after(hours=48)
    assert (await clinic.names(f"group/{group_id}"))[-1] == "group-loop-escalated"
    clinic.acting_as("program_director")
    path, body = f"/groups/{group_id}/below-minimum", {"decision": "reclassified"}
    assert (await clinic.post(path, body)).status_code == 200
    assert (await clinic.names(f"group/{group_id}"))[-1] == "group-escalation-cleared"
    assert code(await clinic.post(path, body)) == (409, "group-large-enough")
    assert (await clinic.get("/loops")).json()["loops"] == []


async def test_a_group_that_finds_people_again_is_one_again(clinic: Clinic) -> None:
    group_id = await clinic.group()
    await seated(clinic, group_id, [uid("a"), uid("b")])
    await clinic.post(f"/groups/{group_id}/seats/release", {"episode_id": uid("a")})
    assert len((await clinic.get("/loops")).json()["loops"]) == 1
    await seated(clinic, group_id, [uid("c")])
    assert (await clinic.get("/loops")).json()["loops"] == []
    await clinic.post(f"/groups/{group_id}/seats/release", {"episode_id": uid("c")})
    assert (await clinic.names(f"group/{group_id}")).count("group-below-minimum") == 2


async def test_a_group_that_ends_frees_every_seat_and_takes_nobody_more(clinic: Clinic) -> None:
    group_id = await clinic.group()
    await seated(clinic, group_id, [uid("a"), uid("b")])
    assert (await clinic.post(f"/groups/{group_id}/close")).status_code == 200
    for name in "ab":
        assert (await clinic.names(f"episode/{uid(name)}"))[-1] == "seat-released"
    assert code(await clinic.reserve(group_id, uid("c"))) == (409, "group-closed")
    assert (await clinic.get("/groups")).json()["groups"] == []
    assert (await clinic.get("/loops")).json()["loops"] == []


# --- sessions of a group ---------------------------------------------------------------------------------


def session(clinic: Clinic, **changes: Any) -> dict[str, Any]:
    return {
        "modality": "group",
        "topic": "triggers",
        "starts_at": (clinic.clock.now() + timedelta(hours=2)).isoformat(),
        "minutes_planned": 180,
        **changes,
    }


@pytest.mark.fact("0.3", "1.4")
async def test_everybody_with_a_seat_is_expected_at_a_session_of_the_group(clinic: Clinic) -> None:
    group_id = await clinic.group()
    members = sorted(await people(clinic, 3))
    await seated(clinic, group_id, members)
    await clinic.reserve(group_id, uid("only held"))
    answer = await clinic.post("/sessions", session(clinic, group_id=group_id))
    assert answer.status_code == 201, answer.text
    view = (await clinic.get(f"/sessions/{answer.json()['session_id']}")).json()
    assert view["roster"] == members
    assert "below_minimum" not in answer.json()
    assert (view["group_id"], view["topic"]) == (group_id, "triggers")
    for member in members:
        assert len((await clinic.state(f"episode/{member}")).bookings) == 1


async def test_fewer_than_the_minimum_meet_and_are_told_that_this_is_no_group(
    clinic: Clinic,
) -> None:
    group_id = await clinic.group()
    await seated(clinic, group_id, await people(clinic, 1))
    answer = await clinic.post("/sessions", session(clinic, group_id=group_id))
    assert answer.status_code == 201
    assert answer.json()["below_minimum"] is True


REFUSED_SESSIONS = [
    ({"minutes_planned": 90}, 422, "outside-program"),
    ({"minutes_planned": 240}, 422, "outside-program"),
    ({"topic": "social-support"}, 422, "outside-program"),
    ({"roster": "too many"}, 409, "group-too-large"),
]


@pytest.mark.parametrize(("changes", "status", "why"), REFUSED_SESSIONS)
@pytest.mark.fact("1.4", "1.6")
async def test_a_session_of_a_group_is_within_its_program(
    clinic: Clinic, changes: dict[str, Any], status: int, why: str
) -> None:
    group_id = await clinic.group()
    if "roster" in changes:
        changes = {"roster": await people(clinic, 13), "unscheduled": "make_up"}
    else:
        await seated(clinic, group_id, await people(clinic, 2))
    answer = await clinic.post("/sessions", session(clinic, group_id=group_id, **changes))
    assert code(answer) == (status, why)


# --- opening and listing ---------------------------------------------------------------------------------


@pytest.mark.fact("0.3")
async def test_a_group_has_two_to_twelve_seats_unless_the_program_says_otherwise(
    clinic: Clinic,
) -> None:
    view = (await clinic.get(f"/groups/{await clinic.group()}")).json()
    assert (view["seats_min"], view["seats_max"], view["seats_left"]) == (2, 12, 12)


OUTSIDE: list[dict[str, Any]] = [
    {"seats_max": 13},
    {"seats_min": 1},
    {"seats_min": 6, "seats_max": 5},
    {"sessions_per_week": 1},
    {"sessions_per_week": 6},
    {"session_minutes": 90},
    {"session_minutes": 200},
    {"topics": ["social-support"]},
]


@pytest.mark.parametrize("changes", OUTSIDE)
@pytest.mark.fact("0.3", "1.4", "1.6")
async def test_what_a_program_does_not_have_no_group_has(
    clinic: Clinic, changes: dict[str, Any]
) -> None:
    body = {"program": PROGRAM, "track": "evening-adult", "time_zone": ZONE, **changes}
    assert code(await clinic.post("/groups", body)) == (422, "outside-program")


@pytest.mark.fact("1.6", "2.1")
async def test_groups_talk_about_what_their_program_has(clinic: Clinic) -> None:
    twelve = (await clinic.get(f"/groups/{await clinic.group()}")).json()["topics"]
    assert len(twelve) == 12
    for topic in ("trauma", "triggers", "grief-and-loss", "career-and-life-planning"):
        one = await clinic.group(topics=[topic])
        assert (await clinic.get(f"/groups/{one}")).json()["topics"] == [topic]


async def test_groups_are_listed_by_age_and_track_a_page_at_a_time(clinic: Clinic) -> None:
    opened: list[str] = []
    for track in ("evening-adult", "day", "evening-adult"):
        opened.append(await clinic.group(track=track))
        await clinic.after(minutes=1)
    listed = (await clinic.get("/groups")).json()["groups"]
    assert [one["group_id"] for one in listed] == opened
    page = (await clinic.get("/groups?limit=2")).json()
    assert [one["group_id"] for one in page["groups"]] == opened[:2]
    rest = await clinic.client.get("/groups", params={"limit": 2, "after": page["next"]})
    assert [one["group_id"] for one in rest.json()["groups"]] == opened[2:]
    day = (await clinic.get("/groups?track=day")).json()["groups"]
    assert [one["group_id"] for one in day] == [opened[1]]
    clinic.acting_as("counselor", "another-iop")
    assert (await clinic.get("/groups")).json()["groups"] == []
    assert code(await clinic.get(f"/groups/{opened[0]}")) == (403, "other-facility")


# --- what is refused -------------------------------------------------------------------------------------


GROUP, SOMEBODY = uid("no group"), {"episode_id": uid("somebody")}
ILLEGAL: list[tuple[str, Any, int, str]] = [
    ("/groups", {}, 422, "request-invalid"),
    ("/groups", {"program": "no-such", "track": "day", "time_zone": ZONE}, 404, "unknown-program"),
    ("/groups", {"program": PROGRAM, "track": "day"}, 422, "request-invalid"),
    ("/groups", {"program": PROGRAM, "track": "day", "time_zone": "Mars"}, 422, "request-invalid"),
    ("/groups", {"program": "x y", "track": "evening-adult"}, 422, "request-invalid"),
    ("/groups", {"program": "iop", "track": "t", "seats_max": 0}, 422, "request-invalid"),
    ("/groups", {"program": "iop", "track": "t", "name": "free text"}, 422, "request-invalid"),
    (f"/groups/{GROUP}/seats", SOMEBODY, 404, "unknown-group"),
    (f"/groups/{GROUP}/seats", {}, 422, "request-invalid"),
    (f"/groups/{GROUP}/seats", {**SOMEBODY, "hold_minutes": 0}, 422, "request-invalid"),
    (f"/groups/{GROUP}/seats", {**SOMEBODY, "hold_minutes": 10**9}, 422, "request-invalid"),
    (f"/groups/{GROUP}/seats", {"episode_id": "me"}, 422, "request-invalid"),
    ("/groups/me/seats", SOMEBODY, 422, "request-invalid"),
    (f"/groups/{GROUP}/seats/confirm", SOMEBODY, 404, "unknown-group"),
    (f"/groups/{GROUP}/seats/confirm", {}, 422, "request-invalid"),
    (f"/groups/{GROUP}/seats/release", SOMEBODY, 404, "unknown-group"),
    (f"/groups/{GROUP}/seats/release", {"episode_id": 7}, 422, "request-invalid"),
    (f"/groups/{GROUP}/below-minimum", {"decision": "rescheduled"}, 404, "unknown-group"),
    (f"/groups/{GROUP}/below-minimum", {"decision": "unknown"}, 422, "request-invalid"),
    (f"/groups/{GROUP}/below-minimum", {"decision": "whatever"}, 422, "request-invalid"),
    (f"/groups/{GROUP}/close", {}, 404, "unknown-group"),
    (f"/groups/{GROUP}/close", {"why": "because"}, 422, "request-invalid"),
]


@pytest.mark.parametrize(("path", "body", "status", "why"), ILLEGAL)
async def test_what_makes_no_sense_is_refused_with_a_code(
    clinic: Clinic, path: str, body: Any, status: int, why: str
) -> None:
    assert code(await clinic.post(path, body)) == (status, why)


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        (f"/groups/{GROUP}", 404, "unknown-group"),
        ("/groups/me", 422, "request-invalid"),
        ("/groups?after=yesterday", 422, "after-invalid"),
        ("/groups?after=2026-03-02T10:00:00~x", 422, "after-invalid"),
        ("/groups?limit=0", 422, "request-invalid"),
        ("/groups?track=a b", 422, "request-invalid"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_code(
    clinic: Clinic, path: str, status: int, why: str
) -> None:
    assert code(await clinic.get(path)) == (status, why)


async def test_seats_of_one_person_are_held_once_and_given_back_once(clinic: Clinic) -> None:
    group_id, body = await clinic.group(), {"episode_id": uid("somebody")}
    assert (await clinic.reserve(group_id, uid("somebody"))).status_code == 201
    assert code(await clinic.reserve(group_id, uid("somebody"))) == (409, "seat-exists")
    path = f"/groups/{group_id}/seats/release"
    assert (await clinic.post(path, body)).status_code == 200
    assert code(await clinic.post(path, body)) == (404, "unknown-seat")


async def test_groups_are_opened_by_who_leads_them(clinic: Clinic) -> None:
    clinic.acting_as("nurse")
    body = {"program": "community-step-down", "track": "evening-adult"}
    assert code(await clinic.post("/groups", body)) == (403, "role-not-allowed")


async def test_somebody_entered_in_error_gets_no_seat(clinic: Clinic) -> None:
    group_id = await clinic.group()
    episode = await clinic.admit("mistaken")
    await clinic.hear(episode, fact(intake.EpisodeEnteredInError))
    assert code(await clinic.reserve(group_id, episode)) == (409, "entered-in-error")
