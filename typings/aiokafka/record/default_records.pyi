from collections.abc import Iterator
from typing import Any

class _DefaultRecordBatchPy:
    _buffer: bytearray
    def __init__(self, buffer: bytes) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def _maybe_uncompress(self) -> None: ...

class DefaultRecordBatch:
    def __init__(self, buffer: bytes) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...

class DefaultRecordBatchBuilder:
    def __init__(self, *fields: int) -> None: ...

class _DefaultRecordBatchBuilderPy:
    def __init__(
        self,
        magic: int,
        compression_type: int,
        is_transactional: int,
        producer_id: int,
        producer_epoch: int,
        base_sequence: int,
        batch_size: int,
    ) -> None: ...
    def set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None: ...
