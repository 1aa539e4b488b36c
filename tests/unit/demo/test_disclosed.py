"""What left without an allowance is found, whatever was wrong with it, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from demo.disclosed import not_allowed
from demo.witnesses import Heard

GRANTED: dict[str, Any] = {
    "consent_id": "consent",
    "recipients": ["the-house", "treating-providers"],
    "categories": ["referral_status", "attendance"],
    "effective_at": "2026-03-02T15:00:00Z",
}
RECORDED: dict[str, Any] = {
    "disclosure_id": "referral",
    "recipient_id": "the-house",
    "categories": ["referral_status"],
    "basis": "consent",
    "consent_id": "consent",
    "disclosed_at": "2026-03-03T15:00:00Z",
}
BEFORE, AFTER = "2026-03-03T14:59:00Z", "2026-03-03T15:01:00Z"


def told(*facts: tuple[str, dict[str, Any]]) -> list[Heard]:
    """These facts of one person, in this order."""
    return [
        Heard(
            "care.intake",
            0,
            number,
            {
                "ce_type": f"care.intake.{name}.v1",
                "ce_subject": "person/1",
                "ce_sequence": str(number + 1),
                "ce_id": str(number),
                "ce_time": "2026-03-03T15:00:00Z",
            },
            data,
        )
        for number, (name, data) in enumerate(facts)
    ]


SENT = ("referral-sent", {"referral_id": "referral", "consent_id": "consent"})


def recorded(**changes: Any) -> tuple[str, dict[str, Any]]:
    return ("disclosure-recorded", RECORDED | changes)


def granted(**changes: Any) -> tuple[str, dict[str, Any]]:
    return ("consent-granted", GRANTED | changes)


def revoked(at: str) -> tuple[str, dict[str, Any]]:
    return ("consent-revoked", {"consent_id": "consent", "revoked_at": at})


UNDONE = ("consent-expiry-undone", {"consent_id": "consent"})


@pytest.mark.parametrize(
    "facts",
    [
        (granted(), recorded(), SENT),
        (granted(), recorded(), SENT, revoked(AFTER)),
        (
            granted(),
            ("consent-expired", {"consent_id": "consent", "expired_at": BEFORE}),
            UNDONE,
            recorded(),
        ),
        (recorded(basis="emergency", consent_id=None),),
        (
            (
                "partner-registered",
                {"partner_id": "a-clinic", "recipient_class": "treating-providers"},
            ),
            granted(),
            recorded(recipient_id="a-clinic"),
        ),
        (
            granted(),
            recorded(disclosure_id="delivery"),
            ("disclosure-allowed", {"delivery_id": "delivery"}),
            ("transfer-initiated", {"delivery_id": "delivery"}),
        ),
    ],
)
def test_what_was_allowed_is_in_order(facts: tuple[Any, ...]) -> None:
    assert not_allowed(told(*facts)) == []


@pytest.mark.parametrize(
    "facts",
    [
        (recorded(),),
        (granted(), recorded(recipient_id="another-house")),
        (granted(), recorded(categories=["referral_status", "screens"])),
        (granted(effective_at=AFTER), recorded()),
        (granted(), revoked(BEFORE), recorded()),
        (granted(), SENT),
        (
            granted(),
            recorded(disclosure_id="delivery"),
            ("transfer-initiated", {"delivery_id": "delivery"}),
        ),
        (
            ("disclosure-allowed", {"delivery_id": "delivery"}),
            ("transfer-initiated", {"delivery_id": "delivery"}),
        ),
    ],
)
def test_what_left_without_an_allowance_is_found(facts: tuple[Any, ...]) -> None:
    assert len(not_allowed(told(*facts))) == 1
