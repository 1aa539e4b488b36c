"""Checks whether MongoDB can be reached, and whether it uses TLS as the settings require.

The check runs before the driver connects, because the driver reports less, and later.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any, Final

import bson
from pymongo.uri_parser import parse_uri

from shared.errors import Unavailable
from shared.runtime.connections import MongoConnection, tls_context
from shared.runtime.network import (
    CONNECTED_WITHIN_SECONDS,
    connection_fault,
    speaks_tls,
    tls_reason,
)

OP_MSG: Final = 2013
HEADER_BYTES: Final = 16
TLS_TROUBLE: Final = {
    (False, True): ("requires TLS, and the settings do not use it", "Set MONGO_CA_FILE."),
    (True, False): (
        "does not use TLS, but the settings do",
        "Unset MONGO_CA_FILE, or correct MONGO_URI.",
    ),
    (True, True): (
        "breaks TLS off",
        "It may want a client's certificate: set MONGO_CERTIFICATE_FILE.",
    ),
}
"""By whether we use TLS and whether it does: what is wrong when it does not answer, and what to do."""


async def check_store_reachable(settings: MongoConnection) -> None:
    """Return when one of the servers answers. Raises `Unavailable`, with what is wrong with the last one.

    An address that the driver has to look up (`mongodb+srv`), and TLS that the connection string alone configures, are
    left to the driver.
    """
    if settings.mongo_uri.startswith("mongodb+srv:"):
        return
    parsed: dict[str, Any] = parse_uri(settings.mongo_uri)
    with_files = bool(settings.mongo_ca_file or settings.mongo_certificate_file)
    context = tls_context(settings, "mongo") if with_files else None
    trouble: Unavailable | None = None
    for host, port in parsed["nodelist"]:
        if port is None:  # a socket in the file system
            return
        try:
            await _check(host, port, context, ask=with_files or not _tls(parsed))
        except Unavailable as error:
            trouble = error
        else:
            return
    if trouble is not None:
        raise trouble


def _tls(parsed: dict[str, Any]) -> bool:
    options: dict[str, Any] = dict(parsed["options"])
    return bool(options.get("tls") or options.get("ssl"))


async def _check(host: str, port: int, context: ssl.SSLContext | None, *, ask: bool) -> None:
    where = f"MongoDB at {host}:{port}"
    fault = await connection_fault(host, port)
    if fault is not None:
        raise Unavailable(
            "store-unavailable", f"MongoDB: {fault.detail}", hint=f"{fault.hint} (MONGO_URI)"
        )
    if not ask:
        return
    try:
        if await _answers(host, port, context):
            return
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            "store-certificate-untrusted",
            f"The certificate of {where} is not trusted.",
            hint="Check MONGO_CA_FILE, and that MONGO_URI uses the host name in the certificate.",
        ) from error
    except ssl.SSLError as error:
        raise Unavailable(
            "store-tls-differs",
            f"{where} refuses TLS ({tls_reason(error)}).",
            hint="Set MONGO_CERTIFICATE_FILE if it requires one, or correct MONGO_URI.",
        ) from error
    trouble = TLS_TROUBLE.get((context is not None, await speaks_tls(host, port)))
    if trouble is not None:
        raise Unavailable("store-tls-differs", f"{where} {trouble[0]}.", hint=trouble[1])
    raise Unavailable(
        "store-unavailable",
        f"{where} accepts connections, but does not answer as MongoDB does.",
        hint="Wait if it is starting; otherwise correct MONGO_URI.",
    )


async def _answers(host: str, port: int, context: ssl.SSLContext | None) -> bool:
    """Say `hello` as drivers do, and see whether anything comes back. Raises `ssl.SSLError`."""
    try:
        async with asyncio.timeout(CONNECTED_WITHIN_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                writer.write(_hello())
                await reader.readexactly(HEADER_BYTES)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except ssl.SSLError:
        raise
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return True


def _hello() -> bytes:
    body = bytes(5) + bson.encode({"hello": 1, "$db": "admin"})  # no flags, one section
    numbers = (HEADER_BYTES + len(body), 1, 0, OP_MSG)
    return b"".join(number.to_bytes(4, "little") for number in numbers) + body
