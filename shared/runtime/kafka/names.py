"""The names of topics, consumer groups and users on a cluster: only this module knows of the prefix.

`KAFKA_PREFIX` lets several environments share a Kafka. Everywhere else a topic has its name of the catalogue, which is
also the `source` of its events, and a consumer group has the name of its service. `clients.py` translates for every
client, and `grants.py` for users and rules (`tests/architecture/test_kafka_options.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from aiokafka import TopicPartition

from shared.runtime.connections import KafkaConnection, unusable
from shared.runtime.kafka.access import Rule

PREFIX: Final = re.compile(r"([a-z][a-z0-9-]{0,30}\.)?")
"""It ends with a dot, so that no prefix is the beginning of another, and no user is a subscriber's."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment."""

    prefix: str = ""

    @classmethod
    def of(cls, kafka: KafkaConnection) -> Self:
        """Raises `ConfigurationError` when the prefix can't be one."""
        if not PREFIX.fullmatch(kafka.kafka_prefix):
            raise unusable("KAFKA_PREFIX", "is not a word of a-z, 0-9 and - that ends with a dot")
        return cls(kafka.kafka_prefix)

    def on_cluster(self, name: str) -> str:
        """What a topic, group or user of ours is called on the cluster."""
        return f"{self.prefix}{name}"

    def ours(self, name: str) -> bool:
        """Whether a name on the cluster belongs to this environment. Without a prefix, all do."""
        return name.startswith(self.prefix)

    def of_ours(self, name: str) -> str:
        """What we call a topic, group or user of the cluster."""
        return name.removeprefix(self.prefix)

    def partition_on_cluster(self, partition: TopicPartition) -> TopicPartition:
        """The partition as the cluster knows it."""
        if not self.prefix:
            return partition
        return TopicPartition(self.on_cluster(partition.topic), partition.partition)

    def partition_of_ours(self, partition: TopicPartition) -> TopicPartition:
        """The partition as we know it."""
        if not self.prefix:
            return partition
        return TopicPartition(self.of_ours(partition.topic), partition.partition)

    def rule_on_cluster(self, rule: Rule) -> Rule:
        """The rule as the cluster has it; its user has the prefix as well."""
        user = self.on_cluster(rule.user)
        return replace(rule, user=user, name=self.on_cluster(rule.name))
