"""How far a replica is behind on its partitions: in messages, and in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import time

from aiokafka import TopicPartition


class Lag:
    """Remembers for each partition held when it was last level with the end, or up to when everything is applied.

    So the seconds grow while nothing moves, and a message that has just come does not count for the silence before it.
    """

    def __init__(self, now: Callable[[], float] = time) -> None:
        self._now = now
        self._level_at: dict[TopicPartition, float] = {}

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions are held from now on, and no others."""
        self._level_at = dict.fromkeys(partitions, self._now())

    def look(
        self,
        behind: Mapping[TopicPartition, int],
        handled: Mapping[TopicPartition, float] | None = None,
    ) -> None:
        """Note how many messages each partition is behind. `handled`: the time of the last message just applied.

        Kafka takes a message without a time, which is then before 1970 and says nothing.
        """
        now = self._now()
        for partition, messages in behind.items():
            if messages == 0:
                self._level_at[partition] = now
            elif handled and handled.get(partition, -1.0) >= 0:
                self._level_at[partition] = min(now, handled[partition])

    def seconds(self, behind: Mapping[TopicPartition, int], *, halted: bool = False) -> float:
        """For how long not everything has been applied; of a consumer that has halted, since it was last level."""
        now = self._now()
        late = [at for tp, at in self._level_at.items() if halted or behind.get(tp, 0)]
        return max(0.0, now - min(late, default=now))
