"""Closes the sockets that PyMongo 4.20 leaves open when a connect is cancelled (its issue PYTHON-5867).

A client that is closed while its monitor connects leaves one. It is collected later, in whichever test runs then, and
that test would fail for a `ResourceWarning`. A client of ours that is never closed is still found: PyMongo warns of the
client itself.
"""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any, cast

from pymongo import pool_shared


class SelfClosing(socket.socket):
    """A socket that closes itself in silence when it is collected."""

    def __del__(self) -> None:
        self.close()


def close_by_themselves() -> None:
    """From now on, for all sockets that PyMongo opens."""
    cast("Any", pool_shared).socket = SimpleNamespace(**{**vars(socket), "socket": SelfClosing})
