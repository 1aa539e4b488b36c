"""A port that was chosen is nobody else's until its server has started."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from shared.devtools.backends import process
from shared.devtools.backends.process import free_port

ASK = "from shared.devtools.backends.process import _reserve; print(_reserve(int(input())))"


def asked_elsewhere(port: int) -> str:
    """Whether another process would be given this port."""
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, input=str(port), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_port_is_given_to_one_process_only() -> None:
    assert asked_elsewhere(free_port()) == "False"


def test_only_the_last_ports_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Any = process._reserved
    monkeypatch.setattr(process, "RESERVED_MAX", 1)
    first = free_port()
    while len(kept) > 1:
        os.close(kept.popleft())
    free_port()
    assert asked_elsewhere(first) == "True"
