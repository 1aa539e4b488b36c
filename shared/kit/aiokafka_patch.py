"""A patch for aiokafka 0.14: raise the error of an OffsetFetch response that failed as a whole.

Since version 2 of OffsetFetch (KIP-88), a coordinator that is still loading, or is the coordinator no longer, reports
that once for the whole response and lists no partition. aiokafka reads only the partitions, so it takes such a response
for "nothing was ever committed". After a restart of the broker it then reads every topic from the beginning (with
`latest` it would skip messages), and callers of `committed` wait for messages that were applied long ago. The chaos rig
found this fault.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

Send = Callable[[Any, Any], Awaitable[Any]]


def patch_offset_fetch() -> None:
    """Make aiokafka raise the coordinator's error; it retries by itself where that helps."""
    client = cast("Any", GroupCoordinator)
    if client._send_req.__module__ != __name__:  # noqa: SLF001 - there is no public hook for it
        client._send_req = raising_response_errors(client._send_req)  # noqa: SLF001


def raising_response_errors(send: Send) -> Send:
    """Wrap `send`: raise the error of an OffsetFetch response that failed as a whole."""

    async def send_and_check(coordinator: Any, request: Any) -> Any:
        response = await send(coordinator, request)
        code: int = getattr(response, "error_code", 0)
        if code and isinstance(request, OffsetFetchRequest):
            error = for_code(code)
            if error is NotCoordinatorForGroupError:
                coordinator.coordinator_dead()
            raise error
        return response

    return send_and_check
