"""The services as processes of their own, on whatever backend there is: for `care up`, the demo and flow tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from shared.devtools.backends import Backend, BackendError
from shared.devtools.backends.process import free_port, spawn, tail
from shared.devtools.issuer import LocalIssuer
from shared.services import SERVICES

READY_WITHIN_SECONDS: Final = 60.0
STOPPED_WITHIN_SECONDS: Final = 20.0


class ServiceProcess:
    """One replica of one service: its own process, its own port, its log in a file."""

    def __init__(self, name: str, port: int, env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.port = port
        self.log = log
        self.url = f"http://127.0.0.1:{port}"
        self._env = {**env, "CARE_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def ended_well(self) -> bool:
        """Whether it was asked to end and did, to its last word; the server gives its signal on when it is done."""
        ended = None if self._process is None else self._process.poll()
        return ended in (0, -signal.SIGTERM) and "service.stopped" in tail(self.log)

    def start(self) -> None:
        """Start the process; `wait_ready` says when it takes commands."""
        self._process = spawn(self.command(), log=self.log, env=self._env)

    def command(self) -> list[str]:
        """What runs."""
        return [sys.executable, "-m", f"services.{self.name}.app"]

    def answers(self) -> bool:
        """Whether the process answers HTTP at all."""
        with suppress(URLError, OSError), urlopen(f"{self.url}/healthz", timeout=2):  # noqa: S310
            return True
        return False

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to finish what it has in hand, and wait."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Stack:
    """Services on one backend, with the issuer whose tokens they trust."""

    def __init__(
        self, backend: Backend, issuer: LocalIssuer, processes: list[ServiceProcess]
    ) -> None:
        self.backend = backend
        self.issuer = issuer
        self.processes = processes

    def one(self, name: str) -> ServiceProcess:
        """The (first) process of a service."""
        return next(process for process in self.processes if process.name == name)

    @property
    def urls(self) -> dict[str, str]:
        """The base URL of each service, by name."""
        return {name: self.one(name).url for name in dict.fromkeys(p.name for p in self.processes)}

    def revive(self) -> list[ServiceProcess]:
        """Start again whatever has died, and say which."""
        dead = [process for process in self.processes if not process.alive]
        for process in dead:
            process.start()
        return dead

    def wait_answering(self) -> None:
        """Return when every process answers. Raises `BackendError`, with the log's end, when one has died."""
        until = monotonic() + READY_WITHIN_SECONDS
        for process in self.processes:
            while not process.answers():
                if not process.alive or monotonic() > until:
                    raise BackendError(f"{process.name} did not start:\n{tail(process.log)}")
                sleep(0.05)


@contextmanager
def services(
    backend: Backend,
    *,
    names: Iterable[str] = SERVICES,
    replicas: int | Mapping[str, int] = 1,
    ports: Mapping[str, int] | None = None,
    log_dir: Path | None = None,
    issuer: LocalIssuer | None = None,
    **settings: str,
) -> Generator[Stack]:
    """Start services and stop them at the end.

    `settings` go to every service as `CARE_…`; `ports` fixes ports that are otherwise free ones; `replicas` says how
    many processes there are of each service, or of each that is named.
    """
    issuer = issuer or LocalIssuer()
    env = {
        **os.environ,
        "MONGO_URI": backend.mongo_uri,
        "CARE_MODE": "development",
        "CARE_JWKS": issuer.jwks,
        **{f"CARE_{key.upper()}": value for key, value in settings.items()},
    }
    with TemporaryDirectory(prefix="care-") as temporary:
        logs = log_dir or Path(temporary)
        logs.mkdir(parents=True, exist_ok=True)
        processes = [
            ServiceProcess(
                name,
                (ports or {}).get(name, 0) if ports and replica == 0 else free_port(),
                {**env, **backend.kafka_of(name).environment()},
                logs / f"{name}-{replica}.log",
            )
            for name in names
            for replica in range(replicas if isinstance(replicas, int) else replicas.get(name, 1))
        ]
        stack = Stack(backend, issuer, processes)
        try:
            for process in processes:
                process.start()
            stack.wait_answering()
            yield stack
        finally:
            for process in processes:
                if process.alive and process.pid is not None:
                    os.kill(process.pid, signal.SIGTERM)
            for process in processes:
                process.stop()
