"""Which partition a subject belongs to: Kafka's own default rule, so that every client agrees."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=4_096)
def partition_of(subject: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives to this key."""
    return (murmur2(subject.encode()) & 0x7FFFFFFF) % partitions
