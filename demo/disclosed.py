"""What left the house, held against what people allowed: from the topics alone, with none of the services' code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from demo.witnesses import Heard

_CONSENT = "care.intake.consent-"


def not_allowed(facts: Sequence[Heard]) -> list[str]:
    """A sentence for each disclosure by consent that no consent allowed then, and each that nobody accounted for."""
    by_name: dict[str, list[Heard]] = {}
    for fact in facts:
        by_name.setdefault(fact.type.split(".")[2], []).append(fact)
    granted = {one.data["consent_id"]: one for one in by_name.get("consent-granted", ())}
    held = _held(granted, facts)
    classes = {
        one.data["partner_id"]: one.data.get("recipient_class")
        for one in by_name.get("partner-registered", ())
    }
    recorded = {one.data["disclosure_id"] for one in by_name.get("disclosure-recorded", ())}
    allowed = {one.data["delivery_id"] for one in by_name.get("disclosure-allowed", ())}
    found: list[str] = []
    for fact in by_name.get("disclosure-recorded", ()):
        if fact.data["basis"] == "consent":
            said = granted.get(fact.data.get("consent_id", ""))
            at = datetime.fromisoformat(fact.data["disclosed_at"])
            if said is None or not _covers(said.data, fact.data, classes):
                found.append(f"{fact.subject}: no consent covers {fact.data['disclosure_id']}")
            elif not _holds(held[said.data["consent_id"]], at):
                found.append(f"{fact.subject}: not in force for {fact.data['disclosure_id']}")
    sent = {one.data["referral_id"]: one for one in by_name.get("referral-sent", ())}
    begun = {one.data["delivery_id"]: one for one in by_name.get("transfer-initiated", ())}
    left = sent | begun
    return [
        *found,
        *(f"{left[key].subject}: {key} is in no accounting" for key in left.keys() - recorded),
        *(f"{begun[key].subject}: {key} began unallowed" for key in begun.keys() - allowed),
    ]


def _covers(said: Mapping[str, Any], told: Mapping[str, Any], classes: Mapping[str, Any]) -> bool:
    recipients = set(said["recipients"])
    named = {told["recipient_id"], classes.get(told["recipient_id"])} & recipients
    return bool(named) and set(told["categories"]) <= set(said["categories"])


def _held(
    granted: Mapping[str, Heard], facts: Iterable[Heard]
) -> dict[str, list[tuple[datetime, datetime | None]]]:
    """When each consent held, from when until when, by its own facts."""
    held: dict[str, list[tuple[datetime, datetime | None]]] = {
        key: [(datetime.fromisoformat(one.data["effective_at"]), None)]
        for key, one in granted.items()
    }
    for fact in sorted(facts, key=lambda one: one.sequence):
        if not fact.type.startswith(_CONSENT) or fact.data["consent_id"] not in held:
            continue
        spans = held[fact.data["consent_id"]]
        for ends in ("revoked_at", "expired_at"):
            if ends in fact.data:
                spans[-1] = (spans[-1][0], datetime.fromisoformat(fact.data[ends]))
        if fact.type.startswith(f"{_CONSENT}expiry-undone"):
            spans[-1] = (spans[-1][0], None)
        if fact.type.startswith(f"{_CONSENT}revocation-undone"):
            spans.append((fact.time, None))
        if fact.type.startswith(f"{_CONSENT}undone"):
            spans[:] = [(begin, fact.time if end is None else end) for begin, end in spans]
    return held


def _holds(spans: Iterable[tuple[datetime, datetime | None]], at: datetime) -> bool:
    return any(begin <= at and (end is None or at < end) for begin, end in spans)
