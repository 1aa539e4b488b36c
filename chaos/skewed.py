"""`python -m chaos.skewed SECONDS MODULE`: run a service as it runs on a machine whose clock is wrong by so much."""

from __future__ import annotations

import runpy
import sys
from datetime import UTC, datetime, timedelta

import time_machine

if __name__ == "__main__":
    _, seconds, module = sys.argv
    sys.argv = [module]
    wrong = datetime.now(UTC) + timedelta(seconds=float(seconds))
    with time_machine.travel(wrong, tick=True):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
