"""The container images, pinned once for the tests, docker-compose.yml and the stand-ins.

`python -m shared.devtools.backends.images kafka|mongo|jars|java|store` tells a script which image,
directory or package that is.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

KAFKA_IMAGE = "apache/kafka:4.1.1"
MONGO_IMAGE = "mongo:8.0"


def kafka_image() -> str:
    """The broker's image; KAFKA_IMAGE overrides the pinned one."""
    return os.environ.get("KAFKA_IMAGE") or KAFKA_IMAGE


def mongo_image() -> str:
    """The store's image; MONGO_IMAGE overrides the pinned one."""
    return os.environ.get("MONGO_IMAGE") or MONGO_IMAGE


def _main(what: str) -> str:
    if what == "kafka":
        return kafka_image()
    if what == "mongo":
        return mongo_image()
    if what == "store":
        return f"secantusdb=={importlib.metadata.version('secantusdb')}"
    if what == "jars":
        from shared.devtools.backends.kafka_jars import kafka_home

        home = kafka_home(lambda _text: None, lambda _what, _done: None)
        return str(home.directory / "libs")
    if what == "java":
        from shared.devtools.backends.java import packaged_java

        return next(str(Path(path).parents[1]) for path in packaged_java())
    raise SystemExit(f"{what}: use kafka, mongo, jars, java or store")


if __name__ == "__main__":
    sys.stdout.write(_main(sys.argv[1] if len(sys.argv) > 1 else "") + "\n")
