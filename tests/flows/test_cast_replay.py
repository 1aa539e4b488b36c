"""What the cast was told, told again: twice over, and one source after the other, it leads to the same state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from demo.cast.stories import STORIES
from demo.ledger import Heard
from services.followup import app as followup
from services.plans import app as plans
from shared.contracts.codes import MistakeReason
from shared.contracts.event import CATALOGUE, Event
from shared.contracts.plans import DischargeUndone
from shared.runtime.service import Service
from tests.flows.played import Played
from tests.flows.scene import of
from tests.unit.support import History

BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
"""No deadline comes meanwhile: what is compared is what follows from the facts."""
PUT_ASIDE = {"aside", "ending", "voided"}
"""What an end or a mistake put aside or came too late for. Once it is taken back, it shows in what holds."""
"""Whichever test comes first waits for the play."""


@pytest.mark.scenario(17)
@pytest.mark.parametrize("number", sorted(STORIES))
@pytest.mark.parametrize("service", [plans.SERVICE, followup.SERVICE], ids=["plans", "followup"])
async def test_the_same_facts_lead_to_the_same_state(
    cast: Played, service: Service, number: int
) -> None:
    if number not in cast.stages:
        pytest.skip("this story was not played")
    for label, person in cast.stages[number].people.items():
        facts = _wanted(cast.facts(number, label), service)
        as_it_was = _told(service, person.subject, facts)
        by_source = sorted(facts, key=lambda fact: fact.topic)
        assert _changed(_told(service, person.subject, facts, again=2), as_it_was) == {}
        if service is plans.SERVICE and of(facts, "admission-undone"):
            continue  # a known limit: plans can't tell which stay attendance spoke of
        again = _told(service, person.subject, by_source)
        assert {*_changed(again, as_it_was)} <= PUT_ASIDE
        if ends := of(facts, "episode-discharged"):
            undone = DischargeUndone(
                kind=ends[-1].data["kind"],
                discharged_at=ends[-1].data["discharged_at"],
                reason=MistakeReason.WRONG_PERSON,
            )
            both = (_told(service, person.subject, order, undone) for order in (facts, by_source))
            assert _changed(*both) == {}


def _wanted(facts: Sequence[Heard], service: Service) -> list[Heard]:
    """What this service hears, of others."""
    return [f for f in facts if service.reactions.find(f.type.rpartition(".v")[0]) is not None]


def _told(
    service: Service, subject: str, facts: Sequence[Heard], *more: Event, again: int = 0
) -> Any:
    """The state of a record that was told these facts, and nothing else, in this order."""
    kind = service.kinds["episode"]
    history = History(service.source, kind, service.reactions, subject=subject, now=BEFORE)
    for fact in facts:
        history.hear(CATALOGUE[fact.type].parse(json.dumps(dict(fact.data))), again=again)
    history.hear_all(more)
    return history.state


def _changed(one: Any, other: Any) -> dict[str, tuple[Any, Any]]:
    """The fields in which two states differ."""
    first, second = vars(one), vars(other)
    return {name: (first[name], second[name]) for name in first if first[name] != second[name]}
