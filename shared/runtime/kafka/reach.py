"""Checks whether Kafka can be reached and accepts this client.

The check runs before the clients start, because they do not report why they fail.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
)

from shared.errors import Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.connection import OAUTH, client_options
from shared.runtime.kafka.producer import NOT_ALLOWED, unavailable
from shared.runtime.kafka.topic_ids import MetadataRequest
from shared.runtime.network import (
    CONNECTED_WITHIN_SECONDS,
    connection_fault,
    speaks_tls,
    tls_reason,
)

ANSWER_TIMEOUT_MS: Final = 5_000
AWAY: Final = "broker-unavailable"


async def check_broker_reachable(settings: KafkaConnection) -> None:
    """Return when one of the brokers lets this client in, and can be reached by the name that it gives itself.

    Raises `Unavailable`: `broker-unavailable`, `broker-tls-differs`, `broker-certificate-untrusted`,
    `broker-access-denied` or `broker-advertised-unreachable`.
    """
    options = client_options(settings)
    troubles: list[Unavailable] = []
    for host, port, _family in collect_hosts(options.pop("bootstrap_servers"), randomize=False):
        try:
            await _check(host, port, settings, options)
        except Unavailable as trouble:
            troubles.append(trouble)
        else:
            return
    # A refusal says more than a broker that is down.
    raise next((one for one in troubles if one.code != AWAY), troubles[0])


async def _check(host: str, port: int, settings: KafkaConnection, options: dict[str, Any]) -> None:
    fault = await connection_fault(host, port)
    if fault is not None:
        raise Unavailable(AWAY, f"Kafka: {fault.detail}", hint=f"{fault.hint} (KAFKA_BOOTSTRAP)")
    where = f"Kafka at {host}:{port}"
    try:
        connection = await create_conn(host, port, request_timeout_ms=ANSWER_TIMEOUT_MS, **options)
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            "broker-certificate-untrusted",
            f"The certificate of {where} is not trusted.",
            hint="Check KAFKA_CA_FILE, and that KAFKA_BOOTSTRAP uses the host name in the certificate.",
        ) from error
    except ssl.SSLError as error:
        raise Unavailable(
            "broker-tls-differs",
            f"{where} refuses TLS ({tls_reason(error)}).",
            hint="Correct KAFKA_SECURITY or the port, or set KAFKA_CERTIFICATE_FILE if it requires one.",
        ) from error
    except (AuthenticationFailedError, SaslAuthenticationFailed) as error:
        raise _unknown_user(where) from error
    except NOT_ALLOWED as error:
        raise unavailable(error) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise await _no_kafka(host, port, settings, where) from error
    try:
        await _check_advertised(connection, settings, where)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECTED_WITHIN_SECONDS):
                await connection.close()


def _unknown_user(where: str) -> Unavailable:
    return Unavailable(
        "broker-access-denied",
        f"{where} rejects this user or password.",
        hint="Check KAFKA_USERNAME and its password, or the client's credentials.",
    )


async def _no_kafka(host: str, port: int, settings: KafkaConnection, where: str) -> Unavailable:
    if settings.kafka_security == "plaintext" and await speaks_tls(host, port):
        return Unavailable(
            "broker-tls-differs",
            f"{where} requires TLS, and the settings do not use it.",
            hint="Set KAFKA_SECURITY to ssl or sasl_ssl, with its other settings: docs/security.md.",
        )
    if settings.kafka_security != "plaintext" and not await speaks_tls(host, port):
        return Unavailable(
            "broker-tls-differs",
            f"{where} does not use TLS, but KAFKA_SECURITY is {settings.kafka_security}.",
            hint="Correct KAFKA_SECURITY, or the port in KAFKA_BOOTSTRAP.",
        )
    return Unavailable(
        AWAY,
        f"{where} accepts connections, but does not answer as Kafka does.",
        hint="Wait if it is starting; otherwise correct KAFKA_BOOTSTRAP.",
    )


async def _check_advertised(
    connection: AIOKafkaConnection, settings: KafkaConnection, where: str
) -> None:
    """Clients go on to the addresses that the brokers give themselves: can any of these be reached?

    A token that it refuses (RFC 7628, 3.2.2) shows here only: aiokafka 0.14 does not look into that answer, the next
    request is answered with nothing, and the connection is closed.
    """
    by_token = settings.kafka_security == "sasl_ssl" and settings.kafka_sasl_mechanism == OAUTH
    try:
        response: Any = await connection.send(MetadataRequest(()))
    except (KafkaError, OSError, TimeoutError) as error:
        refused = by_token and isinstance(error, KafkaConnectionError)
        raise (_unknown_user(where) if refused else unavailable(error)) from error
    if by_token and response.cluster_id is None:
        raise _unknown_user(where)
    brokers: list[tuple[Any, ...]] = response.brokers
    named: list[tuple[str, int]] = [(broker[1], broker[2]) for broker in brokers]
    for host, port in named:
        if await connection_fault(host, port) is None:
            return
    if not named:
        raise Unavailable(AWAY, f"{where} knows no brokers yet.", hint="Wait: it may be starting.")
    host, port = named[0]
    raise Unavailable(
        "broker-advertised-unreachable",
        f"{where} calls itself {host}:{port}, and that can't be reached from here.",
        hint="Correct `advertised.listeners` of the broker, or make that name resolvable here.",
    )
