"""`care contracts replay` on a broker: alone or shared among processes, it looks at each event once."""

from __future__ import annotations

import os

import pytest

from care import replay
from chaos import late_join
from shared.contracts import CATALOGUE
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.kit.history import History
from shared.kit.scenarios import every_example
from shared.runtime.kafka.topics import ensure_topics


@pytest.mark.usefixtures("fresh_topics")
async def test_processes_share_the_work(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    await ensure_topics(backend.kafka, TOPICS.values())
    said = every_example(History())
    said[0] = said[0]._replace(value=b"{}")
    await late_join.publish(backend.kafka, said)
    monkeypatch.setenv("KAFKA_BOOTSTRAP", backend.kafka_bootstrap)
    alone = await replay._replay(backend.kafka_bootstrap, quiet=True)
    monkeypatch.setattr(replay, "ALONE_MAX", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    shared = await replay._replay(backend.kafka_bootstrap, quiet=True)
    assert alone.counts == shared.counts
    assert alone.events == len(alone.types) == len(CATALOGUE)
    assert alone.invalid
