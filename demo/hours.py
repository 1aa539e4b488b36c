"""The hours at which staff act, and what they expect to follow.

The hours are few and fixed, so that the clock has few instants to step through, and two people never act on one
person in the same instant: what is done at one hour is settled before the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from demo.journal import Expectation, Expects
from shared.contracts import CATALOGUE

LAB: Final = time(8, 0)
DESK: Final = time(9, 0)
ROUND: Final = time(10, 0)
CLINIC: Final = time(17, 0)
GROUP: Final = time(18, 0)
END: Final = time(21, 0)
ROLL: Final = END
GROUP_DAYS: Final = (0, 2, 3)
"""Monday, Wednesday, Thursday: three times three hours are the nine that the level asks for."""
INDIVIDUAL_DAY: Final = 3
MAKE_UP_DAY: Final = 4
FRIDAY: Final = 4
LEVEL: Final = {"system": "asam", "edition": "3", "code": "2.1"}


def at(day: date, hour: time, zone: str) -> datetime:
    """A local time as an instant."""
    return datetime.combine(day, hour, ZoneInfo(zone))


def _about(event_type: str, answer: Mapping[str, Any]) -> str:
    if CATALOGUE[event_type].SUBJECT == "episode" and "episode_id" in answer:
        return f"episode/{answer['episode_id']}"
    return str(answer["subject"])


def says(source: str, *names: str, **data: Any) -> Expects:
    """The facts that must follow about the command's own subject; or about the episode that it names."""

    def expects(answer: Mapping[str, Any]) -> tuple[Expectation, ...]:
        types = [f"care.{source}.{name}.v1" for name in names]
        return tuple((one, _about(one, answer), data) for one in types)

    return expects


def is_scheduled(answer: Mapping[str, Any]) -> tuple[Expectation, ...]:
    """The fact about a session that must follow, whichever record its calendar is."""
    return (("care.attendance.session-scheduled.v1", f"session/{answer['session_id']}", {}),)
