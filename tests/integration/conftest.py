"""Fixtures of the tests on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.runtime.kafka.topics import ensure_topics
from tests.integration.bus import Bus, bus_to, forget_topics


@pytest.fixture
async def bus(backend: Backend) -> AsyncIterator[Bus]:
    """Topics created anew for each test, so that positions, numbers and identities start from nothing."""
    await forget_topics(backend)
    await ensure_topics(backend.kafka, TOPICS.values())
    async with bus_to(backend.kafka) as it:
        yield it
    await forget_topics(backend)
