from typing import Any

class OffsetFetchRequest:
    def __init__(self, consumer_group: str, partitions: Any) -> None: ...

class OffsetFetchResponse_v3:
    def __init__(self, throttle_time_ms: int, topics: Any, error_code: int) -> None: ...
