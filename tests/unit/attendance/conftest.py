"""What the tests of attendance share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.attendance.clinic import Clinic


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    it = Clinic()
    yield it
    await it.client.aclose()
