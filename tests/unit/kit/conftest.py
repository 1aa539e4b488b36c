"""What is said of one person in all tests of the kit."""

from __future__ import annotations

import pytest

from tests.unit.kit.subscribed import History


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def subject(history: History) -> str:
    return history.subject("episode", 1)
