"""Whoever the catalogue names as a consumer of a fact acts on it: a row of that service's reaction table."""

from __future__ import annotations

from importlib import import_module

import pytest

from shared.contracts.event import CATALOGUE, Event
from shared.runtime.service import Service
from shared.services import SERVICES

NAMED = [
    pytest.param(event, consumer, id=f"{event.TYPE}-{consumer}")
    for event in CATALOGUE.values()
    for consumer in event.CONSUMERS
    if consumer in SERVICES
]


def service(name: str) -> Service:
    return import_module(f"services.{name}.app").SERVICE


@pytest.mark.parametrize(("event", "consumer"), NAMED)
def test_a_consumer_that_is_named_reacts(event: type[Event], consumer: str) -> None:
    reaction = service(consumer).reactions.find(event.TYPE.rpartition(".v")[0])
    assert reaction is not None, f"{consumer} does not act on {event.TYPE}, which names it"
    assert reaction.event is event, f"{consumer} hears another major of {event.TYPE}"


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_reacts_without_being_named(name: str) -> None:
    for reaction in service(name).reactions:
        assert name in reaction.event.CONSUMERS, f"{reaction.event.TYPE} does not name {name}"


def test_every_service_is_named_somewhere() -> None:
    named = {consumer for event in CATALOGUE.values() for consumer in event.CONSUMERS}
    assert set(SERVICES) <= named
