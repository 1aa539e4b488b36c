"""What the published examples differ in from the examples of single fields, so that each record is consistent. Pure.

A field's own example knows nothing of the other fields and of the time of the event. Here each example becomes one
record that could have been published on the afternoon of 2 March 2026, a Monday: what happened lies before it, what
is due lies after it, counts agree with each other, and ids are equal where they mean the same thing and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

FACILITY: Final = "lakeside-iop"
"""The facility of every example: the one in its envelope."""
_RESIDENTIAL: Final = "cedar-residential"
"""The partner that receives people in the examples."""

_IDS: Final = {
    "absence_id": "absence",
    "consent_id": "consent",
    "deputy_id": "deputy",
    "episode_id": "episode",
    "goal_id": "goal",
    "group_id": "group",
    "into_episode_id": "other-episode",
    "personnel_id": "personnel",
    "previous_person_id": "mistaken-person",
    "prior_episode_id": "earlier-episode",
    "retest_of_screen_id": "first-breath-test",
}
"""Fields whose example is the id of this thing, wherever the field stands."""


def example_id(thing: str) -> str:
    """The id of this thing in every example."""
    return str(uuid5(NAMESPACE_URL, f"urn:throughcare:example:{thing}"))


def _level(code: str) -> dict[str, str]:
    return {"system": "asam", "edition": "4", "code": code}


_OUTBOUND: Final = {"referral_id": example_id("outbound-referral")}
_BREATH: Final = {"screen_id": example_id("breath-test")}
_HANDED_OVER: Final = {"to_facility_id": _RESIDENTIAL}
_LOOP: Final = {"deadline_at": "2026-03-03T15:00:00Z"}
_CONSENT: Final[dict[str, Any]] = {
    "recipients": [_RESIDENTIAL],
    "categories": ["referral_status", "level_of_care"],
}

_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    # attendance
    "group-opened": {"seats_taken": 0},
    "group-filled": {"seats_taken": 12},
    "group-below-minimum": {"seats_taken": 1},
    "session-scheduled": {"starts_at": "2026-03-09T15:00:00Z"},
    "session-cancelled": {"starts_at": "2026-03-09T15:00:00Z"},
    "session-rescheduled": {"starts_at": "2026-03-10T15:00:00Z"},
    "session-cancellation-undone": {"starts_at": "2026-03-09T15:00:00Z"},
    "session-attended": {"starts_at": "2026-03-02T12:00:00Z"},
    "session-missed": {"starts_at": "2026-03-02T12:00:00Z"},
    "absence-threshold-undone": {"reached_at": "2026-02-27T15:00:00Z"},
    "weekly-hours-evaluated": {"week_starts_on": "2026-02-23"},
    "weekly-hours-shortfall-detected": {"week_starts_on": "2026-03-02"},
    "screen-ordered": {"window_ends_at": "2026-03-03T04:00:00Z"},
    "specimen-undone": {"window_ends_at": "2026-03-03T04:00:00Z"},
    "specimen-collected": {"collected_at": "2026-03-02T14:50:00Z"},
    "custody-transferred": {"transferred_at": "2026-03-02T14:55:00Z"},
    "breath-test-recorded": {**_BREATH, "tested_at": "2026-03-02T14:58:00Z"},
    "breath-test-undone": _BREATH,
    "screen-interpreted": {"collected_at": "2026-02-27T15:30:00Z"},
    "screen-failed": {"collected_at": "2026-02-27T15:30:00Z"},
    "mutual-support-logged": {"attended_on": "2026-03-01"},
    "loop-escalated": _LOOP,
    "session-loop-escalated": _LOOP,
    "group-loop-escalated": _LOOP,
    # followup
    "return-to-use-reported": {"occurred_on": "2026-02-28"},
    "reengagement-started": {"reassessment_due_at": "2026-03-05T15:00:00Z"},
    "readmission-requested": {"discharged_at": "2025-11-14T15:00:00Z"},
    "transition-reported": {"occurred_on": "2026-02-28"},
    "transition-undone": {"occurred_on": "2026-02-28"},
    "circumstance-recorded": {"occurred_on": "2026-02-28"},
    "circumstance-ended": {"ended_at": "2026-03-01T15:00:00Z"},
    # intake
    "referral-received": {"received_at": "2026-03-02T14:58:00Z"},
    "consent-granted": {
        **_CONSENT,
        "purpose": "care_coordination",
        "effective_at": "2026-03-02T14:30:00Z",
        "expires_with": None,
    },
    "consent-revoked": {"revoked_at": "2026-03-02T14:30:00Z"},
    "consent-expiry-undone": {
        **_CONSENT,
        "effective_at": "2025-09-01T15:00:00Z",
        "expires_on": None,
    },
    "disclosure-allowed": {"recipient_id": _RESIDENTIAL},
    "disclosure-withheld": {"recipient_id": _RESIDENTIAL},
    "disclosure-recorded": {
        "recipient_id": _RESIDENTIAL,
        "categories": ["referral_status"],
        "disclosed_at": "2026-03-02T14:30:00Z",
    },
    "emergency-disclosure-made": {"disclosed_at": "2026-03-02T14:30:00Z"},
    "assessment-scheduled": {"starts_at": "2026-03-03T16:00:00Z"},
    "placement-decided": {"recommended_level": _level("2.5"), "actual_level": _level("2.1")},
    "waitlist-offered": {"offer_expires_at": "2026-03-04T15:00:00Z"},
    "orientation-completed": {
        "part2_notice_at": "2026-03-02T14:40:00Z",
        "completed_at": "2026-03-02T14:55:00Z",
    },
    "referral-sent": {
        **_OUTBOUND,
        "target_facility_id": _RESIDENTIAL,
        "response_due_at": "2026-03-04T15:00:00Z",
    },
    "partner-referral-accepted": {**_OUTBOUND, "accepted_at": "2026-03-02T14:45:00Z"},
    "partner-referral-rejected": {**_OUTBOUND, "rejected_at": "2026-03-02T14:45:00Z"},
    "referral-loop-overdue": {**_OUTBOUND, "hours_open": 49},
    "partner-registered": {
        "partner_id": _RESIDENTIAL,
        "programs": [{"kind": "partial_hospitalization", "level": _level("2.5")}],
    },
    "partner-agreement-recorded": {
        "partner_id": _RESIDENTIAL,
        "facility_id": FACILITY,
        "from_on": "2026-03-01",
    },
    "partner-agreement-ended": {"partner_id": _RESIDENTIAL, "until_on": "2026-03-31"},
    "staff-absence-planned": {
        "from_at": "2026-03-09T14:00:00Z",
        "until_at": "2026-03-16T14:00:00Z",
    },
    "admission-undone": {"admitted_at": "2026-02-27T16:00:00Z"},
    # plans
    "treatment-plan-activated": {
        "patient_signed_at": "2026-03-02T14:40:00Z",
        "clinician_signed_at": "2026-03-02T14:55:00Z",
        "next_review_on": "2026-04-01",
    },
    "treatment-plan-review-due": {"due_on": "2026-03-02"},
    "treatment-plan-review-overdue": {"due_on": "2026-02-27", "days_overdue": 3},
    "clinical-review-requested": {
        "trigger_event_id": example_id("care.attendance.screen-failed.v1"),
        "due_at": "2026-03-03T15:00:00Z",
    },
    "clinical-review-undone": {"due_at": "2026-03-03T15:00:00Z"},
    "clinical-review-overdue": {"due_at": "2026-03-02T13:00:00Z"},
    "level-of-care-change-recommended": {"to_level": _level("2.5")},
    "transfer-requested": _HANDED_OVER,
    "transfer-initiated": {**_HANDED_OVER, "handoff_at": "2026-03-03T15:00:00Z"},
    "transfer-completed": {
        **_HANDED_OVER,
        "handoff_at": "2026-03-01T15:00:00Z",
        "first_contact_at": "2026-03-02T10:30:00Z",
    },
    "transfer-fell-through": {**_HANDED_OVER, "handoff_at": "2026-03-03T15:00:00Z"},
    "transfer-undone": {**_HANDED_OVER, "handoff_at": "2026-03-03T15:00:00Z"},
    "first-contact-undone": {
        "handoff_at": "2026-03-01T15:00:00Z",
        "first_contact_at": "2026-03-02T10:30:00Z",
    },
    "graduation-undone": {"graduated_at": "2026-02-27T15:00:00Z"},
    "discharge-undone": {"discharged_at": "2026-02-27T15:00:00Z"},
}
"""The fields of each event that differ, by its name. A field that is None is absent."""

_BY_RULE: Final = frozenset(
    {
        *("absence-threshold-reached", "absence-threshold-undone", "check-in-missed"),
        *("check-in-scheduled", "clinical-review-overdue", "clinical-review-requested"),
        *("consent-expired", "consent-expiry-undone", "contact-lost", "aftercare-completed"),
        *("aftercare-plan-activated", "group-filled", "group-below-minimum", "incentive-earned"),
        *("incentive-undone", "incentive-reset", "incentive-reset-undone", "loop-escalated"),
        *("group-loop-escalated", "session-loop-escalated", "participation-paused"),
        *("referral-loop-overdue", "treatment-plan-review-due", "treatment-plan-review-overdue"),
        *("weekly-hours-evaluated", "weekly-hours-shortfall-detected", "level-of-care-changed"),
        *("disclosure-allowed", "disclosure-withheld", "seat-released", "transfer-initiated"),
    }
)
"""The events that no person publishes: their actor is the software itself."""


def subject_of(kind: str) -> str:
    """The subject of this kind in every example. A member of staff at one facility has an id of its own."""
    return f"{kind}/{example_id('staff-at-facility' if kind == 'staff' else kind)}"


def role_of(name: str) -> str:
    """Who acts in the example of this event."""
    return "system" if name in _BY_RULE else "clinician"


def consistent(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of the event's own example, made a part of the story."""
    fields = {**_with_ids(dict(data)), **_FIELDS.get(name, {})}
    return {field: value for field, value in fields.items() if value is not None}


def _with_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: example_id(_IDS[name]) if name in _IDS else _with_ids(one)
            for name, one in value.items()  # pyright: ignore[reportUnknownVariableType]
        }
    if isinstance(value, list):
        return [_with_ids(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value
