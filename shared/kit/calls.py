"""Calls the functions that another team has registered: with an event in its unit of work, or with a notice."""

from __future__ import annotations

import logging
from typing import Final

from .errors import InboxUnavailable, NotNow
from .handlers import Handler, Handlers
from .inboxes.protocol import Inbox, Unit
from .metrics import Metrics
from .notices import CaughtUp, Conflict, Gap, Notice
from .reading import Read

log: Final = logging.getLogger("throughcare_events")


class HandlerFailed(Exception):
    """A handler raised `error`, or its event's class refused the data."""

    def __init__(self, error: Exception, *, spoilt: bool) -> None:
        super().__init__()
        self.error = error
        self.spoilt = spoilt
        """The store can't take back what the handler wrote alone: the unit has to be given up."""


class Calls:
    """Nothing that a function raises ends the process."""

    def __init__(self, handlers: Handlers, inbox: Inbox, metrics: Metrics) -> None:
        self._handlers = handlers
        self._inbox = inbox
        self._metrics = metrics
        self.busy = False
        """A handler has an event in hand, and the inbox its unit."""

    async def hand_over(self, item: Read, handler: Handler, unit: Unit) -> None:
        """Call the handler. Raises `HandlerFailed`, or what everything waits for: `NotNow`, `InboxUnavailable`."""
        alone = handler.takes_tx and self._inbox.savepoints
        spoilt = False
        self.busy = True
        try:
            event = handler.event.parse(item.message.value or b"")
            spoilt = handler.takes_tx and not alone
            if not handler.takes_tx:
                await handler.function(event, item.envelope)
            elif alone:
                async with unit.step():
                    await handler.function(event, item.envelope, unit.tx)
            else:
                await handler.function(event, item.envelope, unit.tx)
        except InboxUnavailable:
            raise
        except Exception as error:
            if isinstance(error, NotNow) and not spoilt:
                raise
            raise HandlerFailed(error, spoilt=spoilt) from error
        finally:
            self.busy = False
        self._metrics.handled += 1

    async def tell(self, notice: Notice) -> None:
        """Log a notice with its advice, and hand it to those that want it. Never raises."""
        self._metrics.gaps += isinstance(notice, Gap)
        level = logging.ERROR if isinstance(notice, Gap | Conflict) else logging.WARNING
        if isinstance(notice, CaughtUp):
            level = logging.INFO
        log.log(level, "%s %s", notice, notice.ADVICE)
        for function in self._handlers.of(notice):
            try:
                await function(notice)
            except Exception as error:  # noqa: BLE001 - a notice is no event: nothing waits for it
                names = (type(notice).__name__, type(error).__name__)
                log.error("a handler of %s raised %s", *names)  # noqa: TRY400 - its words may repeat data
