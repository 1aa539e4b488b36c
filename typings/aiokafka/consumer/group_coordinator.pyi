from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition

class GroupCoordinator:
    _send_req: Any
    async def fetch_committed_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Any]: ...
