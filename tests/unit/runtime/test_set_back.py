"""A stream that a stranger's number went through is set back: previewed, in order, and whole however it is cut off."""

from __future__ import annotations

import asyncio
import json
from importlib import import_module
from typing import Any

import pytest
from aiokafka import TopicPartition
from pydantic import ValidationError

from shared.contracts.event import CATALOGUE
from shared.contracts.publish.examples import example_of
from shared.errors import Refused
from shared.runtime.dead_letters.api import StreamAt
from shared.runtime.dead_letters.streams import Streams
from shared.runtime.kafka.reading import Reader
from shared.runtime.service import Service
from shared.testing.fakes import Seam
from tests.hostile.listening import message
from tests.unit.runtime.redriving import WHO, Life, Noted, Rules, World, event_id, live, subject
from tests.unit.runtime.toy import START

GOOD = Rules()
ABOUT = subject("poisoned")
STREAM = (ABOUT, "feed")


def streams(life: Life) -> Streams:
    return Streams(life.store, life.dead_letters)


async def poisoned(*, taken: bool) -> World:
    """Applied: 1, 2, and a stranger's 5. Missed: its publisher's own 3 and 4; 5 is a conflict, when it has come."""
    world = World()
    for padding in range(3):  # so that its place allows the stranger's number
        assert padding >= 0
        repeat = world.topics.say(Noted(amount=1), ABOUT, sequence="1", id=event_id("one"))
        await live(world, GOOD, lambda life, repeat=repeat: life.hear(repeat))
    messages = [
        world.topics.say(Noted(amount=amount), ABOUT, sequence=str(number), id=event_id(name))
        for amount, number, name in (
            (2, 2, "two"),
            (100, 5, "stranger"),
            (3, 3, "three"),
            (4, 4, "four"),
            (5, 5, "five"),
            (6, 6, "six"),
        )
    ]
    heard = messages if taken else messages[:3]
    await live(world, GOOD, lambda life: life.hear(*heard))
    return world


def kept(world: World) -> dict[str, Any]:
    [document] = [d for d in world.disk.documents() if d["_id"] == ABOUT]
    return document


async def put_right(life: Life) -> None:
    """As an operator does, who repeats what was cut off."""
    if kept(life.world)["inbox"]["feed"][0] > 2 and any(
        row["reason"] in ("sequence-missed", "sequence-conflict") for row in life.world.rows("open")
    ):
        await streams(life).set_back(STREAM, 2, WHO)
    await life.redriver.redrive({"subject": ABOUT}, WHO, limit=100)


@pytest.mark.parametrize("taken", [False, True])
async def test_what_was_missed_is_applied_in_order_after_all(*, taken: bool) -> None:
    world = await poisoned(taken=taken)
    assert {row["reason"] for row in world.rows("open")} >= {"sequence-missed"}
    before = dict(world.disk.records), dict(world.disk.dead_letters)
    seen = await streams(Life(world, GOOD)).preview(STREAM, 2)
    assert (dict(world.disk.records), dict(world.disk.dead_letters)) == before
    assert (seen["was"], seen["number"], seen["discarded"]) == (5, 2, [5])
    assert [row["sequence"] for row in seen["lined_up"]] == ([3, 4] if taken else [3])
    await live(world, GOOD, put_right)
    document = kept(world)
    assert document["blocked"] == {}
    assert document["inbox"]["feed"][0] == (6 if taken else 3)
    assert list(world.state(ABOUT).items.values()) == [1, 2, 100, 3, *([4, 5, 6] if taken else [])]
    assert world.rows("open") == []


async def test_the_strangers_event_is_known_when_it_comes_again() -> None:
    world = await poisoned(taken=False)
    await live(world, GOOD, put_right)
    again = world.topics.say(Noted(amount=100), ABOUT, sequence="5", id=event_id("stranger"))
    own = world.topics.say(Noted(amount=4), ABOUT, sequence="4", id=event_id("four"))
    await live(world, GOOD, lambda life: life.hear(again, own))
    assert list(world.state(ABOUT).items.values()) == [1, 2, 100, 3, 4]


async def test_a_stream_that_is_not_beyond_the_number_is_refused() -> None:
    world = await poisoned(taken=False)
    for stream, number in ((STREAM, 5), (STREAM, 9), ((ABOUT, "other"), 0)):
        with pytest.raises(Refused) as refused:
            await streams(Life(world, GOOD)).set_back(stream, number, WHO)
        assert refused.value.code == "stream-not-beyond"


async def test_a_cached_record_does_not_hide_that_its_stream_was_set_back() -> None:
    """Another replica set it back: what this one remembers of the stream would take its own events for repeats."""
    world = await poisoned(taken=False)
    here = Life(world, GOOD)
    relay = asyncio.create_task(here.relay.run())
    more = [
        world.topics.say(Noted(amount=1), ABOUT, sequence=str(n), id=str(n)) for n in range(6, 22)
    ]
    await here.hear(*more)  # from now on the record is cached here, and 3 is before its window
    await here.quiet()
    await streams(Life(world, GOOD)).set_back(STREAM, 2, WHO)
    await live(world, GOOD, lambda life: life.redriver.redrive({"subject": ABOUT}, WHO, limit=9))
    await here.hear(world.topics.say(Noted(amount=9), ABOUT, sequence="4", id=event_id("four")))
    relay.cancel()
    assert list(world.state(ABOUT).items.values())[-1] == 9


@pytest.mark.parametrize("fatal", [True, False])
async def test_cut_off_anywhere_and_repeated_it_ends_alike(*, fatal: bool) -> None:
    whole = await poisoned(taken=True)
    calls = await live(whole, GOOD, put_right)
    for at in range(1, len(calls) + 1):
        world = await poisoned(taken=True)
        await live(world, GOOD, put_right, [Seam(at=at, fatal=fatal)])
        assert kept(world)["blocked"] == {}
        assert world.state(ABOUT) == whole.state(ABOUT)
        assert world.rows("open") == []


class Epoch:
    """A passing on whose events are heard under an epoch, each to one topic."""

    epoch = 12

    def topics_for(self, _envelope: Any) -> list[str]:
        return ["care.out.one"]

    def ended_for(self, _envelope: Any) -> list[str]:
        return []


SERVICES = [
    import_module(f"services.{name}.app").SERVICE
    for name in ("intake", "plans", "attendance", "followup", "outlet")
]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_an_operator_can_name_every_stream_that_a_service_hears(service: Service) -> None:
    """The streams of the outlet have their epoch in their names, and no request could name one."""
    passing: Any = Epoch() if service.name == "outlet" else None
    reader = Reader(service.reactions, passing)
    named: set[str] = set()
    for event in {e for e in CATALOGUE.values() if e.SOURCE in service.reactions.topics}:
        example = example_of(event)
        headers = [(name, value.encode()) for name, value in example["headers"].items()]
        key, value = example["headers"]["ce_subject"].encode(), json.dumps(example["data"]).encode()
        work = reader.read(
            message(TopicPartition(event.SOURCE, 0), 10**6, key, headers, value), START
        ).work
        if work is not None and work.stream is not None:
            named.add(work.stream.name)
            body = {"subject": work.subject, "stream": work.stream.name, "number": 1}
            assert StreamAt.model_validate(body).stream == work.stream.name
    assert named
    assert all("@" in name for name in named) == (service.name == "outlet")


@pytest.mark.parametrize("stream", ["intake@", "intake@x", "@1", "intake@1@2", "intake 1", "IN@1"])
def test_what_is_no_name_of_a_stream_is_refused(stream: str) -> None:
    with pytest.raises(ValidationError):
        StreamAt.model_validate({"subject": ABOUT, "stream": stream, "number": 1})
