"""The seventeen scenarios of the domain reference, as the fixed cast lives them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from demo.cast.stories import STORIES
from shared.testing.backends import Backend
from tests.flows.played import Played, played
from tests.flows.scene import in_order, names, of

ONLY = [int(n) for n in os.environ.get("STORIES", "").split(",") if n]
"""For work on a few stories: `STORIES=2,9 pytest tests/flows/test_cast.py -k 'story_2 or story_9'`."""


@pytest.fixture(scope="module")
async def cast(backend: Backend) -> AsyncIterator[Played]:
    async with played(backend, f"c{uuid4().hex[:8]}_", ONLY or tuple(STORIES)) as all_of_it:
        yield all_of_it


@pytest.mark.timeout(400)
async def test_the_account_of_all_stories_is_clean(cast: Played) -> None:
    assert cast.ledger.clean, cast.ledger.report()


@pytest.mark.scenario(2)
async def test_story_2_unexpected_positive(cast: Played) -> None:
    facts = cast.facts(2)
    assert in_order(
        facts,
        "screen-resulted",
        "screen-interpreted",
        "screen-failed",
        "clinical-review-requested",
        "clinical-review-completed",
    )
    asked = [f.data["trigger"] for f in of(facts, "clinical-review-requested")]
    assert asked.count("screen") == 1
    assert "referral-sent" not in names(facts)
