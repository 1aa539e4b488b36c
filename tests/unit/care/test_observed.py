"""Who reads the events: which team a group belongs to, and what is believed of a heartbeat."""

from __future__ import annotations

import json
from typing import Any

import pytest

from care.observed import observed
from shared.contracts.publish.subscribers import Subscriber, parse, template
from shared.kit.heartbeat import Versions, heartbeat, read_heartbeat
from shared.kit.metrics import Metrics
from shared.runtime.kafka.groups import Committed

VERSIONS = Versions("1.2.3", "0.14", "3.11")
PLACE = ("care.attendance", 0)


def team(name: str) -> Subscriber:
    return parse(template(name), f"{name}.toml")


def beat(inbox: str, at: int, process: str = "p", **counts: Any) -> str:
    return heartbeat(inbox, process, at * 10, at, VERSIONS, Metrics(**counts))


@pytest.mark.parametrize(
    ("group", "who"),
    [
        ("billing", "billing"),
        ("billing.new", "billing"),
        ("billing2", "no file"),
        ("billing-2", "billing-2"),
        ("plans", "service"),
        ("outlet", "service"),
        ("plans.other", "no file"),
    ],
)
def test_whose_a_group_is(group: str, who: str) -> None:
    rows = observed({group: {PLACE: Committed(1, "", 0)}}, [team("billing"), team("billing-2")])
    assert rows[0].who == who
    silent = {row.who for row in rows[1:]}
    assert silent == {"billing", "billing-2"} - {who}


def test_each_process_of_an_inbox_counts_once_by_its_last_word() -> None:
    commits = {
        ("care.attendance", 0): Committed(3, beat("a", 10, handled=5, gaps=1), 2),
        ("care.attendance", 1): Committed(4, beat("a", 12, handled=7, gaps=1), 0),
        ("care.plans", 0): Committed(9, beat("a", 11, "q", handled=100, aside=4), 3),
        ("care.plans", 1): Committed(9, "a store's id", 1),
    }
    [row] = observed({"billing": commits}, [team("billing")])
    assert row.as_json() == {
        "group": "billing",
        "who": "billing",
        "topics": ("care.attendance", "care.plans"),
        "behind": 6,
        "kit": "1.2.3",
        "aiokafka": "0.14",
        "python": "3.11",
        "handled": 107,
        "gaps": 1,
        "aside": 4,
        "seen_at": 12,
        "positions": {"care.attendance/0": 100, "care.attendance/1": 120, "care.plans/0": 110},
    }


FOREIGN: tuple[Any, ...] = (
    *("", "x", "{}", "[]", "null", "1", "[" * 100_000),
    *(json.dumps({"inbox": "a", "versions": 1}), json.dumps({"inbox": "a", "versions": {}})),
)


@pytest.mark.parametrize("text", FOREIGN, ids=range(len(FOREIGN)))
def test_whoever_may_commit_may_write_anything_there(text: str) -> None:
    assert read_heartbeat(text) is None
    [row] = observed({"billing": {PLACE: Committed(1, text, 4)}}, [team("billing")])
    assert (row.behind, row.handled, row.kit) == (4, None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("inbox", 1),
            ("process", None),
            ("next", "3"),
            ("at", "now"),
            ("at", True),
            ("handled", 1.5),
            ("gaps", None),
        ),
        *(
            ("aside", []),
            ("caught_up", 1),
            ("versions", {"kit": 3, "aiokafka": "1", "python": "3"}),
            ("versions", {"kit": "\x1b[2J", "aiokafka": "1", "python": "3"}),
        ),
        ("versions", {"kit": "1" * 81, "aiokafka": "1", "python": "3"}),
    ],
)
def test_one_wrong_value_makes_a_heartbeat_none(key: str, value: object) -> None:
    body = json.loads(beat("a", 10))
    assert read_heartbeat(json.dumps(body)) is not None
    assert read_heartbeat(json.dumps({**body, key: value})) is None
