"""The year after: check-ins with up to three attempts, and the way back for whoever needs it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from demo.hours import says
from demo.population import Person
from demo.world import Staff, World


class Aftercare:
    """A year of check-ins, and the way back for whoever needs it."""

    def __init__(self, person: Person, world: World, staff: Staff) -> None:
        self.person = person
        self.world = world
        self.staff = staff

    async def walk(self) -> None:
        """Every check-in of the calendar, with up to three attempts."""
        p = self.person
        now = self.world.now
        assert now is not None
        seen = await self._calendar(now)
        await self._agree(now)
        returns = None
        if p.returns_to_use_day is not None:
            returns = now + timedelta(days=p.returns_to_use_day)
        for check_in_id, due_at in seen:
            if returns is not None and returns < due_at:
                await self._return_to_use(returns)
                returns = None
            await self._check_in(check_in_id, due_at)
        p.stage = "completed"

    async def _calendar(self, now: datetime) -> list[tuple[str, datetime]]:
        """The check-ins, once followup has heard of the discharge."""
        await self.world.until(now + timedelta(hours=8))
        p = self.person
        p.stage = "aftercare"
        seen = await self.staff.sees("case_manager", "followup", f"/episodes/{p.episode_id}")
        return [
            (item["check_in_id"], datetime.fromisoformat(item["due_at"]))
            for item in seen["aftercare"]["check_ins"]
        ]

    async def _agree(self, now: datetime) -> None:
        """What aftercare consists of, agreed with the person, and the first appointment of it kept."""
        appointment_at = now + timedelta(days=2)
        told = await self._followup(
            "/aftercare-plans",
            {
                "elements": ["crisis-contacts", "support-meetings", "individual-therapy"],
                "first_appointment_at": appointment_at.isoformat(),
            },
            "aftercare-plan-agreed",
        )
        await self.world.until(appointment_at + timedelta(hours=1))
        await self._followup(
            f"/aftercare-plans/{told['aftercare_plan_id']}/first-appointment", {"outcome": "kept"}
        )

    async def _check_in(self, check_in_id: str, due_at: datetime) -> None:
        p = self.person
        for attempt in range(3):
            await self.world.until(due_at + timedelta(days=attempt))
            reached = p.luck.random() < p.reachable
            body = {"channel": "call" if attempt < 2 else "sms"}
            await self._followup(
                f"/checkins/{check_in_id}/attempts",
                {**body, "result": "reached" if reached else "no_answer"},
                "check-in-attempted",
                nth=attempt,
                check_in_id=check_in_id,
            )
            if reached:
                await self._followup(
                    f"/checkins/{check_in_id}/complete",
                    {"use_since": "none", "housing": "stable", "risk_flags": []},
                    "check-in-completed",
                    check_in_id=check_in_id,
                )
                return

    async def _return_to_use(self, when: datetime) -> None:
        p = self.person
        await self.world.until(when)
        await self._followup(
            "/return-to-use",
            {"reported_by": "patient", "substance_class": "alcohol", "overdose": False},
            "return-to-use-reported",
            "reengagement-started",
        )
        await self.world.until(when + timedelta(days=2))
        outcome = "outpatient" if p.engages_again else "declined"
        await self._followup("/reengagements", {"outcome": outcome}, "reengagement-completed")

    async def _followup(
        self, path: str, body: Mapping[str, Any], *names: str, nth: int = 0, **data: Any
    ) -> dict[str, Any]:
        return await self.staff.does(
            "case_manager",
            "followup",
            path,
            {"episode_id": self.person.episode_id, **body},
            who=f"{self.person.label}/{nth}",
            expects=says("followup", *names, **data),
        )
