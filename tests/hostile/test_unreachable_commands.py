"""What nobody answers ends a command at once with one clear message, and with nothing that a library says of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import pytest

from shared.services import PORTS
from tests.unit.care.terminal import COMMANDS, care

NOBODY: Final = "127.0.0.1:9"
ID: Final = str(UUID(int=7))
WHY: Final = ("--why", "rule-fixed")
REMOTE: Final = ("--token", "t", "--url", f"http://{NOBODY}")
ALL: Final = (
    "--token",
    "t",
    *(word for name in PORTS for word in ("--url", f"{name}=http://{NOBODY}")),
)
KAFKA: Final = ("--kafka", NOBODY)

SAYS: Final = re.compile(
    r"broker-unavailable: Kafka did not answer \(\w+\)\.$"
    r"|store-unavailable: The store did not answer \(\w+\)\.$"
    r"|\w+ at http://127\.0\.0\.1:9: no-answer: The service does not answer \(\w+\)\.$"
)

ASKING: Final[Mapping[str, tuple[str, ...]]] = {
    "events tail": KAFKA,
    "journey": (ID, *KAFKA),
    "contracts replay": KAFKA,
    "events scenario": ("relapse", *KAFKA),
    "events publish-examples": KAFKA,
    "events snapshot": ("--subscriber", "reporting", "--file", "FILE", *KAFKA),
    "topics check": (),
    "topics repair": (),
    "topics adopt": ("plans",),
    "topics migrate": ("care.plans",),
    "topics disown": ("care.plans", ID, *WHY),
    "topics acl": ("--apply", "--passwords", "FILE"),
    "subscribers observe": (),
    "rebuild": ("plans",),
    "loops": ALL,
    "tasks": ("--role", "counselor", *ALL),
    "erase": (ID, *WHY, "--confirm", ID, *REMOTE),
    "audit list": ("plans", *REMOTE),
    "audit verify": ("plans", *REMOTE),
    "dead-letters groups": ("plans", *REMOTE),
    "dead-letters list": ("plans", *REMOTE),
    "dead-letters show": ("plans", ID, *REMOTE),
    "dead-letters preview": ("plans", ID, *REMOTE),
    "dead-letters redrive": ("plans", "--all", *WHY, *REMOTE),
    "dead-letters discard": ("plans", ID, *WHY, *REMOTE),
    "dead-letters approve": ("plans", ID, *WHY, *REMOTE),
    "dead-letters discards": ("plans", *REMOTE),
    "dead-letters audit": ("plans", *REMOTE),
    "dead-letters resume": ("plans", *WHY, *REMOTE),
    "dead-letters set-back": ("plans", f"episode/{ID}", "intake", "1", *WHY, *REMOTE),
}
ALONE: Final = {
    "up",  # starts what it needs
    "run",  # waits for what is away, and says so: test_known_failures.py
    "demo",
    "token",
    "coverage",
    "profiles check",
    "profiles list",
    "profiles show",
    "contracts list",
    "contracts show",
    "contracts diff",
    "contracts generate",
    "contracts release",
    "subscribers check",
    "subscribers list",
    "subscribers new",
}
"""Commands that ask nobody."""


def test_every_command_asks_nobody_or_is_asked_here() -> None:
    assert not ALONE & ASKING.keys()
    assert {" ".join(words) for words in COMMANDS} == ALONE | ASKING.keys()


@pytest.mark.parametrize("command", ASKING)
def test_what_nobody_answers_ends_with_one_clear_message(
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = str(tmp_path_factory.mktemp("care") / "file")
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a process of its own
    for name, value in {
        "KAFKA_BOOTSTRAP": NOBODY,
        "MONGO_URI": f"mongodb://{NOBODY}",
        "CARE_MODE": "development",
        "CARE_JOURNAL_KEY": "A" * 43 + "=",
    }.items():
        monkeypatch.setenv(name, value)
    words = [file if word == "FILE" else word for word in ASKING[command]]
    result = care(*command.split(), *words)
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (1, "")
    said, hint = result.stderr.strip().split("\n")
    assert SAYS.match(said), said
    assert hint.startswith("Check "), hint
