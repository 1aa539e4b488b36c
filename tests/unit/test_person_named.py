"""Every event about an episode names its person, so that a consent or an erasure of theirs can be applied to it."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import pytest

from shared.contracts import CATALOGUE
from shared.contracts.event import read_envelope
from shared.decision import State
from shared.runtime.core.outbox import outbox_entry
from shared.services import SERVICES
from tests.unit.support import cause, uid

KINDS: Final = [
    pytest.param(kind.state, id=f"{service} {name}")
    for service in SERVICES
    for name, kind in import_module(f"services.{service}.app").SERVICE.kinds.items()
    if name == "episode"
]


@pytest.mark.parametrize("state", KINDS)
def test_every_record_of_an_episode_says_whom_it_is_about(state: type[State]) -> None:
    assert state.person is not State.person
    assert state().person() is None


@pytest.mark.parametrize("event", CATALOGUE.values(), ids=lambda event: event.TYPE)
@pytest.mark.parametrize("person_id", [None, uid("person")])
def test_the_person_travels_in_a_header(event: type, person_id: str | None) -> None:
    about = cause(subject=f"{event.SUBJECT}/{uid('subject')}")
    entry = outbox_entry(event.example(), about, event.SOURCE, 1, None, person_id)
    headers = [(name, text.encode()) for name, text in entry["headers"].items()]
    assert read_envelope(headers, about.subject.encode()).personid == person_id
