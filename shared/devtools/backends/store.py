"""A store of our own: SecantusDB, a MongoDB-compatible server over WiredTiger.

It is GPL-2.0-only: it runs as a process of its own and is never imported here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from shared.devtools.backends.kafka_jars import cache_dir
from shared.devtools.backends.model import BackendError
from shared.devtools.backends.probes import mongo_answers, port_accepts
from shared.devtools.backends.process import ServerProcess, free_port

_RUST = "secantusd-rs"


def store_uri(port: int, host: str = "127.0.0.1") -> str:
    """The address of a single store, talked to directly whatever it says its own name is."""
    return f"mongodb://{host}:{port}/?directConnection=true"


def store_server(
    directory: Path, choice: str | None = None, *, oplog: bool = True
) -> ServerProcess:
    """SecantusDB over `directory`, ready to be started.

    `choice` (else BACKEND_MONGO): 'rust' and 'python' force one of its two daemons; 'auto' takes
    the faster Rust one where it was built, from PATH or the user's cache. Without an `oplog` the Python one is a
    standalone server: it spares a fifth of its time, and nobody here reads change streams or retries writes.
    """
    choice = choice or os.environ.get("BACKEND_MONGO") or "auto"
    if choice not in ("auto", "rust", "python"):
        raise BackendError(f"BACKEND_MONGO={choice}: use auto, rust or python")
    rust = None if choice == "python" else _rust_daemon()
    if choice == "rust" and rust is None:
        raise BackendError(
            f"BACKEND_MONGO=rust, but no {_RUST} on PATH or in {cache_dir() / 'bin'}"
        )
    name, command = _rust_command(rust) if rust is not None else _python_command(oplog=oplog)
    port = free_port()
    data = directory / ("store-rs" if rust is not None else "store")
    data.mkdir(parents=True, exist_ok=True)
    settings = directory / "secantusd.toml"  # an empty one: the machine's own must not count
    settings.touch()
    command += ["--config", str(settings), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--storage-path", str(data), "--cache-size", "256M"]
    uri = store_uri(port)
    return ServerProcess(
        f"{name} (stand-in for MongoDB)",
        command,
        log=directory / "store.log",
        answers=lambda: port_accepts("127.0.0.1", port) and mongo_answers(uri),
        port=port,
    )


def _rust_daemon() -> str | None:
    cached = cache_dir() / "bin" / _RUST
    return shutil.which(_RUST) or (str(cached) if os.access(cached, os.X_OK) else None)


def _rust_command(path: str) -> tuple[str, list[str]]:
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=20, check=False
        ).stdout.split()
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendError(f"{path} does not run: {error}") from error
    # Without the flag it acknowledges j:true before the log is on disk, and loses it on kill -9.
    return f"SecantusDB {told[1] if len(told) > 1 else ''} (Rust)", [path, "--sync-on-commit"]


def _python_command(*, oplog: bool) -> tuple[str, list[str]]:
    if importlib.util.find_spec("secantus") is None:
        raise BackendError("the store is not installed: pip install 'throughcare[embedded]'")
    version = importlib.metadata.version("secantusdb")
    return f"SecantusDB {version}", [
        *(sys.executable, "-m", "secantus"),
        *(() if oplog else ("--standalone",)),
    ]
