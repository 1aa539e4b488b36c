"""At 80 columns nothing is cut off: ids, types and codes stand whole, each on one line."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from care import events, show, topics
from shared.contracts import CATALOGUE
from shared.contracts.event import Envelope
from shared.kit.heartbeat import Versions, heartbeat
from shared.kit.metrics import Metrics
from shared.runtime.kafka import groups
from shared.runtime.kafka.groups import Committed
from shared.runtime.kafka.topics import Difference
from tests.unit.care.terminal import COMMANDS, Services, care
from tests.unit.support import uid

LONGEST = max(CATALOGUE, key=len)
AT = "2026-03-02T15:00:00+00:00"
ROW = {
    "id": uid("row"),
    "subject": f"episode/{uid('episode')}",
    "stream": f"attendance|session/{uid('session')}",
    "sequence": 123,
    "type": LONGEST,
    "reason": "sequence-conflict",
    "exception": "ValueError",
    "where": "record.apply:1 > treatment_plan.sign:107",
    "field": None,
    "attempts": 12,
    "first_seen": AT,
}
GROUP = ROW | {"fingerprint": "0123456789abcdef", "count": 12345, "streams": 1234}
EVENT = {"type": LONGEST, "sequence": 9, "id": uid("event")}
STEP = ROW | {"outcome": "already-applied", "changed": ["goals.*", "reviews"], "events": [EVENT]}
LOOP = {
    "kind": "referral_acknowledgement",
    "id": uid("loop"),
    "subject": f"episode/{uid('episode')}",
    "owner": {"role": "clinical_supervisor", "staff_id": uid("a"), "acting_id": uid("b")},
    "deadline_at": AT,
    "age_seconds": 86_400 * 365,
    "overdue": True,
    "step": 20,
}
ENTRY = {"at": AT, "actor_id": uid("actor"), "action": "redrive", "why": "rule-fixed"}
REMOTE = ("--url", "http://plans:1", "--token", "t")


def whole(text: str, *values: str) -> None:
    lines = text.splitlines()
    for value in values:
        assert any(value in line for line in lines), f"{value} is cut:\n{text}"
    assert "…" not in text
    assert max(len(line) for line in lines) <= 80, text


TABLES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("groups plans", {"groups": [GROUP], "halted": None}, ["0123456789abcdef", LONGEST]),
    ("list plans", {"rows": [ROW]}, [ROW["id"], ROW["subject"], ROW["stream"], LONGEST]),
    (f"show plans {uid('row')}", ROW, [ROW["id"], ROW["subject"], ROW["stream"], LONGEST]),
    (
        f"preview plans {uid('row')}",
        {"steps": [STEP], "now": AT},
        [LONGEST, "goals.*", f"#9 {LONGEST}"],
    ),
    (
        f"set-back plans episode/{uid('episode')} intake 2 --preview",
        {
            "subject": f"episode/{uid('episode')}",
            "stream": "intake",
            "was": 10**17,
            "number": 2,
            "discarded": [10**17],
            "lined_up": [{"sequence": 3, "id": uid("row")}],
            "blocked": None,
        },
        [f"episode/{uid('episode')} intake", f"#{10**17}", "#2", f"#3 {uid('row')}"],
    ),
    ("audit plans", {"audit": [ENTRY]}, [uid("actor"), "rule-fixed", "2026-03-02 15:00"]),
]


@pytest.mark.parametrize(("words", "answer", "values"), TABLES, ids=[t[0] for t in TABLES])
def test_dead_letters(
    words: str, answer: Any, values: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Services(lambda _: answer).installed(monkeypatch)
    shown = care("dead-letters", *words.split(), *REMOTE, columns=80)
    assert shown.exit_code == 0, shown.output
    whole(shown.stdout, *values)


@pytest.mark.parametrize("command", ["loops", "tasks"])
def test_loops_and_tasks(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Services(lambda _: {"loops": [LOOP], "tasks": [LOOP]}).installed(monkeypatch, tmp_path / "k")
    shown = care(command, columns=80)
    subject, acting = f"episode/{uid('episode')}", f"{uid('b')} (deputy)"
    values = ("referral_acknowledgement", "clinical_supervisor", subject, acting, "365 d", "20")
    whole(shown.stdout, *values, "attendance", "2026-03-02 15:00")


def test_contracts_and_profiles() -> None:
    whole(care("contracts", "list", columns=80).stdout, *CATALOGUE)
    listed = care("profiles", "list", columns=80).stdout
    whole(listed, "daily-dual-diagnosis", "community-step-down", "individual")
    whole(care("profiles", "show", "evening-groups", columns=80).stdout, "evening-groups")


def test_a_journey(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    begin = datetime(2026, 3, 2, 15, tzinfo=UTC)
    types = sorted(CATALOGUE, key=len)[-6:]
    found = [_envelope(n, kind, begin + timedelta(minutes=59 * n)) for n, kind in enumerate(types)]
    sender = found[2].source.removeprefix("care.")
    stopped = {
        "service": "attendance",
        "stream": sender,
        "sequence": 3,
        "reason": "sequence-impossible",
    }
    headers = ("time", "after", "service", "#", "event (← its cause)")
    show.table(headers, events._rows(found, [{"id": uid("row"), **stopped}]))
    names = [kind.split(".")[2] for kind in types]
    lines = (*names, *(f"← {name}" for name in names[:-1]))
    whole(
        capsys.readouterr().out,
        *lines,
        "✗ blocked in attendance",
        "sequence-impossible",
        uid("row"),
    )


def test_a_followed_topic(capsys: pytest.CaptureFixture[str]) -> None:
    envelope = _envelope(999_999, LONGEST, datetime(2026, 3, 2, 15, tzinfo=UTC))
    typer.echo(events._text(envelope))
    whole(capsys.readouterr().out, LONGEST, f"episode/{uid('episode')} #1000000")


WORD = st.text("abcdef0123456789-/", min_size=1, max_size=36)
CELL = st.lists(WORD, max_size=6).map(" ".join)


@given(
    st.integers(1, 7).flatmap(lambda n: st.lists(st.tuples(*[CELL] * n), min_size=1, max_size=4))
)
def test_no_table_breaks_a_word_or_is_wider_than_the_terminal(rows: list[tuple[str, ...]]) -> None:
    """Whatever stands in it, and however many columns it has: ids, codes and fingerprints are words."""
    headers = [f"column-{n}" for n in range(len(rows[0]))]
    written = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.setattr(sys, "stdout", written)
        show.table(headers, rows)
    text = written.getvalue()
    words = [word for line in text.splitlines() for word in line.split()]
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80, text
    for row in rows:
        for word in " ".join(row).split():
            assert word in words, f"{word} is cut:\n{text}"


WITHOUT_A_TABLE = {
    *("up", "run", "token", "demo", "coverage", "rebuild", "erase", "audit verify"),
    *("contracts show", "contracts generate", "contracts diff", "contracts release"),
    *("contracts replay", "events publish-examples", "events scenario", "events snapshot"),
    *("profiles check", "subscribers check", "subscribers new"),
    *("topics adopt", "topics migrate", "topics disown"),
    *(
        "dead-letters redrive",
        "dead-letters discard",
        "dead-letters resume",
        "dead-letters approve",
    ),
}
"""Commands that print sentences, JSON or logs."""
SHOWN_HERE = {
    *(
        "loops",
        "tasks",
        "journey",
        "events tail",
        "contracts list",
        "subscribers list",
        "subscribers observe",
        "audit list",
        "profiles list",
        "profiles show",
    ),
    *("dead-letters groups", "dead-letters list", "dead-letters show", "dead-letters preview"),
    *(
        "dead-letters set-back",
        "dead-letters audit",
        "dead-letters discards",
        "topics check",
        "topics repair",
        "topics acl",
    ),
}


def test_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = [f"episode/{uid(str(n))}" for n in range(5)]
    entry = {
        "id": f"{uid('request')}#123",
        "at": AT,
        "actor_id": uid("actor"),
        "role": "intake_coordinator",
        "what": "POST /people/{person_id}/consents/{consent_id}/emergency-disclosures",
        "outcome": "emergency-disclosure-incomplete",
        "subjects": subjects,
        "chained": False,
    }
    Services(lambda _: {"entries": [entry], "next": "x" * 40}).installed(monkeypatch)
    shown = care("audit", "list", "intake", *REMOTE, columns=80)
    assert shown.exit_code == 0, shown.output
    whole(shown.stdout, entry["id"], uid("actor"), *subjects[:3], "intake_coordinator")


def test_every_command_is_looked_at() -> None:
    assert not WITHOUT_A_TABLE & SHOWN_HERE
    assert {" ".join(words) for words in COMMANDS} <= WITHOUT_A_TABLE | SHOWN_HERE


def test_topics(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    topics._show(
        [
            Difference(name, setting, "9223372036854775807", "9223372036854775806")
            for name in ("care.attendance", "care.attendance.journal")
            for setting in ("message.timestamp.before.max.ms", "min.insync.replicas")
        ]
    )
    whole(capsys.readouterr().out, "message.timestamp.before.max.ms", "care.attendance.journal")
    rules = care("topics", "acl", columns=80).stdout
    whole(rules, "care.attendance.journal", "followup", "describe-configs")


def _envelope(n: int, event_type: str, at: datetime) -> Envelope:
    words = dict.fromkeys(("facilityid", "actorrole", "sensitivity", "dataschema"), "x")
    return Envelope(
        id=f"id {n}",
        source=event_type[: event_type.index(".", 5)],
        type=event_type,
        subject=f"episode/{uid('episode')}",
        sequence=n + 1,
        time=at,
        correlationid="id 0",
        causationid=f"id {n - 1}",
        **words,
    )


def test_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def committed(_kafka: object) -> dict[str, dict[tuple[str, int], Committed]]:
        text = heartbeat(
            "a" * 32, "b", 1, 1e9, Versions("1.0.0", "0.14", "3.11"), Metrics(10**7, gaps=3)
        )
        return {
            "reporting.nightly-figures": {("care.attendance", 0): Committed(5, text, 10**7)},
            "somebody-else": {("care.plans", 0): Committed(5, "", 12)},
        }

    monkeypatch.setattr(groups, "committed", committed)
    shown = care("subscribers", "observe", columns=80)
    assert shown.exit_code == 0, shown.output
    whole(
        shown.stdout, "reporting.nightly-figures", "10000000", "somebody-else", "no file", "1.0.0"
    )


def test_subscribers() -> None:
    whole(care("subscribers", "list", columns=80).stdout, "reporting", "care.attendance")
