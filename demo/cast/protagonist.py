"""One person of the cast, and the steps that most stories have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from demo.hours import DESK, END, GROUP, GROUP_DAYS, LEVEL, at, is_scheduled, says
from demo.journal import Expects
from demo.paths import AFTERCARE, GOALS
from demo.world import Staff, World

FACILITY: Final = "summit-iop"
ZONE: Final = "America/Denver"
PROGRAM: Final = "iop-evening"
PROGRAMS: Final = Path(__file__).parent / "programs"
"""The cast's facility has a program of its own, beside those that ship."""
BEGINS_ON: Final = date(2026, 1, 5)
"""A Monday; every story counts its days from here."""
FOR_IOP: Final = {"1": 0, "2": 1, "3": 1, "4": 2, "5": 2, "6": 1}
PAUSE: Final = timedelta(minutes=1)
Body = Mapping[str, Any]


class Protagonist:
    """A person, and the staff who act for them.

    Every act comes a minute after the one before, so that all that follows from an act has been heard everywhere when
    the next one comes, and a story has one outcome only.
    """

    def __init__(self, label: str, world: World, staff: Staff) -> None:
        self.label = label
        self.world = world
        self.staff = staff
        self.episode_id = ""
        self.person_id = ""
        self.assessment_id = ""
        self.plan_id = ""
        self.goal_ids: Sequence[str] = ()
        self.program = PROGRAM
        self.group_id = ""
        self._seated = ""
        self._acts = 0

    @property
    def subject(self) -> str:
        return f"episode/{self.episode_id}"

    @property
    def of(self) -> dict[str, str]:
        """What a command on something within the episode carries."""
        return {"episode_id": self.episode_id}

    @property
    def now(self) -> datetime:
        """The time on the facility's wall."""
        assert self.world.now is not None
        return self.world.now.astimezone(ZoneInfo(ZONE))

    def when(self, day: int, hour: time = DESK) -> datetime:
        """A local time on a day of the story."""
        return at(BEGINS_ON + timedelta(days=day), hour, ZONE)

    async def on(self, day: int, hour: time = DESK) -> None:
        """Go on to a day of the story."""
        await self.world.until(self.when(day, hour))

    async def after(self, **units: float) -> None:
        """Let some time pass."""
        await self.world.until(self.now.astimezone(UTC) + timedelta(**units))

    async def does(
        self,
        role: str,
        service: str,
        path: str,
        body: Body | None = None,
        *facts: str,
        method: str = "POST",
        expects: Expects | None = None,
        **data: Any,
    ) -> dict[str, Any]:
        """One command that must be accepted; `facts` about the command's subject must follow, with this data."""
        await self.world.until(self.now + PAUSE)
        self._acts += 1
        return await self.staff.does(
            role,
            service,
            path,
            body or {},
            who=f"{self.label}/{self._acts}",
            expects=says(service, *facts, **data) if facts else expects,
            method=method,
        )

    async def is_refused(
        self, role: str, service: str, path: str, body: Body | None = None, method: str = "POST"
    ) -> str:
        """One command that must be refused; returns the machine code."""
        await self.world.until(self.now + PAUSE)
        self._acts += 1
        who = f"{self.label}/{self._acts}"
        return await self.staff.is_refused(role, service, path, body or {}, who=who, method=method)

    async def sees(self, role: str, service: str, path: str) -> dict[str, Any]:
        """Ask a question, once everything before has settled."""
        await self.world.until(self.now + PAUSE)
        return await self.staff.sees(role, service, path)

    # --- from referral to plan ----------------------------------------------------------------------

    async def is_referred(
        self, source_kind: str = "self", urgency: str = "routine", **more: Any
    ) -> None:
        """A referral comes in and is taken on."""
        body = {"source_kind": source_kind, "urgency": urgency, **more}
        told = await self.does(
            "intake_coordinator", "intake", "/referrals", body, "referral-received"
        )
        self.episode_id, self.person_id = told["episode_id"], told["person_id"]
        path = f"/referrals/{self.episode_id}/ack"
        await self.does("intake_coordinator", "intake", path, {}, "referral-acknowledged")

    async def is_assessed(
        self, ratings: Mapping[str, Any] = FOR_IOP, *, edition: str = "3", **more: Any
    ) -> bool:
        """An assessment, and the recommendation that a clinician signs. Whether this program suits the person."""
        told = await self.does(
            "clinician",
            "intake",
            "/assessments",
            {**self.of, "starts_at": self.now.isoformat()},
            "assessment-scheduled",
        )
        self.assessment_id = told["assessment_id"]
        found = {
            "severity": "severe",
            "co_occurring": "capable",
            "imminent_danger": False,
            "edition": edition,
            "ratings": dict(ratings),
        }
        path = f"/assessments/{self.assessment_id}"
        await self.does(
            "clinician",
            "intake",
            f"{path}/complete",
            {**self.of, **found, **more},
            "assessment-completed",
        )
        if more.get("imminent_danger"):
            return False
        told = await self.does(
            "clinician", "intake", f"{path}/recommendation", self.of, "level-recommended"
        )
        return bool(told["eligible"])

    async def is_admitted(self, program: str = PROGRAM, weeks: int = 8, **more: Any) -> None:
        """Placed as recommended, admitted, and told what to expect."""
        self.program, self._seated = program, ""
        placed = {**self.of, "actual_level": more.pop("actual_level", LEVEL)}
        await self.does("clinician", "intake", "/placements", placed, "placement-decided")
        body = {
            **self.of,
            "population": "adult",
            "court_involved": False,
            "program": program,
            "length_weeks": weeks,
            "time_zone": ZONE,
            **more,
        }
        await self.does("intake_coordinator", "intake", "/episodes", body, "patient-admitted")
        await self.does(
            "intake_coordinator",
            "intake",
            f"/episodes/{self.episode_id}/orientation",
            {
                "rules_accepted": ["attendance", "screens", "participation"],
                "part2_notice_at": self.now.isoformat(),
            },
            "orientation-completed",
        )

    async def has_a_plan(
        self,
        goals: Sequence[tuple[int, str]] = GOALS,
        *,
        edition: str = "3",
        therapies: Sequence[str] = ("cognitive-behavioral",),
    ) -> None:
        """Drafted with the person, signed by both; a goal is a dimension and what is measured."""
        due_on = (self.now + timedelta(days=60)).date().isoformat()
        told = await self.does(
            "counselor",
            "plans",
            "/plans",
            {
                **self.of,
                "goals": [
                    {
                        "dimension": {"edition": edition, "number": number},
                        "metric": metric,
                        "unit": "per_week",
                        "baseline": 0,
                        "target": 3,
                        "due_on": due_on,
                        "owner": "patient",
                        "contributors": ["patient", "counselor"],
                        "therapies": list(therapies),
                    }
                    for number, metric in goals
                ],
                "services": [
                    {"modality": "group", "sessions_per_week": 3, "minutes_per_session": 180},
                    {"modality": "individual", "sessions_per_week": 1, "minutes_per_session": 60},
                ],
            },
        )
        self.plan_id, self.goal_ids = told["plan_id"], told["goal_ids"]
        for by, role in (("patient", "counselor"), ("clinician", "clinician")):
            await self.does(role, "plans", f"/plans/{self.plan_id}/sign", {**self.of, "by": by})

    async def is_in_treatment(self, **admission: Any) -> None:
        """From the referral to a plan in force."""
        await self.is_referred()
        assert await self.is_assessed()
        await self.is_admitted(**admission)
        await self.has_a_plan()

    # --- sessions and screens ------------------------------------------------------------------------

    async def has_session(
        self,
        day: int,
        hour: time,
        minutes: int = 180,
        *,
        modality: str = "group",
        **more: Any,
    ) -> str:
        """A session is scheduled, a group's in the person's own group; returns its id."""
        body: dict[str, Any] = {
            "modality": modality,
            "starts_at": self.when(day, hour).isoformat(),
            "minutes_planned": minutes,
            **more,
        }
        if modality == "group":
            body |= {"group_id": await self.has_a_seat(), **_outside_track(day, hour, minutes)}
        else:
            body |= {"roster": [self.episode_id]}
        told = await self.does("counselor", "attendance", "/sessions", body, expects=is_scheduled)
        return str(told["session_id"])

    async def has_a_seat(self) -> str:
        """The person's group: opened for them, unless they have a seat already."""
        if not self.group_id:
            opened = {"program": self.program, "track": "evening", "time_zone": ZONE}
            told = await self.does("counselor", "attendance", "/groups", opened, "group-opened")
            self.group_id = str(told["group_id"])
        if self._seated != self.episode_id:
            seats = f"/groups/{self.group_id}/seats"
            await self.does("intake_coordinator", "attendance", seats, self.of)
            self._seated = self.episode_id
        return self.group_id

    async def attends(
        self, session_id: str, minutes: int = 180, status: str = "attended", **more: Any
    ) -> None:
        """The roll is called, of this person alone."""
        missed = status in ("no_show", "excused")
        entry = {**self.of, "status": status, "minutes_present": 0 if missed else minutes, **more}
        await self.does(
            "counselor", "attendance", f"/sessions/{session_id}/attendance", {"entries": [entry]}
        )

    async def week(self, first_day: int, minutes: Sequence[int] = (180, 180, 180)) -> None:
        """A week of groups on Monday, Wednesday and Thursday evenings, from the Monday `first_day`."""
        days = [first_day + day for day, _ in zip((0, 2, 3), minutes, strict=False)]
        # All at once, ahead: a week is looked at on Wednesday by what is booked in it.
        sessions = [await self.has_session(day, time(18)) for day in days]
        for day, session_id, present in zip(days, sessions, minutes, strict=False):
            await self.on(day, time(21))
            status = "attended" if present else "no_show"
            await self.attends(session_id, present, status)

    async def is_screened(
        self,
        positives: Sequence[str] = (),
        validity: str = "valid",
        *,
        stage: str = "definitive",
        **order: Any,
    ) -> str:
        """A random urine screen from order to interpretation; returns its id."""
        told = await self.does(
            "nurse",
            "attendance",
            "/screens",
            {**self.of, "panel": "urine-12", "reason": "random", **order},
            "screen-ordered",
        )
        screen = f"/screens/{told['screen_id']}"
        await self.does("nurse", "attendance", f"{screen}/collect", {**self.of, "observed": True})
        await self.after(hours=20)
        result = {"stage": stage, "validity": validity, "positives": list(positives)}
        await self.does("nurse", "attendance", f"{screen}/results", {**self.of, **result})
        await self.does(
            "clinician", "attendance", f"{screen}/interpret", self.of, "screen-interpreted"
        )
        return str(told["screen_id"])

    async def open_review(self, trigger: str) -> str:
        """The clinical review that is open for this reason."""
        seen = await self.sees("clinician", "plans", f"/episodes/{self.episode_id}")
        [review_id] = [
            key
            for key, review in seen["reviews"].items()
            if review["open"] and review["trigger"] == trigger
        ]
        return str(review_id)

    # --- the end, and the year after -----------------------------------------------------------------

    async def graduates(self, day: int) -> None:
        """Goals measured, what comes after settled ten days before, then graduation."""
        await self.on(day - 10)
        for goal_id in self.goal_ids:
            await self.does(
                "counselor",
                "plans",
                f"/goals/{goal_id}",
                {**self.of, "value": 3},
                "goal-updated",
                "goal-achieved",
                method="PATCH",
                goal_id=goal_id,
            )
        await self.does(
            "counselor",
            "plans",
            f"/plans/{self.plan_id}/relapse-prevention",
            {**self.of, "elements": ["triggers", "cravings", "strategies"]},
        )
        await self.does(
            "case_manager",
            "plans",
            f"/episodes/{self.episode_id}/aftercare-plan",
            {
                "elements": AFTERCARE,
                "not_needed": ["legal-duties"],
                "first_appointment_at": self.when(day + 5, time(17)).isoformat(),
            },
            method="PUT",
        )
        await self.on(day)
        await self.does(
            "clinician",
            "plans",
            f"/episodes/{self.episode_id}/graduate",
            {"criteria": [{"code": "supports-verified", "met": True}]},
            "graduation-approved",
            "program-graduated",
            "episode-discharged",
        )

    async def leaves(self, kind: str = "deceased") -> None:
        """The episode ends in another way; by default in the way after which nothing is waited for."""
        path = f"/episodes/{self.episode_id}/discharge"
        await self.does("clinician", "plans", path, {"kind": kind}, "episode-discharged")

    async def check_ins(self) -> list[dict[str, Any]]:
        """The calendar of aftercare, in order."""
        seen = await self.sees("case_manager", "followup", f"/episodes/{self.episode_id}")
        return list(seen["aftercare"]["check_ins"])

    async def checks_in(self, check_in: Mapping[str, Any], **answers: Any) -> None:
        """Reached on the day a check-in is due."""
        await self.world.until(datetime.fromisoformat(check_in["due_at"]))
        path = f"/checkins/{check_in['check_in_id']}"
        reached = {**self.of, "channel": "call", "result": "reached"}
        await self.does("case_manager", "followup", f"{path}/attempts", reached)
        told: dict[str, Any] = {"use_since": "none", "housing": "stable", "risk_flags": []}
        body = {**self.of, **told, **answers}
        await self.does("case_manager", "followup", f"{path}/complete", body)


def _outside_track(day: int, hour: time, minutes: int) -> dict[str, str]:
    """Why a group's session is outside its evenings, where it is."""
    weekday = (BEGINS_ON + timedelta(days=day)).weekday()
    ends = (datetime.combine(BEGINS_ON, hour) + timedelta(minutes=minutes)).time()
    if weekday in GROUP_DAYS and hour >= GROUP and ends <= END:
        return {}
    return {"unscheduled": "extra" if weekday in GROUP_DAYS else "make_up"}
