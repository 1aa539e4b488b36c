"""The organisations outside that the demo knows, registered by the organisation that runs the services."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from demo.hours import says
from demo.world import Staff, World

OPERATING: Final = "operations"
_TREATS: Final = {"recipient_class": "treating-providers", "covered_entity": True}
ORGANISATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    **{
        code: {"kind": kind, **_TREATS}
        for code, kind in (
            ("harbor-detox", "withdrawal_management"),
            ("mesa-detox", "withdrawal_management"),
            ("slow-detox", "withdrawal_management"),
            ("canyon-day-hospital", "partial_hospitalization"),
            ("mesa-day-hospital", "partial_hospitalization"),
            ("high-plains-residence", "residential"),
            ("mesa-residential", "residential"),
            ("front-range-outpatient", "outpatient"),
            ("harbor-outpatient", "outpatient"),
            ("high-plains-dual-diagnosis", "partial_hospitalization"),
            ("st-marys-emergency", "emergency_department"),
        )
    },
    "county-drug-court": {"kind": "court"},
    "county-laboratory": {"kind": "laboratory", "recipient_class": "operations-contractors"},
}


async def register(world: World, facility: str) -> None:
    """Register all of them; a service agreement of last year has ended, and this year's holds."""
    operator = Staff(world, OPERATING)
    for code, body in ORGANISATIONS.items():
        await operator.does(
            "operator",
            "intake",
            f"/partners/{code}",
            body,
            who=code,
            expects=says("intake", "partner-registered", kind=body["kind"]),
            method="PUT",
        )
    path = "/partners/county-laboratory/agreements"
    for year in ("2024", "2025"):
        told = await operator.does(
            "operator",
            "intake",
            path,
            {"facility_id": facility, "kind": "qsoa", "from_on": f"{year}-01-01"},
            who=year,
            expects=says("intake", "partner-agreement-recorded"),
        )
        if year == "2024":
            await operator.does(
                "operator",
                "intake",
                f"{path}/{told['agreement_id']}/end",
                {"until_on": "2024-12-31"},
                who="ends",
                expects=says("intake", "partner-agreement-ended"),
            )


async def registered_by(world: World, instant: datetime, facility: str) -> None:
    """The same, once the clock shows this instant."""
    await world.until(instant)
    await register(world, facility)
