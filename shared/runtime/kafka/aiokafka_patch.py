"""A mend of aiokafka 0.14: an answer to OffsetFetch that is an error as a whole is an error.

Since version 2 of OffsetFetch (KIP-88) a coordinator that is still loading, or is none any more, says so once for the
whole answer, and names no partition. aiokafka looks at the partitions alone, so that it takes such an answer for
"nothing was ever committed": after a restart of the broker it begins every topic anew (with `latest` it would skip what
it had not heard), and whoever asks `committed` waits for records that were applied long ago. The chaos rig found it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

Send = Callable[[Any, Any], Awaitable[Any]]


def patch_offset_fetch() -> None:
    """Have aiokafka raise what the coordinator said; it tries again by itself what can be tried again."""
    client = cast("Any", GroupCoordinator)
    if client._send_req.__module__ != __name__:  # noqa: SLF001 - there is no public place for it
        client._send_req = looking_at_the_whole(client._send_req)  # noqa: SLF001


def looking_at_the_whole(send: Send) -> Send:
    """`send`, raising the error of a whole answer to OffsetFetch."""

    async def send_and_look(coordinator: Any, request: Any) -> Any:
        answer = await send(coordinator, request)
        code: int = getattr(answer, "error_code", 0)
        if code and isinstance(request, OffsetFetchRequest):
            error = for_code(code)
            if error is NotCoordinatorForGroupError:
                coordinator.coordinator_dead()
            raise error
        return answer

    return send_and_look
