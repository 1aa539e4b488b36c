"""Apache Kafka that is slow, loses answers, is killed and comes back with its data, and refuses what is too large."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chaos.proxy import Mood, Proxy
from shared.contracts import plans
from shared.contracts.event import MAX_EVENT_BYTES, event_bytes
from shared.contracts.topics import MAX_MESSAGE_BYTES, TOPICS
from shared.devtools.backends import Backend
from shared.devtools.backends.kafka import apache_server
from shared.devtools.backends.process import ServerProcess, free_port
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka import clients
from shared.runtime.kafka.clients import NamedProducer
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.producer import KafkaPublisher
from shared.runtime.kafka.topics import ensure_topics
from tests.integration.bus import Bus, bus_to, forget_topics, headers_of, until
from tests.integration.redriven import Rules, admission, episode, running
from tests.integration.told import Commands, counted, once, published, telling, whole


@dataclass(frozen=True)
class Own:
    """A broker of these tests' own; clients that come through the proxy are sent there again."""

    server: ServerProcess
    proxy_port: int

    @property
    def direct(self) -> KafkaConnection:
        return KafkaConnection(kafka_bootstrap=f"127.0.0.1:{self.server.port}")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    port = free_port()
    server = apache_server(
        tmp_path_factory.mktemp("broker"), print, lambda _what, _share: None, through=port
    )
    server.start()
    yield Own(server, port)
    server.kill()


@pytest.fixture
async def proxy(own: Own) -> AsyncIterator[Proxy]:
    it = Proxy("bus", own.proxy_port)
    assert own.server.behind is not None
    it.upstream = own.server.behind
    await it.start()
    yield it
    await it.stop()


def proxied(proxy: Proxy) -> KafkaConnection:
    return KafkaConnection(kafka_bootstrap=f"127.0.0.1:{proxy.port}")


@pytest.fixture
def through(backend: Backend, own: Own, proxy: Proxy) -> Backend:
    """The servers as the service sees them: this broker, through the proxy."""
    return replace(
        backend,
        kafka=proxied(proxy),
        kafka_server=own.server,
    )


@pytest.fixture
async def bus(backend: Backend, own: Own) -> AsyncIterator[Bus]:
    """Everybody else, who goes to the broker directly. On topics made afresh."""
    await forget_topics(replace(backend, kafka=own.direct))
    await ensure_topics(own.direct, TOPICS.values())
    async with bus_to(own.direct) as it:
        yield it


# --- slow, and gone ----------------------------------------------------------------------------------------------


async def test_a_slow_broker_delays_and_does_no_harm(
    through: Backend, own: Own, proxy: Proxy, bus: Bus, prefix: str
) -> None:
    async with running(through, prefix, bus, Rules()) as it:
        known = await it.admit(2)
        proxy.set(Mood.SLOW)
        names = [episode() for _ in range(30)]
        commands = Commands()
        async with telling(
            *(bus.say(admission(), name, 1) for name in names),
            *(commands.note(it, name, f"{name}-{n}") for name in known for n in range(10)),
        ):
            pass
        documents = await once(own.direct, [it], [*known, *names])
        assert [documents[name]["state"]["noted"] for name in known] == [10] * len(known)
        assert counted(it, "duplicate") == 0
        proxy.set(Mood.FINE)


async def test_a_broker_that_is_killed_comes_back_with_its_data_and_everything_goes_on(
    through: Backend, own: Own, bus: Bus, prefix: str
) -> None:
    """Events and commands are under way when it dies; nothing acknowledged is lost, nothing set aside."""
    async with running(through, prefix, bus, Rules()) as it:
        known = await it.admit(3)
        names = [episode() for _ in range(60)]
        commands = Commands(limit_s=90)

        async def told() -> None:
            for name in names:
                await bus.say(admission(), name, 1)

        async with telling(
            told(),
            *(commands.note(it, name, f"{name}-{n}") for name in known for n in range(5)),
        ):
            await until(lambda: counted(it, "applied") > len(known), what="the first work")
            await asyncio.to_thread(own.server.kill)
            await until(it.reasons, what="red readiness", limit_s=60)
            for document in await it.documents():
                whole(document)
            await asyncio.to_thread(own.server.start)
        documents = await once(own.direct, [it], [*known, *names])
        assert [documents[name]["state"]["noted"] for name in known] == [5] * len(known)
        assert commands.statuses <= {200, 503}
        await until(lambda: not it.runtime.not_ready(), what="readiness", limit_s=60)


# --- answers that are lost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("idempotent", [True, False], ids=["as it is", "without idempotence"])
async def test_what_is_sent_again_because_its_answer_was_lost_is_on_the_topic_once(
    own: Own, proxy: Proxy, bus: Bus, monkeypatch: pytest.MonkeyPatch, *, idempotent: bool
) -> None:
    """The producer repeats on its own; Kafka knows the repeats by their numbers. Without them they are doubled."""
    del bus  # topics made afresh
    made = 0

    class Producer(NamedProducer):
        def __init__(self, **settings: Any) -> None:
            nonlocal made
            made += 1
            chosen: dict[str, Any] = settings | {"enable_idempotence": idempotent}
            super().__init__(**chosen)

    monkeypatch.setattr(clients, "NamedProducer", Producer)
    event, subject = plans.GoalUpdated.example(), episode()
    publisher = KafkaPublisher(proxied(proxy), TOPICS["care.plans"])

    async def publish(number: int) -> None:
        headers = headers_of(event, subject, number)
        entry = {"sequence": number, "headers": headers, "data": event.data()}
        await publisher.publish({subject: [entry]})

    try:
        await publish(1)
        for number in range(2, 12):
            proxy.set(Mood.DEAF)
            sending = asyncio.create_task(publish(number))

            async def arrived(number: int = number) -> bool:
                return len((await published(own.direct)).get(subject, ())) >= number

            await until(arrived, what="a record whose answer is lost")
            proxy.set(Mood.FINE)
            await sending
    finally:
        await publisher.stop()
    numbers = [number for number, _ in (await published(own.direct))[subject]]
    assert made == 1, "it was one producer all the time"
    if idempotent:
        assert numbers == list(range(1, 12))
    else:
        assert len(numbers) > 11
        assert set(numbers) == set(range(1, 12))


# --- sizes -------------------------------------------------------------------------------------------------------


def _of_size(size: int, subject: str) -> bytes:
    """The data of an admission of so many bytes with key and headers, for it has a field that nobody here knows."""
    event = admission()
    headers = [(name, text.encode()) for name, text in headers_of(event, subject, 1).items()]
    data = json.loads(event.data())
    empty = json.dumps(data | {"note": ""}).encode()
    room_bytes = size - event_bytes(subject.encode(), headers, len(empty))
    return json.dumps(data | {"note": "x" * room_bytes}).encode()


HEADROOM = 8 * 1024


async def test_sizes_at_and_over_the_limits(
    through: Backend, own: Own, bus: Bus, prefix: str
) -> None:
    """The largest event is applied, a larger message set aside; beyond what a topic takes, Kafka refuses the sender."""
    async with running(through, prefix, bus, Rules()) as it:
        for size in (MAX_EVENT_BYTES, MAX_EVENT_BYTES + 1, MAX_MESSAGE_BYTES - HEADROOM):
            name = episode()
            tp = await bus.say(admission(), name, 1, value=_of_size(size, name))
            at = f"{tp.topic}/{tp.partition}/{bus.offset}"
            await it.heard(tp)
            row = await it.runtime.store.collection("dead_letters").find_one({"_id": at})
            if size == MAX_EVENT_BYTES:
                assert row is None
                assert [d["state"]["admitted"] for d in await it.documents()] == [1]
            else:
                assert row is not None
                assert row["reason"] == "too-large"
                assert row["digest"]["length"] > len(row["data"]), (
                    "its beginning and a digest are kept"
                )
        producer = AIOKafkaProducer(
            **client_options(own.direct), max_request_size=4 * MAX_MESSAGE_BYTES
        )
        await producer.start()
        try:
            with pytest.raises(KafkaError, match=r"MessageSizeTooLarge|too large|larger"):
                await producer.send_and_wait("care.intake", b"x" * (MAX_MESSAGE_BYTES + 1))
        finally:
            await producer.stop()
        await it.admit()


async def test_the_largest_event_that_may_be_said_goes_out(
    own: Own, proxy: Proxy, bus: Bus
) -> None:
    del bus
    event, subject = plans.GoalUpdated.example(), episode()
    publisher = KafkaPublisher(proxied(proxy), TOPICS["care.plans"])
    entry = {
        "sequence": 1,
        "headers": headers_of(event, subject, 1),
        "data": secrets.token_bytes(MAX_EVENT_BYTES),
    }
    await publisher.publish({subject: [entry]})
    await publisher.stop()
    assert [number for number, _ in (await published(own.direct))[subject]] == [1]
