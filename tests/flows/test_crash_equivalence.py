"""The same lives twice, once with services killed in mid-run: the same facts, and nothing lost, doubled or stuck."""

from __future__ import annotations

from uuid import uuid4

import pytest
from rich.console import Console

from demo import run
from demo.ledger import Ledger
from shared.testing.backends import Backend, Capability, require
from shared.testing.stack import services
from tests.integration.bus import forget_topics

EPISODES = 4
SEED = 3335
"""Four people of one group within fifty days: two graduate, two leave early, somebody returns to use."""


async def lived(backend: Backend, *kill: str) -> tuple[Ledger, int]:
    """One run on topics and databases of its own. And how often a service was started again."""
    await forget_topics(backend)
    options = run.Options(EPISODES, SEED, kill, prefix=f"k{uuid4().hex[:8]}_", cast=False)
    with services(
        backend,
        clock="stepped",
        sweep_after_seconds="2",
        session_timeout_ms="6000",
        database_prefix=options.prefix,
    ) as stack:
        before = {process.pid for process in stack.processes}
        lived = await run.act(stack, options, Console(quiet=True))
        return lived.ledger, len({process.pid for process in stack.processes} - before)


@pytest.mark.timeout(300)
async def test_a_killed_service_changes_nothing(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(
        backend, Capability.APACHE_KAFKA
    )  # where a dead member's share is given to its successor
    monkeypatch.setattr(run, "KILL_DAYS", (25,))
    monkeypatch.setattr(run, "PROGRAM_DAYS", 84)
    undisturbed, _ = await lived(backend)
    killed, restarted = await lived(backend, "attendance", "plans")
    assert restarted == 2
    assert undisturbed.clean, undisturbed.report()
    assert killed.clean, killed.report()
    assert killed.events_by_type == undisturbed.events_by_type
    assert killed.outcomes == undisturbed.outcomes
