"""The crash table: wherever a process dies or a dependency fails, the end is that of the undisturbed run.

Effects *and outputs* are compared: a prototype that relayed only new events passed every check of its states while
it lost events. The sabotages at the end show that this table finds such mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaos.simulation.sabotage import (
    ForgetsAnswers,
    NoAppliedSequence,
    NoVersionCheck,
    OnlyNewEvents,
)
from shared.runtime import retry
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record import Record
from shared.runtime.core.relay import Relay
from shared.testing.fakes import MemoryStore, Seam, When, decoded, encoded
from tests.tiers import share
from tests.unit.runtime.toy import Life, Work, differences, play


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.0)


async def _end(seams: Sequence[Seam] = (), life: type[Life] = Life) -> dict[str, Any]:
    world, _ = await play(seams, life)
    return world.ending()


async def _undisturbed() -> tuple[dict[str, Any], int]:
    world, calls = await play()
    return world.ending(), len(calls)


async def test_the_undisturbed_run_is_what_the_script_says() -> None:
    ending, calls = await _undisturbed()
    records = ending["records"]
    assert calls > 40  # the table below has something to hurt
    assert len(records) == 8
    assert not any(record["outbox"] or record["handoffs"] for record in records.values())
    told = sorted(what for what, _, _ in ending["audit"].values())
    assert told == ["POST /gather", "POST /gather-again", "POST /silently"]
    assert not any(record["audit"] or record["auditing"] for record in records.values())
    assert sorted(ending["letters"].values()) == ["decision-raised", "stream-blocked"]
    for subject, said in ending["said"].items():
        numbers = [int(headers["ce_sequence"]) for headers, _ in said]
        assert numbers == list(range(1, len(numbers) + 1)), subject
        assert records[subject]["next_sequence"] == len(numbers) + 1


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("fatal", [True, False], ids=["the process dies", "the call fails"])
async def test_a_failure_at_any_call_changes_nothing(when: When, *, fatal: bool) -> None:
    expected, calls = await _undisturbed()
    turn = list(When).index(when) + (not fatal)
    for at in share(range(1, calls + 1), one_in=3, turn=turn):
        end = await _end([Seam(at=at, when=when, fatal=fatal)])
        assert not differences(end, expected), f"call {at}"


@pytest.mark.parametrize("again", [1, 3])
async def test_a_second_crash_soon_after_the_first_changes_nothing(again: int) -> None:
    expected, calls = await _undisturbed()
    for at in share(range(1, calls + 1), one_in=3, turn=again):
        seams = [
            Seam(at=at, when=When.AFTER, fatal=True),
            Seam(at=again, when=When.BEFORE, fatal=True),
            Seam(at=again, when=When.AFTER, fatal=True),
        ]
        assert not differences(await _end(seams), expected), f"call {at}, then {again}"


class Twice(Life):
    """Everything is told twice: a consumer that rewinds, a client that repeats, timers that look again."""

    repeats = 2


async def test_everything_told_twice_changes_nothing() -> None:
    expected, _ = await _undisturbed()
    assert not differences(await _end(life=Twice), expected)


async def test_everything_told_twice_by_a_process_that_dies_changes_nothing() -> None:
    expected, calls = await _undisturbed()
    for at in share(range(1, calls + 1), one_in=4):
        end = await _end([Seam(at=at, when=When.AFTER, fatal=True)], Twice)
        assert not differences(end, expected), f"call {at}"


# --- sabotage: each of these mistakes must be found by the same table -------------------------------------


class ClearsBeforePublishing(Relay):
    async def _round(self) -> None:
        waiting = {subject: e[-1]["sequence"] for subject, e in self._queue.items() if e}
        await self._store.clear_outboxes(waiting)
        await super()._round()


class Forgets(Reactor):
    """Never offers anything to the relay, and does not sweep."""

    async def sweep(self, before: Any, buckets: Any) -> int:
        return 0


class ClearsHandoffsFirst(Reactor):
    async def _hand_over(self, subject: str, items: Any, before: Any) -> None:
        await self._store.clear_handoffs({subject: items[-1]["number"]})
        await super()._hand_over(subject, items, before)


class ClearsAuditFirst(Relay):
    """Removes the entries from their record before they are in the audit."""

    async def _move_audit(self) -> None:
        await self._store.clear_audit({s: e[-1]["number"] for s, e in self._audit.items()})
        await super()._move_audit()


class NoAuditMark(MemoryStore):
    """Saves entries without the mark by which the sweep finds them."""

    async def save(self, records: Sequence[Record], wall: Any) -> set[str]:
        lost = await super().save(records, wall)
        for record in records:
            if record.subject not in lost and record.new_audit:
                document = decoded(self.disk.records[record.subject])
                document.pop("auditing", None)
                self.disk.records[record.subject] = encoded(document)
        return lost


class AuditApart(MemoryStore):
    """Writes an entry after the save and not with it."""

    async def save(self, records: Sequence[Record], wall: Any) -> set[str]:
        apart = {record.subject: [*record.new_audit] for record in records}
        for record in records:
            record.new_audit.clear()
        lost = await super().save(records, wall)
        await self.add_audit_entries([e for s, es in apart.items() if s not in lost for e in es])
        return lost


class OnlyNewHandoffs(Reactor):
    def _after_save(self, records: Any) -> None:
        for record in records:
            if record.new_events:
                self._relay.enqueue(record.subject, record.waiting_entries())
            if record.new_handoffs:
                self.hand_over(record.subject, record.new_handoffs)


class ClearsAll(MemoryStore):
    """Empties an outbox although a newer event waits in it."""

    async def clear_outboxes(self, published: Mapping[str, int]) -> None:
        for subject in published:
            document = decoded(self.disk.records[subject])
            document["outbox"] = []
            document.pop("waiting", None)
            self.disk.records[subject] = encoded(document)
        await super().clear_outboxes(published)


class MarkLost(MemoryStore):
    """Sets the waiting mark only when it was not set at load: a clear in between takes it away."""

    async def save(self, records: Sequence[Record], wall: Any) -> set[str]:
        lost = await super().save(records, wall)
        for record in records:
            if record.subject not in lost and record.new_events:
                document = decoded(self.disk.records[record.subject])
                document.pop("waiting", None)
                self.disk.records[record.subject] = encoded(document)
        return lost


class CommitsFirst(Life):
    async def _step(self, kind: str, what: Any) -> None:
        if kind != "feed":
            await super()._step(kind, what)
            return
        await self.commit(self.world.position + 1)
        await super()._step(kind, what)
        self.world.position -= 1  # `run` commits it again


class NotNumbered(Life):
    """Submits events without their place in the line."""

    async def _submitted(self, works: Sequence[Work]) -> None:
        await super()._submitted([replace(work, stream=None) for work in works])


def _life(**parts: Any) -> type[Life]:
    return type("Sabotaged", (Life,), parts)


SABOTAGES: dict[str, type[Life]] = {
    "relays only new events": _life(REACTOR=OnlyNewEvents),
    "clears before publishing": _life(RELAY=ClearsBeforePublishing),
    "clears handoffs before they are applied": _life(REACTOR=ClearsHandoffsFirst),
    "no guard on saving": _life(STORE=NoVersionCheck),
    "no inbox": _life(STORE=NoAppliedSequence),
    "no remembered commands": _life(STORE=ForgetsAnswers),
    "clears newer events too": _life(STORE=ClearsAll),
    "clears the audit before it is moved": _life(RELAY=ClearsAuditFirst),
    "no mark of waiting audit entries": _life(STORE=NoAuditMark),
    "audit entries apart from the save": _life(STORE=AuditApart),
    "no sweep": _life(REACTOR=Forgets),
    "no waiting mark": _life(STORE=MarkLost),
    "commits before saving": CommitsFirst,
    "events without numbers": NotNumbered,
}


@pytest.mark.parametrize("name", SABOTAGES)
async def test_a_mistake_is_found(name: str) -> None:
    expected, calls = await _undisturbed()
    life = SABOTAGES[name]
    for when in (When.AFTER, When.BEFORE):
        for at in range(1, calls + 1):
            try:
                end = await _end([Seam(at=at, when=when, fatal=True)], life)
            except AssertionError:
                return
            if end != expected:
                return
    pytest.fail("nothing in the table noticed")
