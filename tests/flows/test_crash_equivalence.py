"""The same lives twice, once with services killed in mid-run: the same facts, and nothing lost, doubled or stuck."""

from __future__ import annotations

from statistics import median
from uuid import uuid4

import pytest
from rich.console import Console

from demo import run
from demo.population import population
from shared.devtools.backends import Backend
from shared.devtools.stack import services
from tests.integration.bus import forget_topics

EPISODES = 4
SEED = 3335
"""Four people of one group within fifty days: two graduate, two leave early, somebody returns to use."""


async def lived(backend: Backend, *kill: str) -> tuple[run.Lived, int]:
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
        return lived, len({process.pid for process in stack.processes} - before)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_killed_service_changes_nothing(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "KILL_DAYS", (25,))
    monkeypatch.setattr(run, "PROGRAM_DAYS", 84)
    undisturbed, _ = await lived(backend)
    killed, restarted = await lived(backend, "attendance", "plans")
    assert restarted == 2
    calm, shaken = undisturbed.ledger, killed.ledger
    assert calm.clean, calm.report()
    assert shaken.clean, shaken.report()
    assert shaken.events_by_type == calm.events_by_type
    assert shaken.outcomes == calm.outcomes
    assert killed.rates == undisturbed.rates
    assert_as_drawn(undisturbed)


def assert_as_drawn(lived: run.Lived) -> None:
    """What the topics tell of these people is what was drawn for them: the rates measure what they say they do."""
    people = population(EPISODES, SEED)
    assert not any(p.needs_withdrawal_care for p in people), "everybody is admitted"
    gone = [p for p in people if p.leaves_after_days is not None]
    used = [p for p in people if p.returns_to_use_day is not None]
    found = {rate.name: rate.value for rate in lived.rates}
    stay = found.pop("stay_of_graduates_median")
    assert found == {
        "acknowledged_within_30_minutes": sum(p.acknowledged_at_once for p in people) / EPISODES,
        "sent_for_withdrawal_care": 0,
        "gone_before_day_30": len(gone) / EPISODES,
        "used_within_12_months": len(used) / EPISODES,
        "engaged_again": sum(p.engages_again for p in used) / len(used),
    }
    weeks = median(p.length_weeks for p in people if p not in gone)
    assert stay is not None
    assert -0.1 < stay - weeks < 0.3, "to the hour of a working day near it"
