"""A session: scheduled once, called once, and what is refused of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.attendance.episode import episode_state, handoffs
from services.attendance.episode.handoffs import (
    Booked,
)
from services.attendance.groups.session_state import EarlyRoll
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import AttendanceStatus, CancelledBy
from shared.errors import CareError
from shared.loops import Loop
from tests.unit.attendance.clinic import Clinic
from tests.unit.attendance.world import ATTENDED, HOUR, NO_SHOW, Episode, Session
from tests.unit.support import EPISODE_ID, START, fact, uid

OTHER_ID = uid("other")


PRESENT = {
    AttendanceStatus.ATTENDED: True,
    AttendanceStatus.LATE: True,
    AttendanceStatus.LEFT_EARLY: True,
    AttendanceStatus.EXCUSED: False,
    AttendanceStatus.NO_SHOW: False,
    AttendanceStatus.UNKNOWN: False,
}


def test_which_answers_of_a_roll_mean_that_the_person_was_there() -> None:
    assert {status: status.is_present for status in AttendanceStatus} == PRESENT


def scheduled() -> Session:
    session = Session()
    session.schedule(EPISODE_ID, OTHER_ID)
    return session


def begun() -> Session:
    session = scheduled()
    session.at(START + HOUR)
    return session


def over() -> Session:
    session = scheduled()
    session.at(START + 4 * HOUR)
    return session


def called() -> Session:
    session = over()
    session.call(**{EPISODE_ID: ATTENDED, OTHER_ID: NO_SHOW})
    return session


def cancelled() -> Session:
    session = scheduled()
    session.cancel()
    return session


EVERYBODY = {EPISODE_ID: ATTENDED, OTHER_ID: ATTENDED}
Step = Callable[[Session], object]


@pytest.mark.parametrize(
    ("given", "step", "code"),
    [
        (scheduled, lambda s: s.schedule(), "session-exists"),
        (begun, lambda s: s.call(**EVERYBODY), "session-not-ended"),
        (scheduled, lambda s: s.call(**EVERYBODY), "session-not-begun"),
        (over, lambda s: s.call(**{EPISODE_ID: ATTENDED}), "roll-incomplete"),
        (over, lambda s: s.call(**EVERYBODY, **{uid("stranger"): ATTENDED}), "roll-incomplete"),
        (over, lambda s: s.call(**{uid("stranger"): ATTENDED}), "roll-incomplete"),
        (called, lambda s: s.call(**EVERYBODY), "roll-already-called"),
        (called, lambda s: s.cancel(), "roll-already-called"),
        (called, lambda s: s.schedule(), "session-exists"),
        (cancelled, lambda s: s.call(**EVERYBODY), "session-cancelled"),
        (cancelled, lambda s: s.cancel(), "session-cancelled"),
        (Session, lambda s: s.call(**EVERYBODY), "unknown-session"),
        (Session, lambda s: s.cancel(), "unknown-session"),
    ],
)
def test_what_is_refused_of_a_session(given: Callable[[], Session], step: Step, code: str) -> None:
    session = given()
    before = (session.state, list(session.names), len(session.handing))
    with pytest.raises(CareError) as refused:
        step(session)
    assert refused.value.code == code
    assert (session.state, list(session.names), len(session.handing)) == before


def test_a_roll_is_handed_to_everybody_on_the_roster() -> None:
    session = called()
    booked = [item.subject for item in session.handing if isinstance(item.body, Booked)]
    assert booked == 2 * [f"episode/{EPISODE_ID}", f"episode/{OTHER_ID}"], "ahead, and as it begins"
    statuses = {
        item.subject: item.body.status
        for item in session.handing
        if isinstance(item.body, handoffs.RollCalled)
    }
    assert statuses == {f"episode/{EPISODE_ID}": ATTENDED, f"episode/{OTHER_ID}": NO_SHOW}
    assert session.names == ["session-scheduled"], (
        "a roll is said of each person, not of the session"
    )


def test_a_cancellation_is_handed_to_everybody_with_whose_it_was() -> None:
    session = scheduled()
    session.cancel(CancelledBy.WEATHER)
    dropped = [item.body for item in session.handing if isinstance(item.body, handoffs.Dropped)]
    assert [body.cancelled_by for body in dropped] == [CancelledBy.WEATHER] * 2
    [event] = session.of(attendance.SessionCancelled)
    assert (event.cancelled_by, event.minutes_planned) == (CancelledBy.WEATHER, 180)


def test_a_roll_may_be_called_from_the_moment_the_session_ends() -> None:
    session = scheduled()
    session.now = START + 4 * HOUR
    session.at(session.now)
    assert session.call(**EVERYBODY).answer == {"entries": 2}


def test_a_session_that_ends_early_credits_the_time_until_then() -> None:
    session = scheduled()
    session.at(START + 2 * HOUR)
    session.call_early(EarlyRoll.ENDED_EARLY, EVERYBODY)
    told = [h.body for h in session.handing if isinstance(h.body, handoffs.RollCalled)]
    assert [(body.minutes_held, body.minutes_present) for body in told] == [(60, 60)] * 2


# --- a roll that nobody calls ----------------------------------------------------------------------------


def roll_loops(session: Session) -> list[Loop]:
    return list(session.state.loops.values())


def test_a_roll_is_somebodys_to_call_from_the_end_of_the_session() -> None:
    session = scheduled()
    session.at(START + 4 * HOUR - timedelta(seconds=1))
    assert roll_loops(session) == []
    session.at(START + 4 * HOUR)
    [loop] = roll_loops(session)
    assert (loop.kind, loop.owner_role) == ("roll_call", "counselor")
    assert loop.deadline_at == START + 28 * HOUR
    session.call(**EVERYBODY)
    assert roll_loops(session) == []
    assert session.state.deadlines == {}
    assert session.names == ["session-scheduled"], "nobody was told, so nothing is taken back"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda s: s.call(**EVERYBODY), "resolved"),
        (lambda s: s.cancel(), "withdrawn"),
        (
            lambda s: [s.handed(handoffs.LeftRoster(episode_id=e)) for e in EVERYBODY],
            "withdrawn",
        ),
    ],
)
def test_a_roll_that_is_late_goes_up_step_by_step_until_nobody_waits_for_it(
    end: Step, reason: str
) -> None:
    session = scheduled()
    session.at(START + timedelta(days=6))
    told = session.of(attendance.SessionLoopEscalated)
    assert [(event.owner_role, event.step) for event in told] == [
        ("clinical_supervisor", 1),
        ("program_director", 2),
    ]
    end(session)
    [cleared] = session.of(attendance.SessionEscalationCleared)
    assert (cleared.loop_id, cleared.step_reached, cleared.reason) == (
        told[0].loop_id,
        2,
        reason,
    )
    assert (session.state.loops, session.state.deadlines) == ({}, {})


def test_whoever_has_left_is_not_asked_for_in_the_roll() -> None:
    session = over()
    session.handed(handoffs.LeftRoster(episode_id=OTHER_ID))
    assert session.call(**{EPISODE_ID: ATTENDED, OTHER_ID: NO_SHOW}).answer == {"entries": 1}
    assert set(session.state.entries) == {EPISODE_ID}


def test_whoever_has_left_by_their_record_and_came_is_on_the_roll_as_a_walk_in() -> None:
    session = over()
    session.handed(handoffs.LeftRoster(episode_id=OTHER_ID))
    assert session.call(**{EPISODE_ID: ATTENDED, OTHER_ID: ATTENDED}).answer == {"entries": 2}
    assert session.state.entries[OTHER_ID].walk_in is True


def test_a_session_of_somebody_who_is_gone_is_told_so() -> None:
    episode = Episode(START)
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=START + HOUR))
    booked = episode.book(START + 2 * HOUR)
    assert episode_state.booked_sessions(episode.state) == {}
    [told] = episode.handing
    assert told.subject == f"session/{booked.session_id}"
    assert told.body == handoffs.LeftRoster(episode_id=EPISODE_ID)
    episode.roll(booked)
    assert "session-attended" not in episode.names


# --- over HTTP -------------------------------------------------------------------------------------------


def a_session(clinic: Clinic, *roster: str, **changes: Any) -> dict[str, Any]:
    return {
        "modality": "individual",
        "starts_at": (clinic.clock.now() + HOUR).isoformat(),
        "minutes_planned": 60,
        "roster": list(roster),
        **changes,
    }


ROLLS = [
    # line of the roll, minutes credited of 180, arrival or absence
    ({"status": "attended"}, 180, "attended"),
    ({"status": "attended", "minutes_present": 170}, 170, "attended"),
    ({"status": "attended", "minutes_present": 480}, 180, "attended"),
    ({"status": "late", "minutes_present": 150}, 150, "late"),
    ({"status": "left_early", "minutes_present": 45}, 45, "left_early"),
    ({"status": "left_early", "minutes_present": 0}, 0, "left_early"),
    ({"status": "excused"}, 0, "excused"),
    ({"status": "no_show"}, 0, "no_show"),
    ({"status": "no_show", "minutes_present": 0}, 0, "no_show"),
]


@pytest.mark.parametrize(("line", "credited", "how"), ROLLS)
@pytest.mark.parametrize("participation", ["active", "partial", "passive"])
@pytest.mark.fact("1.9")
async def test_everybody_is_credited_what_they_were_there_for(
    clinic: Clinic, line: dict[str, Any], credited: int, how: str, participation: str
) -> None:
    person = await clinic.admit("person")
    body = a_session(clinic, person, minutes_planned=180)
    session_id = (await clinic.post("/sessions", body)).json()["session_id"]
    await clinic.after(hours=4)
    entry = {"episode_id": person, "participation": participation, **line}
    answer = await clinic.post(f"/sessions/{session_id}/attendance", {"entries": [entry]})
    assert answer.status_code == 200, answer.text
    *_, event = await clinic.said(f"episode/{person}")
    if isinstance(event, attendance.SessionAttended):
        assert (event.arrival, event.minutes_credited) == (how, credited)
        assert event.participation == participation
    else:
        assert isinstance(event, attendance.SessionMissed)
        assert event.absence == how
    week = (await clinic.get(f"/episodes/{person}/weeks/2026-03-02")).json()
    assert (week["minutes_credited"], week["minutes_offered"]) == (credited, 180)


MODALITIES = [
    ("individual", {}, True),
    ("family", {}, True),
    ("family", {"family_only": True}, False),
    ("medication", {}, True),
    ("case_management", {}, False),
    ("wellness", {}, False),
]


@pytest.mark.parametrize(("modality", "changes", "counts"), MODALITIES)
@pytest.mark.parametrize("mode", ["onsite", "tele"])
@pytest.mark.fact("0.5", "2.1", "3.8", "4.5")
async def test_sessions_of_every_kind_and_place_say_whether_they_count(
    clinic: Clinic, modality: str, changes: dict[str, Any], counts: bool, mode: str
) -> None:
    person = await clinic.admit("person")
    body = a_session(clinic, person, modality=modality, mode=mode, **changes)
    answer = await clinic.post("/sessions", body)
    [event] = await clinic.said(answer.json()["subject"])
    assert isinstance(event, attendance.SessionScheduled)
    assert (event.counts_toward_hours, event.mode) == (counts, mode)
    week = (await clinic.get(f"/episodes/{person}/weeks/2026-03-02")).json()
    assert week["minutes_scheduled"] == (60 if counts else 0)


@pytest.mark.fact("4.3")
async def test_groups_are_open_to_who_was_oriented_and_single_sessions_to_everybody(
    clinic: Clinic,
) -> None:
    person = await clinic.admit("new", oriented=False)
    alone = await clinic.post("/sessions", a_session(clinic, person))
    assert alone.status_code == 201
    group_id = await clinic.seated(person)
    first, second = [await clinic.meets(group_id, hours=hours) for hours in (3, 30)]
    await clinic.after(hours=7)
    assert (await clinic.state(f"session/{first}")).expected == ()
    now = clinic.clock.now()
    await clinic.hear(person, fact(intake.OrientationCompleted, completed_at=now))
    await clinic.after(hours=30)
    assert (await clinic.state(f"session/{second}")).expected == (person,)


async def test_nobody_is_booked_who_is_not_in_care(clinic: Clinic) -> None:
    gone, mistaken, undone = [await clinic.admit(n) for n in ("gone", "mistaken", "undone")]
    now = clinic.clock.now()
    await clinic.hear(gone, fact(plans.EpisodeDischarged, discharged_at=now))
    await clinic.hear(mistaken, fact(intake.EpisodeEnteredInError))
    await clinic.hear(undone, fact(intake.AdmissionUndone))
    for person, code in (
        (gone, "episode-closed"),
        (mistaken, "entered-in-error"),
        (undone, "not-yet-known"),
        (uid("stranger"), "not-yet-known"),
    ):
        answer = await clinic.post("/sessions", a_session(clinic, person))
        assert (answer.status_code, answer.json()["code"]) == (409, code)


ILLEGAL: list[tuple[dict[str, Any], int, str]] = [
    ({"roster": []}, 422, "roster-empty"),
    ({"roster": ["me"]}, 422, "request-invalid"),
    ({"minutes_planned": 14}, 422, "request-invalid"),
    ({"minutes_planned": 481}, 422, "request-invalid"),
    ({"modality": "unknown"}, 422, "request-invalid"),
    ({"modality": "séance"}, 422, "request-invalid"),
    ({"topic": "two words"}, 422, "request-invalid"),
    ({"starts_at": "tomorrow"}, 422, "request-invalid"),
    ({"starts_at": "2026-03-02T18:00:00"}, 422, "request-invalid"),
    ({"starts_at": "0001-01-01T00:00:00+14:00"}, 422, "request-invalid"),
    ({"starts_at": "9999-12-31T23:59:59-12:00"}, 422, "request-invalid"),
    ({"starts_at": "2025-02-28T00:00:00Z"}, 422, "session-too-far"),
    ({"starts_at": "2027-04-01T00:00:00Z"}, 422, "session-too-far"),
    ({"group_id": uid("no group"), "roster": []}, 404, "unknown-group"),
    ({"group_id": uid("no group")}, 422, "roster-of-a-group"),
    ({"modality": "group"}, 422, "group-missing"),
    ({"unscheduled": "unknown"}, 422, "request-invalid"),
    ({"service": "astrology"}, 422, "request-invalid"),
    ({"note": "free text"}, 422, "request-invalid"),
]


@pytest.mark.parametrize(("change", "status", "code"), ILLEGAL)
async def test_a_session_that_makes_no_sense_is_refused_with_a_code(
    clinic: Clinic, change: dict[str, Any], status: int, code: str
) -> None:
    person = await clinic.admit("person")
    answer = await clinic.post("/sessions", {**a_session(clinic, person), **change})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    twice = await clinic.post("/sessions", a_session(clinic, person, person))
    assert (twice.status_code, twice.json()["code"]) == (422, "roster-repeats")


@pytest.mark.parametrize(
    ("entries", "status", "code"),
    [
        ([], 422, "request-invalid"),
        ([{"status": "late"}], 422, "minutes-missing"),
        ([{"status": "no_show", "minutes_present": 5}], 422, "minutes-of-an-absence"),
        ([{"status": "attended", "minutes_present": 481}], 422, "request-invalid"),
        ([{"status": "unknown"}], 422, "request-invalid"),
        ([{"status": "attended", "participation": "unknown"}], 422, "request-invalid"),
        ([{"status": "attended"}, {"status": "no_show"}], 422, "roll-repeats"),
        ([{"status": "attended", "episode_id": uid("stranger")}], 409, "roll-incomplete"),
        ([{"status": "attended", "why": "free text"}], 422, "request-invalid"),
    ],
)
async def test_a_roll_that_makes_no_sense_is_refused_with_a_code(
    clinic: Clinic, entries: list[dict[str, Any]], status: int, code: str
) -> None:
    person = await clinic.admit("person")
    session_id = (await clinic.post("/sessions", a_session(clinic, person))).json()["session_id"]
    await clinic.after(hours=4)
    body = {"entries": [{"episode_id": person, **entry} for entry in entries]}
    answer = await clinic.post(f"/sessions/{session_id}/attendance", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("day", "status", "code"),
    [
        ("2026-02-22", 404, "unknown-week"),
        ("0001-01-01", 404, "unknown-week"),
        ("9999-12-31", 404, "unknown-week"),
        ("2027-12-31", 404, "unknown-week"),
        ("monday", 422, "request-invalid"),
        ("2026-02-30", 422, "request-invalid"),
    ],
)
async def test_a_week_that_is_not_the_persons_cannot_be_read(
    clinic: Clinic, day: str, status: int, code: str
) -> None:
    person = await clinic.admit("person")
    answer = await clinic.get(f"/episodes/{person}/weeks/{day}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    answer = await clinic.get(f"/episodes/{uid('stranger')}/weeks/2026-03-02")
    assert (answer.status_code, answer.json()["code"]) == (409, "not-yet-known")


@pytest.mark.fact("0.2")
async def test_a_week_shows_what_is_asked_booked_and_prescribed(clinic: Clinic) -> None:
    person = await clinic.admit("person")
    await clinic.hear(person, fact(plans.TreatmentPlanActivated))
    await clinic.post("/sessions", a_session(clinic, person, minutes_planned=180))
    week = (await clinic.get(f"/episodes/{person}/weeks/2026-03-08")).json()
    asked = (week["minutes_threshold"], week["minutes_ceiling"], week["minutes_prescribed"])
    assert asked == (540, 1200, 540)
    assert (week["minutes_scheduled"], week["minutes_projected"]) == (180, 180)
    assert (week["ceiling_reached"], week["closed"], len(week["sessions"])) == (False, False, 1)
    ahead = await clinic.get(f"/episodes/{person}/weeks/2026-06-01")
    assert ahead.json()["minutes_scheduled"] == 0


# --- what a session may be about -------------------------------------------------------------------------


@pytest.mark.fact("1.6", "2.1", "4.6")
@pytest.mark.parametrize(
    ("program", "topic", "code"),
    [
        ("community-step-down", "grief-and-loss", None),
        ("community-step-down", "social-support", "topic-not-offered"),
        ("matrix-family", "social-support", None),
        ("evening-groups", "social-support", None),
        ("a-program-of-old", "social-support", None),
    ],
)
async def test_a_session_alone_is_about_what_the_person_s_program_lists(
    clinic: Clinic, program: str, topic: str, code: str | None
) -> None:
    episode_id = await clinic.admit("ann", program=program)
    body = {
        "modality": "individual",
        "topic": topic,
        "starts_at": clinic.clock.now().isoformat(),
        "minutes_planned": 60,
        "roster": [episode_id],
    }
    answer = await clinic.post("/sessions", body)
    assert answer.json().get("code") == code
