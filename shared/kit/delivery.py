"""Delivery: passes each event to its handler once and in order, and accounts for every other message.

This module does not use Kafka: a subscriber feeds it the messages that it has fetched, and the tests of your own
handlers feed it any messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, time
from typing import Final

from pydantic import ValidationError

from .calls import Calls, HandlerFailed
from .errors import KitError, NotNow
from .handlers import Handler, Handlers
from .inboxes.protocol import Changes, Inbox, Unit
from .messages import RETRIED, Aside, Message, Place, Reason, Stream, unpacked
from .metrics import Metrics
from .notices import Conflict, Notice, SetAside
from .reading import Read, read
from .streams import NOTHING, StreamInbox, look
from .streams import Place as InStream
from .turn import Shelf, Turn

log: Final = logging.getLogger("throughcare_events")
UNIT_SECONDS: Final = 1.0
"""How long one unit may take: the longest that the store's locks are held, and that a stop waits."""
ROUND_SECONDS: Final = 30.0
FAILURES_MAX: Final = 20
"""After this many failures without a success it is not the events: nothing more is set aside, and the kit waits."""
STREAMS_KEPT_MAX: Final = 50_000
PASSED_MAX: Final = 5_000
"""So many streams may be only passed over before that is saved."""
RETRY_FIRST_SECONDS: Final = 1.0
RETRY_MOST_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 2.0
"""How often the inbox is asked for what was released or dropped there meanwhile."""


class Delivery:
    """Everything between the fetch and the handler, for the partitions that are held."""

    def __init__(
        self,
        handlers: Handlers,
        inbox: Inbox,
        metrics: Metrics | None = None,
        *,
        unit_seconds: float = UNIT_SECONDS,
        round_seconds: float = ROUND_SECONDS,
        failures_max: int = FAILURES_MAX,
        now: Callable[[], float] = time,
    ) -> None:
        self._handlers = handlers
        self._inbox = inbox
        self.metrics = metrics or Metrics()
        self._calls = Calls(handlers, inbox, self.metrics)
        self._unit_seconds = unit_seconds
        self._round_seconds = round_seconds
        self._failures_max = failures_max
        self._now = now
        self._stored: dict[Place, int] = {}
        """What the inbox holds as the next offset of each held partition."""
        self._streams: dict[Stream, StreamInbox] = {}
        self._shelf = Shelf()
        self._passed = Changes()
        """What was only passed over, and is not saved yet: whoever fetches it again loses nothing but time."""
        self._passed_since = 0.0
        self._failures = 0
        self._looked_at = 0.0
        self.stopping = False
        """End after the event in hand."""
        self.cut_short = False
        """Whether `take` ended before its messages did, so that the rest has to be fetched again."""

    # --- partitions ------------------------------------------------------------------------------

    async def hold(self, places: Iterable[Place]) -> dict[Place, int]:
        """Begin with these partitions; returns the next offset of each, 0 where nothing was ever handled."""
        await self.flush()
        offsets = await self._inbox.offsets()
        found = {place: offsets.get(place, 0) for place in places}
        self._stored |= found
        self._streams.clear()
        self._keep_held(await self._inbox.aside())
        return found

    def release(self, places: Iterable[Place]) -> None:
        """These partitions are another process's from now on."""
        for place in places:
            self._stored.pop(place, None)
        self.go_back()
        self._keep_held(self._shelf.all)

    def _keep_held(self, aside: Iterable[Aside]) -> None:
        self._shelf.keep(aside, self._stored)
        self.metrics.aside = len(self._shelf.all)

    def go_back(self) -> Mapping[Place, int]:
        """Forget what is not saved; returns what the inbox holds as the next offset of each partition."""
        self._passed = Changes()
        self._streams.clear()
        return self._stored

    async def flush(self) -> None:
        """Save what was only passed over. Raises `InboxUnavailable`."""
        changes = self._passed
        if changes.offsets:
            async with self._inbox.unit(self._expected(changes.offsets)) as unit:
                await unit.save(changes)
            self._stored |= changes.offsets
            self._passed = Changes()

    def _expected(self, places: Iterable[Place]) -> dict[Place, int]:
        """What the inbox has to hold of these, and of what was passed over."""
        return {place: self._stored[place] for place in {*places, *self._passed.offsets}}

    def _turn(self) -> Turn:
        return Turn(self._streams, self._shelf.blocked, self._passed)

    # --- what comes ------------------------------------------------------------------------------

    async def take(self, messages: Sequence[Message]) -> dict[Place, int]:
        """Handle messages of held partitions; returns the next offsets. Those of events that were handled are saved.

        It ends early when it is to stop, or after half a minute: Kafka takes a member that does not fetch for lost.
        Raises `NotNow` when a handler has to wait, after saving what came before, or `InboxUnavailable`: then `go_back`
        says what has to be taken again.
        """
        handlers = self._handlers
        items = [read(message, handlers) for message in messages]
        await self._load_streams(items)
        ends: dict[Place, int] = {}
        at = len(items) if await self._only_passed(items, ends) else 0
        until = monotonic() + self._round_seconds
        while at < len(items) and not self.stopping:
            at += await self._unit(items, at, ends)
            if monotonic() > until:
                break
        self.cut_short = at < len(items)
        return ends

    async def _only_passed(self, items: Sequence[Read], ends: dict[Place, int]) -> bool:
        """Pass over a batch of which no handler wants anything; it is saved with what comes, or within a second."""
        turn = self._turn()
        if not all(item.skipped and turn.skip(item) for item in items):
            return False
        if not self._passed.offsets:
            self._passed_since = monotonic()
        for item in items:
            self.metrics.skipped[item.skipped] += 1
        self._passed = turn.changes
        self._streams |= turn.changes.streams
        ends |= turn.changes.offsets
        for notice in turn.notices:
            await self.tell(notice)
        await self._flush_when_due()
        return True

    async def _flush_when_due(self) -> None:
        late = monotonic() - self._passed_since > self._unit_seconds
        if late or len(self._passed.streams) > PASSED_MAX:
            await self.flush()

    async def _load_streams(self, items: Sequence[Read]) -> None:
        known = self._streams
        if len(known) > STREAMS_KEPT_MAX:
            await self.flush()
            known.clear()
        wanted = {item.stream for item in items if item.stream is not None} - known.keys()
        if wanted:
            known |= dict.fromkeys(wanted, NOTHING)
            known |= await self._inbox.streams(wanted)

    async def _unit(self, items: Sequence[Read], at: int, ends: dict[Place, int]) -> int:
        """Handle some of the items from `at` on as one unit; returns how many."""
        try:
            turn = self._turn()
            done, wait = await self._handled(items, at, turn)
        except HandlerFailed as failed:
            if isinstance(failed.error, NotNow):
                raise failed.error from None
            turn = self._turn()
            done, wait = await self._failed_alone(items[at], turn, failed.error)
        except BaseException:
            self.go_back()
            raise
        self._passed = Changes()
        ends |= turn.changes.offsets
        await self._keep(turn)
        if wait is not None:
            raise wait
        return done

    async def _handled(
        self, items: Sequence[Read], at: int, turn: Turn
    ) -> tuple[int, NotNow | None]:
        inbox, until = self._inbox, monotonic() + self._unit_seconds
        places = {(item.message.topic, item.message.partition) for item in items[at:]}
        done, wait = 0, None
        async with inbox.unit(self._expected(places)) as unit:
            for item in items[at:]:
                if item.skipped and turn.skip(item):
                    self.metrics.skipped[item.skipped] += 1
                    done += 1
                    continue
                alone = not inbox.savepoints and item.handler is not None and item.handler.takes_tx
                if done and (alone or monotonic() > until or self.stopping):
                    break
                try:
                    await self._one(item, unit, turn)
                except NotNow as not_now:
                    wait = not_now
                    break
                done += 1
                if alone:
                    break
            await unit.save(turn.changes)
        return done, wait

    async def _failed_alone(
        self, item: Read, turn: Turn, error: Exception
    ) -> tuple[int, NotNow | None]:
        place = (item.message.topic, item.message.partition)
        async with self._inbox.unit(self._expected([place])) as unit:
            self._fail(item, turn, error)
            turn.advance(item)
            await unit.save(turn.changes)
        return 1, None

    async def _one(self, item: Read, unit: Unit, turn: Turn) -> None:
        stream = item.stream
        if stream is None:
            turn.set_aside(item, Reason.UNREADABLE, item.error, self._now())
            turn.pass_by(item)
            return
        seen = look(turn.known(stream), item.number, item.event_id)
        if seen is InStream.NEXT:
            await self._next(item, unit, turn)
            turn.advance(item)
            return
        if seen is InStream.REPEATED:
            self.metrics.duplicates += 1
        elif seen is InStream.CONFLICTING:
            turn.notices.append(Conflict(*stream, item.number, item.event_id))
            if item.handler is not None:
                turn.set_aside(item, Reason.CONFLICT, "", self._now())
        elif item.handler is None:
            self.metrics.skipped[item.skipped] += 1
        else:
            turn.set_aside(item, Reason.MISSED, "", self._now())
        turn.pass_by(item)

    async def _next(self, item: Read, unit: Unit, turn: Turn) -> None:
        """The next event of its stream."""
        handler, stream = item.handler, item.stream
        if handler is None or stream is None:
            self.metrics.skipped[item.skipped] += 1
        elif turn.is_blocked(stream):
            turn.set_aside(item, Reason.WAITING, "", self._now())
        else:
            try:
                await self._hand_over(item, handler, unit)
            except HandlerFailed as failed:
                if failed.spoilt:
                    raise
                self._fail(item, turn, failed.error)

    async def _hand_over(self, item: Read, handler: Handler, unit: Unit) -> None:
        """Call the handler. Raises as `Calls.hand_over` does."""
        await self._calls.hand_over(item, handler, unit)
        self._failures = 0

    def _fail(self, item: Read, turn: Turn, error: Exception) -> None:
        """Set a failed event aside. Raises `NotNow` when so many have failed that it can't be the events."""
        name, reason = type(error).__name__, _reason(item, error)
        if reason is Reason.HANDLER_FAILED:
            self._failures += 1
            if 0 < self._failures_max <= self._failures:
                raise NotNow(f"{self._failures} events in a row failed, the last with {name}")
        turn.set_aside(item, reason, name, self._now() + RETRY_FIRST_SECONDS)

    async def _keep(self, turn: Turn) -> None:
        """The unit is saved: note it, and tell whoever wants to know."""
        changes = turn.changes
        self._stored |= changes.offsets
        self._streams |= changes.streams
        for one in self._shelf.change(changes):
            self.metrics.set_aside[one.reason] += 1
            if one.reason != Reason.WAITING:
                turn.notices.append(SetAside(*one.place, *one.stream, one.reason, one.error))
        self.metrics.aside = len(self._shelf.all)
        for notice in turn.notices:
            await self.tell(notice)

    async def tell(self, notice: Notice) -> None:
        """Log a notice, and hand it to those that want it. Never raises."""
        await self._calls.tell(notice)

    # --- what is aside ---------------------------------------------------------------------------

    @property
    def aside(self) -> list[Aside]:
        """What is aside on the partitions that are held, in the order of the topics."""
        return self._shelf.all

    async def again(self) -> None:
        """Try what is aside and due: of each stream from its head, until one fails. Raises as `take` does."""
        await self._flush_when_due()
        await self._look_at_the_shelf()
        now, until = self._now(), monotonic() + self._round_seconds
        for stream, waiting in self._shelf.by_stream().items():
            if monotonic() > until:
                return
            if waiting[0].reason in RETRIED and waiting[0].next_at <= now:
                await self._again(stream, waiting)

    async def _look_at_the_shelf(self) -> None:
        """Where something is aside, see from time to time what another process has said of it."""
        if self._shelf.all and self._now() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = self._now()
            self._keep_held(await self._inbox.aside())

    async def release_aside(self, place: tuple[str, int, int]) -> None:
        """Have an event that is aside handled next, whatever its reason.

        Raises `KitError` when it is not there, or is still unreadable: it would be lost without having been handled.
        """
        one = self._found(place)
        if read(unpacked(one), self._handlers).stream is None:
            raise KitError(
                "aside-unreadable",
                "Its envelope can't be trusted, so that no handler can take it.",
                "Show it to the operators; then discard it.",
            )
        behind = [other for other in self._shelf.by_stream().get(one.stream, []) if other != one]
        await self._again(one.stream, [one._replace(next_at=0.0), *behind])

    async def discard_aside(self, place: tuple[str, int, int]) -> None:
        """Never handle an event that is aside; its stream goes on. Raises `KitError` when it is not there."""
        one = self._found(place)
        turn = Turn(self._streams, self._shelf.blocked, Changes())
        turn.changes.settled.add(one.place)
        async with self._inbox.unit({one.place[:2]: self._stored[one.place[:2]]}) as unit:
            await unit.save(turn.changes)
        await self._keep(turn)

    def _found(self, place: tuple[str, int, int]) -> Aside:
        if self._calls.busy:
            raise KitError(
                "inbox-in-use",
                "A handler of an event releases and discards nothing: its own unit is not saved yet.",
                "Do it in a handler of notices, or outside of handlers.",
            )
        found = self._shelf.at(place)
        if found is None:
            raise KitError("aside-unknown", "Nothing is aside there, or another process holds it.")
        return found

    async def _again(self, stream: Stream, waiting: Sequence[Aside]) -> None:
        for one in waiting:
            if self.stopping or (one is not waiting[0] and one.reason not in RETRIED):
                return
            if self._shelf.at(one.place) is None:
                continue  # a handler of notices has released or discarded it meanwhile
            self.metrics.retried += 1
            if not await self._settled(one):
                return
        log.info("nothing of %s %s is aside any more", *stream)

    async def _settled(self, one: Aside) -> bool:
        """Whether an event that was aside has been handled now."""
        item = read(unpacked(one), self._handlers)
        turn = Turn(self._streams, self._shelf.blocked, Changes())
        place = one.place[:2]
        try:
            async with self._inbox.unit({place: self._stored[place]}) as unit:
                if item.handler is not None:
                    await self._hand_over(item, item.handler, unit)
                turn.changes.settled.add(one.place)
                await unit.save(turn.changes)
        except HandlerFailed as failed:
            if isinstance(failed.error, NotNow):
                raise failed.error from None
            await self._later(one, turn, item, failed.error)
        if item.handler is None:
            self.metrics.skipped[item.skipped] += 1
        await self._keep(turn)
        return one.place in turn.changes.settled

    async def _later(self, one: Aside, turn: Turn, item: Read, error: Exception) -> None:
        wait = min(RETRY_FIRST_SECONDS * 2**one.tries, RETRY_MOST_SECONDS)
        turn.changes = Changes()
        turn.changes.aside[one.place] = one._replace(
            reason=_reason(item, error) if one.reason in RETRIED else one.reason,
            error=type(error).__name__,
            tries=one.tries + 1,
            next_at=self._now() + wait,
        )
        async with self._inbox.unit({one.place[:2]: self._stored[one.place[:2]]}) as unit:
            await unit.save(turn.changes)


def _reason(item: Read, error: Exception) -> Reason:
    """Why an event is aside: its own class refused the data, which pydantic names, or else its handler failed."""
    refused_by = error.title if isinstance(error, ValidationError) else ""
    ours = item.handler is not None and refused_by == item.handler.event.__name__
    return Reason.DATA_INVALID if ours else Reason.HANDLER_FAILED
