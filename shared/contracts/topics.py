"""The topics: one for each publisher, and the settings that its history depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from .publishers import PUBLISHERS

PARTITIONS: Final = 12
"""The same for every topic, so that one subject has one partition number everywhere."""
MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Above the largest event with its headers; consumers fetch at least as much."""
ANY_DIFFERENCE_MS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it has to be. Services check it at start and while they run.

    `partitions` and `incarnation` are part of the contract: order per subject, timer ownership and
    stored positions all rest on them, so a service refuses to run against a topic that differs.
    """

    name: str
    partitions: int = PARTITIONS
    incarnation: int = 1
    cleanup: Literal["delete", "compact"] = "delete"
    """With `compact`, Kafka keeps only the last message of each key. A journal wants that; events would be lost."""
    message_bytes_max: int = MAX_MESSAGE_BYTES
    compaction_lag_ms: int = 0

    def settings(self, replicas: int = 1) -> dict[str, str]:
        """Kafka's settings of the topic when each partition has this many replicas, by Kafka's own names.

        Everything is kept without a limit of time or size. Where there are two brokers or more, an acknowledged
        message is on two, and a broker that missed some never becomes the leader. A message's timestamp is its
        publisher's wall clock; any is accepted, because a fast clock must not stop events (Kafka's default refuses
        what is an hour ahead).
        """
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "max.message.bytes": str(self.message_bytes_max),
            "min.insync.replicas": str(min(replicas, 2)),
            "unclean.leader.election.enable": "false",
            "message.timestamp.type": "CreateTime",
            "message.timestamp.before.max.ms": str(ANY_DIFFERENCE_MS),
            "message.timestamp.after.max.ms": str(ANY_DIFFERENCE_MS),
            "min.compaction.lag.ms": str(self.compaction_lag_ms),
        }

    def promised(self) -> dict[str, str]:
        """The settings on which readers may rely: those that are the same for any number of replicas."""
        many = self.settings(replicas=3)
        return {name: value for name, value in self.settings().items() if value == many[name]}


TOPICS: Final[dict[str, Topic]] = {f"care.{name}": Topic(f"care.{name}") for name in PUBLISHERS}
"""Topics by name. A topic's name is also the `source` of every event on it."""
