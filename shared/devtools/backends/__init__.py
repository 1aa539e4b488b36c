"""A Kafka and a MongoDB to connect to, wherever the code runs.

    with start() as backend:
        print(backend.line())
        ...  # backend.kafka, backend.mongo_uri

Tests, `care up` and the demo all come here, so that none of them knows whether it talks to given
servers, to containers or to processes of its own. See docs/decisions/0004-embedded-backend.md.
"""

from shared.devtools.backends.choose import start
from shared.devtools.backends.kafka_jars import cache_dir
from shared.devtools.backends.model import (
    Backend,
    BackendError,
    Server,
    Unreachable,
)

__all__ = [
    "Backend",
    "BackendError",
    "Server",
    "Unreachable",
    "cache_dir",
    "start",
]
