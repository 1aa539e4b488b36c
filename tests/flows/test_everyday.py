"""The page of everyday commands, run as it stands: its bash, its bodies, against the services that `care up` starts."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final
from uuid import uuid4

from shared.devtools.backends import Backend
from shared.devtools.backends.process import free_port
from shared.devtools.issuer import LocalIssuer
from shared.devtools.stack import services
from shared.services import PORTS
from tests.integration.bus import forget_topics

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "everyday.md").read_text(encoding="utf-8")
SCRIPT: Final = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
SENT: Final = re.compile(r"does (\w+) (\w+) (POST|PUT) (/.*?) <<")
CARE: Final = ".venv/bin/care"
LIMIT_SECONDS: Final = 240


def test_the_page_has_what_staff_do_every_day() -> None:
    """One command at least of each of these; an example that is left out is missed."""
    said = {f"{service} {path.rpartition('/')[2]}" for _, service, _, path in SENT.findall(SCRIPT)}
    assert said >= {
        *("intake referrals", "intake complete", "intake episodes", "intake orientation"),
        *("intake consents", "intake request", "intake report", "intake outbound-referrals"),
        *("plans plans", "plans sign", "plans discharge", "plans undo", "plans transfer"),
        *("attendance sessions", "attendance attendance", "attendance cancel"),
        *("attendance closures", "followup circumstances", "followup aftercare-plans"),
    }


async def test_the_page_can_be_pasted(backend: Backend, tmp_path: Path) -> None:
    await forget_topics(backend)
    issuer = LocalIssuer()
    first = free_port()
    ports = {name: first + place for place, name in enumerate(PORTS)}
    program = SCRIPT.replace(f'$({CARE} token "${{FACILITY:-harbor-iop}}" "$1")', '$(token "$1")')
    assert CARE not in program
    tokens = "\n".join(
        f'"{facility} {role}") echo {issuer.token(facility, role)};;'
        for facility in ("harbor-iop", "operations")
        for role in sorted({role for role, *_ in SENT.findall(SCRIPT)})
    )
    token = f'token() {{ case "${{FACILITY:-harbor-iop}} $1" in\n{tokens}\nesac; }}\n'
    python = f'python3() {{ {sys.executable} "$@"; }}\n'
    env = {**os.environ, "CARE_FIRST_PORT": str(first)}
    prefix = f"e{uuid4().hex[:8]}_"
    with services(
        backend, ports=ports, issuer=issuer, log_dir=tmp_path, database_prefix=prefix
    ) as stack:
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euo", "pipefail"],
            input=token + python + program,
            env=env,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout[-2_000:] + done.stderr
        assert all(process.alive for process in stack.processes)
    answered = {line.partition(":")[0] for line in done.stdout.splitlines()}
    assert len(answered) >= len(set(SENT.findall(SCRIPT))) - 1
