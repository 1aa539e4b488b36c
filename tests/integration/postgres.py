"""A PostgreSQL of one's own for the tests, where Debian's `postgresql` is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.devtools.backends.process import free_port

OTHERS = ("postgres", "nobody")
"""As whom it runs when the tests are root, which PostgreSQL refuses to be."""


def binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def postgres() -> Generator[str]:
    """A running server, as a connection string.

    Its files are not below pytest's own directory: each start of pytest closes that to the user who runs the server.
    """
    with TemporaryDirectory(prefix="care-postgres-") as directory:
        yield from _served(Path(directory))


def _served(directory: Path) -> Generator[str]:
    programs, port = binaries(), free_port()
    assert programs is not None
    user = _somebody() if os.getuid() == 0 else None
    if user is not None:
        shutil.chown(directory, user)

    output = directory / "output"

    def run(*command: str | Path) -> None:
        with output.open("wb") as into:  # a pipe would stay open in the server
            done = subprocess.run(
                [str(one) for one in command],
                user=user,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=into,
                stderr=subprocess.STDOUT,
                check=False,
            )
        assert done.returncode == 0, (command, output.read_text())

    data = directory / "data"
    run(programs / "initdb", "-D", data, "-U", "kit", "-A", "trust", "--no-sync")
    options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1"
    control = (programs / "pg_ctl", "-D", data, "-w")
    run(*control, "-o", options, "-l", directory / "log", "start")
    try:
        yield f"host=127.0.0.1 port={port} user=kit dbname=postgres"
    finally:
        run(*control, "-m", "immediate", "stop")


def _somebody() -> str:
    known = {one.pw_name for one in pwd.getpwall()}
    return next(name for name in OTHERS if name in known)
