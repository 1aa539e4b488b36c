# ruff: noqa: INP001 - a script, not a package
"""Kafka made ready: a user for the administrator and for every service, and the rules of the catalogue.

Runs once before the services start, as the administrator by certificate. A password that was changed in the environment
is changed in Kafka, and a service's rules that are not the catalogue's any more are taken back. Subscribers stay as
they are: `care topics acl --subscriber` manages them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time

from shared.errors import Unavailable
from shared.runtime.connections import KafkaFromEnvironment
from shared.runtime.kafka.access import ADMINISTRATOR, all_service_rules
from shared.runtime.kafka.grants import grant, set_passwords, surplus, withdraw
from shared.services import PROCESSES

PATIENCE_SECONDS = 60.0
STRONG = re.compile(r"\S{12,}")


def say(event: str, **what: str | int) -> None:
    """One JSON line, as the services write them."""
    sys.stdout.write(json.dumps({"event": event, **what}) + "\n")


def password(user: str) -> str:
    """A user's password from the environment."""
    variable = f"{user.upper()}_KAFKA_PASSWORD"
    value = os.environ.get(variable, "")
    if not STRONG.fullmatch(value):
        raise SystemExit(f"{variable}: at least 12 characters without a blank are needed")
    return value


async def prepare(passwords: dict[str, str]) -> None:
    """Users first, so that a rule never stands for somebody who is not there."""
    kafka, rules = KafkaFromEnvironment(), all_service_rules()
    await set_passwords(kafka, passwords)
    await grant(kafka, rules)
    old = await surplus(kafka, PROCESSES, rules)
    await withdraw(kafka, old)
    say("bus.ready", users=len(passwords), rules=len(rules), withdrawn=len(old))


def main() -> None:
    """Try until Kafka answers."""
    passwords = {user: password(user) for user in (ADMINISTRATOR, *PROCESSES)}
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            asyncio.run(prepare(passwords))
            break
        except Unavailable as error:
            if error.code != "broker-unavailable" or time.monotonic() > until:
                raise SystemExit(f"Kafka can't be made ready: {error}. {error.hint}") from None
            say("broker.waiting", error_code=error.code)
            time.sleep(1)


main()
