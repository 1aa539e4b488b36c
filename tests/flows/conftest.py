"""Fixtures of the flow tests: one stack a module, a clean account after every scenario, and the cast, played once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from demo.cast.stories import STORIES
from demo.partners import register
from shared.devtools.backends import Backend
from tests.flows.played import Played, played
from tests.flows.scene import FACILITY, MORNING, Flow, flowing

ONLY = [int(n) for n in os.environ.get("STORIES", "").split(",") if n]
"""For work on a few stories: `STORIES=2,9 pytest tests/flows -k 'story_2_ or story_9_'`."""

CAST_SECONDS = 1500
"""What the first test that asks for the cast may take: a stage that stalls fails long before, by its own patience."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first plays the whole cast, on a machine of any speed."""
    for item in items:
        if isinstance(item, pytest.Function) and "cast" in item.fixturenames:
            item.add_marker(pytest.mark.timeout(CAST_SECONDS))


@pytest.fixture(scope="session")
async def cast(backend: Backend) -> Played:
    """What the stories left; the services are stopped, so that other stacks have the topics to themselves."""
    async with played(backend, f"c{uuid4().hex[:8]}_", ONLY or tuple(STORIES)) as all_of_it:
        return all_of_it


@pytest.fixture(scope="module")
async def stage(backend: Backend) -> AsyncIterator[Flow]:
    """The four services and their partners, for all scenarios of a module: their clock only goes forward."""
    async with flowing(backend, f"f{uuid4().hex[:8]}_") as flow:
        await flow.on(0, MORNING)
        await register(flow.world, FACILITY)
        yield flow


@pytest.fixture
async def flow(stage: Flow) -> AsyncIterator[Flow]:
    """The stage in a new week. After the scenario nothing may be lost, doubled, stuck or out of order."""
    await stage.on(0, MORNING)
    yield stage
    await stage.end_of_week()
    ledger = await stage.account()
    assert ledger.clean, ledger.report()
