"""Apache Kafka's jars, fetched once with Maven into the user's cache and checked against a list.

The cache holds, per version: the jars, a formatted storage template (so that a start need not run
Kafka's format tool) and a class archive that takes the start from about two seconds to one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from shared.devtools.backends.model import BackendError, Unreachable
from shared.devtools.backends.process import tail

Progress = Callable[[str, float], None]
"""Told what is being waited for and how far it is, from 0 to 1."""

_RECIPE = Path(__file__).resolve().parent.parent / "kafka"
_OLDEST_JAVA = 17
_FIRST_ANSWER_S = 12.0
"""Maven asked for a file and nothing came for so long: its repository is out of reach."""
_STALL_S = 120.0
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
class Java:
    """A Java that is new enough, and the tag under which what depends on it is kept."""

    path: str
    major: int
    tag: str


def find_java() -> Java:
    """The Java of JAVA_HOME or PATH; an error that says what is missing."""
    home = os.environ.get("JAVA_HOME")
    path = (shutil.which("java", path=f"{home}/bin") if home else None) or shutil.which("java")
    if path is None:
        raise BackendError("Java is not installed")
    try:
        told = subprocess.run(
            [path, "-version"], capture_output=True, text=True, timeout=20, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendError(f"Java does not run: {error}") from error
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found.group(1)) < _OLDEST_JAVA:
        first = told.splitlines()[0] if told else "an unknown version"
        raise BackendError(f"Java {_OLDEST_JAVA} or newer is needed, found {first}")
    tag = hashlib.sha256(f"{os.path.realpath(path)}\n{told}".encode()).hexdigest()[:12]
    return Java(path, int(found.group(1)), tag)


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

    Raises `Unreachable` within seconds where Maven's repository does not answer, and `BackendError`
    where Maven is not installed or something else goes wrong.
    """
    version = kafka_version()
    home = KafkaHome(cache_dir() / f"kafka-{version}", version)
    if home.is_complete():
        return home
    with locked(cache_dir() / f"kafka-{version}.lock", say=say):
        if home.is_complete():  # another process fetched them meanwhile
            return home
        maven = shutil.which("mvn")
        if maven is None:
            raise BackendError("Maven is not installed")
        say(f"fetching Apache Kafka {version} (44 MB, once) into {home.directory}")
        work = Path(tempfile.mkdtemp(prefix=f"kafka-{version}.", dir=cache_dir()))
        try:
            _fetch(maven, work, progress)
            _verify(work / "libs")
            (work / _DONE).touch()
            shutil.rmtree(home.directory, ignore_errors=True)
            work.rename(home.directory)
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


def _fetch(maven: str, work: Path, progress: Progress) -> None:
    """Run Maven, telling its progress and ending it when nothing comes."""
    shutil.copy(_RECIPE / "pom.xml", work / "pom.xml")
    log = work / "maven.log"
    command = [maven, "-B", "-f", str(work / "pom.xml"), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={work / 'libs'}"]
    command += ["-Dmaven.wagon.http.retryHandler.count=1", "-Daether.connector.connectTimeout=8000"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        _follow(process, log, progress)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode != 0:
        text = log.read_text(errors="replace")
        if re.search(r"Could not transfer|Connection refused|Unknown host|timed out", text):
            raise Unreachable("Maven's repository is out of reach")
        raise BackendError(f"Maven failed:\n{tail(log)}")


def _follow(process: subprocess.Popen[bytes], log: Path, progress: Progress) -> None:
    """Copy Maven's output to `log`; raise `Unreachable` when it waits too long for an answer."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="maven-output", daemon=True).start()
    wanted, jars, answered = len(_listed()), 0, False
    with log.open("wb") as out:
        while True:
            try:
                line = lines.get(timeout=_STALL_S if answered else _FIRST_ANSWER_S)
            except queue.Empty:
                raise Unreachable("Maven's repository does not answer") from None
            if line is None:
                return
            out.write(line)
            out.flush()
            if b"Downloaded from" in line:
                answered = True
                jars += b".jar" in line
                progress("Apache Kafka: jars", min(jars / wanted, 0.99))


def _verify(libs: Path) -> None:
    """Every listed jar is there, and is the one that was listed."""
    wrong: list[str] = []
    for name, digest in _listed().items():
        path = libs / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(name)
    if wrong:
        raise BackendError(f"jars missing or not as listed: {', '.join(wrong)}")
