"""Server processes that cannot outlive whoever started them.

Linux kills a child when its parent dies if the child asked for it (PR_SET_PDEATHSIG), but 'parent'
means the parent *thread*. So every child here is started by one thread that lives as long as this
process, through a launcher that asks for the signal and then becomes the server: the id that Python
sees is the server's own. Elsewhere than on Linux a `kill -9` of the parent leaves the servers behind.
"""

from __future__ import annotations

import fcntl
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from shared.devtools.backends.model import BackendError

_LAUNCHER = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""

_POLL_S = 0.02
_Job = tuple["Future[subprocess.Popen[bytes]]", Callable[[], "subprocess.Popen[bytes]"]]


class _Spawner:
    """One thread per process (and per fork of it) that starts every child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def run(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._owner != os.getpid():
                self._owner = os.getpid()
                self._jobs = queue.SimpleQueue()
                threading.Thread(target=self._loop, name="server-spawner", daemon=True).start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((future, job))
        return future.result()

    def _loop(self) -> None:
        jobs = self._jobs
        while True:
            future, job = jobs.get()
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - handed to whoever asked
                future.set_exception(error)


_spawner = _Spawner()


def spawn(
    command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output appended to `log`, dying with us."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(
                launcher,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                start_new_session=True,
            )

    return _spawner.run(start)


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log, for an error message."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:])


def free_port() -> int:
    """A free loopback port below the range that the system hands out to clients, for this process alone.

    A client that keeps trying to reach a dead server on a port of that range may be given that very
    port as its own, and then the server cannot come back. Between the choice and the start of a server
    there may be a minute: until this process ends, no other one that asks here is given the same port.
    """
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        low = 32_768
    chance = random.SystemRandom()
    for _ in range(200):
        port = chance.randrange(max(low - 12_000, 10_000), max(low, 11_000))
        if _is_unused(port) and _reserve(port):
            return port
    raise BackendError("no free port found on 127.0.0.1")


def _is_unused(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


RESERVED_MAX: Final = 200
_reserved: Final[deque[int]] = deque()
"""The locks of the ports that were given out here last; the system takes them back with the process."""


def _reserve(port: int) -> bool:
    """Whether nobody has been given this port who still runs."""
    directory = Path(tempfile.gettempdir()) / f"throughcare-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(directory / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    _reserved.append(lock)
    if len(_reserved) > RESERVED_MAX:
        os.close(_reserved.popleft())
    return True


class ServerProcess:
    """One server: a command line, a log file, a port and a way to tell that it answers."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        answers: Callable[[], bool],
        port: int,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        grace_s: float = 15.0,
    ) -> None:
        self._name = name
        self._command = list(command)
        self._log = log
        self._answers = answers
        self.port = port
        self._env = env
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._process: subprocess.Popen[bytes] | None = None
        self.started_in_s = 0.0
        self.behind: int | None = None
        """The port that a proxy leads to, where there is one."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._name

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self._log

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start it and wait until it answers; on failure say the end of its log."""
        if self.pid is not None:
            return
        began = time.monotonic()
        process = self._process = spawn(self._command, log=self._log, env=self._env)
        deadline = began + self._timeout_s
        while time.monotonic() < deadline:
            code = process.poll()
            if code is not None:
                raise BackendError(f"{self._name} ended with code {code}:\n{tail(self._log)}")
            if self._answers():
                self.started_in_s = time.monotonic() - began
                return
            time.sleep(_POLL_S)
        self.kill()
        raise BackendError(
            f"{self._name} did not answer within {self._timeout_s:.0f} s:\n{tail(self._log)}"
        )

    def stop(self, grace_s: float | None = None) -> None:
        """SIGTERM and wait; after the grace period, SIGKILL."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(self._grace_s if grace_s is None else grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL and wait until it is gone."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.kill()
        process.wait(10)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            raise BackendError(f"{self._name} is not running")
        self._process.send_signal(number)
