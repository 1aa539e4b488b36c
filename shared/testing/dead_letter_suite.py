"""What the dead-letter store must do for operators: the same tests for the fake and for MongoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar

from shared.decision import derive_id
from shared.runtime.core.dead_letter import Closed, DeadLetter, DiscardRequest
from shared.runtime.core.original import MessageOriginal, Position
from shared.runtime.core.store import Store
from shared.runtime.core.work import Outcome, OutcomeStatus
from shared.runtime.dead_letters.store import DeadLetters
from shared.testing.suites import NOW, STORED_WALL, WALL, subject

REFUSED_AGAIN = Outcome(OutcomeStatus.BLOCKED, reason="decision-refused", exception="not-now")


class DeadLettersSuite:
    """Inherit it, and define fixtures `store` and `dead_letters` over the same empty database."""

    ONE: ClassVar[str] = subject("dead letters one")
    TWO: ClassVar[str] = subject("dead letters two")

    async def _added(self, store: Store) -> list[DeadLetter]:
        first = STORED_WALL
        added = [
            dead_letter(self.ONE, "intake", 3, "decision-raised", wall=first),
            dead_letter(self.ONE, "intake", 4, "stream-blocked", wall=first + timedelta(seconds=1)),
            dead_letter(self.ONE, "plans", 1, "decision-raised", wall=first + timedelta(seconds=2)),
            dead_letter(
                self.TWO, "intake", 7, "decision-raised", wall=first + timedelta(seconds=3)
            ),
            dead_letter(
                self.TWO, None, None, "envelope-invalid", wall=first + timedelta(seconds=4)
            ),
        ]
        await store.add_dead_letters(added)
        return added

    async def test_what_is_added_comes_back_whole(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        for one in await self._added(store):
            assert await dead_letters.get(one.id) == one

    async def test_groups_are_the_largest_first(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        await self._added(store)
        found = await dead_letters.groups({})
        assert [(group.reason, group.count, group.streams) for group in found] == [
            ("decision-raised", 3, 3),
            ("stream-blocked", 1, 1),
            ("envelope-invalid", 1, 1),
        ]
        first = found[0]
        assert (first.first_seen, first.last_seen) == (
            STORED_WALL,
            STORED_WALL + timedelta(seconds=3),
        )
        assert first.type == "care.intake.test.v1"

    async def test_pages_hold_what_was_asked_for_and_no_content(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        await self._added(store)
        for limit in range(1, 7):
            seen: list[str] = []
            after: str | None = None
            for pages_left in reversed(range(-(-5 // limit))):
                page = await dead_letters.page({"status": "open"}, after, limit)
                seen += [one.id for one in page.rows]
                assert all(_data(one) is None for one in page.rows)
                after = page.next
                assert (after is None) is (pages_left == 0), (
                    "the last page says that it is the last"
                )
            assert (len(seen), seen) == (5, sorted(set(seen)))
        wanted = {"subject": self.ONE, "reason": "decision-raised", "status": "open"}
        found = await dead_letters.page(wanted, None, 10)
        assert {one.stream for one in found.rows} == {"intake", "plans"}
        every = (await dead_letters.page({}, None, 10)).rows
        for one in every:
            for length in (4, 12, 36):
                begun = await dead_letters.page({}, None, 10, begins={"id": one.id[:length]})
                fitting = [other.id for other in every if other.id.startswith(one.id[:length])]
                assert [other.id for other in begun.rows] == fitting
        about = await dead_letters.page({}, None, 10, begins={"subject": self.ONE[:-1]})
        assert {one.subject for one in about.rows} == {self.ONE}
        assert (await dead_letters.page({}, None, 10, begins={"id": "z"})).rows == []
        lying = next(one for one in every if one.kind == "event")
        there = await dead_letters.page({"_id": lying.original.document_id}, None, 10)
        assert [one.id for one in there.rows] == [lying.id]
        nothing = await dead_letters.page({"status": "discarded"}, None, 10)
        assert (nothing.rows, nothing.next) == ([], None)

    async def test_a_stream_is_in_order_and_streams_by_how_long_they_wait(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        await self._added(store)
        found = await dead_letters.stream((self.ONE, "intake"), 10)
        assert [one.sequence for one in found] == [3, 4]
        assert _data(found[0]) == b"\xff"
        assert [await dead_letters.count_behind(one) for one in found] == [1, 0]
        assert len(await dead_letters.stream((self.ONE, "intake"), 1)) == 1
        assert await dead_letters.streams({}, 10) == [
            (self.ONE, "intake"),
            (self.ONE, "plans"),
            (self.TWO, "intake"),
        ]
        assert await dead_letters.streams({"reason": "stream-blocked"}, 10) == [
            (self.ONE, "intake")
        ]
        assert await dead_letters.streams({}, 1) == [(self.ONE, "intake")]

    async def test_a_closed_dead_letter_stays_and_leaves_its_stream(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        head, *_ = await self._added(store)
        await dead_letters.save_failure(head.failed_again(REFUSED_AGAIN, NOW))
        again = await dead_letters.get(head.id)
        assert again is not None
        assert (again.attempts, again.reason, again.exception) == (2, "decision-refused", "not-now")
        assert _data(again) == b"\xff"
        await dead_letters.close(head.id, "redriven", Closed(STORED_WALL, "someone", "rule-fixed"))
        await dead_letters.close(head.id, "discarded", Closed(STORED_WALL, "another", "never-true"))
        await dead_letters.save_failure(head)
        closed = await dead_letters.get(head.id)
        assert closed is not None
        assert (closed.status, closed.closed) == (
            "redriven",
            Closed(STORED_WALL, "someone", "rule-fixed"),
        )
        assert (closed.attempts, closed.reason) == (2, "decision-refused")
        stream = await dead_letters.stream((self.ONE, "intake"), 10)
        assert [one.sequence for one in stream] == [4]
        await store.add_dead_letters([head])  # its message is read once more
        assert await dead_letters.get(head.id) == closed
        assert await dead_letters.get(derive_id("nobody")) is None

    async def test_what_was_missed_is_no_part_of_its_stream_until_it_is_lined_up(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        added = await self._added(store)
        missed = [
            replace(
                dead_letter(self.ONE, None, number, "sequence-missed", wall=STORED_WALL),
                missed_in="intake",
            )
            for number in (6, 2, 5)
        ]
        await store.add_dead_letters(missed)
        stream = (self.ONE, "intake")
        assert [one.sequence for one in await dead_letters.stream(stream, 10)] == [3, 4]
        found = await dead_letters.missed(stream, 2, 10)
        assert [one.sequence for one in found] == [5, 6]
        assert found[1] == missed[0]
        assert len(await dead_letters.missed(stream, 0, 1)) == 1
        assert await dead_letters.missed((self.ONE, "plans"), 0, 10) == []
        for one in found:
            await dead_letters.line_up(
                replace(one, stream="intake", missed_in=None, reason="stream-blocked")
            )
        assert [one.sequence for one in await dead_letters.stream(stream, 10)] == [3, 4, 5, 6]
        assert [one.sequence for one in await dead_letters.missed(stream, 0, 10)] == [2]
        assert await dead_letters.streams({"reason": "stream-blocked"}, 10) == [stream]
        await dead_letters.close(added[0].id, "redriven", Closed(STORED_WALL, "someone", "done"))
        await dead_letters.line_up(replace(added[0], stream="plans"))
        closed = await dead_letters.get(added[0].id)
        assert closed is not None
        assert closed.stream == "intake", "a closed one stays as it is"

    async def test_requests_to_discard_are_listed_by_their_deadline_until_it_is_closed(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        added = await self._added(store)
        later, sooner = added[0], added[2]
        for one, hours in ((later, 2), (sooner, 1), (later, 3)):
            until = STORED_WALL + timedelta(hours=hours)
            await dead_letters.request_discard(
                one.id, DiscardRequest(STORED_WALL, f"by {hours}", "never-true", until, added[1].id)
            )
        found = await dead_letters.pending({}, 10)
        assert [one.id for one in found] == [sooner.id, later.id]
        assert [one.discard.by for one in found if one.discard is not None] == ["by 1", "by 3"]
        assert all(_data(one) is None for one in found)
        assert len(await dead_letters.pending({}, 1)) == 1
        assert await dead_letters.pending({"facility_id": "nobody"}, 10) == []
        await dead_letters.close(sooner.id, "discarded", Closed(STORED_WALL, "another", "true"))
        assert [one.id for one in await dead_letters.pending({}, 10)] == [later.id]
        closed = await dead_letters.get(sooner.id)
        assert closed is not None
        assert closed.discard is not None
        assert (closed.discard.by, closed.discard.taken_back_by) == ("by 1", added[1].id)

    async def test_an_audit_entry_is_begun_and_completed(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        del store
        for number in range(3):
            at = WALL + timedelta(seconds=number)
            await dead_letters.write_audit(
                {
                    "_id": f"entry {number}",
                    "at": at,
                    "action": "redrive",
                    "facility_id": ("operations", "harbor", "river")[number],
                    "facilities": (["harbor", "river"], ["harbor"], [])[number],
                }
            )
        await dead_letters.write_audit({"_id": "entry 1", "result": {"redriven": 4}})
        found = await dead_letters.audit(None, 2)
        assert [entry["_id"] for entry in found] == ["entry 2", "entry 1"]
        assert (found[1]["action"], found[1]["result"]) == ("redrive", {"redriven": 4})
        for facility, numbers in (("harbor", (1, 0)), ("river", (2, 0)), ("another", ())):
            found = await dead_letters.audit(facility, 10)
            assert [entry["_id"] for entry in found] == [f"entry {one}" for one in numbers]


def _data(dead_letter: DeadLetter) -> bytes | None:
    assert isinstance(dead_letter.original, MessageOriginal)
    return dead_letter.original.data


def dead_letter(
    name: str, stream: str | None, sequence: int | None, reason: str, *, wall: datetime
) -> DeadLetter:
    """The dead letter of a message, as the consumer makes it."""
    return DeadLetter(
        original=MessageOriginal(
            document_id=f"care.intake/0/{derive_id(name, str(stream), str(sequence))}",
            type="care.intake.test.v1",
            position=Position(topic="care.intake", partition=0, offset=7, timestamp_ms=1_000),
            event_id=derive_id("event", name, str(sequence)),
            key=name.encode(),
            headers=(("ce_subject", name.encode()), ("empty", None)),
            data=b"\xff",
        ),
        subject=name,
        stream=stream,
        sequence=sequence,
        reason=reason,
        first_seen=wall,
        last_seen=wall,
    )
