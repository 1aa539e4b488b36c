"""What the dead letters must do for operators: the same tests for the fake and for the real store."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from shared.decision import derive_id
from shared.runtime.core.dead_letter import fingerprint
from shared.runtime.core.store import Document, Store
from shared.runtime.dead_letters.store import DeadLetters
from shared.testing.suites import NOW, STORED_WALL, WALL, subject


class DeadLettersSuite:
    """Inherit it, and define fixtures `store` and `dead_letters` over the same empty place."""

    ONE: ClassVar[str] = subject("letters one")
    TWO: ClassVar[str] = subject("letters two")

    async def _kept(self, store: Store) -> list[Document]:
        rows = [
            dead_letter(self.ONE, "intake", 3, "decision-raised", wall=WALL),
            dead_letter(self.ONE, "intake", 4, "stream-blocked", wall=WALL + timedelta(seconds=1)),
            dead_letter(self.ONE, "plans", 1, "decision-raised", wall=WALL + timedelta(seconds=2)),
            dead_letter(self.TWO, "intake", 7, "decision-raised", wall=WALL + timedelta(seconds=3)),
            dead_letter(self.TWO, None, None, "envelope-invalid", wall=WALL + timedelta(seconds=4)),
        ]
        await store.add_dead_letters(rows)
        return rows

    async def test_groups_are_the_largest_first(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        await self._kept(store)
        found = await dead_letters.groups()
        assert [(g["reason"], g["count"], g["streams"]) for g in found] == [
            ("decision-raised", 3, 3),
            ("stream-blocked", 1, 1),
            ("envelope-invalid", 1, 1),
        ]
        first = found[0]
        assert (first["first_seen"], first["last_seen"]) == (
            STORED_WALL,
            STORED_WALL + timedelta(seconds=3),
        )
        assert first["type"] == "care.intake.test.v1"

    async def test_pages_hold_what_was_asked_for_and_no_content(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        await self._kept(store)
        for limit in range(1, 7):
            seen: list[str] = []
            after: str | None = None
            for pages_left in reversed(range(-(-5 // limit))):
                page = await dead_letters.page({"status": "open"}, after, limit)
                seen += [row["id"] for row in page.rows]
                assert all("data" not in row and "item" not in row for row in page.rows)
                after = page.next
                assert (after is None) is (pages_left == 0), (
                    "the last page says that it is the last"
                )
            assert (len(seen), seen) == (5, sorted(set(seen)))
        wanted = {"subject": self.ONE, "reason": "decision-raised", "status": "open"}
        found = await dead_letters.page(wanted, None, 10)
        assert {row["stream"] for row in found.rows} == {"intake", "plans"}
        nothing = await dead_letters.page({"status": "discarded"}, None, 10)
        assert (nothing.rows, nothing.next) == ([], None)

    async def test_a_line_is_in_order_and_lines_by_how_long_they_wait(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        await self._kept(store)
        rows = await dead_letters.stream((self.ONE, "intake"), 10)
        assert [row["sequence"] for row in rows] == [3, 4]
        assert bytes(rows[0]["data"]) == b"\xff"
        assert [await dead_letters.behind(row) for row in rows] == [1, 0]
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

    async def test_a_closed_row_stays_and_is_no_longer_in_its_line(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        rows = await self._kept(store)
        head = rows[0]
        await dead_letters.failed_again(
            head["id"], {"reason": "decision-refused", "last_seen": NOW}
        )
        await dead_letters.edit(head["id"], {"data": b"{}"})
        again = await dead_letters.one(head["id"])
        assert again is not None
        assert (again["attempts"], again["reason"]) == (2, "decision-refused")
        assert (bytes(again["data"]), bytes(again["edited"]["data"])) == (b"\xff", b"{}")
        await dead_letters.close(head["id"], "redriven", {"by": "someone", "at": WALL})
        await dead_letters.close(head["id"], "discarded", {"by": "another", "at": WALL})
        await dead_letters.failed_again(head["id"], {"reason": "decision-raised"})
        closed = await dead_letters.one(head["id"])
        assert closed is not None
        assert (closed["status"], closed["closed"]["by"]) == ("redriven", "someone")
        assert (closed["attempts"], closed["reason"]) == (2, "decision-refused")
        assert [row["sequence"] for row in await dead_letters.stream((self.ONE, "intake"), 10)] == [
            4
        ]
        await store.add_dead_letters([head])  # it is read once more
        assert (await dead_letters.one(head["id"]) or {})["status"] == "redriven"
        assert await dead_letters.one(derive_id("nobody")) is None

    async def test_what_is_written_down_is_begun_and_completed(
        self, store: Store, dead_letters: DeadLetters
    ) -> None:
        del store
        for number in range(3):
            at = WALL + timedelta(seconds=number)
            await dead_letters.write_down({"_id": f"entry {number}", "at": at, "action": "redrive"})
        await dead_letters.write_down({"_id": "entry 1", "result": {"redriven": 4}})
        found = await dead_letters.written_down(2)
        assert [entry["_id"] for entry in found] == ["entry 2", "entry 1"]
        assert (found[1]["action"], found[1]["result"]) == ("redrive", {"redriven": 4})


def dead_letter(
    name: str, stream: str | None, sequence: int | None, reason: str, *, wall: datetime
) -> Document:
    """A dead letter as the runtime writes it."""
    kept = f"care.intake/0/{derive_id(name, str(stream), str(sequence))}"
    return {
        "_id": kept,
        "id": derive_id("dead-letter", kept),
        "kind": "event",
        "status": "open",
        "subject": name,
        "stream": stream,
        "sequence": sequence,
        "type": "care.intake.test.v1",
        "reason": reason,
        "exception": None,
        "where": None,
        "fingerprint": fingerprint(reason, "care.intake.test.v1", None, None),
        "attempts": 1,
        "redrivable": stream is not None,
        "data": b"\xff",
        "first_seen": wall,
        "last_seen": wall,
    }
