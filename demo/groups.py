"""A group's calendar: sessions, rolls, screens, outreach and the clinic hour, as its staff keep it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import date, timedelta
from typing import Any, Final

from demo.hours import (
    CLINIC,
    DESK,
    FRIDAY,
    GROUP,
    GROUP_DAYS,
    INDIVIDUAL_DAY,
    LAB,
    MAKE_UP_DAY,
    ROLL,
    ROUND,
    at,
    is_scheduled,
    says,
)
from demo.journal import Expectation
from demo.population import GROUP_SIZE_MIN, Person
from demo.services import DemoError
from demo.world import Staff, World

HOLIDAYS: Final = (date(2026, 2, 16),)
"""Days on which both facilities are closed."""
Scheduled = tuple[str, list[Person], int]
"""A session's id, who is on its roster, and its minutes."""


class Group:
    """One facility's evening groups: sessions, rolls, screens, outreach, and the clinic hour."""

    def __init__(self, facility: str, number: int, zone: str, world: World, staff: Staff) -> None:
        self.facility = facility
        self.number = number
        self.zone = zone
        self.world = world
        self.staff = staff
        self.members: list[Person] = []
        self._group_id = ""
        self._was_enough = False
        self._opening = asyncio.Lock()

    async def run(self, begins: date, ends: date) -> None:
        """The group's calendar, until its last day."""
        day = begins
        if self.number == 1:
            await self._enters_holidays(day)
        while day <= ends:
            if day.weekday() <= FRIDAY and self.members:
                await self._a_day(day)
            day += timedelta(days=1)
            await self.world.until(at(day, ROUND, self.zone))
            await self._decide_size()

    async def _enters_holidays(self, day: date) -> None:
        """Nobody meets on a holiday, and no week asks for it."""
        await self.world.until(at(day, DESK, self.zone))
        for holiday in HOLIDAYS:
            body = {
                "from_on": holiday.isoformat(),
                "until_on": holiday.isoformat(),
                "reason": "holiday",
            }
            who = f"{self.facility}/{holiday}"
            await self.staff.does("program_director", "attendance", "/closures", body, who=who)

    async def take_in(self, p: Person) -> None:
        """A seat for somebody new; the first one opens the group."""
        async with self._opening:
            if not self._group_id:
                told = await self.staff.does(
                    "counselor",
                    "attendance",
                    "/groups",
                    {"program": "iop-evening", "track": "evening", "time_zone": self.zone},
                    who=f"{self.facility}/{self.number}",
                    expects=says("attendance", "group-opened"),
                )
                self._group_id = told["group_id"]
        await self.staff.does(
            "intake_coordinator",
            "attendance",
            f"/groups/{self._group_id}/seats",
            {"episode_id": p.episode_id},
            who=p.label,
        )
        self.members.append(p)

    async def _decide_size(self) -> None:
        """Who is left of a group meets on; somebody says so."""
        enough = len(self.members) >= GROUP_SIZE_MIN
        if self._was_enough and not enough:
            path = f"/groups/{self._group_id}/below-minimum"
            body = {"decision": "reclassified"}
            await self.staff.does("counselor", "attendance", path, body, who=self._group_id)
        self._was_enough = enough

    async def _a_day(self, day: date) -> None:
        await self.world.until(at(day, ROUND, self.zone))
        await self._reach_out()
        present = sorted(self.members, key=lambda p: p.number)
        if day.weekday() == GROUP_DAYS[0]:
            await self._look_at_who_is_in_care(present)
        sessions = await asyncio.gather(*self._calendar(day, present))
        await self.world.until(at(day, CLINIC, self.zone))
        await asyncio.gather(*(self.complete_reviews(p) for p in present if p.flagged))
        if not sessions:
            return
        screens = await self._screens(day, present)
        await self.world.until(at(day, ROLL, self.zone))
        sessions = await self._with_rosters(day, sessions)
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

    async def _with_rosters(self, day: date, sessions: list[Scheduled]) -> list[Scheduled]:
        """The day's sessions as their list has them: whoever is on a roster is on the roll."""
        first, last = (at(day, hour, self.zone).isoformat() for hour in (CLINIC, GROUP))
        listed: dict[str, set[str]] = {}
        after = ""
        while True:
            path = f"/sessions?from={first}&to={last}{after}"
            seen = await self.staff.sees("counselor", "attendance", path)
            listed |= {one["session_id"]: set(one["roster"]) for one in seen["sessions"]}
            if "next" not in seen:
                break
            after = f"&after={seen['next']}"
        return [
            (session_id, [p for p in roster if p.episode_id in listed[session_id]], minutes)
            for session_id, roster, minutes in sessions
        ]

    async def _look_at_who_is_in_care(self, present: list[Person]) -> None:
        """The week begins with a look at who is in care: everybody in the group has to be there."""
        in_care = await self.staff.lists("counselor", "attendance", "/episodes?", "episodes")
        if not {p.episode_id for p in present} <= in_care:
            raise DemoError("not-listed", "Somebody who is in the group is not listed as in care.")

    def _calendar(self, day: date, present: list[Person]) -> list[Awaitable[Scheduled]]:
        """The day's sessions: group and individual ones, and on Friday a make-up for who was short."""
        sessions: list[Awaitable[Scheduled]] = []
        if day.weekday() in GROUP_DAYS and day not in HOLIDAYS:
            sessions.append(self._of_group(day, present, "group"))
        if day.weekday() == INDIVIDUAL_DAY:
            sessions += [self._alone(day, p) for p in present]
        if day.weekday() == MAKE_UP_DAY:
            short = [p for p in present if p.absences and p.days_luck.random() < 0.5]
            if short:
                only = {"roster": [p.episode_id for p in short], "unscheduled": "make_up"}
                sessions.append(self._of_group(day, short, "make-up", **only))
            for p in present:
                p.absences = 0
        return sessions

    async def _of_group(self, day: date, people: list[Person], who: str, **only: Any) -> Scheduled:
        body: dict[str, Any] = {
            "modality": "group",
            "group_id": self._group_id,
            "topic": "relapse-prevention",
            "starts_at": at(day, GROUP, self.zone).isoformat(),
            "minutes_planned": 180,
            **only,
        }
        return await self._scheduled(body, f"{self.facility}/{self.number}/{who}"), people, 180

    async def _alone(self, day: date, p: Person) -> Scheduled:
        body: dict[str, Any] = {
            "modality": "individual",
            "starts_at": at(day, CLINIC, self.zone).isoformat(),
            "minutes_planned": 60,
            "roster": [p.episode_id],
        }
        return await self._scheduled(body, f"{self.facility}/{self.number}/{p.label}"), [p], 60

    async def _scheduled(self, body: Mapping[str, Any], who: str) -> str:
        told = await self.staff.does(
            "counselor", "attendance", "/sessions", body, who=who, expects=is_scheduled
        )
        return str(told["session_id"])

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
        missed = [p for p in self.members if p.absences and p.days_luck.random() < 0.8]
        await asyncio.gather(*(self._call(p) for p in missed))

    async def _call(self, p: Person) -> None:
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
                said: dict[str, Any] = {"episode_id": p.episode_id, "outcome": "intensify"}
                if review["reassess"]:  # the level is looked at anew, and stays
                    said["drivers"] = [{"edition": "3", "number": 5}]
                await self.staff.does(
                    "clinician",
                    "plans",
                    f"/reviews/{review_id}/complete",
                    said,
                    who=p.label,
                    expects=says("plans", "clinical-review-completed", review_id=review_id),
                )
        p.flagged = False

    async def _screens(self, day: date, present: list[Person]) -> list[tuple[Person, str]]:
        """Screen each person on days they can't foresee: about weekly in the first month, then monthly."""
        await self.world.until(at(day, GROUP, self.zone))
        drawn: list[Person] = []
        for p in present:
            p.group_days += 1
            first_month = p.group_days <= 4 * len(GROUP_DAYS)
            if p.days_luck.random() < (1 if first_month else 0.25) / len(GROUP_DAYS):
                drawn.append(p)
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
