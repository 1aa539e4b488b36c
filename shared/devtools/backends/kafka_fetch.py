"""How Apache Kafka's jars come to this machine: with Maven, or with a client of its repositories in Python.

Both read the same recipe, a pom.xml. Neither is trusted: whoever calls checks what came.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import ParseError

from shared.devtools.backends.java import installed_java
from shared.devtools.backends.model import BackendError, Unreachable
from shared.devtools.backends.process import tail

Progress = Callable[[str, float], None]
"""Told what is being waited for and how far it is, from 0 to 1."""

_FIRST_ANSWER_S = 12.0
"""Maven asked for a file and nothing came for so long: its repository is out of reach."""
_ANSWER_S = 8
_STALL_S = 120.0
_WHAT = "Apache Kafka: jars"
_UNREACHABLE = "the Maven repository is out of reach"


def fetch(pom: Path, wanted: int, work: Path, progress: Progress) -> None:
    """Put the jars of a recipe, `wanted` in number, into `work/libs`.

    Maven knows its user's mirrors, proxies and passwords, so it goes first where it can run. A repository named in
    MAVEN_REPOSITORY is asked by the client in Python: its address need not be told to Maven as well.
    """
    repository = os.environ.get("MAVEN_REPOSITORY")
    maven = shutil.which("mvn")
    if maven is not None and not repository and any(installed_java()):
        _with_maven(maven, pom, wanted, work, progress)
    else:
        _with_python(repository, pom, work, progress)


def _with_python(repository: str | None, pom: Path, work: Path, progress: Progress) -> None:
    """Resolve and download with jgo: from `repository`, else from the one that jgo knows itself."""
    try:
        from jgo.maven import POM, MavenContext
        from requests import RequestException
    except ImportError as error:
        raise BackendError(
            "neither Maven nor jgo is installed: pip install 'throughcare[embedded]'"
        ) from error
    context = MavenContext(
        repo_cache=work / "repository",
        remote_repos={"given": repository.rstrip("/")} if repository else None,
        timeout=_ANSWER_S,
    )
    libs = work / "libs"
    libs.mkdir()
    progress(_WHAT, 0.0)
    try:
        _, needed = context.pom_dependency_list(POM(pom))
        for count, node in enumerate(needed, 1):
            jar = node.dep.artifact.resolve()
            jar.rename(libs / jar.name)
            progress(_WHAT, min(count / len(needed), 0.99))
    except RequestException as error:
        raise Unreachable(_UNREACHABLE) from error
    except RuntimeError as error:  # an answer, but not the file
        raise Unreachable("the Maven repository refuses or lacks a part of it") from error
    except ParseError as error:
        raise BackendError(f"what answers is no Maven repository: {error}") from error
    shutil.rmtree(context.repo_cache)


def _with_maven(maven: str, pom: Path, wanted: int, work: Path, progress: Progress) -> None:
    """Run Maven, telling its progress and ending it when nothing comes."""
    shutil.copy(pom, work / "pom.xml")
    log = work / "maven.log"
    command = [maven, "-B", "-f", str(work / "pom.xml"), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={work / 'libs'}"]
    command += ["-Dmaven.wagon.http.retryHandler.count=1", "-Daether.connector.connectTimeout=8000"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        _follow(process, wanted, log, progress)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode != 0:
        text = log.read_text(errors="replace")
        if re.search(r"Could not transfer|Connection refused|Unknown host|timed out", text):
            raise Unreachable(_UNREACHABLE)
        raise BackendError(f"Maven failed:\n{tail(log)}")


def _follow(process: subprocess.Popen[bytes], wanted: int, log: Path, progress: Progress) -> None:
    """Copy Maven's output to `log`; raise `Unreachable` when it waits too long for an answer."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="maven-output", daemon=True).start()
    jars, answered = 0, False
    with log.open("wb") as out:
        while True:
            try:
                line = lines.get(timeout=_STALL_S if answered else _FIRST_ANSWER_S)
            except queue.Empty:
                raise Unreachable(_UNREACHABLE) from None
            if line is None:
                return
            out.write(line)
            out.flush()
            if b"Downloaded from" in line:
                answered = True
                jars += b".jar" in line
                progress(_WHAT, min(jars / wanted, 0.99))
