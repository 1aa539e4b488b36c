"""What operators do to dead letters: foreseen exactly, done in order, once, and harmless wherever it breaks off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from shared.errors import Refused, Unknown
from shared.runtime import retry
from shared.runtime.core.dead_letter import REASONS, STATUSES, Closed, DeadLetter
from shared.runtime.dead_letters.redrive import Redriver
from shared.runtime.dead_letters.state_diff import changed_paths
from shared.runtime.dead_letters.store import StreamKey, stream_of
from shared.testing.fakes import Seam, When
from tests.tiers import share
from tests.unit.runtime.redriving import (
    NOW,
    WHO,
    Life,
    Marked,
    Noted,
    Rules,
    Sheet,
    World,
    live,
    subject,
)
from tests.unit.runtime.toy import differences

SUBJECTS = [subject(n) for n in range(3)]
BAD = Rules(broken=frozenset({3, 5}), refused=frozenset({4}))
GOOD = Rules()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.0)


async def heard(world: World, rules: Rules, *said: Any) -> Life:
    """A process that has heard these records, and is quiet."""
    await live(world, rules, lambda life: life.hear(*said))
    return Life(world, rules)


async def in_trouble() -> World:
    """Two lines with three and two rows, one of them with a neighbour that is well."""
    world = World()
    one, two, well = SUBJECTS
    said = [world.topics.say(Noted(amount=n), one) for n in (1, 3, 2, 6)]
    said += [world.topics.say(Marked(amount=n), two) for n in (4, 1)]
    said += [world.topics.say(Noted(amount=1), name) for name in (two, well)]
    await heard(world, BAD, *said)
    return world


# --- what is kept ------------------------------------------------------------------------------------------


async def test_a_row_says_where_it_belongs_why_and_how_often_it_was_tried() -> None:
    world = await in_trouble()
    rows = world.rows()
    assert len(rows) == 5
    assert {(row["subject"], row["stream"]) for row in rows} == {
        (SUBJECTS[0], "feed"),
        (SUBJECTS[1], "other"),
    }
    by_reason = {row["reason"]: row for row in rows}
    raised, refused, behind = (
        by_reason[name] for name in ("decision-raised", "decision-refused", "stream-blocked")
    )
    assert (raised["exception"], refused["exception"]) == ("ValueError", "not-now")
    assert "redriving.noted" in raised["where"]
    assert [row["attempts"] for row in (raised, refused, behind)] == [1, 1, 0]
    for row in rows:
        assert row["reason"] in REASONS
        assert row["status"] in STATUSES
        assert row["redrivable"] is True
        assert row["first_seen"] == row["last_seen"]
        assert row["data"]
        assert dict(row["headers"])["ce_id"].decode() == row["event_id"]


async def test_like_failures_are_one_group_and_unlike_ones_are_not() -> None:
    world = World()
    said = [world.topics.say(Noted(amount=3), name) for name in SUBJECTS]
    said += [world.topics.say(Marked(amount=3), SUBJECTS[0])]
    said += [world.topics.say(Noted(amount=4), subject("refused"))]
    said += [world.topics.say(Noted(amount=1), subject("unreadable"), data=b"[")]
    life = await heard(world, BAD, *said)
    groups = await life.dead_letters.groups({})
    largest = groups[0]
    assert (largest.reason, largest.count, largest.streams) == ("decision-raised", 3, 3)
    assert len(groups) == 4
    assert len({group.fingerprint for group in groups}) == 4


async def test_handoffs_and_deadlines_have_rows_of_the_same_form() -> None:
    world = World()
    bad = Rules(deadline_broken=True, handoff_broken=True)
    one = SUBJECTS[0]
    said = [world.topics.say(Noted(amount=n), one) for n in (7, 8)]
    await heard(world, bad, *said)
    await live(world, bad, lambda life: life.fire(one))
    handoff, deadline = sorted(world.rows(), key=lambda row: row["kind"], reverse=True)
    assert (handoff["subject"], handoff["stream"]) == (subject("neighbour"), f"self|{one}")
    assert (deadline["subject"], deadline["stream"]) == (one, "deadlines")
    assert (handoff["type"], deadline["type"]) == ("PassOn", "deadline:review")
    await live(world, GOOD, lambda life: life.redriver.redrive({}, WHO, limit=100))
    assert world.rows("open") == []
    assert world.state(subject("neighbour")).passed_on == 8
    assert world.state(one).total == 115
    assert not any(d["blocked"] for d in world.disk.documents())


async def test_a_deadline_that_was_mended_and_fails_again_has_a_row_again() -> None:
    """Rows that are closed stay: a second one must not hide behind the first."""
    world, bad = World(), Rules(deadline_broken=True)
    one = SUBJECTS[0]
    for _ in range(2):
        await heard(world, bad, world.topics.say(Noted(amount=7), one))
        await live(world, bad, lambda life: life.fire(one))
        assert len(world.rows("open")) == 1
        await live(world, GOOD, lambda life: life.redriver.redrive({}, WHO, limit=100))
        assert world.rows("open") == []
    assert len(world.rows()) == 2


# --- foreseen and done ---------------------------------------------------------------------------------------

FAILURES = 100


def _random_feed(world: World, chance: random.Random) -> list[Any]:
    said = []
    for _ in range(chance.randint(3, 9)):
        about = chance.choice(SUBJECTS)
        event = chance.choice((Noted, Marked))(amount=chance.randint(1, 8))
        spoilt = chance.choice((None, None, None, b"[", b'{"amount": "many"}'))
        major = {"type": event.TYPE.replace(".v1", ".v2")} if chance.random() < 0.1 else {}
        said.append(world.topics.say(event, about, data=spoilt, **major))
    return said


async def _one_row(life: Life, wanted: dict[str, str], row: str, *, well: bool) -> None:
    progress = await life.redriver.redrive(wanted, WHO, limit=1, upto=row)
    assert (progress.failed is None) == well


@pytest.mark.parametrize("seed", range(FAILURES))
async def test_what_is_foreseen_is_what_happens(seed: int) -> None:
    """Whatever has failed, and whatever the next deploy mends of it: outcome, paths, events and their numbers."""
    chance = random.Random(seed)
    world, failing = World(), Rules(broken=frozenset({3, 5, 7}), refused=frozenset({4, 6}))
    while not world.rows("open"):
        await heard(world, failing, *_random_feed(world, chance))
    mended = Rules(
        broken=frozenset(n for n in failing.broken if chance.random() < 0.3),
        refused=frozenset(n for n in failing.refused if chance.random() < 0.3),
    )
    life = Life(world, mended)
    for stream in await life.dead_letters.streams({}, 100):
        [head, *_] = await life.dead_letters.stream(stream, 1)
        before = world.ending()
        steps = await life.redriver.preview(head.id, behind=True)
        assert world.ending() == before, "a preview writes nothing"
        wanted = {"subject": stream[0], "stream": stream[1]}
        for step in steps:
            was, said = world.state(stream[0]), world.said().get(stream[0], [])
            await live(
                world,
                mended,
                partial(_one_row, wanted=wanted, row=step["id"], well=step["outcome"] == "applied"),
            )
            [row] = [row for row in world.rows() if row["id"] == step["id"]]
            if step["outcome"] == "applied":
                assert row["status"] == "redriven"
            else:
                assert (row["status"], row["reason"]) == ("open", step["reason"])
                assert (row["exception"], row["where"]) == (step["exception"], step["where"])
            assert changed_paths(was, world.state(stream[0])) == step["changed"]
            now = world.said().get(stream[0], [])[len(said) :]
            assert now == [(str(e["sequence"]), e["id"], e["type"]) for e in step["events"]]


async def test_a_preview_shows_no_values() -> None:
    world = await in_trouble()
    life = Life(world, GOOD)
    [row] = [row for row in world.rows() if row["reason"] == "decision-raised"]
    [step] = await life.redriver.preview(row["id"])
    item = step["changed"][0].removeprefix("items.")
    assert step["changed"] == [f"items.{item}", "tags[]", "total"]
    assert len(await life.redriver.preview(row["id"], behind=True)) == 3


def test_keys_of_mappings_are_shown_only_when_they_are_ids() -> None:
    before, known = Sheet(), subject("x").removeprefix("episode/")
    after = before.replace(items={"fentanyl": 1, known: 2}, tags=("a", "b"))
    assert changed_paths(before, after) == ["items.*", f"items.{known}", "tags[]"]


# --- in order, ramped, stopping, resuming --------------------------------------------------------------------


async def test_a_redrive_goes_in_order_and_lifts_the_marker_at_the_end() -> None:
    world = await in_trouble()
    await live(world, GOOD, lambda life: life.redriver.redrive({}, WHO, limit=100))
    assert world.rows("open") == []
    assert world.state(SUBJECTS[0]).total == 12
    assert list(world.state(SUBJECTS[0]).items.values()) == [1, 3, 2, 6]
    assert [d["blocked"] for d in world.disk.documents()] == [{}, {}, {}]
    again = world.topics.say(Noted(amount=1), SUBJECTS[0])
    await heard(world, GOOD, again)
    assert world.state(SUBJECTS[0]).total == 13


async def test_it_stops_at_the_first_failure_and_goes_on_when_that_is_mended() -> None:
    world = World()
    said = [world.topics.say(Noted(amount=n), SUBJECTS[0]) for n in (3, 1, 5, 2)]
    await heard(world, BAD, *said)
    half = Rules(broken=frozenset({5}))
    life = Life(world, half)
    progress = await life.redriver.redrive({}, WHO, limit=100)
    assert (progress.redriven, progress.stopped) == (2, "failed")
    assert progress.failed is not None
    assert progress.failed["sequence"] == 3
    again = await life.redriver.redrive({}, WHO, limit=100)
    assert (again.redriven, again.stopped) == (0, "failed")
    [row] = [row for row in world.rows("open") if row["sequence"] == 3]
    assert row["attempts"] == 2
    assert row["last_seen"] > row["first_seen"]
    await live(world, GOOD, lambda life: life.redriver.redrive({}, WHO, limit=100))
    assert list(world.state(SUBJECTS[0]).items.values()) == [3, 1, 5, 2]


async def test_it_begins_with_one_then_ten_then_a_hundred() -> None:
    world = World()
    said = [world.topics.say(Noted(amount=3), subject(f"ramp {n}")) for n in range(130)]
    await heard(world, BAD, *said)
    life = Life(world, GOOD)
    progress = await life.redriver.redrive({}, WHO, limit=115)
    assert (progress.steps, progress.stopped) == ([1, 10, 100, 4], "limit")
    progress = await life.redriver.redrive({}, WHO, limit=1_000)
    assert (progress.steps, progress.stopped) == ([1, 10, 4], "done")


async def test_only_what_was_asked_for_is_redriven() -> None:
    world = await in_trouble()
    life = Life(world, GOOD)
    refused = next(row for row in world.rows() if row["reason"] == "decision-refused")
    await life.redriver.redrive({"fingerprint": refused["fingerprint"]}, WHO, limit=100)
    assert {row["subject"] for row in world.rows("open")} == {SUBJECTS[0]}
    head = next(row for row in world.rows() if row["reason"] == "decision-raised")
    stream = {"subject": head["subject"], "stream": head["stream"]}
    progress = await life.redriver.redrive(stream, WHO, limit=100, upto=head["id"])
    assert progress.redriven == 1
    assert len(world.rows("open")) == 2


async def test_who_did_what_when_and_why_is_written_down() -> None:
    world = await in_trouble()
    life = Life(world, GOOD)
    await life.redriver.redrive({}, WHO, limit=100)
    [entry] = await life.dead_letters.audit(None, 10)
    assert (entry["actor_id"], entry["why"], entry["action"]) == (WHO.actor_id, WHO.why, "redrive")
    assert entry["result"]["redriven"] == 5
    assert entry["at"] <= entry["ended_at"]
    for row in world.rows():
        assert (row["closed"]["by"], row["closed"]["why"]) == (WHO.actor_id, WHO.why)


# --- discarding and correcting -------------------------------------------------------------------------------


async def test_a_discarded_event_has_no_effect_and_its_line_goes_on() -> None:
    world = await in_trouble()
    life = Life(world, BAD)
    head, second, _ = [row for row in world.rows() if row["subject"] == SUBJECTS[0]]
    with pytest.raises(Refused) as refused:
        await life.redriver.discard(second["id"], WHO)
    assert refused.value.code == "not-first-in-line"
    assert head["id"] in refused.value.hint
    assert (await life.redriver.discard(head["id"], WHO))["status"] == "discarded"
    [document] = [d for d in world.disk.documents() if d["_id"] == SUBJECTS[0]]
    assert document["inbox"]["feed"][0] == 1
    stream = {"subject": SUBJECTS[0], "stream": "feed"}
    await live(world, BAD, lambda life: life.redriver.redrive(stream, WHO, limit=100))
    assert list(world.state(SUBJECTS[0]).items.values()) == [1, 2, 6]
    with pytest.raises(Refused) as closed:
        await life.redriver.discard(head["id"], WHO)
    assert closed.value.code == "already-closed"
    assert {e["action"] for e in await life.dead_letters.audit(None, 10)} == {"discard", "redrive"}


async def test_a_discarded_deadline_is_disarmed_and_the_others_fire() -> None:
    world, bad = World(), Rules(deadline_broken=True)
    await heard(world, bad, world.topics.say(Noted(amount=7), SUBJECTS[0]))
    await live(world, bad, lambda life: life.fire(SUBJECTS[0]))
    [row] = world.rows("open")
    await Life(world, bad).redriver.discard(row["id"], WHO)
    assert world.state(SUBJECTS[0]).deadlines == {}
    assert world.rows("open") == []
    assert not any(d["blocked"] for d in world.disk.documents())


async def test_the_last_row_of_a_line_that_is_discarded_lifts_the_marker_of_a_bare_record() -> None:
    """And leaves the record as unknown as it was."""
    world = World()
    about = subject("bare")
    await heard(world, BAD, world.topics.say(Noted(amount=3), about))
    [row] = world.rows("open")
    life = Life(world, BAD)
    await life.redriver.discard(row["id"], WHO)
    record = (await life.store.load([about]))[about]
    assert record.is_new
    assert record.blocked == {}
    await heard(world, BAD, world.topics.say(Noted(amount=2), about))
    assert world.state(about).total == 2


async def test_a_forked_history_is_settled_by_discarding_the_second_of_it() -> None:
    world = World()
    first, conflicting = (world.topics.say(Noted(amount=1), SUBJECTS[0]) for _ in range(2))
    conflicting = replace(
        conflicting,
        headers=[(n, b"1" if n == "ce_sequence" else raw) for n, raw in conflicting.headers],
    )
    life = await heard(world, GOOD, first, conflicting)
    [row] = world.rows("open")
    assert row["reason"] == "sequence-conflict"
    progress = await life.redriver.redrive({}, WHO, limit=10)
    assert progress.stopped == "failed"
    assert (await life.redriver.discard(row["id"], WHO))["status"] == "discarded"
    assert not any(d["blocked"] for d in world.disk.documents())
    assert world.state(SUBJECTS[0]).total == 1


async def test_what_was_published_stays_as_it_was_whatever_an_operator_does() -> None:
    """A row that was acted on in every way still has the bytes that were on the topic, and no others beside them."""
    world = World()
    data = b'{"amount": "many"}'
    spoilt = world.topics.say(Noted(amount=1), SUBJECTS[0], data=data)
    life = await heard(world, GOOD, spoilt)
    [row] = world.rows("open")
    await life.redriver.preview(row["id"])
    await life.redriver.redrive({}, WHO, limit=10)
    await life.redriver.discard(row["id"], WHO)
    [after] = world.rows()
    assert bytes(after["data"]) == data
    assert "edited" not in after
    assert not hasattr(life.redriver, "edit")
    assert not hasattr(life.dead_letters, "edit")


async def test_what_could_not_be_put_in_order_can_only_be_discarded() -> None:
    world = World()
    nobody = world.topics.say(Noted(amount=1), SUBJECTS[0], subject="somebody")
    life = await heard(world, GOOD, nobody)
    [row] = world.rows("open")
    assert (row["redrivable"], row["stream"], row["reason"]) == (False, None, "envelope-invalid")
    with pytest.raises(Refused) as refused:
        await life.redriver.preview(row["id"])
    assert refused.value.code == "not-redrivable"
    assert (await life.redriver.redrive({}, WHO, limit=10)).total == 0
    await life.redriver.discard(row["id"], WHO)
    assert [r["status"] for r in world.rows()] == ["discarded"]
    with pytest.raises(Unknown):
        await life.redriver.discard(subject("x").removeprefix("episode/"), WHO)


# --- wherever it breaks off ------------------------------------------------------------------------------------


def _more(world: World) -> list[Any]:
    """What the publishers say while the operator is at work; the same again when it is told again."""
    feed = [world.topics.say(Noted(amount=2), SUBJECTS[0]) for _ in range(3)]
    return [*feed, world.topics.say(Marked(amount=6), SUBJECTS[1])]


async def _mended(seams: list[Seam], life: type[Life] = Life) -> tuple[dict[str, Any], int]:
    """Two blocked streams redriven while more is heard of them, in as many lives and tries as it takes."""
    world = await in_trouble()
    more = _more(world)

    async def hear(process: Life) -> None:
        for _ in range(process.seam.slow.get("hear", 0)):
            await asyncio.sleep(0)
        for record in more:
            await process.hear(record)

    async def act(process: Life) -> None:
        hearing = hear(process)
        redriving = process.redriver.redrive({}, WHO, limit=100)
        done = await asyncio.gather(hearing, redriving, return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException):
                raise one
        for _ in range(3):
            await process.redriver.redrive({}, WHO, limit=100)

    calls = await live(world, GOOD, act, seams, life)
    return world.ending(), len(calls)


async def _expected() -> tuple[dict[str, Any], int]:
    ending, calls = await _mended([])
    assert ending["open"] == []
    assert ending["records"][SUBJECTS[0]]["state"]["total"] == 18
    assert ending["records"][SUBJECTS[1]]["state"]["total"] == 12
    assert not any(record["blocked"] for record in ending["records"].values())
    return ending, calls


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("fatal", [True, False], ids=["the process dies", "the call fails"])
async def test_a_redrive_that_breaks_off_anywhere_and_is_repeated_has_one_effect(
    when: When, *, fatal: bool
) -> None:
    expected, calls = await _expected()
    assert calls > 30
    turn = list(When).index(when) + (not fatal)
    for at in share(range(1, calls + 1), one_in=3, turn=turn):
        end, _ = await _mended([Seam(at=at, when=when, fatal=fatal)])
        assert not differences(_order_free(end), _order_free(expected)), f"call {at}"


def _order_free(ending: dict[str, Any]) -> dict[str, Any]:
    """Lines of two publishers may be applied in either order: what is compared is each line's own."""
    records = {}
    for name, record in ending["records"].items():
        state = dict(record["state"])
        state["items"] = sorted(state["items"].values())
        state["tags"] = sorted(state["tags"])
        records[name] = record | {"state": state}
    said = {name: [int(number) for number, _, _ in items] for name, items in ending["said"].items()}
    return {
        "records": records,
        "said": {n: sorted(set(s)) for n, s in said.items()},
        "open": ending["open"],
    }


class UnblocksWithoutLooking(Redriver):
    """Looks for others before it loads the record, so that one may come in between."""

    async def _unblock(self, dead_letter: DeadLetter, stream: StreamKey) -> None:
        first_two = await self._dead_letters.stream(stream, 2)
        if any(one.id != dead_letter.id for one in first_two):
            return
        subject, sender = stream
        record = (await self._store.load([subject]))[subject]
        record.unblock(sender)
        await self._store.save([record], NOW)


class ClosesFirst(Redriver):
    """Closes the dead letter before its stream may go on."""

    async def _finish(self, dead_letter: DeadLetter, status: str, who: Any) -> None:
        closed = Closed(NOW, who.actor_id, who.why)
        await self._dead_letters.close(dead_letter.id, status, closed)
        stream = stream_of(dead_letter)
        assert stream is not None
        await self._unblock(dead_letter, stream)


class SkipsTheHead(Redriver):
    """Redrives a stream out of its order."""

    async def _in_order(self, wanted: Any) -> AsyncIterator[DeadLetter]:
        found: list[DeadLetter] = []
        for stream in await self._dead_letters.streams(wanted, 100):
            found += reversed(await self._dead_letters.stream(stream, 100))
        for dead_letter in found:
            yield dead_letter


@pytest.mark.parametrize("redriver", [ClosesFirst, SkipsTheHead])
async def test_a_mistake_is_found(redriver: type[Redriver]) -> None:
    expected, calls = await _expected()
    life = type("Sabotaged", (Life,), {"REDRIVER": redriver})
    for when in (When.AFTER, When.BEFORE):
        for at in range(1, calls + 1):
            try:
                end, _ = await _mended([Seam(at=at, when=when, fatal=True)], life)
            except AssertionError:
                return
            if differences(_order_free(end), _order_free(expected)):
                return
    pytest.fail("nothing in the table noticed")


# --- while more is heard ---------------------------------------------------------------------------------------

CALLS = ("load", "save", "add_dead_letters", "stream", "streams", "close", "write_audit")


def _slow(seed: int) -> Seam:
    """Every kind of call takes its own time, so that the consumer and the redrive pass each other in another way."""
    chance = random.Random(seed)
    slow = {name: chance.randint(1, 12) for name in CALLS}
    return Seam(slow=slow | {"hear": chance.randint(0, 400)})


@pytest.mark.parametrize("seed", range(40))
async def test_nothing_slips_between_the_last_row_and_the_marker(seed: int) -> None:
    expected, _ = await _expected()
    end, _ = await _mended([_slow(seed)])
    assert not differences(_order_free(end), _order_free(expected))


async def test_a_marker_lifted_without_looking_again_is_found() -> None:
    expected, _ = await _expected()
    life = type("Sabotaged", (Life,), {"REDRIVER": UnblocksWithoutLooking})
    for seed in range(400):
        try:
            end, _ = await _mended([_slow(seed)], life)
        except AssertionError:
            return
        if differences(_order_free(end), _order_free(expected)):
            return
    pytest.fail("no interleaving noticed")
