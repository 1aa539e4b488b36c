"""What has to be decided, by hand on plain dictionaries: the same work for floor, naive and the peers.

Standard library only, because each peer runs in an environment of its own. It is what somebody would write who wants
the same effects as the rules of plans and nothing else: no types, no validation, no guard against repeats.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

INPUT: Final = "care.attendance"
OUTPUT: Final = "care.plans"
_NAMESPACE: Final = UUID("6f1d3f6e-55c5-5b0c-9a55-2f6c0f0f7a11")
_PRESENT: Final = ("attended", "late", "left_early")
_SATURDAY: Final = 5

Doc = dict[str, Any]
Out = tuple[str, dict[str, Any]]
Headers = list[tuple[str, bytes]]


def decide(  # noqa: C901, PLR0911, PLR0912 - a table in the form of a match
    state: Doc, fact: str, data: Doc, event_id: str, now: datetime
) -> tuple[set[str], list[Out]]:
    """Change `state` for one fact. Returns the names of the fields that changed, and what is to be published."""
    match fact:
        case "session-attended":
            state["sessions_attended"] = state.get("sessions_attended", 0) + 1
            state["last_session_at"] = max(state.get("last_session_at") or "", data["starts_at"])
            return {"sessions_attended", "last_session_at"}, []
        case "session-missed" if data["absence"] == "no_show":
            state["sessions_missed"] = state.get("sessions_missed", 0) + 1
            return {"sessions_missed"}, []
        case "attendance-corrected":
            return _corrected(state, data), []
        case "absence-threshold-reached":
            state["absent_at"] = now.isoformat()
            changed, out = _request(state, "absence", event_id, now)
            return changed | _reassess(state, now) | {"absent_at"}, out
        case "weekly-hours-evaluated":
            return _week(state, data)
        case "weekly-hours-shortfall-detected" if not data["projected"]:
            changed, out = _request(state, "hours", event_id, now)
            for review in state["reviews"].values():
                if review["open"] and review["trigger"] == "hours":
                    review["weeks"] = sorted({*review["weeks"], data["week_starts_on"]})
            return changed | {"reviews"}, out
        case "screen-resulted" if data["validity"] in (
            "dilute",
            "substituted",
            "adulterated",
            "invalid",
        ):
            return _request(state, "validity", event_id, now, about=data["screen_id"])
        case "screen-not-provided" if data["kind"] == "refused":
            return _request(state, "refusal", event_id, now, about=data["screen_id"])
        case "screen-failed":
            state.setdefault("positives", {})[data["screen_id"]] = now.isoformat()
            changed, out = _request(state, "screen", event_id, now, about=data["screen_id"])
            return changed | _reassess(state, now) | {"positives"}, out
        case "mutual-support-logged":
            state["support_on"] = sorted((*state.get("support_on", ()), data["attended_on"]))[-400:]
            return {"support_on"}, []
        case _:
            return set(), []


def _corrected(state: Doc, data: Doc) -> set[str]:
    missed = (data["status_after"] == "no_show") - (data["status_before"] == "no_show")
    came = (data["status_after"] in _PRESENT) - (data["status_before"] in _PRESENT)
    state["sessions_missed"] = max(0, state.get("sessions_missed", 0) + missed)
    state["sessions_attended"] = max(0, state.get("sessions_attended", 0) + came)
    return {"sessions_missed", "sessions_attended"}


def _week(state: Doc, data: Doc) -> tuple[set[str], list[Out]]:
    week = data["week_starts_on"]
    kept = ("minutes_threshold", "minutes_offered", "met", "prorated")
    state.setdefault("weeks", {})[week] = {name: data[name] for name in kept}
    out: list[Out] = []
    if not data["met"]:
        return {"weeks"}, out
    for review_id, review in state.get("reviews", {}).items():
        if review["open"] and week in review["weeks"]:
            review["weeks"].remove(week)
            review["open"] = bool(review["weeks"])
            if not review["open"]:
                state["loops"].pop(f"clinical_review:{review_id}", None)
                state["deadlines"].pop(f"loop:clinical_review:{review_id}", None)
                out.append(
                    ("clinical-review-completed", {"review_id": review_id, "outcome": "none"})
                )
    return {"weeks", "reviews", "loops", "deadlines"} if out else {"weeks"}, out


def _request(
    state: Doc, trigger: str, event_id: str, now: datetime, about: str | None = None
) -> tuple[set[str], list[Out]]:
    reviews: Doc = state.setdefault("reviews", {})
    for review in reviews.values():
        if review["trigger"] == trigger and (
            review["open"] or (about is not None and review["about"] == about)
        ):
            return set(), []
    review_id = _derived(event_id, "review", trigger)
    due_at = _next_working_day(now).isoformat()
    reviews[review_id] = {
        "trigger": trigger,
        "due_at": due_at,
        "open": True,
        "about": about,
        "weeks": [],
        "reassess": False,
    }
    key = f"clinical_review:{review_id}"
    state.setdefault("loops", {})[key] = {
        "kind": "clinical_review",
        "id": review_id,
        "opened_at": now.isoformat(),
        "deadline_at": due_at,
        "owners": ["clinician", "clinical_supervisor"],
        "step": 0,
    }
    state.setdefault("deadlines", {})[f"loop:{key}"] = due_at
    asked = {
        "review_id": review_id,
        "trigger": trigger,
        "trigger_event_id": event_id,
        "due_at": due_at,
    }
    return {"reviews", "loops", "deadlines"}, [("clinical-review-requested", asked)]


def _reassess(state: Doc, now: datetime) -> set[str]:
    since = (now - timedelta(days=14)).isoformat()
    positives = sum(at >= since for at in state.get("positives", {}).values())
    if positives + ((state.get("absent_at") or "") >= since) < 2:
        return set()
    for review in state["reviews"].values():
        if review["open"] and review["trigger"] in ("screen", "absence"):
            review["reassess"] = True
    return {"reviews"}


def _next_working_day(now: datetime) -> datetime:
    day = now + timedelta(days=1)
    while day.weekday() >= _SATURDAY:
        day += timedelta(days=1)
    return day


def _derived(*parts: str) -> str:
    return str(uuid5(_NAMESPACE, "".join([f"{len(part)}:{part}," for part in parts])))


# --- the wire -----------------------------------------------------------------------------------------


def fact_of(event_type: str) -> str:
    """`care.attendance.session-attended.v1` is about `session-attended`."""
    return event_type.rpartition(".v")[0].rpartition(".")[2]


def published(
    subject: str, sequence: int, out: Out, told: dict[str, str], now: datetime
) -> tuple[bytes, Headers]:
    """The value and the headers of an output, complete as subscribers expect them."""
    name, data = out
    event_type = f"{OUTPUT}.{name}.v1"
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": _derived(told["ce_id"], OUTPUT, subject, str(sequence)),
        "ce_source": OUTPUT,
        "ce_type": event_type,
        "ce_subject": subject,
        "ce_time": now.isoformat().replace("+00:00", "Z"),
        "ce_sequence": str(sequence),
        "ce_correlationid": told["ce_correlationid"],
        "ce_causationid": told["ce_id"],
        "ce_facilityid": told["ce_facilityid"],
        "ce_actorrole": "system",
        "ce_sensitivity": "part2",
        "ce_dataschema": f"urn:throughcare:schema:{event_type}",
        "content-type": "application/json",
    }
    headers = [(key, text.encode()) for key, text in attributes.items()]
    return json.dumps(data, separators=(",", ":")).encode(), headers


def texts(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Headers as text."""
    return {name: raw.decode() for name, raw in headers}


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)
