"""What the flow tests share: the four real services under a stepped clock, staff who act, and what was published."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from demo.cast.protagonist import PROGRAMS
from demo.hours import LEVEL, says
from demo.ledger import Ledger, judge
from demo.quiet import TopicEnds
from demo.witnesses import Evidence, Heard, gather, read_topics
from demo.world import Staff, World
from shared.devtools.backends import Backend
from shared.devtools.stack import Stack, services
from shared.services import SERVICES
from tests.integration.bus import forget_topics

FACILITY = "harbor-iop"
PARTNER = "harbor-detox"
ZONE = "America/New_York"
BEGINS_ON = date(2026, 2, 2)
SMALL_HOURS = time(1, 0)
CLOCK_PART = timedelta(microseconds=123_457)
"""Appointments are at whole minutes, clocks never are."""
MORNING, NOON, EVENING, NIGHT = time(9, 0), time(12, 0), time(18, 0), time(21, 0)
FOR_IOP = {"1": 0, "2": 1, "3": 1, "4": 2, "5": 2, "6": 1}
FOR_DETOX = {**FOR_IOP, "1": 3}
TELLING_ORDER = ("care.intake", "care.attendance", "care.plans", "care.followup")
"""Who speaks before whom when several speak at one instant of the domain clock."""


@asynccontextmanager
async def flowing(
    backend: Backend, prefix: str, replicas: Mapping[str, int] | None = None
) -> AsyncIterator[Flow]:
    """The four services on topics and databases that nobody has used."""
    await forget_topics(backend)
    with services(
        backend,
        replicas=replicas or 1,
        clock="stepped",
        database_prefix=prefix,
        sweep_after_seconds="2",
        session_timeout_ms="6000",
        programs=str(PROGRAMS),
    ) as stack:
        flow = Flow(stack, prefix)
        try:
            yield flow
        finally:
            await flow.world.close()


@dataclass(frozen=True)
class Patient:
    """Somebody in treatment."""

    label: str
    episode_id: str
    person_id: str
    plan_id: str = ""

    @property
    def subject(self) -> str:
        return f"episode/{self.episode_id}"


class Flow:
    """One stack, one clock that only goes forward, and the scenarios that are played on it one after another."""

    def __init__(self, stack: Stack, prefix: str) -> None:
        self.stack = stack
        self.prefix = prefix
        self.urls = {
            process.name
            if process is stack.one(process.name)
            else f"{process.name}-{n}": process.url
            for n, process in enumerate(stack.processes)
        }
        self.world = World(self.urls, stack.issuer, TopicEnds(stack.backend.kafka), seed=1)
        self.staff = Staff(self.world, FACILITY)
        self.monday = BEGINS_ON
        self._patients = 0
        self._groups: dict[frozenset[str], str] = {}

    # --- time ------------------------------------------------------------------------------------

    async def end_of_week(self) -> None:
        """See the week closed, and go on to one that nothing has happened in yet."""
        assert self.world.now is not None
        today = self.world.now.astimezone(ZoneInfo(ZONE)).date()
        self.monday = today + timedelta(days=7 - today.weekday())
        await self.on(0, SMALL_HOURS)

    async def on(self, day: int, hour: time) -> datetime:
        """Go on to a day of the scenario, counted from its Monday."""
        instant = self.when(day, hour) + CLOCK_PART
        await self.world.step_to(instant)
        return instant

    def when(self, day: int, hour: time) -> datetime:
        return datetime.combine(self.monday + timedelta(days=day), hour, ZoneInfo(ZONE))

    # --- people ----------------------------------------------------------------------------------

    async def does(
        self, role: str, service: str, path: str, who: str = "", **body: Any
    ) -> dict[str, Any]:
        """One command."""
        return await self.staff.does(role, service, path, body, who=who or self.monday.isoformat())

    async def assessed(self, ratings: Mapping[str, int]) -> tuple[Patient, bool]:
        """Somebody new: referred, taken on, assessed. And whether this program suits them."""
        self._patients += 1
        label = f"patient-{self._patients}"
        told = await self._intake(
            label, "/referrals", "referral-received", source_kind="residential", urgency="routine"
        )
        patient = Patient(label, told["episode_id"], told["person_id"])
        of = {"episode_id": patient.episode_id}
        acknowledge = f"/referrals/{patient.episode_id}/ack"
        await self._intake(label, acknowledge, "referral-acknowledged")
        starts_at = self.world.now
        assert starts_at is not None
        told = await self._intake(
            label, "/assessments", "assessment-scheduled", **of, starts_at=starts_at.isoformat()
        )
        assessment = f"/assessments/{told['assessment_id']}"
        await self._intake(
            label,
            f"{assessment}/complete",
            "assessment-completed",
            **of,
            edition="3",
            ratings=ratings,
            severity="severe",
            co_occurring="capable",
            imminent_danger=False,
        )
        told = await self._intake(
            label, f"{assessment}/recommendation", "eligibility-determined", **of
        )
        return patient, told["eligible"]

    async def admitted(self) -> Patient:
        """Somebody new in treatment, with a plan that both have signed."""
        patient, eligible = await self.assessed(FOR_IOP)
        assert eligible
        label, of = patient.label, {"episode_id": patient.episode_id}
        await self._intake(label, "/placements", "placement-decided", **of, actual_level=LEVEL)
        await self._intake(
            label,
            "/episodes",
            "patient-admitted",
            **of,
            population="adult",
            court_involved=False,
            program="iop-evening",
            length_weeks=8,
            time_zone=ZONE,
        )
        now = self.world.now
        assert now is not None
        await self._intake(
            label,
            f"/episodes/{patient.episode_id}/orientation",
            "orientation-completed",
            rules_accepted=["attendance", "screens"],
            part2_notice_at=now.isoformat(),
        )
        await self.world.quiet()
        drafted = await self.does("counselor", "plans", "/plans", label, **of, **plan(self.monday))
        for by in ("patient", "clinician"):
            sign = f"/plans/{drafted['plan_id']}/sign"
            await self.does("clinician", "plans", sign, f"{label}/{by}", **of, by=by)
        return Patient(label, patient.episode_id, patient.person_id, drafted["plan_id"])

    async def _intake(self, label: str, path: str, fact: str, **body: Any) -> dict[str, Any]:
        return await self.staff.does(
            "clinician", "intake", path, body, who=label, expects=says("intake", fact)
        )

    async def session(
        self, *roster: Patient, at: datetime, minutes: int = 180, service: str = "attendance"
    ) -> str:
        """Schedule a session and say its id."""
        of: dict[str, Any] = {"modality": "individual", "roster": [p.episode_id for p in roster]}
        if minutes > 60:
            group_id = await self.group_of(*roster, service=service)
            of = {"modality": "group", "group_id": group_id, "unscheduled": "extra"}
        told = await self.does(
            "counselor",
            service,
            "/sessions",
            f"{at.isoformat()}/{'/'.join(p.label for p in roster)}",
            starts_at=at.isoformat(),
            minutes_planned=minutes,
            **of,
        )
        return told["session_id"]

    async def group_of(self, *patients: Patient, service: str = "attendance") -> str:
        """The group in which these people, and nobody else, have seats; says its id."""
        who = frozenset(p.episode_id for p in patients)
        if who not in self._groups:
            label = "/".join(p.label for p in patients)
            told = await self.does(
                "counselor",
                service,
                "/groups",
                label,
                program="iop-evening",
                track="evening",
                time_zone=ZONE,
            )
            self._groups[who] = told["group_id"]
            for p in patients:
                seats = f"/groups/{told['group_id']}/seats"
                await self.does("counselor", service, seats, p.label, episode_id=p.episode_id)
            await self.world.quiet()
        return self._groups[who]

    async def roll(
        self,
        session_id: str,
        present: Mapping[Patient, int | None],
        *,
        service: str = "attendance",
    ) -> None:
        """Call the roll: how many minutes everyone was there, or None for nobody knows where they are."""
        entries = [
            {"episode_id": patient.episode_id, "status": "no_show"}
            if minutes is None
            else {
                "episode_id": patient.episode_id,
                "status": "attended",
                "minutes_present": minutes,
            }
            for patient, minutes in present.items()
        ]
        facts = tuple(
            (
                f"care.attendance.session-{'missed' if minutes is None else 'attended'}.v1",
                patient.subject,
                {"session_id": session_id},
            )
            for patient, minutes in present.items()
        )
        await self.staff.does(
            "counselor",
            service,
            f"/sessions/{session_id}/attendance",
            {"entries": entries},
            who=session_id,
            expects=lambda _answer: facts,
        )

    async def leaves(self, *patients: Patient) -> None:
        """End episodes in the way after which nothing is waited for."""
        for patient in patients:
            await self.does(
                "clinician",
                "plans",
                f"/episodes/{patient.episode_id}/discharge",
                patient.label,
                kind="deceased",
            )
        await self.world.quiet()

    async def view(self, service: str, patient: Patient) -> dict[str, Any]:
        """What a service answers about an episode."""
        return await self.staff.sees("clinician", service, f"/episodes/{patient.episode_id}")

    # --- what was published ----------------------------------------------------------------------

    async def facts(self, *subjects: str) -> list[Heard]:
        """Everything said about these subjects, as any subscriber may put it in order."""
        await self.world.quiet()
        heard = await read_topics(self.stack.backend.kafka)
        return sorted(
            (fact for fact in heard if fact.subject in subjects),
            key=lambda f: (f.headers["ce_time"], TELLING_ORDER.index(f.topic), f.sequence),
        )

    async def account(self) -> Ledger:
        """The ledger over everything that was played so far."""
        await self.world.quiet()
        return judge(await self.evidence())

    async def evidence(self) -> Evidence:
        """What the ledger judges by, as it lies there now."""
        assert self.world.now is not None
        return await gather(
            self.stack.backend.kafka,
            self.stack.backend.mongo_uri,
            self.prefix,
            SERVICES,
            self.world.journal.accepted,
            self.world.now,
        )


def plan(monday: date) -> dict[str, Any]:
    """A plan with a goal for each driver, nine hours in the group and one alone a week."""
    return {
        "goals": [
            {
                "dimension": {"edition": "3", "number": number},
                "metric": "sessions-attended",
                "unit": "per_week",
                "baseline": 0,
                "target": 3,
                "due_on": (monday + timedelta(days=60)).isoformat(),
                "owner": "patient",
                "contributors": ["patient", "counselor"],
            }
            for number in (4, 5)
        ],
        "services": [
            {"modality": "group", "sessions_per_week": 3, "minutes_per_session": 180},
            {"modality": "individual", "sessions_per_week": 1, "minutes_per_session": 60},
        ],
    }


def name(fact: Heard) -> str:
    """The fact's own name: `session-attended`."""
    return fact.type.split(".")[2]


def of(facts: Iterable[Heard], *names: str) -> list[Heard]:
    """Those of these names."""
    return [fact for fact in facts if name(fact) in names]


def names(facts: Iterable[Heard]) -> list[str]:
    return [name(fact) for fact in facts]


def in_order(facts: Iterable[Heard], *wanted: str) -> bool:
    """Whether these are said in this order, whatever is said between them."""
    said = iter(names(facts))
    return all(any(one == want for one in said) for want in wanted)
