"""Fixtures of the tests on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.devtools.backends import Backend
from tests.integration.bus import Bus, bus_to, forget_topics


@pytest.fixture(scope="module")
async def fresh(backend: Backend) -> Backend:
    """The backend without any topic of ours: a module starts from nothing."""
    await forget_topics(backend)
    return backend


@pytest.fixture(scope="module")
async def bus(fresh: Backend) -> AsyncIterator[Bus]:
    async with bus_to(fresh.kafka) as it:
        yield it
