"""A socket that PyMongo leaves open when a connect is cancelled closes itself, and no later test gets its warning."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from contextlib import suppress
from typing import Any, cast

import pytest
from pymongo import pool_shared
from pymongo.pool_options import PoolOptions

from tests.pymongo_sockets import SelfClosing

POOL = cast("Any", pool_shared)


def _warnings_of_a_cancelled_connect() -> list[str]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(_connect_and_cancel())
        gc.collect()
    return [str(one.message) for one in warned]


async def _connect_and_cancel() -> None:
    under_way = asyncio.Event()

    async def never(*_: object) -> None:
        under_way.set()
        await asyncio.Event().wait()

    cast("Any", asyncio.get_running_loop()).sock_connect = never
    options = PoolOptions(connect_timeout=30)
    connecting = asyncio.create_task(POOL._async_create_connection(("127.0.0.1", 9), options))
    await under_way.wait()
    connecting.cancel()
    with suppress(asyncio.CancelledError):
        await connecting


def test_a_cancelled_connect_warns_in_no_other_test() -> None:
    assert POOL.socket.socket is SelfClosing
    assert _warnings_of_a_cancelled_connect() == []


def test_pymongo_still_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, PyMongo closes the socket itself, and `tests/pymongo_sockets.py` can go."""
    monkeypatch.setattr(POOL, "socket", socket)
    [warning] = _warnings_of_a_cancelled_connect()
    assert warning.startswith("unclosed <socket.socket")
