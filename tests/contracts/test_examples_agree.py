"""No published example contradicts itself or another one: times, counts, ids and facilities.

Subscribers of other teams write their first tests with these records.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final, cast

import pytest

from shared.contracts.attributes import UUID
from shared.contracts.event import CATALOGUE, Event
from shared.contracts.publish.examples import check_example, example_of

EVENTS: Final = sorted(CATALOGUE.values(), key=lambda event: event.TYPE)
every_event = pytest.mark.parametrize("event", EVENTS, ids=[event.TYPE for event in EVENTS])

ORDERED: Final = (
    ("opens_at", "due_at", "closes_at"),
    ("from_at", "until_at"),
    ("from_on", "until_on"),
    ("effective_at", "expires_on"),
    ("handoff_at", "first_contact_at"),
    ("paused_at", "resumes_at"),
    ("part2_notice_at", "completed_at"),
)
"""Fields of one record of which each is earlier than the next."""
TO_COME: Final = frozenset(
    {
        *("hold_expires_at", "offer_expires_at", "expires_on", "resumes_at", "window_ends_at"),
        *("deadline_at", "opens_at", "closes_at", "due_at", "due_on", "reassessment_due_at"),
        *("response_due_at", "appointment_at", "from_at", "until_at", "until_on", "next_review_on"),
    }
)
"""What lies after the event, or on its day, unless the event is about that it has passed."""
EITHER: Final = frozenset({"starts_at", "handoff_at", "effective_at", "due_on", "from_on"})
"""What may lie before the event or after it."""
PASSED: Final = frozenset(
    {"clinical-review-overdue", "treatment-plan-review-overdue", "expected-analytes-updated"}
)
AHEAD: Final = frozenset(
    {
        *("session-scheduled", "session-cancelled", "session-rescheduled", "assessment-scheduled"),
        *("session-cancellation-undone", "transfer-initiated", "transfer-undone"),
        "transfer-fell-through",
    }
)
"""Events about something that begins later."""
BEHIND: Final = frozenset(
    {"session-attended", "session-missed", "transfer-completed", "first-contact-undone"}
)
"""Events about something that has begun."""
MEANS: Final = {
    "ce_personid": "person",
    "previous_person_id": "mistaken_person",
    "prior_episode_id": "earlier_episode",
    "into_episode_id": "other_episode",
    "retest_of_screen_id": "first_breath_test",
    "trigger_event_id": "event",
    "ce_id": "event",
    "ce_correlationid": "cause",
    "ce_causationid": "cause",
    "staff_id": "staff_member",
}
"""What the id in a field identifies, where its name alone does not say so."""
OUTBOUND: Final = frozenset(
    {
        *("referral-sent", "partner-referral-accepted", "partner-referral-rejected"),
        "referral-loop-overdue",
    }
)


def at(text: str) -> datetime:
    """The moment, or the last moment of the day: a day is compared with a moment by its end."""
    if "T" in text:
        return datetime.fromisoformat(text)
    return datetime.fromisoformat(f"{text}T23:59:59Z")


def fields(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each field of a record with its value, nested ones too."""
    if isinstance(value, dict):
        for key, one in cast("dict[str, object]", value).items():
            yield from fields(one, key)
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            yield from fields(one, name)
    else:
        yield name, value


def meaning(event: type[Event], field: str) -> str:
    """What the id in this field identifies."""
    if field.endswith("_by_id"):
        return "actor"
    if field == "referral_id" and event.NAME in OUTBOUND:
        return "outbound_referral"
    if field == "screen_id" and event.NAME.startswith("breath-test"):
        return "breath_test"
    return MEANS.get(field, field.removesuffix("_id"))


@pytest.mark.fault("F55")
@every_event
def test_times_are_in_the_order_in_which_they_happen(event: type[Event]) -> None:
    record = example_of(event)
    now, data = at(record["headers"]["ce_time"]), record["data"]
    for chain in ORDERED:
        present = [at(data[name]) for name in chain if name in data]
        assert present == sorted(set(present)), chain
    for name, value in fields(data):
        if not name.endswith(("_at", "_on")):
            continue
        if name in TO_COME and event.NAME not in PASSED:
            assert at(value) > now, name
        elif name not in EITHER and name not in TO_COME:
            assert at(value) <= now or value == now.date().isoformat(), name
    for name in {"starts_at", "handoff_at"} & data.keys():
        assert event.NAME in AHEAD | BEHIND, name
        assert (at(data[name]) > now) == (event.NAME in AHEAD), name


@pytest.mark.fault("F55")
def test_an_id_means_one_thing_in_all_examples() -> None:
    things: defaultdict[str, set[str]] = defaultdict(set)
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for event in EVENTS:
        record = example_of(event)
        kind, _, subject = record["key"].partition("/")
        found = [(kind if kind not in {"staff", "partner"} else f"{kind}_subject", subject)]
        for name, value in (*record["headers"].items(), *fields(record["data"])):
            if re.fullmatch(UUID, str(value)):
                found.append((meaning(event, name), value))
        for thing, value in found:
            things[value].add(thing)
            ids[thing].add(value)
    assert {value: names for value, names in things.items() if len(names) > 1} == {}
    # Each thing has one id: a path through the examples is one person's path.
    assert {thing: found for thing, found in ids.items() if len(found) > 1} == {
        "event": ids["event"]
    }


@every_event
def test_the_person_of_the_envelope_is_the_person_of_the_data(event: type[Event]) -> None:
    record = example_of(event)
    assert record["data"].get("person_id") in {None, record["headers"].get("ce_personid")}


@every_event
def test_facilities_are_the_own_one_or_a_partner(event: type[Event]) -> None:
    record = example_of(event)
    own = record["headers"]["ce_facilityid"]
    for name, value in fields(record["data"]):
        if name == "facility_id":
            assert value == own
        elif name in {"recipients", "alternatives", "partner_id", "recipient_id"} or name.endswith(
            "_facility_id"
        ):
            assert value != own, name


Check = Callable[[dict[str, Any]], bool]
AGREEMENTS: Final[dict[str, Check]] = {
    "group-opened": lambda d: d["seats_min"] <= d["seats_max"] > d["seats_taken"],
    "group-filled": lambda d: d["seats_taken"] == d["seats_max"],
    "group-below-minimum": lambda d: d["seats_taken"] < d["seats_min"],
    "attendance-corrected": lambda d: (
        (d["status_before"], d["minutes_before"]) != (d["status_after"], d["minutes_after"])
    ),
    "weekly-hours-evaluated": lambda d: (
        d["minutes_credited"] <= d["minutes_offered"] <= d["minutes_scheduled"]
        and d["met"] == (d["minutes_credited"] >= d["minutes_threshold"])
        and d["ceiling_reached"] == (d["minutes_scheduled"] >= d["minutes_ceiling"])
        and date.fromisoformat(d["week_starts_on"]).isoweekday() == 1
    ),
    "weekly-hours-shortfall-detected": lambda d: (
        date.fromisoformat(d["week_starts_on"]).isoweekday() == 1
        and d["projected"] == (at(d["week_starts_on"]) + timedelta(days=7) > NOW)
    ),
    "mutual-support-requirement-set": lambda d: not (d["opted_out"] and d["meetings_per_week"]),
    "incentive-earned": lambda d: d["amount_cents"] <= d["total_cents"] <= d["cap_cents"],
    "incentive-reset": lambda d: d["total_cents"] <= d["cap_cents"],
    "check-in-missed": lambda d: d["channels_tried"] <= d["attempts"],
    "aftercare-completed": lambda d: d["check_ins_done"] <= d["check_ins_due"],
    "referral-acknowledged": lambda d: at(d["acknowledged_at"]) == NOW,
    "consent-granted": lambda d: ("expires_on" in d) != ("expires_with" in d),
    "eligibility-determined": lambda d: d["eligible"] == (not d["unmet"] or "override_reason" in d),
    "placement-decided": lambda d: (
        (d["recommended_level"] != d["actual_level"]) == ("gap_reason" in d)
    ),
    "partner-registered": lambda d: all(one["kind"] != d["kind"] for one in d["programs"]),
    "staff-absence-planned": lambda d: d["staff_id"] != d["deputy_id"],
    "episode-person-corrected": lambda d: d["person_id"] != d["previous_person_id"],
    "goal-updated": lambda d: d["goal_id"] == d["goal"]["goal_id"],
    "treatment-plan-review-overdue": lambda d: (
        (NOW.date() - date.fromisoformat(d["due_on"])).days == d["days_overdue"]
    ),
    "clinical-review-overdue": lambda d: (
        NOW - at(d["due_at"]) == timedelta(hours=d["hours_overdue"])
    ),
    "level-of-care-change-recommended": lambda d: (
        (d["from_level"]["code"] < d["to_level"]["code"]) == (d["direction"] == "up")
    ),
    "level-of-care-changed": lambda d: d["from_level"] != d["to_level"],
    "disclosure-recorded": lambda d: (d["basis"] == "consent") == ("consent_id" in d),
}
"""What the fields of one record state about each other."""
NOW: Final = at(example_of(EVENTS[0])["headers"]["ce_time"])


@pytest.mark.fault("F55")
@pytest.mark.parametrize("name", AGREEMENTS)
def test_counts_sums_and_reasons_agree(name: str) -> None:
    [event] = [event for event in EVENTS if name == event.NAME]
    data = example_of(event)["data"]
    assert AGREEMENTS[name](data), data


def test_the_wait_for_an_acknowledgement_is_the_time_between_the_two_events() -> None:
    received, acknowledged = (
        example_of(CATALOGUE[f"care.intake.referral-{name}.v1"])["data"]
        for name in ("received", "acknowledged")
    )
    minutes = (at(acknowledged["acknowledged_at"]) - at(received["received_at"])) / timedelta(
        minutes=1
    )
    assert minutes == acknowledged["minutes_to_acknowledge"]


@every_event
def test_nothing_is_merged_into_itself(event: type[Event]) -> None:
    record = example_of(event)
    _, _, subject = record["key"].partition("/")
    others = [value for name, value in fields(record["data"]) if name.endswith("_episode_id")]
    assert subject not in others


@every_event
def test_an_example_is_understood(event: type[Event]) -> None:
    assert check_example(example_of(event)) is None
