"""`care topics check` and `repair` at a terminal: whole at 80 columns, and a missing topic is no good news."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from shared.contracts.topics import TOPICS, Topic
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka import topics
from shared.runtime.kafka.topics import Difference
from tests.unit.care.terminal import care

LONGEST = max(TOPICS["care.intake"].settings(), key=len)
JOURNAL = "care.attendance.journal"
OUTLET = "care.out.billing.2"
DIFFERENCE = Difference(JOURNAL, LONGEST, str(2**63 - 1), "3600000")


class Broker:
    """What the command finds of the topics."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.partitions = {name: topic.partitions for name, topic in TOPICS.items()} | {OUTLET: 12}
        self.differences: list[Difference] = []
        self.thin: list[Difference] = []
        self.takes_over = True
        monkeypatch.setattr(topics, "topics_with_prefix", self.outlets)
        monkeypatch.setattr(topics, "partition_counts", self.counts)
        monkeypatch.setattr(topics, "setting_differences", self.settings)
        monkeypatch.setattr(topics, "replication_differences", self.replication)
        monkeypatch.setattr(topics, "repair_settings", self.repair)

    async def counts(self, _kafka: KafkaConnection, names: Iterable[str]) -> dict[str, int]:
        return {name: self.partitions[name] for name in names}

    async def outlets(self, _kafka: KafkaConnection, prefix: str) -> set[str]:
        assert OUTLET.startswith(prefix)
        return {OUTLET}

    async def settings(self, _kafka: KafkaConnection, asked: Iterable[Topic]) -> list[Difference]:
        names = {topic.name for topic in asked}
        return [one for one in self.differences if one.topic in names]

    async def replication(
        self, _kafka: KafkaConnection, _asked: Iterable[Topic], _least: int
    ) -> list[Difference]:
        return self.thin

    async def repair(self, _kafka: KafkaConnection, repaired: Iterable[Topic]) -> None:
        assert {topic.name for topic in repaired} == {one.topic for one in self.differences}
        if self.takes_over:
            self.differences = []


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return Broker(monkeypatch)


def test_topics_that_are_as_they_should_be(broker: Broker) -> None:
    done = care("topics", "check")
    assert (done.exit_code, done.output) == (0, "All topics agree with the catalogue.\n")


def test_a_difference_stands_whole_at_80_columns(broker: Broker) -> None:
    broker.differences = [DIFFERENCE]
    done = care("topics", "check", columns=80)
    assert done.exit_code == 1
    assert JOURNAL in done.output.splitlines()[0]
    assert all(text in done.output.splitlines()[1] for text in (LONGEST, "3600000", str(2**63 - 1)))
    assert "care topics repair" in done.output


@pytest.mark.parametrize(
    ("topic", "found", "said"),
    [("care.plans", 0, "missing"), ("care.plans", 16, "16, catalogue 12"), (OUTLET, 16, "16")],
)
def test_a_topic_that_is_missing_or_has_other_partitions_is_no_good_news(
    broker: Broker, topic: str, found: int, said: str
) -> None:
    broker.partitions[topic] = found
    done = care("topics", "check")
    assert done.exit_code == 1
    assert said in done.output
    [row] = json.loads(care("topics", "check", "--json").output)
    assert row == {
        "topic": topic,
        "setting": "partitions",
        "wanted": "12",
        "found": str(found),
    }


@pytest.mark.parametrize("topic", [JOURNAL, OUTLET])
def test_repair_says_what_it_has_repaired(broker: Broker, topic: str) -> None:
    broker.differences = [DIFFERENCE._replace(topic=topic)]
    done = care("topics", "repair")
    assert (done.exit_code, LONGEST in done.output) == (0, True)
    assert "1 settings repaired." in done.output


def test_repair_fails_aloud_when_kafka_does_not_take_it_over(broker: Broker) -> None:
    broker.differences, broker.takes_over = [DIFFERENCE], False
    done = care("topics", "repair")
    assert done.exit_code == 1
    assert LONGEST in done.output


def test_a_topic_with_too_few_replicas_is_reported(broker: Broker) -> None:
    """A migration made a topic with one replica where the others have three."""
    broker.thin = [Difference("care.intake", "replication", "3", "1")]
    done = care("topics", "check", columns=80)
    assert done.exit_code == 1
    assert "care.intake" in done.output
    assert "replication" in done.output
    assert "catalogue 3" in done.output
