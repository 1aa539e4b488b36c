"""What staff do, day by day: one path per person, one calendar per group. Only public HTTP.

Staff act at few and fixed hours, so that the clock has few instants to step through, and two people never act on
one person in the same instant: what is done at one hour is settled before the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from demo.population import Person
from demo.world import Expectation, Expects, Staff, World

LAB: Final = time(8, 0)
DESK: Final = time(9, 0)
ROUND: Final = time(10, 0)
CLINIC: Final = time(17, 0)
GROUP: Final = time(18, 0)
ROLL: Final = time(21, 0)
GROUP_DAYS: Final = (0, 2, 3)
"""Monday, Wednesday, Thursday: three times three hours are the nine that the level asks for."""
INDIVIDUAL_DAY: Final = 3
MAKE_UP_DAY: Final = 4
FRIDAY: Final = 4
Scheduled = tuple[str, list[Person], int]
"""A session's id, who is on its roster, and its minutes."""
LEVEL: Final = {"system": "asam", "edition": "3", "code": "2.1"}


def at(day: date, hour: time, zone: str) -> datetime:
    """A local time as an instant."""
    return datetime.combine(day, hour, ZoneInfo(zone))


def says(source: str, *names: str, **data: Any) -> Expects:
    """The facts that must follow about the command's own subject."""

    def expects(answer: Mapping[str, Any]) -> tuple[Expectation, ...]:
        return tuple((f"care.{source}.{name}.v1", answer["subject"], data) for name in names)

    return expects


class PersonPath:
    """One person's way through the program, as staff bring it about."""

    def __init__(self, person: Person, world: World, staff: Staff, group: Group) -> None:
        self.person = person
        self.world = world
        self.staff = staff
        self.group = group
        self._plan_id = ""
        self._day = person.arrives_on

    async def walk(self) -> None:
        """From referral to the end of a year of follow-up."""
        if not await self._arrive():
            return
        await self._admit()
        await self._plan()
        self.group.members.append(self.person)
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
            {"source_kind": p.source_kind, "priority": p.priority},
            "referral-received",
        )
        p.episode_id, p.person_id = told["episode_id"], told["person_id"]
        p.stage = "referred"
        if not p.acknowledged_at_once:
            await self._on(1)
        episode = {"episode_id": p.episode_id}
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
        consent = await self._intake(
            "intake_coordinator",
            "/consents",
            {
                "person_id": p.person_id,
                "kind": "specific",
                "recipients": ["harbor-detox"],
                "categories": ["referral_status"],
                "purpose": "care_coordination",
                "effective_at": at(self._day, CLINIC, p.time_zone).isoformat(),
                "expires_on": (self._day + timedelta(days=365)).isoformat(),
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
                "consent_id": consent["consent_id"],
                "respond_within_hours": 48,
            },
            "referral-sent",
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
        p.stage = "admitted"

    async def _plan(self) -> None:
        """Drafted with the person, signed by both; a late one has been escalated by then."""
        p = self.person
        admitted_on = self._day
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
                        "dimension": {"edition": "3", "number": 5},
                        "metric": "sessions-attended",
                        "unit": "per_week",
                        "target": 3,
                        "due_on": (admitted_on + timedelta(days=60)).isoformat(),
                    }
                ],
                "services": [
                    {"modality": "group", "sessions_per_week": 3, "minutes_each": 180},
                    {"modality": "individual", "sessions_per_week": 1, "minutes_each": 60},
                ],
            },
            who=p.label,
        )
        self._plan_id = drafted["plan_id"]
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
        days = p.leaves_after_days or 7 * p.length_weeks
        last_day = self._day + timedelta(days=days)
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
        criteria = [{"code": code, "met": True} for code in ("goals-met", "supports-verified")]
        await self.staff.does(
            "clinician",
            "plans",
            f"{episode}/graduate",
            {"criteria": criteria},
            who=p.label,
            expects=says("plans", "graduation-approved", "program-graduated", "episode-discharged"),
        )


class Group:
    """One facility's evening groups: sessions, rolls, screens, outreach, and the clinic hour."""

    def __init__(self, facility: str, number: int, zone: str, world: World, staff: Staff) -> None:
        self.facility = facility
        self.number = number
        self.zone = zone
        self.world = world
        self.staff = staff
        self.members: list[Person] = []

    async def run(self, begins: date, ends: date) -> None:
        """The group's calendar, until its last day."""
        day = begins
        while day <= ends:
            if day.weekday() <= FRIDAY and self.members:
                await self._a_day(day)
            day += timedelta(days=1)
            await self.world.until(at(day, ROUND, self.zone))

    async def _a_day(self, day: date) -> None:
        await self.world.until(at(day, ROUND, self.zone))
        await self._reach_out()
        present = sorted(self.members, key=lambda p: p.number)
        sessions = await asyncio.gather(*self._calendar(day, present))
        await self.world.until(at(day, CLINIC, self.zone))
        await asyncio.gather(*(self.complete_reviews(p) for p in present if p.flagged))
        if not sessions:
            return
        screens = await self._screens(day, present)
        await self.world.until(at(day, ROLL, self.zone))
        # Individual sessions took place before the group: one person's rolls are called in that order.
        for alone in (True, False):
            rolls = [self._roll(*session) for session in sessions if (session[2] == 60) is alone]
            await asyncio.gather(*rolls)
        await asyncio.gather(
            *(
                self._screen_step(
                    p, screen_id, "collect", {"observed": False}, "specimen-collected"
                )
                for p, screen_id in screens
            )
        )
        if screens:
            await self._results(day, screens)

    def _calendar(self, day: date, present: list[Person]) -> list[Awaitable[Scheduled]]:
        """The day's sessions: group and individual ones, and on Friday a make-up for who was short."""
        sessions: list[Awaitable[Scheduled]] = []
        if day.weekday() in GROUP_DAYS:
            sessions.append(self._schedule(day, GROUP, present, "group"))
        if day.weekday() == INDIVIDUAL_DAY:
            sessions += [self._schedule(day, CLINIC, [p], p.label) for p in present]
        if day.weekday() == MAKE_UP_DAY:
            short = [p for p in present if p.absences and p.days_luck.random() < 0.5]
            if short:
                sessions.append(self._schedule(day, GROUP, short, "make-up"))
            for p in present:
                p.absences = 0
        return sessions

    async def _schedule(self, day: date, hour: time, roster: list[Person], who: str) -> Scheduled:
        individual = hour is CLINIC
        minutes = 60 if individual else 180
        body: dict[str, Any] = {
            "modality": "individual" if individual else "group",
            "starts_at": at(day, hour, self.zone).isoformat(),
            "minutes_planned": minutes,
            "roster": [p.episode_id for p in roster],
        }
        if not individual:
            body["topic"] = "relapse-prevention"
        told = await self.staff.does(
            "counselor",
            "attendance",
            "/sessions",
            body,
            who=f"{self.facility}/{self.number}/{who}",
            expects=says("attendance", "session-scheduled"),
        )
        return told["session_id"], roster, minutes

    async def _roll(self, session_id: str, roster: list[Person], minutes: int) -> None:
        entries: list[dict[str, Any]] = []
        facts: list[Expectation] = []
        for p in roster:
            entry, fact = self._entry(p, minutes)
            entries.append(entry)
            detail = {"session_id": session_id}
            facts.append((f"care.attendance.{fact}.v1", f"episode/{p.episode_id}", detail))
        await self.staff.does(
            "counselor",
            "attendance",
            f"/sessions/{session_id}/attendance",
            {"entries": entries},
            who=session_id,
            expects=lambda _answer: tuple(facts),
        )

    def _entry(self, p: Person, minutes: int) -> tuple[dict[str, Any], str]:
        entry: dict[str, Any] = {"episode_id": p.episode_id, "participation": "active"}
        if p.days_luck.random() < p.attends:
            late = p.days_luck.random() < 0.05
            status, present = ("late", minutes - 30) if late else ("attended", minutes)
            return {**entry, "status": status, "minutes_present": present}, "session-attended"
        p.absences += 1
        excused = p.days_luck.random() < p.calls_ahead
        p.flagged = p.flagged or not excused
        return {**entry, "status": "excused" if excused else "no_show"}, "session-missed"

    async def _reach_out(self) -> None:
        """The morning after: call whoever did not come, most of the time."""
        for p in sorted(self.members, key=lambda p: p.number):
            if p.absences and p.days_luck.random() < 0.8:
                reached = p.days_luck.random() < p.reachable
                await self.staff.does(
                    "counselor",
                    "followup",
                    f"/episodes/{p.episode_id}/outreach",
                    {"channel": "call", "result": "reached" if reached else "no_answer"},
                    who=p.label,
                )

    async def complete_reviews(self, p: Person) -> None:
        """Look at everything that waits for a clinician."""
        seen = await self.staff.sees("clinician", "plans", f"/episodes/{p.episode_id}")
        for review_id, review in sorted(seen["reviews"].items()):
            if review["open"]:
                outcome = "intensify" if review["trigger"] == "screen" else "amend"
                await self.staff.does(
                    "clinician",
                    "plans",
                    f"/reviews/{review_id}/complete",
                    {"episode_id": p.episode_id, "outcome": outcome},
                    who=p.label,
                    expects=says("plans", "clinical-review-completed", review_id=review_id),
                )
        p.flagged = False

    async def _screens(self, day: date, present: list[Person]) -> list[tuple[Person, str]]:
        """Screen each person about once a week, on a day they can't foresee."""
        await self.world.until(at(day, GROUP, self.zone))
        drawn = [p for p in present if p.days_luck.random() < 1 / len(GROUP_DAYS)]
        return await asyncio.gather(*(self._order(p) for p in drawn))

    async def _order(self, p: Person) -> tuple[Person, str]:
        told = await self.staff.does(
            "nurse",
            "attendance",
            "/screens",
            {"episode_id": p.episode_id, "panel": "urine-12"},
            who=p.label,
            expects=says("attendance", "screen-ordered"),
        )
        return p, told["screen_id"]

    async def _screen_step(
        self, p: Person, screen_id: str, step: str, body: Mapping[str, Any], *names: str
    ) -> dict[str, Any]:
        return await self.staff.does(
            "nurse",
            "attendance",
            f"/screens/{screen_id}/{step}",
            {"episode_id": p.episode_id, **body},
            who=p.label,
            expects=says("attendance", *names, screen_id=screen_id),
        )

    async def _results(self, day: date, screens: list[tuple[Person, str]]) -> None:
        await self.world.until(at(day + timedelta(days=1), LAB, self.zone))
        await asyncio.gather(*(self._result(p, screen_id) for p, screen_id in screens))

    async def _result(self, p: Person, screen_id: str) -> None:
        positive = p.days_luck.random() < p.positive
        p.flagged = p.flagged or positive
        result = {
            "stage": "definitive" if positive else "presumptive",
            "validity": "valid",
            "positives": ["cocaine"] if positive else [],
        }
        await self._screen_step(p, screen_id, "results", result, "screen-resulted")
        names = ("screen-interpreted", "screen-failed") if positive else ("screen-interpreted",)
        await self._screen_step(p, screen_id, "interpret", {}, *names)


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
