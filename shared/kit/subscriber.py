"""The subscriber: the service of another team receives events, each once and in order.

    async with Subscriber("billing", inbox=SQLiteInbox("inbox.db")) as events:
        @events.on(SessionAttended)
        async def credit(event, envelope, tx): ...

The block registers the handlers. At its end, the subscriber runs until it is stopped (SIGTERM, SIGINT, `stop`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic, time
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from uuid import uuid4

from aiokafka.errors import KafkaError

from ..contracts.event import Event
from .connection import Connection
from .consumer import Consumer
from .delivery import Delivery
from .errors import InboxUnavailable, MovedOn, NotNow, Refused
from .handlers import Function, Handlers
from .heartbeat import heartbeat
from .inboxes.protocol import Inbox
from .messages import Aside, Kept, Message, Place
from .metrics import Metrics
from .notices import CaughtUp, Notice
from .outlets import Ends, followed
from .process import signals, versions
from .snapshot import Snapshot, batches, check_history, check_team, check_types, verified

log: Final = logging.getLogger("throughcare_events")
F = TypeVar("F", bound=Function)
BATCH: Final = 500
COMMIT_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 10.0
WAIT_FIRST_SECONDS: Final = 0.2
WAIT_MOST_SECONDS: Final = 15.0
"""Far below the time after which Kafka takes a silent member's partitions away."""


class Subscriber:
    """One member of the group `name`. Start as many processes as you like, all with the same inbox.

    `accept_removed`: go on although a topic begins later than the inbox; what was removed is never handled.
    `outlet`: read this topic (`care.out.<team>`) in place of the services', and those that follow it.
    `take_over`: go on although the group's offsets belong to another inbox; everything is handled from where this
    inbox stands, also what the other one has handled.
    """

    def __init__(
        self,
        name: str,
        inbox: Inbox,
        *,
        kafka: Connection | None = None,
        batch: int = BATCH,
        accept_removed: bool = False,
        take_over: bool = False,
        outlet: str = "",
        delivery: Callable[[Handlers, Inbox, Metrics], Delivery] = Delivery,
    ) -> None:
        self.name = name
        self.metrics = Metrics()
        self.problem = ""
        """Why nothing moves at the moment, as a code; empty while all is well."""
        self._inbox = inbox
        self._process = uuid4().hex[:12]
        self._kafka = kafka or Connection.from_environment()
        self._batch = batch
        self._accept_removed = accept_removed
        self._take_over = take_over
        self._outlet = outlet
        self._ends = Ends()
        self._handlers = Handlers()
        self._delivery = delivery(self._handlers, inbox, self.metrics)
        self._busy = asyncio.Lock()
        """Held while the inbox is written: partitions move only in between. Taken by `_alone`."""
        self._busy_task: asyncio.Task[Any] | None = None
        self._offsets: dict[Place, int] = {}
        self._begun: dict[Place, int] = {}
        """Where each held partition was begun with."""
        self._targets: dict[Place, int] | None = None
        """The ends of the topics when this process began; None until they are known."""
        self._committed_at = 0.0
        self._uncommitted = False
        self._ran = False
        self._stop = asyncio.Event()
        self._wait = WAIT_FIRST_SECONDS

    # --- what your code calls --------------------------------------------------------------------

    def on(self, *kinds: type[Event | Notice]) -> Callable[[F], F]:
        """Register a handler; see `Handlers.on`."""
        return self._handlers.on(*kinds)

    async def __aenter__(self) -> Self:
        """Open the inbox. Raises `Refused` for one that can't be used."""
        await self._inbox.open(self.name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and not self._ran:
                await self.run()
        finally:
            await self._inbox.close()

    def stop(self) -> None:
        """End after the event in hand; what was handled is saved and committed."""
        self._delivery.stopping = True
        self._stop.set()

    @property
    def aside(self) -> list[Aside]:
        """What is aside on this process's partitions."""
        return self._delivery.aside

    @property
    def positions(self) -> Mapping[Place, int]:
        """The next offset of each partition that this process holds."""
        return dict(self._offsets)

    async def release(self, place: tuple[str, int, int]) -> None:
        """Handle what is aside there now, and then what waits behind it. Raises `KitError` when it can't be.

        A handler of notices may call this and `discard`; a handler of events may not.
        """
        async with self._alone():
            await self._delivery.release_aside(place)

    async def discard(self, place: tuple[str, int, int]) -> None:
        """Never handle what is aside there; its stream goes on. Raises `KitError` when it is not there."""
        async with self._alone():
            await self._delivery.discard_aside(place)

    async def run(self) -> None:
        """Hear events until `stop`, SIGTERM or SIGINT. Raises `Refused` when only a person can decide how to go on."""
        self._ran = True
        self._check_handlers()
        with signals(self.stop):
            consumer = await self._reached(Consumer.start)
            try:
                while consumer is not None and not self._stop.is_set():
                    await self._round(consumer)
                    if following := self._following():
                        await self._leave(consumer)
                        consumer = None
                        self._go_to(following)
                        consumer = await self._reached(Consumer.start)
            finally:
                if consumer is not None:
                    await self._leave(consumer)

    def _check_handlers(self) -> None:
        if not self._handlers.topics:
            raise TypeError("register a handler with `events.on(…)` before the subscriber runs")
        if self._handlers.take_tx and not self._inbox.transactions:
            raise Refused(
                "inbox-without-transactions",
                "A handler takes a third argument, and this inbox has no transactions.",
                "Let it take (event, envelope), and bear the same event twice; or use another store.",
            )

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        """While nobody else writes the inbox. A handler of notices is called by who does, and must not wait for it."""
        if self._busy_task is asyncio.current_task():
            yield
            return
        async with self._busy:
            self._busy_task = asyncio.current_task()
            try:
                yield
            finally:
                self._busy_task = None

    def _following(self) -> str:
        """The next outlet, once this one is handled to its end. What is aside belongs to this one: it is waited for."""
        return "" if self.aside else self._ends.lead_to(self._offsets)

    def _go_to(self, outlet: str) -> None:
        """Read on in the next outlet: all of this one is handled."""
        log.warning("%s has ended: going on in %s", self._outlet, outlet)
        self._delivery.release(list(self._offsets))
        self._outlet, self._ends = outlet, Ends()
        self._offsets.clear()
        self._begun.clear()
        self._targets = None

    # --- joining late ----------------------------------------------------------------------------

    async def load(self, file: str | Path) -> None:
        """Handle everything of a snapshot as if it came from the topics; afterwards `run` goes on where it ends.

        Call it in the block, after registering. What the inbox has handled is passed over, so that it may be called
        each time, and goes on after a crash. Raises `Refused`, before anything is changed, for a file that is cut off,
        edited, of another history or of another team, and for a subscriber of an outlet.
        """
        self._check_handlers()
        snapshot = await asyncio.to_thread(verified, file)
        check_team(snapshot.header, self.name, self._outlet)
        check_types(snapshot.header, self._handlers.by_type)
        with signals(self.stop):
            consumer = await self._reached(lambda one: self._compare(one, snapshot))
            if consumer is not None:
                await self._take_over_from(snapshot, consumer)

    async def _compare(self, consumer: Consumer, snapshot: Snapshot) -> None:
        """Compare the file with the topics and with the inbox. Raises `Refused`, `KafkaError`."""
        header = snapshot.header
        await consumer.connect()
        await consumer.assign(header.bounds)
        bounds = await consumer.bounds(header.bounds)
        ends = {place: end for place, (_, end) in bounds.items()}
        check_history(snapshot, await consumer.cluster(), ends)
        kept = {p: at for p, (at, _) in snapshot.last.items() if bounds[p][0] <= at}
        there = await consumer.names(kept)
        check_history(snapshot, header.cluster, ends, there)
        if self._inbox.durable and not self._take_over:
            self._check_inbox(await consumer.committed_by(header.bounds))
        stored = await self._inbox.offsets()
        for place, (begin, _) in header.bounds.items():
            self._begin(place, stored.get(place, 0), begin, ends[place])

    async def _take_over_from(self, snapshot: Snapshot, consumer: Consumer) -> None:
        places = snapshot.header.bounds
        try:
            async with self._alone():
                self._offsets = await self._delivery.hold(places)
            for batch in batches(snapshot, self._batch):
                await self._take_kept(batch)
            if not self._stop.is_set():
                await self._commit(consumer, at_once=True)
        finally:
            self._delivery.release(places)
            self._offsets.clear()
            await consumer.stop()

    async def _take_kept(self, batch: Sequence[Kept]) -> None:
        """Handle a batch of a snapshot, however long it has to wait for that."""
        left = batch
        while not self._stop.is_set():
            left = [one for one in left if one.offset >= self._offsets[one.topic, one.partition]]
            if not left:
                return
            try:
                async with self._alone():
                    self._offsets |= await self._delivery.take(left)
                    await self._delivery.flush()
                    await self._delivery.again()
            except MovedOn as error:
                raise Refused(
                    "inbox-in-use",
                    "Another process handles events in this inbox.",
                    "End it; then load, and start as many as you like.",
                ) from error
            except (NotNow, InboxUnavailable) as error:
                self._offsets |= self._delivery.go_back()
                await self._pause(getattr(error, "code", "handler-waits"), error)
            else:
                self._well()

    # --- rounds ----------------------------------------------------------------------------------

    async def _reached(self, begin: Callable[[Consumer], Awaitable[None]]) -> Consumer | None:
        """A consumer that has begun, as soon as Kafka answers; None when it was told to stop before."""
        topics = [self._outlet] if self._outlet else self._handlers.topics
        if self._outlet:
            read = (topic for topic, _ in await self._inbox.offsets())
            self._handlers.followed = followed(read, self._outlet)
        while not self._stop.is_set():
            consumer = Consumer(self._kafka, self.name, topics, self._batch, self._revoked)
            try:
                await begin(consumer)
            except (KafkaError, OSError) as error:
                await consumer.stop()
                await self._pause("kafka-unavailable", error)
            except BaseException:
                await consumer.stop()
                raise
            else:
                self._well()
                return consumer
        return None

    async def _round(self, consumer: Consumer) -> None:
        """Fetch and handle once. Whatever goes wrong is waited for, and taken again from where the inbox stands."""
        try:
            await self._learn(consumer)
            messages = await consumer.fetch()
            async with self._alone():
                await self._handle(consumer, messages)
                await self._delivery.again()
        except NotNow as error:
            self._from_the_inbox(consumer)
            await self._pause("handler-waits", error)
        except MovedOn as error:
            self._delivery.go_back()
            self._offsets.clear()
            consumer.forget()
            await self._pause(error.code, error)
        except InboxUnavailable as error:
            self._from_the_inbox(consumer)
            await self._pause(error.code, error)
        except (KafkaError, OSError) as error:
            self._from_the_inbox(consumer)
            await self._pause("kafka-unavailable", error)
        else:
            self._well()
        self.metrics.behind = consumer.behind(self._offsets)
        await self._say_caught_up()
        await self._commit(consumer)

    async def _handle(self, consumer: Consumer, messages: Sequence[Message]) -> None:
        held = [one for one in messages if (one.topic, one.partition) in self._offsets]
        if held := self._ends.take(held):
            self._offsets |= await self._delivery.take(held)
            self._uncommitted = True
            if self._delivery.cut_short:
                self._from_the_inbox(consumer)

    async def _learn(self, consumer: Consumer) -> None:
        """Begin with partitions that are new here, where the inbox stands. Raises `Refused`, `KafkaError`."""
        places = consumer.unknown()
        if not places:
            return
        async with self._alone():
            stored = await self._delivery.hold(places)
        bounds = await consumer.bounds(places)
        if self._inbox.durable and not self._take_over:
            self._check_inbox(await consumer.committed_by(places))
        begin = {place: self._begin(place, stored[place], *bounds[place]) for place in places}
        if self._targets is None:
            self._targets = {place: end for place, (_, end) in bounds.items()}
        consumer.seek(begin)
        self._begun |= begin
        self._offsets |= begin
        self._uncommitted = True

    def _check_inbox(self, committed_by: Iterable[str]) -> None:
        if set(committed_by) - {self._inbox.id}:
            raise Refused(
                "inbox-differs",
                f"Another inbox has handled events in the group {self.name}: this one is new, or somebody else's.",
                "Restore the other inbox, or use a name of your own. With `take_over=True` everything is handled from"
                " where this inbox stands, from the beginning if it is new.",
            )

    def _begin(self, place: Place, stored: int, beginning: int, end: int) -> int:
        if stored > end:
            raise Refused(
                "topic-made-again",
                f"{place[0]}/{place[1]} is shorter than what was handled of it.",
                "Is this the right cluster? A topic that was made again is a new history: use a new name and inbox.",
            )
        if stored < beginning and not self._accept_removed:
            raise Refused(
                "history-removed",
                f"{place[0]}/{place[1]} begins at {beginning}; the inbox has handled what is before {stored}.",
                "Events that you have not handled are gone. Ask the operators to restore them, or go on without them by"
                " `accept_removed=True`.",
            )
        return max(stored, beginning)

    def _from_the_inbox(self, consumer: Consumer) -> None:
        """Fetch again what was fetched and is not saved."""
        stored = self._delivery.go_back()
        self._offsets = {place: max(stored[place], self._begun[place]) for place in self._offsets}
        consumer.seek(self._offsets)

    async def _revoked(self, places: Collection[Place]) -> None:
        self._delivery.stopping = True  # after the event in hand: the group waits for this
        async with self._alone():
            self._delivery.stopping = self._stop.is_set()
            await self._flush()
            for place in places:
                self._offsets.pop(place, None)
            self._delivery.release(places)

    async def _flush(self) -> None:
        """Save what was only passed over, if that is possible now: else it is passed over again."""
        with suppress(InboxUnavailable):
            await self._delivery.flush()

    # --- waiting, and saying how it is -----------------------------------------------------------

    def _well(self) -> None:
        self.problem = ""
        self._wait = WAIT_FIRST_SECONDS

    async def _pause(self, code: str, error: Exception) -> None:
        self.problem = code
        self.metrics.waits[code] += 1
        words = str(error) if isinstance(error, InboxUnavailable | NotNow) else type(error).__name__
        log.warning("waiting: %s (%s)", code, words)
        with suppress(TimeoutError):
            seconds = random.uniform(self._wait / 2, self._wait)  # noqa: S311 - jitter
            await asyncio.wait_for(self._stop.wait(), seconds)
        self._wait = min(2 * self._wait, WAIT_MOST_SECONDS)

    async def _say_caught_up(self) -> None:
        if self._targets is None or self.metrics.caught_up:
            return
        if all(self._offsets.get(place, end) >= end for place, end in self._targets.items()):
            self.metrics.caught_up = True
            await self._delivery.tell(CaughtUp(self.metrics.handled))

    async def _commit(self, consumer: Consumer, *, at_once: bool = False) -> None:
        """Commit offsets when something was handled, and as a heartbeat."""
        since = monotonic() - self._committed_at
        due = since >= (COMMIT_SECONDS if self._uncommitted else HEARTBEAT_SECONDS)
        if self._offsets and (due or at_once):
            self._committed_at, self._uncommitted = monotonic(), False
            await consumer.commit(dict(self._offsets), self._heartbeat)

    def _heartbeat(self, next_offset: int) -> str:
        return heartbeat(
            self._inbox.id, self._process, next_offset, time(), versions(), self.metrics
        )

    async def _leave(self, consumer: Consumer) -> None:
        async with self._alone():
            await self._flush()
        with suppress(KafkaError, OSError):
            await self._commit(consumer, at_once=True)
        await consumer.stop()
