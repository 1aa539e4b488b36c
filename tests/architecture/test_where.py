"""Questions of newcomers, each answered by a path that exists and still holds the answer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ANSWERS = {
    "Which rule opens a review after a short week?": (
        "services/plans/review_reasons.py",
        "hours_short",
    ),
    "Where are offsets committed?": ("shared/runtime/kafka/offset_commits.py", "commit_offsets"),
    "Where is the order of a waiting list?": (
        "services/intake/resources/waitlist_queue.py",
        "offer_what_is_free",
    ),
    "Where are the services listed?": ("shared/services.py", "PORTS"),
    "Who says whether a consent allows a recipient?": (
        "services/intake/person/may_disclose.py",
        "may_disclose",
    ),
    "Where is a graduation decided?": ("services/plans/graduation.py", "graduate"),
    "Where is a laboratory result interpreted?": (
        "services/attendance/laboratory/interpretation.py",
        "classify",
    ),
    "Where is a level of care derived from ratings?": (
        "services/intake/episode/levels.py",
        "derive",
    ),
    "What happens when a loop's deadline is missed?": ("shared/loops.py", "escalate"),
    "Where is a caller's role compared with the roles that a route lets in?": (
        "shared/runtime/http/roles.py",
        "require_roles",
    ),
    "Where is the random schedule of screens drawn?": (
        "services/attendance/screening/random_draw.py",
        "draw",
    ),
    "Where is a restricted team's next topic decided?": (
        "services/outlet/planning.py",
        "planned",
    ),
    "What follows when a person misses a session?": (
        "services/followup/outreach/outreach.py",
        "session_missed",
    ),
    "Where are a week's credited minutes counted?": (
        "services/attendance/episode/hours.py",
        "credited_minutes",
    ),
    "Where is it known that an event was handled before?": ("shared/inbox.py", "Place"),
    "What publishes the outbox?": ("shared/runtime/core/relay.py", "Relay"),
    "How long does a retry wait?": ("shared/runtime/retry.py", "Backoff"),
    "Who fires a deadline?": ("shared/runtime/timers.py", "Timers"),
    "What stops a bad deployment from filling the dead letters?": (
        "shared/runtime/kafka/circuit_breaker.py",
        "CircuitBreaker",
    ),
    "Where are two records of one person merged?": ("services/intake/mistakes.py", "merge"),
    "Who acts for a colleague who is away?": ("shared/duty.py", "acting"),
    "How is it measured whether somebody was seen within seven days?": (
        "services/followup/measures/measures.py",
        "ClockRule",
    ),
    "Which open loops does plans have, and who owns each?": ("services/plans/tables.py", "LOOPS"),
    "How are names sealed, and made unreadable by an erasure?": (
        "shared/runtime/vault/sealing.py",
        "PersonKey",
    ),
    "Where does a list's cursor come from?": ("shared/runtime/core/paging.py", "make_cursor"),
}


@pytest.mark.parametrize("question", ANSWERS)
def test_the_answer_is_where_it_is_said_to_be(question: str) -> None:
    path, name = ANSWERS[question]
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
    names |= {
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert name in names
