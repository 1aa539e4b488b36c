"""What every store and every publisher must do: the same tests for the fakes and for MongoDB and Kafka.

A test module inherits a suite and defines the fixtures that it tests: `store`, or `publisher` with `topic`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Protocol

import pytest
from pydantic import AwareDatetime, Field

from shared import inbox
from shared.contracts.topics import PARTITIONS
from shared.decision import Decision, Handoff, HandoffBody, State, derive_id
from shared.runtime.core.dead_letter import DeadLetter
from shared.runtime.core.original import MessageOriginal, Position
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.record import COMMANDS_KEPT, Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.relay import Publisher
from shared.runtime.core.store import Document, Store
from shared.runtime.core.work import CommandKey, Outcome, OutcomeStatus, StreamPosition, Work

NOW: Final = datetime(2026, 3, 2, 15, 0, 0, 123_456, tzinfo=UTC)
WALL: Final = datetime(2026, 3, 2, 16, 0, 0, 654_321, tzinfo=UTC)
STORED_WALL: Final = WALL.replace(microsecond=654_000)
"""Wall times are for operators and the sweep: MongoDB keeps their milliseconds."""
ALL: Final = tuple(range(PARTITIONS))
SOURCE: Final = "care.plans"


class Tally(State):
    """A state with one value of every sort that states consist of."""

    count: int = 0
    at: AwareDatetime | None = None
    names: tuple[str, ...] = ()
    by_key: dict[str, int] = Field(default_factory=dict[str, int])
    INDEXES: ClassVar[tuple[str, ...]] = ("at", "named")
    DIVIDED: ClassVar[tuple[str, ...]] = ("named",)

    def index_entries(self) -> Mapping[str, datetime]:
        return {} if self.at is None else {"at": self.at, "named": self.at}

    def index_parts(self) -> Mapping[str, tuple[str, ...]]:
        return {"named": self.names}


class Nudge(HandoffBody):
    """A body of a handoff with a time in it."""

    at: AwareDatetime


KINDS: Final[Mapping[str, RecordKind]] = {
    "episode": RecordKind(Tally),
    "session": RecordKind(Tally),
}


def subject(name: object, kind: str = "episode") -> str:
    """A well-formed subject, the same for the same name."""
    return f"{kind}/{derive_id('suite', str(name))}"


def held(*subjects: str) -> list[int]:
    """The buckets of these subjects."""
    return sorted({partition_of(name, PARTITIONS) for name in subjects})


def work(
    name: str,
    decide: Callable[[Any, Any], Decision[State]],
    *,
    stream: StreamPosition | None = None,
    command: CommandKey | None = None,
) -> Work:
    """One thing to decide on the record `name`."""
    return Work(
        subject=name,
        cause_id=derive_id("cause", name, repr(stream), repr(command)),
        correlation_id=derive_id("correlation"),
        facility_id="harbor-iop",
        now=NOW,
        decide=decide,
        stream=stream,
        command=command,
    )


def entry(name: str, sequence: int, data: bytes = b"{}") -> Document:
    """An outbox entry as a record stores it."""
    headers = {"ce_id": derive_id(name, str(sequence)), "ce_type": "care.plans.test.v1"}
    return {"sequence": sequence, "headers": headers, "data": data}


def publish_one(record: Record, data: bytes = b"{}") -> None:
    """Put one event into the record's outbox, as a decision would."""
    record.new_events.append(entry(record.subject, record.next_sequence, data))
    record.next_sequence += 1
    record.touched = True


def count_up(record: Record) -> None:
    """Count one up in the record's state."""
    state: Any = record.state
    record.state = state.replace(count=state.count + 1)
    record.facility_id = "harbor-iop"
    record.touched = True


def _dead_letter(document_id: str) -> DeadLetter:
    return DeadLetter(
        original=MessageOriginal(
            document_id=document_id,
            type=None,
            position=Position(topic="care.intake", partition=0, offset=7, timestamp_ms=1_000),
            event_id=None,
            key=None,
            headers=(("ce_id", b"\xff"), ("empty", None)),
            data=b"\xff",
        ),
        subject=subject("unread"),
        stream="intake",
        sequence=7,
        reason="data-invalid",
        first_seen=STORED_WALL,
        last_seen=STORED_WALL,
    )


class StoreSuite:
    """Inherit it, and define a fixture `store`: an empty store over `KINDS`."""

    async def _saved(
        self, store: Store, name: str, change: Callable[[Record], None], wall: datetime = WALL
    ) -> Record:
        """Change one record and save it; returns it as it was before the save."""
        record = (await store.load([name]))[name]
        change(record)
        assert await store.save([record], wall) == set()
        return record

    async def _waits(self, store: Store, name: str) -> bool:
        """Whether a sweep would find the record, a day later."""
        found = await store.stranded(WALL + timedelta(days=1), held(name), 10)
        return name in [record.subject for record in found]

    async def _one(self, store: Store, name: str) -> Record:
        return (await store.load([name]))[name]

    # --- load and save -----------------------------------------------------------------------------

    async def test_an_unknown_record_is_bare(self, store: Store) -> None:
        known, unknown = subject("known"), subject("unknown", "session")
        await self._saved(store, known, count_up)
        found = await store.load([known, unknown])
        assert set(found) == {known, unknown}
        assert not found[known].is_new
        assert found[unknown].is_new
        assert found[unknown].state == Tally()
        assert await store.load([]) == {}

    async def test_everything_of_a_record_comes_back(self, store: Store) -> None:
        name = subject("whole")
        state = Tally(
            count=3, at=NOW, names=("a", "ü"), by_key={"2026-03-02": 1, "a.b": 2, "$c": 3}
        )

        def decide(_state: State, _cause: Any) -> Decision[State]:
            return Decision(
                state.arm("week:1", NOW + timedelta(days=1)),
                handoffs=(Handoff(subject("other"), Nudge(at=NOW)),),
                answer={"id": "x", "list": [1, 2]},
            )

        record = await self._one(store, name)
        stream = StreamPosition("attendance|session/1", 7, "id-7")
        assert (
            record.apply(work(name, decide, stream=stream), SOURCE).status is OutcomeStatus.APPLIED
        )
        command = CommandKey("key-1", "hash-1")
        answered = record.apply(
            work(name, lambda s, _: Decision(s, answer={"n": 1}), command=command), SOURCE
        )
        record.blocked["intake"] = "data-invalid"
        publish_one(record, data=b'\x00\xff{"a":1}')
        assert await store.save([record], WALL) == set()
        found = await self._one(store, name)
        assert found.state == state.arm("week:1", NOW + timedelta(days=1))
        applied = inbox.with_applied(inbox.NOTHING, 7, "id-7")
        assert found.inbox == {"attendance|session/1": applied}
        assert found.blocked == {"intake": "data-invalid"}
        assert found.facility_id == "harbor-iop"
        assert (found.version, found.revision, found.next_sequence) == (1, 1, 2)
        assert [bytes(item["data"]) for item in found.outbox] == [b'\x00\xff{"a":1}']
        assert found.outbox[0]["headers"] == entry(name, 1)["headers"]
        assert found.waiting == STORED_WALL
        assert found.handing == STORED_WALL
        [handed] = found.handoffs
        assert handed["body"] == Nudge(at=NOW).model_dump(mode="json")
        assert datetime.fromisoformat(handed["now"]) == NOW
        again = found.apply(work(name, decide, command=command), SOURCE)
        assert again == Outcome(
            OutcomeStatus.REPLAYED,
            answer=answered.answer,
            revision=answered.revision,
            sequence=answered.sequence,
        )
        assert not found.touched

    async def test_a_save_adds_to_what_is_stored(self, store: Store) -> None:
        name = subject("adding")
        for number in (1, 2, 3):

            def step(record: Record, number: int = number) -> None:
                publish_one(record)
                stream = StreamPosition(f"stream-{number % 2}", number, f"id-{number}")
                outcome = record.apply(work(name, lambda s, _: Decision(s), stream=stream), SOURCE)
                assert outcome.status is OutcomeStatus.APPLIED

            await self._saved(store, name, step)
        found = await self._one(store, name)
        assert [item["sequence"] for item in found.outbox] == [1, 2, 3]
        first = inbox.with_applied(inbox.NOTHING, 1, "id-1")
        assert found.inbox == {
            "stream-1": inbox.with_applied(first, 3, "id-3"),
            "stream-0": inbox.with_applied(inbox.NOTHING, 2, "id-2"),
        }
        assert found.version == len(found.outbox)

    async def test_only_the_last_commands_are_remembered(self, store: Store) -> None:
        name = subject("commands")

        def commands(record: Record) -> None:
            for number in range(COMMANDS_KEPT + 5):
                key = CommandKey(f"key-{number}", "hash")
                record.apply(work(name, lambda s, _: Decision(s), command=key), SOURCE)

        await self._saved(store, name, commands)
        found = await self._one(store, name)
        assert list(found.commands) == [f"key-{n}" for n in range(5, COMMANDS_KEPT + 5)]

    async def test_a_record_saved_without_its_commands_still_has_them(self, store: Store) -> None:
        names = [subject("asked"), subject("asked too")]

        def answer(record: Record) -> None:
            key = CommandKey("key", "hash")
            record.apply(work(record.subject, lambda s, _: Decision(s), command=key), SOURCE)

        for name in names:
            await self._saved(store, name, answer)
        for some in (names[:1], names):
            found = await store.load(some, commands=False)
            assert [record.commands for record in found.values()] == [{}] * len(some)
            for record in found.values():
                count_up(record)
            assert await store.save(list(found.values()), WALL) == set()
        after = await store.load(names)
        assert [list(after[name].commands) for name in names] == [["key"], ["key"]]

    # --- guards ------------------------------------------------------------------------------------

    async def test_a_stale_guard_names_exactly_the_records_that_lost(self, store: Store) -> None:
        names = [subject(n) for n in range(6)]
        for name in names[:4]:
            await self._saved(store, name, count_up)
        stale = await store.load(names)
        for name in (names[1], names[3], names[4]):  # the last one is new to both
            await self._saved(store, name, count_up)
        for record in stale.values():
            count_up(record)
            publish_one(record)
        assert await store.save(list(stale.values()), WALL) == {names[1], names[3], names[4]}
        after = await store.load(names)
        assert [len(after[name].outbox) for name in names] == [1, 0, 1, 0, 0, 1]
        assert [after[name].version for name in names] == [2, 2, 2, 2, 1, 1]

    async def test_of_fifty_saves_of_one_version_one_wins(self, store: Store) -> None:
        name = subject("contended")
        for version in (0, 1):
            copies = [await self._one(store, name) for _ in range(50)]
            for copy in copies:
                count_up(copy)
                publish_one(copy)
            lost = await asyncio.gather(*(store.save([copy], WALL) for copy in copies))
            assert sum(not names for names in lost) == 1
            found: Any = await self._one(store, name)
            assert found.version == version + 1
            assert found.state.count == version + 1
            assert len(found.outbox) == version + 1

    # --- outbox and handoffs -----------------------------------------------------------------------

    async def test_an_outbox_is_cleared_up_to_what_was_published(self, store: Store) -> None:
        name = subject("cleared")
        before = await self._saved(store, name, publish_one)
        await store.clear_outboxes({name: 1, subject("nobody"): 1})
        found = await self._one(store, name)
        assert (found.outbox, found.waiting) == ([], None)
        assert (found.version, found.revision) == (before.version + 1, before.revision)
        assert (await self._one(store, subject("nobody"))).is_new

    async def test_clearing_does_nothing_while_a_newer_event_waits(self, store: Store) -> None:
        name = subject("newer")
        await self._saved(store, name, publish_one)
        await self._saved(store, name, publish_one)
        await store.clear_outboxes({name: 1})
        found = await self._one(store, name)
        assert [item["sequence"] for item in found.outbox] == [1, 2]
        assert found.waiting == STORED_WALL

    async def test_waiting_survives_a_clear_that_races_a_save(self, store: Store) -> None:
        name = subject("raced")
        await self._saved(store, name, publish_one)
        loaded = await self._one(store, name)
        publish_one(loaded)
        await store.clear_outboxes({name: 1})  # between the load and the save
        assert await store.save([loaded], WALL) == set()
        found = await self._one(store, name)
        assert [item["sequence"] for item in found.outbox] == [2]
        assert found.waiting is not None
        assert await self._waits(store, name)

    async def test_handoffs_are_cleared_the_same_way(self, store: Store) -> None:
        name = subject("handing", "session")

        def hand(record: Record) -> None:
            decision = Decision(record.state, handoffs=(Handoff(subject("target"), Nudge(at=NOW)),))
            record.apply(work(name, lambda _s, _c: decision), SOURCE)

        await self._saved(store, name, hand)
        loaded = await self._one(store, name)
        hand(loaded)
        await store.clear_handoffs({name: 1})
        assert await store.save([loaded], WALL) == set()
        found = await self._one(store, name)
        assert [item["number"] for item in found.handoffs] == [2]
        assert await self._waits(store, name)
        await store.clear_handoffs({name: 1})
        assert (await self._one(store, name)).handing is not None
        await store.clear_handoffs({name: 2})
        assert (await self._one(store, name)).handing is None
        assert not await self._waits(store, name)

    async def test_stranded_finds_what_waits_too_long_in_its_own_buckets(
        self, store: Store
    ) -> None:
        old, young, done = subject("old"), subject("young"), subject("done")
        await self._saved(store, old, publish_one, WALL - timedelta(minutes=1))
        await self._saved(store, young, publish_one, WALL)
        await self._saved(store, done, publish_one, WALL - timedelta(minutes=1))
        await store.clear_outboxes({done: 1})
        found = await store.stranded(WALL - timedelta(seconds=1), ALL, 10)
        assert [record.subject for record in found] == [old]
        assert [item["sequence"] for item in found[0].outbox] == [1]
        others = sorted(set(ALL) - set(held(old)))
        assert await store.stranded(WALL, others, 10) == []
        assert await store.stranded(WALL, [], 10) == []
        await self._saved(store, old, publish_one, WALL)  # another event does not make it younger
        assert len(await store.stranded(WALL - timedelta(seconds=1), ALL, 10)) == 1
        assert len(await store.stranded(WALL + timedelta(days=1), ALL, 1)) == 1

    @pytest.mark.parametrize(
        "ahead", [timedelta(hours=2), timedelta(days=365), timedelta(days=9_999)]
    )
    async def test_what_a_fast_clock_left_waiting_is_stranded_at_once(
        self, store: Store, ahead: timedelta
    ) -> None:
        """It waited unseen for as long as the clock had been ahead."""
        name = subject("from the future")

        await self._saved(store, name, publish_one, WALL + ahead)
        for before in (WALL, None):
            found = await store.stranded(before, ALL, 10)
            assert name in [record.subject for record in found]
        await store.clear_outboxes({name: 1})
        assert name not in [r.subject for r in await store.stranded(None, ALL, 10)]

    async def test_all_that_waits_is_found_at_a_start(self, store: Store) -> None:
        names = [subject(f"waiting {n}") for n in range(4)]
        for n, name in enumerate(names):
            await self._saved(store, name, publish_one, WALL + timedelta(seconds=20 * n))
        found = {record.subject for record in await store.stranded(None, ALL, 10)}
        assert found >= set(names)

    async def test_a_copy_of_an_older_version_clears_nothing(self, store: Store) -> None:
        name = subject("copied late")
        await self._saved(store, name, publish_one)
        await self._saved(store, name, publish_one)
        assert await store.clear_journaled({name: 1}) == 0
        assert await self._waits(store, name)
        assert await store.clear_journaled({name: 2}) == 1
        assert not await self._waits(store, name)
        assert await store.clear_journaled({}) == 0

    async def test_every_record_can_be_made_to_wait_for_its_copy(self, store: Store) -> None:
        waits, rests = subject("waits"), subject("rests")
        await self._saved(store, waits, publish_one, WALL - timedelta(hours=1))
        await self._saved(store, rests, count_up)
        await store.copy_all(WALL)
        assert (await self._one(store, waits)).waiting == STORED_WALL - timedelta(hours=1)
        assert (await self._one(store, rests)).waiting == STORED_WALL

    async def test_the_store_knows_what_time_it_is(self, store: Store) -> None:
        assert abs(datetime.now(UTC) - await store.wall()) < timedelta(minutes=5)

    # --- deadlines -----------------------------------------------------------------------------------

    async def _armed(self, store: Store, name: str, at: datetime) -> None:
        def arm(record: Record) -> None:
            record.state = record.state.arm("x", at)
            record.touched = True

        await self._saved(store, name, arm)

    async def test_due_comes_earliest_first_from_its_own_buckets(self, store: Store) -> None:
        names = [subject(f"due {n}") for n in range(4)]
        for name, minutes in zip(names, (30, 10, 20, 40), strict=True):
            await self._armed(store, name, WALL + timedelta(minutes=minutes))
        now = WALL + timedelta(minutes=30)
        assert await store.due(now, ALL, 10) == [names[1], names[2], names[0]]
        assert await store.due(now, ALL, 2) == [names[1], names[2]]
        assert await store.due(now, [], 10) == []
        assert set(await store.due(now, held(names[1]), 10)) >= {names[1]}
        others = sorted(set(ALL) - set(held(names[1])))
        assert names[1] not in await store.due(now, others, 10)
        early, just = (WALL + timedelta(minutes=n) for n in (9, 10))
        assert await store.next_due(early) is None
        assert await store.next_due(just) == just
        assert await store.next_due(now) == just

    async def test_a_record_is_due_from_its_deadline_on_to_the_microsecond(
        self, store: Store
    ) -> None:
        """Found too early, a record would be asked for ever; found too late, its deadline would not fire in time."""
        names, at = [subject(f"precise {n}") for n in range(3)], WALL + timedelta(minutes=1)
        for n, name in enumerate(names):
            await self._armed(store, name, at + timedelta(microseconds=n))
        for n in range(-1, 4):
            now = at + timedelta(microseconds=n)
            assert await store.due(now, ALL, 10) == names[: n + 1]
            assert await store.next_due(now) == (at if n >= 0 else None)

    async def test_deadlines_at_the_ends_of_the_calendar_are_deadlines(self, store: Store) -> None:
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        for name, at in (("first", first), ("last", last)):
            await self._armed(store, subject(name), at)
        assert await store.next_due(last) == first
        assert await store.due(last, ALL, 10) == [subject("first"), subject("last")]

    async def test_without_a_deadline_or_blocked_nothing_is_due(self, store: Store) -> None:
        name, far = subject("undone"), WALL + timedelta(days=365)
        await self._armed(store, name, WALL)

        def disarm(record: Record) -> None:
            record.state = record.state.disarm("x")
            record.touched = True

        await self._saved(store, name, disarm)
        assert await store.due(far, ALL, 10) == []
        assert await store.next_due(far) is None
        await self._armed(store, name, WALL)

        def block(record: Record) -> None:
            record.blocked["deadlines"] = "decision-raised"
            record.touched = True

        await self._saved(store, name, block)
        assert await store.due(far, ALL, 10) == []

    # --- dead letters and metadata ---------------------------------------------------------------------

    async def test_a_dead_letter_is_stored_once_as_it_first_was(self, store: Store) -> None:
        first, other = _dead_letter("care.intake/0/7"), _dead_letter("care.intake/0/8")
        await store.add_dead_letters([])
        await store.add_dead_letters([first, other])
        await store.add_dead_letters([replace(first, reason="stream-blocked")])
        stored = {document["_id"]: document for document in await self.dead_letters(store)}
        assert set(stored) == {"care.intake/0/7", "care.intake/0/8"}
        assert stored["care.intake/0/7"] == first.document()
        assert DeadLetter.from_document(stored["care.intake/0/7"]) == first

    async def dead_letters(self, store: Store) -> list[Document]:
        """All dead letters as documents; each kind of store has its own way to read them."""
        raise NotImplementedError

    async def test_metadata_is_merged(self, store: Store) -> None:
        assert await store.metadata("topic") == {}
        await store.set_metadata("topic", {"ends": [1, 2], "incarnation": 1})
        await store.set_metadata("topic", {"ends": [3, 4]})
        metadata = await store.metadata("topic")
        assert (metadata["ends"], metadata["incarnation"]) == ([3, 4], 1)

    async def test_metadata_written_once_stays(self, store: Store) -> None:
        first = await store.metadata_once("identity", {"store_id": "a"})
        second = await store.metadata_once("identity", {"store_id": "b"})
        assert first["store_id"] == second["store_id"] == "a"


class Topic(Protocol):
    """How a test reads the messages that a publisher has published."""

    async def published(self) -> Sequence[tuple[str, Mapping[str, str], bytes]]:
        """(subject, headers, data) of every message, in the order of each subject's partition."""
        ...


class PublisherSuite:
    """Inherit it, and define fixtures `publisher` and `topic`, an empty topic that it publishes to."""

    SUBJECTS: ClassVar[int] = 40

    def _outboxes(self, count: int, first: int = 1) -> dict[str, list[Document]]:
        return {
            subject(n): [
                entry(subject(n), number, f'{{"n":{number}}}'.encode())
                for number in range(first, first + count)
            ]
            for n in range(self.SUBJECTS)
        }

    async def _first_seen(self, topic: Topic) -> dict[str, list[str]]:
        seen: dict[str, list[str]] = defaultdict(list)
        for name, headers, _ in await topic.published():
            if headers["ce_id"] not in seen[name]:
                seen[name].append(headers["ce_id"])
        return seen

    async def test_every_entry_is_there_when_publish_returns(
        self, publisher: Publisher, topic: Topic
    ) -> None:
        outboxes = self._outboxes(5)
        await publisher.publish(outboxes)
        messages = await topic.published()
        assert len(messages) == self.SUBJECTS * 5
        found = {(name, headers["ce_id"]): (headers, data) for name, headers, data in messages}
        for name, entries in outboxes.items():
            for item in entries:
                assert found[name, item["headers"]["ce_id"]] == (item["headers"], item["data"])

    async def test_order_holds_per_subject_over_many_calls(
        self, publisher: Publisher, topic: Topic
    ) -> None:
        calls = [self._outboxes(3, first) for first in (1, 4, 7)]
        for outboxes in calls:
            await publisher.publish(outboxes)
        wanted = {
            name: [item["headers"]["ce_id"] for outboxes in calls for item in outboxes[name]]
            for name in calls[0]
        }
        assert await self._first_seen(topic) == wanted

    async def test_repeats_do_not_disturb_the_first_order(
        self, publisher: Publisher, topic: Topic
    ) -> None:
        """Relays of one record: each publishes the whole waiting outbox from its head."""
        for count in (2, 4, 3):
            await publisher.publish(self._outboxes(count))
        wanted = {
            name: [item["headers"]["ce_id"] for item in entries]
            for name, entries in self._outboxes(4).items()
        }
        assert await self._first_seen(topic) == wanted

    async def test_nothing_to_publish_is_no_call(self, publisher: Publisher, topic: Topic) -> None:
        await publisher.publish({})
        assert list(await topic.published()) == []
