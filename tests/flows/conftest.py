"""Fixtures of the flow tests: one stack a module, and a clean account after every scenario."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from shared.testing.backends import Backend
from tests.flows.scene import MORNING, Flow, flowing


@pytest.fixture(scope="module")
async def stage(backend: Backend) -> AsyncIterator[Flow]:
    """The four services, for all scenarios of a module: their clock only goes forward."""
    async with flowing(backend, f"f{uuid4().hex[:8]}_") as flow:
        yield flow


@pytest.fixture
async def flow(stage: Flow) -> AsyncIterator[Flow]:
    """The stage in a new week. After the scenario nothing may be lost, doubled, stuck or out of order."""
    await stage.on(0, MORNING)
    yield stage
    await stage.end_of_week()
    ledger = await stage.account()
    assert ledger.clean, ledger.report()
