"""Apache Kafka's jars, fetched once into the user's cache and checked against a list.

The cache holds, per version: the jars, a formatted storage template (so that a start need not run
Kafka's format tool) and a class archive that takes the start from about two seconds to one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from shared.devtools.backends.java import Java
from shared.devtools.backends.kafka_fetch import Progress, fetch
from shared.devtools.backends.model import BackendError, Unreachable

_RECIPE = Path(__file__).resolve().parent.parent / "kafka"
_DONE = "complete"


def kafka_version() -> str:
    """The pinned version, read from the recipe."""
    found = re.search(r"<kafka\.version>([^<]+)<", (_RECIPE / "pom.xml").read_text())
    if found is None:
        raise BackendError("the recipe for Kafka's jars names no version")
    return found.group(1)


def cache_dir() -> Path:
    """Where downloads are kept between runs: XDG_CACHE_HOME or ~/.cache, under `throughcare`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "throughcare"


@dataclass(frozen=True)
class KafkaHome:
    """The fetched jars of one version."""

    directory: Path
    version: str

    @property
    def classpath(self) -> str:
        """Every jar, sorted: the class archive is valid for exactly this order."""
        return os.pathsep.join(str(self.directory / "libs" / name) for name in sorted(_listed()))

    @property
    def template(self) -> Path:
        """The files of a formatted, empty storage directory."""
        return self.directory / "template"

    def archive(self, java: Java) -> Path:
        """The class archive for one Java."""
        return self.directory / f"classes-{java.tag}.jsa"

    def is_complete(self) -> bool:
        """Whether the fetch had finished and nothing was removed since."""
        libs = self.directory / "libs"
        return (self.directory / _DONE).exists() and all(
            (libs / name).exists() for name in _listed()
        )


def _listed() -> dict[str, str]:
    """The SHA-256 of every jar that belongs to the recipe, by file name."""
    lines = (_RECIPE / "jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if line.strip())}


def kafka_home(say: Callable[[str], None], progress: Progress) -> KafkaHome:
    """The jars, fetched if this machine has not got them yet.

    Raises `Unreachable` within seconds where no repository answers, with what there is to do about it, and
    `BackendError` where what came is not what was listed.
    """
    version = kafka_version()
    home = KafkaHome(cache_dir() / f"kafka-{version}", version)
    if home.is_complete():
        return home
    with locked(cache_dir() / f"kafka-{version}.lock", say=say):
        if home.is_complete():  # another process fetched them meanwhile
            return home
        say(f"fetching Apache Kafka {version} (44 MB, once) into {home.directory}")
        work = Path(tempfile.mkdtemp(prefix=f"kafka-{version}.", dir=cache_dir()))
        try:
            fetch(_RECIPE / "pom.xml", len(_listed()), work, progress)
            _verify(work / "libs")
            (work / _DONE).touch()
            shutil.rmtree(home.directory, ignore_errors=True)
            work.rename(home.directory)
        except Unreachable as error:
            raise Unreachable(
                f"Apache Kafka is not yet in {home.directory} and {error}: connect this machine once, or set "
                "MAVEN_REPOSITORY to a repository that it reaches, or KAFKA_BOOTSTRAP and MONGO_URI to servers that run"
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return home


@contextlib.contextmanager
def locked(
    path: Path, *, say: Callable[[str], None] | None = None, wait_s: float = 600.0
) -> Generator[None]:
    """Hold a lock file, so that two processes do not make the same thing at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if say is not None:
                    say(f"waiting for another process that holds {path}")
                    say = None
                if time.monotonic() > deadline:
                    raise BackendError(f"{path} has been locked for {wait_s:.0f} s") from None
                time.sleep(0.1)
        yield


def _verify(libs: Path) -> None:
    """Every listed jar is there, and is the one that was listed."""
    wrong: list[str] = []
    for name, digest in _listed().items():
        path = libs / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(name)
    if wrong:
        raise BackendError(f"jars missing or not as listed: {', '.join(wrong)}")
