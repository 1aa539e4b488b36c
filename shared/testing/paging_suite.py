"""What an index must do page by page: the same tests for the fake and for the real store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import ClassVar, Final

import pytest

from shared.errors import Invalid
from shared.runtime.core.paging import Page, make_cursor
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.store import Store
from shared.testing.suites import WALL, Tally, subject

MICRO, MILLI = timedelta(microseconds=1), timedelta(milliseconds=1)
BASE: Final = datetime(2026, 3, 2, 15, 0, 0, 123_000, tzinfo=UTC)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
AHEAD, BEHIND = timezone(timedelta(hours=14)), timezone(timedelta(hours=-11, minutes=-30))
INSTANTS: Final = (
    *(BASE + n * MICRO for n in (0, 0, 0, 1, 1, 2, 999, -1, -999, -1000)),
    *(BASE + n * MILLI for n in (1, 1, 2)),
    BASE + MILLI + MICRO,
    *((BASE + n * MICRO).astimezone(zone) for n in (0, 1, 1000) for zone in (AHEAD, BEHIND)),
    *(EPOCH + n * MICRO for n in (-1, 0, 1)),
    *(FIRST + n * MICRO for n in (0, 1, 1000)),
    *(LAST - n * MICRO for n in (0, 1, 1000)),
    # Outside the calendar in UTC: nobody can say when they are there, but they are an instant, and have a place.
    FIRST.replace(tzinfo=AHEAD),
    FIRST.replace(tzinfo=BEHIND),
    LAST.replace(tzinfo=AHEAD),
    LAST.replace(tzinfo=BEHIND),
)
ODD: Final = (
    "",
    " ",
    "~",
    "AQ",
    "A" * 60,
    "A" * 5_000,
    "\x00",
    "é",
    "\ud800",
    "2026-03-02T15:00Z~x",
)
OURS, THEIRS = "harbor-iop", "other-iop"
PARTS: Final = {"every": 1, "even": 2, "third": 3, "a=b/c": 5, "first": 1000}


class Newer(Tally):
    """What a newer version of the service writes."""

    SCHEMA: ClassVar[int] = Tally.SCHEMA + 1


Placed = tuple[datetime, str]


class PagingSuite:
    """Inherit it, and define a fixture `store`: an empty store over `suites.KINDS`."""

    async def _put(
        self,
        store: Store,
        name: str,
        at: datetime | None,
        facility_id: str = OURS,
        parts: tuple[str, ...] = (),
    ) -> None:
        """Have a record stand at this instant, or leave the index."""
        record = (await store.load([name]))[name]
        record.state = Tally(at=at, names=parts)
        record.facility_id, record.touched = facility_id, True
        assert not await store.save([record], WALL)

    async def _filled(self, store: Store) -> list[Placed]:
        """Put a record at each instant; their places, in order. Another facility and other records are there too."""
        placed = [(at, subject(f"page {n}")) for n, at in enumerate(INSTANTS)]
        for at, name in placed:
            await self._put(store, name, at)
        for n, at in enumerate(INSTANTS[:3]):
            await self._put(store, subject(f"theirs {n}"), at, THEIRS)
        await self._put(store, subject("in no index"), None)
        return sorted(placed)

    async def _walk(
        self,
        store: Store,
        limit: int,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        part: str | None = None,
    ) -> list[str]:
        """The subjects on all pages, each page full but the last, which says that it is the last."""
        found: list[str] = []
        after: str | None = None
        for _ in range(len(INSTANTS) + 5):
            index = "at" if part is None else "named"
            page = await store.by_index(
                index, OURS, after, limit, since=since, until=until, part=part
            )
            found += _subjects(page)
            after = page.next
            if after is None:
                return found
            assert len(page.records) == limit
        raise AssertionError("the pages have no end")

    async def test_a_walk_has_each_record_once_and_in_order_whatever_the_limit(
        self, store: Store
    ) -> None:
        wanted = [name for _, name in await self._filled(store)]
        for limit in range(1, len(wanted) + 2):
            assert await self._walk(store, limit) == wanted

    async def test_an_empty_index_is_one_page(self, store: Store) -> None:
        await self._put(store, subject("theirs"), BASE, THEIRS)
        assert await store.by_index("at", OURS, None, 1) == Page([], None)

    async def test_bounds_belong_to_the_list_and_are_exact(self, store: Store) -> None:
        placed = await self._filled(store)
        bounds = (None, FIRST, BASE - MICRO, BASE, BASE + MICRO, BASE.astimezone(AHEAD), LAST)
        for since, until in product(bounds, bounds):
            wanted = [
                name
                for at, name in placed
                if (since is None or at >= since) and (until is None or at <= until)
            ]
            assert await self._walk(store, 4, since, until) == wanted

    async def test_what_is_added_or_removed_behind_the_page_moves_nothing(
        self, store: Store
    ) -> None:
        wanted = [name for _, name in await self._filled(store)]
        seen: list[str] = []
        after: str | None = None
        while len(seen) < len(wanted):
            page = await store.by_index("at", OURS, after, 3)
            seen += _subjects(page)
            after = page.next
            last = page.records[-1].state.index_entries()["at"]
            await self._put(store, page.records[0].subject, None)
            await self._put(store, page.records[-1].subject, None)
            await self._put(store, subject(f"early {len(seen)}"), FIRST)
            if last > FIRST:
                await self._put(store, subject(f"just before {len(seen)}"), last - MICRO)
        assert (seen, after) == (wanted, None)

    async def test_what_is_added_or_removed_before_the_page_is_seen_so(self, store: Store) -> None:
        names = [name for _, name in await self._filled(store)]
        page = await store.by_index("at", OURS, None, 5)
        await self._put(store, names[7], None)
        await self._put(store, subject("late"), LAST.replace(tzinfo=BEHIND))
        rest = await store.by_index("at", OURS, page.next, 100)
        assert sorted(_subjects(rest)) == sorted([*names[5:7], *names[8:], subject("late")])

    async def test_what_a_newer_version_wrote_is_left_out_and_ends_no_walk(
        self, store: Store
    ) -> None:
        names = [subject(f"mixed {n}") for n in range(6)]
        for n, name in enumerate(names):
            await self._put(store, name, BASE + n * MICRO)
        for name in (*names[1:4], names[5]):
            record = (await store.load([name]))[name]
            record.kind, record.touched = RecordKind(Newer), True
            record.state = Newer(at=record.state.index_entries()["at"], count=1)
            assert not await store.save([record], WALL)
        seen: list[list[str]] = []
        after: str | None = None
        for _ in range(3):
            page = await store.by_index("at", OURS, after, 2)
            seen.append(_subjects(page))
            after = page.next
        assert (seen, after) == ([[names[0]], [], [names[4]]], None)

    async def test_a_part_of_an_index_has_its_own_records_alone_and_in_their_order(
        self, store: Store
    ) -> None:
        placed = sorted((at, subject(f"part {n}")) for n, at in enumerate(INSTANTS))
        parts_of = {
            name: tuple(part for part, every in PARTS.items() if n % every == 0)
            for n, (_, name) in enumerate(placed)
        }
        for at, name in placed:
            await self._put(store, name, at, OURS, parts_of[name])
            await self._put(store, f"{name[:-1]}x", at, THEIRS, parts_of[name])
        for part in ("", *PARTS, "nobody's"):
            wanted = [name for _, name in placed if not part or part in parts_of[name]]
            for limit in (1, 2, 3, 100):
                assert await self._walk(store, limit, part=part) == wanted
            between = [name for at, name in placed if name in wanted and BASE <= at <= BASE + MICRO]
            assert (part, await self._walk(store, 1, BASE, BASE + MICRO, part=part)) == (
                part,
                between,
            )

    async def test_a_record_leaves_a_part_when_it_does_not_belong_to_it(self, store: Store) -> None:
        one, other = subject("one"), subject("other")
        for name in (one, other):
            await self._put(store, name, BASE, OURS, ("red",))
        await self._put(store, one, BASE, OURS, ("blue",))
        await self._put(store, other, None, OURS, ("red",))
        found = {part: await self._walk(store, 5, part=part) for part in ("", "red", "blue")}
        assert found == {"": [one], "red": [], "blue": [one]}

    async def test_the_cursor_of_another_part_is_refused(self, store: Store) -> None:
        for n in range(3):
            await self._put(store, subject(n), BASE + n * MICRO, OURS, ("red", "blue"))
        page = await store.by_index("named", OURS, None, 1, part="red")
        assert page.next is not None
        for part in ("blue", "", None):
            with pytest.raises(Invalid):
                await store.by_index("named", OURS, page.next, 1, part=part)

    async def test_what_is_no_cursor_of_this_list_is_refused(self, store: Store) -> None:
        await self._filled(store)
        page = await store.by_index("at", OURS, None, 2)
        theirs = await store.by_index("at", THEIRS, None, 2)
        assert page.next is not None
        assert theirs.next is not None
        elsewhere: Sequence[tuple[str, str, str]] = (
            ("at", THEIRS, page.next),
            ("at", OURS, theirs.next),
            ("another", OURS, page.next),
            ("at", OURS, page.next[:-1]),
            ("at", OURS, page.next + "A"),
            ("at", OURS, page.next + "="),
            *(("at", OURS, text) for text in ODD),
        )
        for name, facility_id, after in elsewhere:
            with pytest.raises(Invalid) as refused:
                await store.by_index(name, facility_id, after, 2)
            assert refused.value.code == "after-invalid"
            assert refused.value.hint

    async def test_a_cursor_that_somebody_made_up_shows_nothing_more(self, store: Store) -> None:
        names = {name for _, name in await self._filled(store)}
        for content in (
            b"",
            b"\xff",
            b"\x00" * 8,
            b"\x7f" * 8,
            b"\x80" * 40,
            b"\x80" * 8 + b"\x00",
        ):
            page = await store.by_index("at", OURS, make_cursor(content, "index", "at", OURS), 100)
            assert set(_subjects(page)) <= names


def _subjects(page: Page) -> list[str]:
    return [record.subject for record in page.records]
