"""Explains why a server can't be reached, and why the process can't listen on a port.

Both checks use a socket directly, because drivers and the HTTP server hide the reason or report it late.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from contextlib import suppress
from typing import Any, Final, NamedTuple

from shared.errors import ConfigurationError

CONNECTED_WITHIN_SECONDS: Final = 3.0
BACKLOG: Final = 2048
"""How many connections may wait to be accepted."""


class Fault(NamedTuple):
    """What is wrong with an address, in words, and what to do about it."""

    detail: str
    hint: str


async def connection_fault(host: str, port: int) -> Fault | None:
    """Connect once, and say what prevents it; None when somebody listens there."""
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(CONNECTED_WITHIN_SECONDS):
            _reader, writer = await asyncio.open_connection(host, port)
    except socket.gaierror:
        return Fault(
            f"The name {host} has no address.", "Correct the address, or the DNS of the network."
        )
    except ConnectionRefusedError:
        return Fault(f"Nothing listens at {where}.", "Start the server, or correct the address.")
    except TimeoutError:
        return Fault(
            f"{where} does not answer within {CONNECTED_WITHIN_SECONDS:.0f} s.",
            "Correct the address, or open the firewall.",
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return Fault(f"{where} can't be reached: {reason}.", "Correct the address, or the network.")
    await _closed(writer)
    return None


_UNREACHABLE: Final = frozenset(
    {
        *(errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EHOSTDOWN),
        *(errno.EADDRNOTAVAIL, errno.ETIMEDOUT, errno.ENOTCONN),
    }
)


def is_of_network(error: OSError) -> bool:
    """Whether a connection failed, and not a file, a disk or a pipe."""
    if isinstance(error, BrokenPipeError) or error.filename is not None:
        return False
    kinds = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)
    return isinstance(error, kinds) or error.errno in _UNREACHABLE


async def speaks_tls(host: str, port: int) -> bool:
    """Whether a server answers to TLS, whoever it is: its certificate is not looked at."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(CONNECTED_WITHIN_SECONDS):
            _reader, writer = await asyncio.open_connection(host, port, ssl=anyone)
    except (OSError, TimeoutError):
        return False
    await _closed(writer)
    return True


def tls_reason(error: ssl.SSLError) -> str:
    """OpenSSL's own word for what went wrong, such as `WRONG_VERSION_NUMBER`."""
    return error.reason or type(error).__name__


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECTED_WITHIN_SECONDS):
            await writer.wait_closed()


# --- listening ---------------------------------------------------------------------------------------


def listen(host: str, port: int, *, host_setting: str, port_setting: str) -> list[socket.socket]:
    """Sockets that listen on every address of this host. Raises `ConfigurationError`, which names the setting.

    From now on a second process that wants the port is refused, and connections wait until the server takes them.
    """
    flags = socket.AI_PASSIVE
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
    except (socket.gaierror, UnicodeError):
        raise ConfigurationError(
            "address-unusable",
            f"{host_setting} is not a usable address.",
            hint="Use an address of this machine, such as 127.0.0.1 or 0.0.0.0.",
            setting=host_setting,
        ) from None
    sockets: list[socket.socket] = []
    try:
        for family, *_, address in found:
            sockets.append(_bound(family, address[:2]))
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise _refused(error, host, port, host_setting, port_setting) from error
    return sockets


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound


def _refused(
    error: OSError, host: str, port: int, host_setting: str, port_setting: str
) -> ConfigurationError:
    where = f"port {port} of {host or 'every address'}"
    match error.errno:
        case errno.EADDRINUSE:
            return ConfigurationError(
                "port-taken",
                f"Another process listens on {where}.",
                hint=f"Stop it (`ss -ltnp sport = :{port}` names it), or set {port_setting}.",
                setting=port_setting,
            )
        case errno.EACCES | errno.EPERM:
            return ConfigurationError(
                "port-not-allowed",
                f"This user may not listen on {where}.",
                hint=f"Set {port_setting} to a port of 1024 or higher, or grant CAP_NET_BIND_SERVICE.",
                setting=port_setting,
            )
        case _:
            return ConfigurationError(
                "address-unusable",
                f"It is not possible to listen on {where}: {os.strerror(error.errno or 0)}.",
                hint=f"Set {host_setting} to an address of this machine.",
                setting=host_setting,
            )
