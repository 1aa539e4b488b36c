"""One person's way through the program, from referral to the end of follow-up. Only public HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any, Final

from demo.aftercare import Aftercare
from demo.groups import Group
from demo.hours import CLINIC, DESK, FRIDAY, LEVEL, at, says
from demo.population import Person
from demo.services import DemoError
from demo.world import Staff, World

GOALS: Final = ((4, "goals-named"), (5, "sessions-attended"), (6, "support-meetings"))
"""A goal for each dimension that may have set the level."""
AFTERCARE: Final = [
    "first-appointment",
    "medication",
    "triggers-and-coping",
    "support-meetings",
    "housing",
    "work-or-school",
    "family-role",
    "naloxone",
    "safe-channel",
    "consents",
]


class PersonPath:
    """One person's way through the program, as staff bring it about."""

    def __init__(self, person: Person, world: World, staff: Staff, group: Group) -> None:
        self.person = person
        self.world = world
        self.staff = staff
        self.group = group
        self._plan_id = ""
        self._goal_ids: list[str] = []
        self._day = self._admitted_on = person.arrives_on

    async def walk(self) -> None:
        """From referral to the end of a year of follow-up."""
        if not await self._arrive():
            return
        await self._admit()
        await self._plan()
        await self.group.take_in(self.person)
        await self._treatment()
        self.group.members.remove(self.person)
        await Aftercare(self.person, self.world, self.staff).walk()

    async def _on(self, days: int, hour: time = DESK) -> None:
        """Go on to a working day `days` later, at `hour`."""
        day = self._day + timedelta(days=days)
        while day.weekday() > FRIDAY:
            day += timedelta(days=1)
        self._day = day
        await self.world.until(at(day, hour, self.person.time_zone))

    async def _intake(
        self, role: str, path: str, body: Mapping[str, Any], *names: str, **data: Any
    ) -> dict[str, Any]:
        expects = says("intake", *names, **data)
        return await self.staff.does(
            role, "intake", path, body, who=self.person.label, expects=expects
        )

    async def _arrive(self) -> bool:
        """Referral, acknowledgement, assessment, recommendation. False: this is not the right place."""
        p = self.person
        await self._on(0)
        told = await self._intake(
            "intake_coordinator",
            "/referrals",
            {"source_kind": p.source_kind, "urgency": p.urgency},
            "referral-received",
        )
        p.episode_id, p.person_id = told["episode_id"], told["person_id"]
        p.stage = "referred"
        if not p.acknowledged_at_once:
            await self._on(1)
        episode = {"episode_id": p.episode_id}
        received = await self.staff.lists(
            "intake_coordinator", "intake", "/referrals?state=received&", "referrals"
        )
        if p.episode_id not in received:
            raise DemoError("not-listed", "A referral that nobody has taken on is not listed.")
        await self._intake(
            "intake_coordinator", f"/referrals/{p.episode_id}/ack", {}, "referral-acknowledged"
        )
        await self._on(2)
        told = await self._intake(
            "clinician",
            "/assessments",
            {**episode, "starts_at": at(self._day, CLINIC, p.time_zone).isoformat()},
            "assessment-scheduled",
        )
        assessment = f"/assessments/{told['assessment_id']}"
        await self._on(0, CLINIC)
        await self._intake(
            "clinician",
            f"{assessment}/complete",
            {
                **episode,
                "edition": "3",
                "ratings": self._ratings(),
                "severity": "severe",
                "co_occurring": "capable",
                "imminent_danger": False,
            },
            "assessment-completed",
        )
        told = await self._intake(
            "clinician",
            f"{assessment}/recommendation",
            episode,
            "level-recommended",
            "eligibility-determined",
        )
        p.stage = "assessed"
        if not told["eligible"]:
            await self._refer_out()
        return bool(told["eligible"])

    def _ratings(self) -> dict[str, int]:
        withdrawal = 3 if self.person.needs_withdrawal_care else self.person.luck.choice([0, 1])
        return {
            "1": withdrawal,
            "2": 1,
            "3": 1,
            "4": 2,
            "5": 2,
            "6": self.person.luck.choice([1, 2]),
        }

    async def _refer_out(self) -> None:
        """Withdrawal care first: a consented referral to a partner, closed when it is known what became of it."""
        p = self.person
        p.stage = "referred out"
        await self._intake(
            "intake_coordinator",
            "/consents",
            {
                "person_id": p.person_id,
                "kind": "specific",
                "discloser_id": p.facility,
                "recipients": ["harbor-detox"],
                "categories": ["referral_status"],
                "purpose": "care_coordination",
                "effective_at": at(self._day, CLINIC, p.time_zone).isoformat(),
                "expires_on": (self._day + timedelta(days=365)).isoformat(),
                "statements": ["right_to_revoke"],
                "signed_on": self._day.isoformat(),
                "document_sha256": "0" * 64,
            },
            "consent-granted",
        )
        episode = {"episode_id": p.episode_id}
        sent = await self._intake(
            "intake_coordinator",
            "/outbound-referrals",
            {
                **episode,
                "target_kind": "withdrawal_management",
                "target_facility_id": "harbor-detox",
                "respond_within_hours": 48,
            },
            "referral-sent",
        )
        now = self.world.now
        assert now is not None
        await self._intake(
            "intake_coordinator",
            f"/disclosures/{sent['referral_id']}/report",
            {"person_id": p.person_id, "made_at": now.isoformat()},
            "disclosure-recorded",
            disclosure_id=sent["referral_id"],
        )
        outbound = f"/outbound-referrals/{sent['referral_id']}"
        await self._on(p.luck.choice([1, 5]))
        await self._intake(
            "intake_coordinator", f"{outbound}/accepted", episode, "partner-referral-accepted"
        )
        await self._on(2)
        await self._intake(
            "intake_coordinator",
            f"{outbound}/close",
            {**episode, "outcome": "admitted"},
            "referral-loop-closed",
            referral_id=sent["referral_id"],
        )
        await self._intake(
            "intake_coordinator",
            f"/referrals/{p.episode_id}/close",
            {"outcome": "declined"},
            "referral-loop-closed",
            referral_id=p.episode_id,
        )
        p.stage = "closed elsewhere"

    async def _admit(self) -> None:
        p = self.person
        await self._on(1)
        episode = {"episode_id": p.episode_id}
        await self._intake(
            "clinician", "/placements", {**episode, "actual_level": LEVEL}, "placement-decided"
        )
        await self._intake(
            "intake_coordinator",
            "/episodes",
            {
                **episode,
                "population": "adolescent" if p.adolescent else "adult",
                "court_involved": p.source_kind == "court",
                "program": "iop-evening",
                "length_weeks": p.length_weeks,
                "time_zone": p.time_zone,
            },
            "patient-admitted",
            "referral-loop-closed",
        )
        await self._intake(
            "intake_coordinator",
            f"/episodes/{p.episode_id}/orientation",
            {
                "rules_accepted": ["attendance", "screens", "participation"],
                "part2_notice_at": at(self._day, DESK, p.time_zone).isoformat(),
            },
            "orientation-completed",
        )
        p.stage, self._admitted_on = "admitted", self._day

    async def _plan(self) -> None:
        """Drafted with the person, signed by both; a late one has been escalated by then."""
        p = self.person
        await self._on(9 if p.plan_signed_late else 2)
        episode = {"episode_id": p.episode_id}
        drafted = await self.staff.does(
            "counselor",
            "plans",
            "/plans",
            {
                **episode,
                "goals": [
                    {
                        "dimension": {"edition": "3", "number": number},
                        "metric": metric,
                        "unit": "per_week",
                        "baseline": 0,
                        "target": 3,
                        "due_on": (self._admitted_on + timedelta(days=60)).isoformat(),
                        "owner": "patient",
                        "contributors": ["patient", "counselor"],
                        "therapies": ["cognitive-behavioral"],
                    }
                    for number, metric in GOALS
                ],
                "services": [
                    {"modality": "group", "sessions_per_week": 3, "minutes_per_session": 180},
                    {"modality": "individual", "sessions_per_week": 1, "minutes_per_session": 60},
                ],
            },
            who=p.label,
        )
        self._plan_id, self._goal_ids = drafted["plan_id"], drafted["goal_ids"]
        sign = f"/plans/{self._plan_id}/sign"
        await self.staff.does(
            "counselor", "plans", sign, {**episode, "by": "patient"}, who=f"{p.label}/patient"
        )
        await self.staff.does(
            "clinician",
            "plans",
            sign,
            {**episode, "by": "clinician"},
            who=f"{p.label}/clinician",
            expects=says("plans", "treatment-plan-activated"),
        )
        p.stage = "active"

    async def _treatment(self) -> None:
        """Plan reviews every thirty days until the person graduates or leaves."""
        p = self.person
        last_day = self._last_day()
        while (review_on := self._day + timedelta(days=30)) < last_day:
            self._day = review_on
            late = 4 if p.luck.random() < 0.1 else 0
            await self.world.until(at(review_on + timedelta(days=late), DESK, p.time_zone))
            self._day = review_on + timedelta(days=late)
            await self.staff.does(
                "clinician",
                "plans",
                f"/plans/{self._plan_id}/reviews",
                {"episode_id": p.episode_id, "basis": "progressing", "decision": "continue"},
                who=p.label,
                expects=says("plans", "treatment-plan-reviewed"),
            )
        if p.leaves_after_days is None:
            await self._towards_the_end(last_day)
        self._day = last_day
        await self._on(0)
        await self.group.complete_reviews(p)
        episode = f"/episodes/{p.episode_id}"
        if p.leaves_after_days is not None:
            p.stage = "left"
            await self.staff.does(
                "clinician",
                "plans",
                f"{episode}/discharge",
                {"kind": p.leaves_how},
                who=p.label,
                expects=says("plans", "episode-discharged", kind=p.leaves_how),
            )
            return
        p.stage = "graduated"
        criteria = [{"code": "supports-verified", "met": True}]
        await self.staff.does(
            "clinician",
            "plans",
            f"{episode}/graduate",
            {"criteria": criteria},
            who=p.label,
            expects=says("plans", "graduation-approved", "program-graduated", "episode-discharged"),
        )

    def _last_day(self) -> date:
        """The day the person graduates or leaves: counted from the admission, but not before there is a plan.

        Who is gone before day 30 does not wait for a working day beyond it.
        """
        days = self.person.leaves_after_days
        if days is None:
            return self._admitted_on + timedelta(weeks=self.person.length_weeks)
        last_day = self._admitted_on + timedelta(days=days)
        while last_day.weekday() > FRIDAY:
            last_day -= timedelta(days=1)
        return max(last_day, self._day + timedelta(days=1))

    async def _towards_the_end(self, last_day: date) -> None:
        """Ten days before: the goals are measured, and what comes after is settled."""
        p, episode = self.person, {"episode_id": self.person.episode_id}
        self._day = max(self._day, last_day - timedelta(days=10))
        await self.world.until(at(self._day, DESK, p.time_zone))
        for goal_id in self._goal_ids:
            await self.staff.does(
                "counselor",
                "plans",
                f"/goals/{goal_id}",
                {**episode, "value": 3},
                who=p.label,
                expects=says("plans", "goal-updated", "goal-achieved", goal_id=goal_id),
                method="PATCH",
            )
        await self.staff.does(
            "counselor",
            "plans",
            f"/plans/{self._plan_id}/relapse-prevention",
            {**episode, "elements": ["triggers", "cravings", "strategies"]},
            who=p.label,
        )
        await self.staff.does(
            "case_manager",
            "plans",
            f"/episodes/{p.episode_id}/aftercare-plan",
            {
                "elements": AFTERCARE,
                "not_needed": ["legal-duties"],
                "first_appointment_at": at(
                    last_day + timedelta(days=5), CLINIC, p.time_zone
                ).isoformat(),
            },
            who=p.label,
            expects=says("plans", "aftercare-plan-drafted", complete=True),
            method="PUT",
        )
