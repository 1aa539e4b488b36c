"""One open episode of a person in a program: asked over HTTP, and in every interleaving of what the records leave."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake import handoffs, mistakes
from services.intake.app import SERVICE
from services.intake.episode import admissions, inbound_referrals
from services.intake.episode.episode_state import EpisodeState
from services.intake.person import places
from services.intake.person.person_state import PersonState
from services.intake.reactions import HANDOFFS
from shared.contracts import intake, plans
from shared.contracts.codes import IntakeLoop, Population
from shared.contracts.event import Event
from shared.contracts.intake import MistakeReason, ReferralOutcome
from shared.decision import Cause, Decision, Handoff, State
from shared.errors import CareError
from tests.unit.intake.test_intake_mistakes import PROGRAM, Path
from tests.unit.intake.world import DAY, EVENING, PERSON_ID, PROGRAMS, at_stage
from tests.unit.served import Served, refused
from tests.unit.support import FACILITY, START, cause, fact, uid

ADMIT: dict[str, Any] = {
    "population": "adult",
    "court_involved": False,
    "program": "iop-evening",
    "length_weeks": 16,
    "time_zone": "America/Chicago",
}


@pytest.fixture
def served() -> Served:
    return Served(SERVICE)


async def admits(path: Path, *, key: str | None = None, **changes: Any) -> Any:
    path.served.acting_as("intake_coordinator")
    body = {**ADMIT, "episode_id": path.id, **changes}
    return await path.served.post("/episodes", body, key=key)


def doubles(path: Path) -> list[str]:
    return [loop.kind for loop in path.state.loops_of(IntakeLoop.DOUBLE_ADMISSION)]


# --- asking -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({}, 201, None),
        ({"program": "community-step-down", "length_weeks": None}, 201, None),
        ({"program": "community-step-down", "length_weeks": 20}, 422, "length-outside-program"),
        ({"program": "no-such-program"}, 404, "unknown-program"),
        ({"length_weeks": None}, 422, "length-missing"),
        ({"episode_id": uid("nothing")}, 404, "unknown-episode"),
    ],
)
async def test_admission_names_a_program(
    served: Served, changes: dict[str, Any], status: int, code: str | None
) -> None:
    path = await Path.until(served, "placed")
    answer = await admits(path, **changes)
    if code is None:
        assert (answer.status_code, answer.json()["subject"]) == (201, path.subject)
        assert answer.json()["sequence"] == len(served.said(path.subject))
    else:
        refused(answer, status, code)
        assert path.person.programs == {}


@pytest.mark.parametrize("program", ["iop-evening", "evening-groups"])
@pytest.mark.fault("F38")
async def test_nobody_is_admitted_twice_in_one_program(served: Served, program: str) -> None:
    """Also under another name of the program. What is refused says nothing and changes nothing."""
    first = await Path.until(served, "oriented")
    second = await Path.until(served, "placed", first.person_id)
    before, person, said = second.state, first.person, served.names()
    answer = await admits(second, program=program)
    refused(answer, 409, "program-has-open-episode")
    assert first.id in answer.json()["hint"]
    assert all(way in answer.json()["hint"] for way in ("Merge", "readmission", "undo"))
    assert (second.state, first.person, served.names()) == (before, person, said)


async def test_another_program_is_another_place(served: Served) -> None:
    first = await Path.until(served, "admitted")
    second = await Path.until(served, "placed", first.person_id)
    answer = await admits(second, program="community-step-down", length_weeks=8)
    assert answer.status_code == 201
    assert len(first.person.places) == 2


@pytest.mark.fault("F38")
async def test_of_two_who_ask_at_once_one_is_admitted(served: Served) -> None:
    first = await Path.until(served, "placed")
    second = await Path.until(served, "placed", first.person_id)
    answers = await asyncio.gather(admits(first), admits(second), admits(first))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert served.names().count("patient-admitted") == 1


@pytest.mark.parametrize(
    "how", ["discharge", "undo", "void", "give", "merge the second", "close the second"]
)
async def test_what_ends_the_first_makes_room(served: Served, how: str) -> None:
    first = await Path.until(served, "admitted")
    second = await Path.until(served, "placed", first.person_id)
    stranger = await Path.begin(served)
    match how:
        case "discharge":
            await first.discharged()
        case "undo":
            assert (await first.undo()).status_code == 200
        case "void":
            assert (await first.void()).status_code == 200
        case "give":
            assert (await first.give_to(stranger.person_id)).status_code == 200
        case "merge the second":
            assert (await second.merge(first.id)).status_code == 200
        case _:
            await served.does(f"/referrals/{second.id}/close", {"outcome": "lost"})
    answer = await admits(second)
    if second.state.closed_at is None:
        assert answer.status_code == 201
        assert second.person.places == {second.state.admission.program: (second.id,)}
    else:
        assert answer.status_code == 409
        assert first.person.places == {first.state.admission.program: (first.id,)}


async def test_a_repeated_command_has_its_first_answer(served: Served) -> None:
    path = await Path.until(served, "placed")
    first = await admits(path, key="once")
    await path.go("oriented")
    again = await admits(path, key="once")
    assert (again.status_code, again.json()) == (201, first.json())
    refused(await admits(path, key="once", length_weeks=9), 422, "idempotency-key-reused")
    refused(await admits(path), 409, "already-admitted")
    assert len(path.of(intake.PatientAdmitted)) == 1


@pytest.mark.parametrize(("behind", "status"), [(0, 201), (1, 412)])
async def test_if_match_names_the_episodes_revision(
    served: Served, behind: int, status: int
) -> None:
    path = await Path.until(served, "placed")
    read = await served.acting_as("intake_coordinator").get(f"/episodes/{path.id}")
    revision = read.json()["revision"] - behind
    headers = {"Idempotency-Key": "once", "If-Match": f'"{revision}"'}
    body = {**ADMIT, "episode_id": path.id}
    for _ in range(2):
        answer = await served.client.post("/episodes", json=body, headers=headers)
        assert answer.status_code == status, answer.text


async def test_what_changed_before_the_grant_arrived_is_said_and_the_place_is_free(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The referral is closed between the look at the episode and the grant."""
    path = await Path.until(served, "placed")
    second = await Path.until(served, "placed", path.person_id)
    real = served.reactor.execute

    async def late(work: Any) -> Any:
        if work.subject.startswith("person/"):
            monkeypatch.setattr(served.reactor, "execute", real)
            record = (await served.store.load([path.subject]))[path.subject]
            assert isinstance(record.state, EpisodeState)
            closed = inbound_referrals.close(
                record.state, ReferralOutcome.LOST, cause(subject=path.subject)
            )
            record.state, record.touched = closed.state, True
            assert not await served.store.save([record], START)
        return await real(work)

    monkeypatch.setattr(served.reactor, "execute", late)
    refused(await admits(path), 409, "admission-overtaken")
    assert path.of(intake.PatientAdmitted) == []
    assert path.person.places == {}
    assert (await admits(second)).status_code == 201


# --- two that claim one place -----------------------------------------------------------------------------


async def both(served: Served) -> tuple[Path, Path]:
    """Two admitted episodes of two persons, who turn out to be one: the second goes to the first's person."""
    first, second = await Path.until(served, "oriented"), await Path.until(served, "oriented")
    assert (await second.give_to(first.person_id)).status_code == 200
    return first, second


@pytest.mark.parametrize("days", [0, 3])
@pytest.mark.parametrize(
    "how",
    ["discharge 0", "discharge 1", "undo 0", "undo 1", "void 0", "void 1", "give 0", "give 1"],
)
async def test_two_that_claim_one_place_are_a_loop_until_one_is_settled(
    served: Served, how: str, days: int
) -> None:
    first, second = await both(served)
    stranger = await Path.begin(served)
    [loop] = second.state.loops.values()
    assert (loop.kind, loop.owner_role) == ("double_admission", "clinical_supervisor")
    assert loop.deadline_at - loop.opened_at == DAY
    assert doubles(first) == []
    await served.after(days=days)
    what, which = how.split()
    settled = (first, second)[int(which)]
    match what:
        case "discharge":
            await settled.discharged()
        case "undo":
            assert (await settled.undo()).status_code == 200
        case "void":
            assert (await settled.void()).status_code == 200
        case _:
            assert (await settled.give_to(stranger.person_id)).status_code == 200
    assert (doubles(first), doubles(second)) == ([], [])
    going_on = second if settled is first else first
    program = going_on.state.admission.program
    assert first.person.places == {program: (going_on.id,)}
    escalated = [e for e in second.of(intake.LoopEscalated) if e.loop == "double_admission"]
    cleared = [e for e in second.of(intake.EscalationCleared) if e.loop == "double_admission"]
    assert (len(escalated), len(cleared)) == ((1, 1) if days else (0, 0))


async def test_a_third_waits_behind_the_second(served: Served) -> None:
    first, second = await both(served)
    third = await Path.until(served, "admitted")
    await third.give_to(first.person_id)
    assert [len(doubles(path)) for path in (first, second, third)] == [0, 1, 1]
    await first.discharged()
    assert [len(doubles(path)) for path in (second, third)] == [0, 1]
    await second.discharged()
    assert doubles(third) == []


@pytest.mark.parametrize("meanwhile", [False, True])
async def test_who_was_not_discharged_after_all_has_the_place_again(
    served: Served, *, meanwhile: bool
) -> None:
    """Unless another episode was admitted meanwhile: then somebody has to say which goes on."""
    first = await Path.until(served, "oriented")
    left_at = served.now()
    await first.discharged()
    second = await Path.until(served, "placed", first.person_id)
    if meanwhile:
        assert (await admits(second)).status_code == 201
    await served.hear(first.subject, fact(plans.DischargeUndone, discharged_at=left_at))
    assert (doubles(first), doubles(second)) == (["double_admission"] if meanwhile else [], [])
    [places_of] = first.person.places.values()
    assert places_of == ((second.id, first.id) if meanwhile else (first.id,))
    if not meanwhile:
        refused(await admits(second), 409, "program-has-open-episode")
        return
    await second.discharged()
    assert (doubles(first), first.person.places[PROGRAM]) == ([], (first.id,))


async def test_the_way_to_merge_an_admitted_one_is_named(served: Served) -> None:
    first, second = await both(served)
    answer = await second.merge(first.id)
    refused(answer, 409, "already-admitted")
    assert "ndo the admission" in answer.json()["hint"]
    await second.undo()
    assert (await second.merge(first.id)).status_code == 200
    assert first.person.places == {first.state.admission.program: (first.id,)}


# --- every interleaving -----------------------------------------------------------------------------------

NEW: Final = admissions.NewAdmission(
    population=Population.ADULT,
    court_involved=False,
    length_weeks=8,
    time_zone="UTC",
    prior_episode_id=None,
)
OTHER: Final = PROGRAMS.current(FACILITY, "community-step-down", START.date())
PEOPLE: Final = (PERSON_ID, uid("other person"))
EPISODES: Final = tuple(uid(f"episode {number}") for number in range(4))
OFTEN: Final = ("ask", "deliver", "look")
ENDS: Final = ("undo", "discharge", "close", "void", "merge")
MOVES: Final = ("move", "move", "move", "undo the discharge", "undo the discharge")


def steps_of(*names: str) -> st.SearchStrategy[list[Any]]:
    """What happens, one after the other: what, to which episode and person, and in which program."""
    return st.lists(
        st.tuples(
            st.sampled_from(names),
            st.sampled_from(EPISODES),
            st.sampled_from(PEOPLE),
            st.sampled_from([EVENING, EVENING, EVENING, OTHER]),
        ),
        min_size=8,
        max_size=30,
    )


class Records:
    """Episodes and people, and what each has left for others: delivered in each one's order, whenever."""

    def __init__(self, owners: list[str]) -> None:
        placed = at_stage("placed").state
        self.of: dict[str, Any] = {}
        self.waiting: dict[str, deque[Handoff]] = {}
        self.seen: dict[str, EpisodeState] = {}
        self.now: datetime = START
        for person_id in PEOPLE:
            theirs = [e for e, owner in zip(EPISODES, owners, strict=True) if owner == person_id]
            self.of[f"person/{person_id}"] = PersonState(
                episodes=dict.fromkeys([*theirs, uid(f"first of {person_id}")], True)
            )
        for episode_id, owner in zip(EPISODES, owners, strict=True):
            self.of[f"episode/{episode_id}"] = placed.replace(person_id=owner, loops={})

    def decide(self, subject: str, rule: Callable[[Any, Cause], Decision[Any]]) -> None:
        before, why = self.of[subject], cause(self.now, subject=subject)
        decision: Decision[Any] = rule(before, why)
        after_each = SERVICE.kinds[subject.partition("/")[0]].after_each
        if after_each is not None:
            decision = after_each(before, decision, why)
        self.of[subject] = decision.state
        self.waiting.setdefault(subject, deque()).extend(
            item for item in decision.handoffs if item.subject in self.of
        )

    def deliver(self, subject: str) -> None:
        if self.waiting.get(subject):
            item = self.waiting[subject].popleft()
            rule = HANDOFFS.find(type(item.body).__name__).rule
            self.decide(item.subject, lambda state, why: rule(state, item.body, why))

    def deliver_all(self) -> None:
        while any(self.waiting.values()):
            for subject in [*self.waiting]:
                self.deliver(subject)

    def does(self, what: str, episode_id: str, person_id: str, profile: Any) -> None:
        subject = f"episode/{episode_id}"
        state: EpisodeState = self.of[subject]
        rules: dict[str, Callable[[Any, Cause], Decision[Any]]] = {
            "undo": lambda s, c: mistakes.undo_admission(s, MistakeReason.OTHER, c),
            "close": lambda s, c: inbound_referrals.close(s, ReferralOutcome.LOST, c),
            "void": lambda s, c: mistakes.entered_in_error(s, MistakeReason.OTHER, c),
            "move": lambda s, c: mistakes.correct_person(s, person_id, c),
            "discharge": _heard(fact(plans.EpisodeDischarged, discharged_at=START)),
            "undo the discharge": _heard(fact(plans.DischargeUndone, discharged_at=START)),
        }
        match what:
            case "look":
                self.seen[episode_id] = state
            case "deliver":
                self.deliver(f"person/{person_id}")
                self.deliver(subject)
            case "ask":
                seen = self.seen.get(episode_id, state)
                self.decide(f"person/{seen.person_id}", _asking(episode_id, seen, profile))
            case "merge":
                into = next(e for e in EPISODES if e != episode_id)
                other: EpisodeState = self.of[f"episode/{into}"]
                known = mistakes.Other(
                    episode_id=into, person_id=other.person_id, open=other.closed_at is None
                )
                self.decide(subject, lambda s, c: mistakes.merge(s, known, c))
            case _:
                self.decide(subject, rules[what])

    def play(self, steps: list[Any], after: Callable[[], None]) -> None:
        for one in steps:
            try:
                self.does(*one)
            except CareError:
                continue
            after()

    def admitted(self, person_id: str, program: str) -> set[str]:
        found: set[str] = set()
        for episode_id in EPISODES:
            state: EpisodeState = self.of[f"episode/{episode_id}"]
            here = state.person_id == person_id and state.closed_at is None and not state.void
            if here and state.admission is not None and state.admission.program == program:
                found.add(episode_id)
        return found


def _heard(event: Event) -> Callable[[State, Cause], Decision[State]]:
    row = SERVICE.reactions.find(event.TYPE.rpartition(".v")[0])
    assert row is not None
    return lambda state, why: row.rule(state, event, why)


def _asking(
    episode_id: str, seen: EpisodeState, profile: Any
) -> Callable[[PersonState, Cause], Decision[PersonState]]:
    def rule(person: PersonState, why: Cause) -> Decision[PersonState]:
        asked = admissions.admissible(seen, episode_id, NEW, profile)
        return places.grant(person, episode_id, asked, why)

    return rule


programs = (EVENING.program, OTHER.program)
beginnings = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from([True, True, False])),
    min_size=len(EPISODES),
    max_size=len(EPISODES),
)
"""Whose each episode is, and whether its admission was asked for before anything else happens."""


def begun(beginning: list[tuple[str, bool]]) -> Records:
    records = Records([owner for owner, _ in beginning])
    for episode_id, (_, asked) in zip(EPISODES, beginning, strict=True):
        if asked:
            with suppress(CareError):
                records.does("ask", episode_id, PERSON_ID, EVENING)
            records.deliver_all()
    return records


@given(beginning=beginnings, steps=steps_of(*OFTEN, *ENDS))
def test_two_are_never_admitted_whatever_is_asked_and_in_flight(
    beginning: list[tuple[str, bool]], steps: list[Any]
) -> None:
    records = begun(beginning)

    def at_most_one() -> None:
        for person_id in PEOPLE:
            for program in programs:
                assert len(records.admitted(person_id, program)) <= 1

    records.play(steps, at_most_one)
    records.deliver_all()
    at_most_one()
    _everybody_has_their_place(records)


@given(beginning=beginnings, steps=steps_of(*OFTEN, *MOVES, *ENDS))
def test_at_rest_every_admitted_episode_has_the_place_or_a_loop(
    beginning: list[tuple[str, bool]], steps: list[Any]
) -> None:
    records = begun(beginning)
    records.play(steps, lambda: None)
    records.deliver_all()
    _everybody_has_their_place(records)


def _everybody_has_their_place(records: Records) -> None:
    looped = {
        episode_id
        for episode_id in EPISODES
        if records.of[f"episode/{episode_id}"].loops_of(IntakeLoop.DOUBLE_ADMISSION)
    }
    second: set[str] = set()
    for person_id in PEOPLE:
        person: PersonState = records.of[f"person/{person_id}"]
        for program in programs:
            claims = person.places.get(program, ())
            assert set(claims) == records.admitted(person_id, program), "no grant is left over"
            second.update(claims[1:])
    assert looped == second


def test_a_grant_that_finds_another_person_goes_back() -> None:
    state = at_stage("placed").state
    asked = admissions.admissible(state, EPISODES[0], NEW, EVENING)
    body = handoffs.Granted(person_id=uid("somebody else"), admitting=asked)
    decision = admissions.granted(state, body, cause())
    assert decision.state == state
    [back] = decision.handoffs
    assert isinstance(back.body, handoffs.AdmittedTo)
    assert (back.subject, back.body.program) == (f"person/{body.person_id}", None)
