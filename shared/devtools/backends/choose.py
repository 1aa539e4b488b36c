"""Which backend: given addresses, else Docker, else processes of our own.

What is asked for by name is had or is an error; only 'auto' goes on to the next, and says why.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path

from shared.devtools.backends.containers import NoEngine, containers
from shared.devtools.backends.embedded import embedded
from shared.devtools.backends.kafka_fetch import Progress
from shared.devtools.backends.model import Backend, BackendError
from shared.devtools.backends.probes import kafka_lets_in, mongo_info
from shared.errors import ConfigurationError
from shared.runtime.connections import KafkaConnection, KafkaFromEnvironment
from shared.services import PROCESSES

_PREFIX = "throughcare-backend-"
_CHOICES = ("auto", "given", "docker", "embedded")
_GIVEN_TIMEOUT_S = 10.0
_MEMORY = Path("/dev/shm")  # noqa: S108 - directories in it are made by mkdtemp
_MEMORY_MIN_BYTES = 2 * 1024**3
_SETTLED_S = 60.0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class _Ticker:
    """Progress for a person on a terminal; a line every few seconds for a log."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, what: str, done: float) -> None:
        now = time.monotonic()
        if now < self._next and done < 1:
            return
        self._next = now + (0.1 if self._tty else 5.0)
        line = f"{what} {done:4.0%}"
        ended = "\n" if not self._tty or done >= 1 else ""
        sys.stderr.write(f"\r{line}\033[K{ended}" if self._tty else f"{line}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def start(
    choice: str | None = None,
    *,
    data_dir: Path | str | None = None,
    quick: bool = False,
    secured: bool = False,
    say: Callable[[str], None] = _say,
    progress: Progress | None = None,
) -> Generator[Backend]:
    """A backend for as long as the block runs.

    `choice` (else BACKEND, else 'auto') is one of auto, given, docker, embedded. Without `data_dir`
    the data is temporary and goes at the end; with it, an embedded backend finds it again next time.

    `quick` is for embedded servers whose speed is not measured: temporary data lies in memory where there is room for
    it, so that no write waits for a disk, and the stand-in store keeps no log for change streams, which nobody reads.
    A server that is killed still finds all that it had acknowledged.

    With `secured`, or BACKEND_SECURED=1, the broker of an embedded backend is closed: TLS, users, rules per service.
    """
    choice = choice or os.environ.get("BACKEND") or "auto"
    secured = secured or os.environ.get("BACKEND_SECURED") == "1"
    if secured and choice == "auto" and not _any_given():
        choice = "embedded"  # containers are not secured
    if secured and choice == "docker":
        raise BackendError("BACKEND_SECURED=1 needs BACKEND=embedded")
    if choice not in _CHOICES:
        raise BackendError(f"BACKEND={choice}: use one of {', '.join(_CHOICES)}")
    progress = progress or _Ticker()
    with contextlib.ExitStack() as stack:
        backend: Backend | None = None
        if choice == "given" or (choice == "auto" and _any_given()):
            backend = _given()
        elif choice in ("docker", "auto"):
            backend = _in_containers(stack, say, progress, required=choice == "docker")
        if backend is None:
            directory = stack.enter_context(_directory(data_dir, quick=quick))
            backend = stack.enter_context(
                embedded(
                    directory,
                    say,
                    progress,
                    keep=data_dir is not None,
                    quick=quick,
                    secured=secured,
                )
            )
        say(backend.line())
        yield backend


def _in_containers(
    stack: contextlib.ExitStack, say: Callable[[str], None], progress: Progress, *, required: bool
) -> Backend | None:
    """Containers; None where they cannot be had and need not be."""
    try:
        return stack.enter_context(containers(say, progress, patient=required))
    except BackendError as error:
        if required:
            raise BackendError(f"BACKEND=docker cannot be had: {error}") from error
        if not isinstance(error, NoEngine):
            say(f"no containers: {str(error).splitlines()[0]}; starting processes instead")
        return None


def _any_given() -> bool:
    return bool(os.environ.get("KAFKA_BOOTSTRAP") or os.environ.get("MONGO_URI"))


def _given() -> Backend:
    """The servers whose addresses are in the environment, once both answer."""
    bootstrap, uri = os.environ.get("KAFKA_BOOTSTRAP"), os.environ.get("MONGO_URI")
    if not bootstrap or not uri:
        missing = "KAFKA_BOOTSTRAP" if not bootstrap else "MONGO_URI"
        raise BackendError(f"{missing} is not set: give both addresses, or neither")
    kafka = KafkaFromEnvironment()
    deadline = time.monotonic() + _GIVEN_TIMEOUT_S
    while not _lets_in(kafka):
        if time.monotonic() > deadline:
            raise BackendError(f"KAFKA_BOOTSTRAP={bootstrap}: no broker there lets this client in")
        time.sleep(0.2)
    info = mongo_info(uri, timeout_s=_GIVEN_TIMEOUT_S)
    if info is None:
        raise BackendError("MONGO_URI: no store that can be written to answers there")
    return Backend(
        kind="given",
        kafka=kafka,
        kafka_users=_users(kafka, os.environ.get("BACKEND_PASSWORDS")),
        mongo_uri=uri,
        kafka_name=f"Kafka at {bootstrap}",
        mongo_name="MongoDB as given",
    )


def _lets_in(kafka: KafkaConnection) -> bool:
    try:
        return kafka_lets_in(kafka)
    except ConfigurationError as error:
        raise BackendError(str(error)) from error


def _users(kafka: KafkaConnection, passwords: str | None) -> dict[str, KafkaConnection]:
    """The services' own connections, where `care topics acl --passwords` has made their passwords."""
    if not passwords:
        return {}
    files = {name: Path(passwords) / f"{name}.password" for name in PROCESSES}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise BackendError(f"BACKEND_PASSWORDS: {missing[0]} is missing")
    return {
        name: kafka.model_copy(
            update={
                "kafka_username": name,
                "kafka_password_file": str(path.resolve()),
                "kafka_password": None,
            }
        )
        for name, path in files.items()
    }


@contextlib.contextmanager
def _directory(chosen: Path | str | None, *, quick: bool) -> Generator[Path]:
    """The data directory, ours alone while held; a temporary one is removed at the end."""
    temporary = chosen is None
    if temporary:
        _sweep()
    if chosen is None:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_MEMORY if quick and _roomy() else None))
    else:
        path = Path(chosen).resolve()
    path.mkdir(parents=True, exist_ok=True)
    try:
        with (path / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackendError(f"{path} is in use by another backend") from None
            yield path
    finally:
        if temporary:
            shutil.rmtree(path, ignore_errors=True)


def _roomy() -> bool:
    """Whether there is a file system in memory with enough room."""
    try:
        return shutil.disk_usage(_MEMORY).free >= _MEMORY_MIN_BYTES
    except OSError:
        return False


def _sweep() -> None:
    """Remove what backends left whose process was killed outright: nobody holds their lock."""
    found = (Path(root).glob(f"{_PREFIX}*") for root in (tempfile.gettempdir(), _MEMORY))
    for path in itertools.chain.from_iterable(found):
        with contextlib.suppress(OSError), (path / ".lock").open("r+") as lock:
            if time.time() - os.fstat(lock.fileno()).st_mtime < _SETTLED_S:
                continue  # its owner may not hold it yet
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
