"""The organisations that tests of intake know: registered by the operating organisation, as everywhere."""

from __future__ import annotations

from typing import Any, Final

from services.intake.person.may_disclose import Partner
from tests.unit.served import Served

TREATING: Final = "treating-providers"
ORGANISATIONS: Final[dict[str, dict[str, Any]]] = {
    "harbor-detox": {
        "kind": "withdrawal_management",
        "recipient_class": TREATING,
        "covered_entity": True,
    },
    "harbor-ed": {
        "kind": "emergency_department",
        "recipient_class": TREATING,
        "covered_entity": True,
    },
    "river-clinic": {"kind": "primary_care", "recipient_class": TREATING, "covered_entity": True},
    "river-outpatient": {"kind": "outpatient", "recipient_class": TREATING, "covered_entity": True},
    "river-residential": {"kind": "residential", "recipient_class": TREATING},
    "hill-house": {"kind": "sober_living", "recipient_class": "recovery-residences"},
    "northside-court": {"kind": "court"},
    "county-prosecutor": {"kind": "court"},
    "county-exchange": {"kind": "contractor"},
    "county-police": {"kind": "government"},
    "state-auditor": {"kind": "government"},
    "a-university": {"kind": "research"},
    "big-payer": {"kind": "payer", "recipient_class": "payers", "covered_entity": True},
}


def known(*codes: str) -> dict[str, Partner]:
    """These organisations, as their records say; all of them, when none is named."""
    return {
        code: Partner.model_validate({"partner_id": code, **ORGANISATIONS[code]})
        for code in codes or ORGANISATIONS
    }


async def register(served: Served, *codes: str) -> Served:
    """Register organisations; whoever called before calls on."""
    before = served._actor
    served.acting_as("operator", facility_id="operations")
    for code in codes or ORGANISATIONS:
        answer = await served.put(f"/partners/{code}", ORGANISATIONS[code])
        assert answer.status_code == 200, answer.text
    served._actor = before
    return served
