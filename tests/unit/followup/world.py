"""What the tests of followup have in common: the service's record, and the facts it hears."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from services.followup.aftercare import aftercare, appointments, check_ins, risks
from services.followup.app import SERVICE
from services.followup.episode import episode_state
from services.followup.invariants import for_command
from services.followup.measures import transitions
from services.followup.outreach import outreach, reengagement
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.attendance import Absence
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.followup import (
    AttemptResult,
    Channel,
    ReengagementCause,
    ReengagementOutcome,
    ReportedBy,
    RiskFlag,
    SubstanceClass,
    TransitionKind,
    UseSince,
)
from shared.contracts.plans import DischargeKind
from shared.decision import Cause, Decision
from shared.loops import Loop
from shared.runtime.core.work import Outcome
from tests.unit.support import START, History, fact, uid

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def admitted(at: datetime = START, *, prior: str | None = None) -> intake.PatientAdmitted:
    return fact(
        intake.PatientAdmitted,
        admitted_at=at,
        time_zone="America/Chicago",
        prior_episode_id=prior,
    )


def attended(at: datetime) -> attendance.SessionAttended:
    return fact(attendance.SessionAttended, starts_at=at, session_id=uid(f"session {at}"))


def missed(at: datetime, absence: Absence = Absence.NO_SHOW) -> attendance.SessionMissed:
    return fact(
        attendance.SessionMissed, starts_at=at, session_id=uid(f"missed {at}"), absence=absence
    )


def threshold(
    consecutive: int, silent: int = 0, *, at: datetime = START
) -> attendance.AbsenceThresholdReached:
    return fact(
        attendance.AbsenceThresholdReached,
        reached_at=at,
        absences_consecutive=consecutive,
        absences_last_14_days=consecutive,
        days_silent=silent,
    )


def drafted(name: str = "plan", version: int = 1) -> plans.AftercarePlanDrafted:
    return fact(
        plans.AftercarePlanDrafted,
        aftercare_plan_id=uid(name),
        version=version,
        elements=("crisis-contacts",),
    )


def discharged(
    at: datetime = START, kind: DischargeKind = DischargeKind.GRADUATED
) -> plans.EpisodeDischarged:
    return fact(plans.EpisodeDischarged, kind=kind, discharged_at=at)


class Followup(History):
    """A followup record, with its commands."""

    def __init__(self, now: datetime = START) -> None:
        super().__init__(
            SERVICE.source, SERVICE.kinds["episode"], SERVICE.reactions, SERVICE.handoffs, now=now
        )

    @property
    def check_ins(self) -> dict[str, episode_state.CheckIn]:
        return self.state.aftercare.check_ins

    @property
    def check_in_ids(self) -> list[str]:
        return list(self.check_ins)

    def open_check_in(self, index: int) -> str:
        """Let time pass until a check-in is due."""
        key = self.check_in_ids[index]
        self.at(self.check_ins[key].window.due_at)
        return key

    def tell(self, rule: Callable[[Any, Cause], Decision[episode_state.EpisodeState]]) -> Outcome:
        """Give a command as the service's routes do."""
        return self.command(for_command(rule))

    def outreach(
        self, result: AttemptResult = AttemptResult.REACHED, channel: Channel = Channel.CALL
    ) -> Outcome:
        return self.tell(lambda s, c: outreach.record(s, channel, result, c))

    def attempt(
        self,
        key: str,
        result: AttemptResult = AttemptResult.NO_ANSWER,
        channel: Channel = Channel.CALL,
    ) -> Outcome:
        return self.tell(lambda s, c: check_ins.attempt(s, key, channel, result, c))

    def complete(self, key: str, *flags: RiskFlag) -> Outcome:
        answers = check_ins.Answers(use_since=UseSince.NONE, risk_flags=flags)
        return self.tell(lambda s, c: check_ins.complete(s, key, answers, c))

    def answer_risk(self, loop_id: str, how: risks.Answer = "seen_to") -> Outcome:
        return self.tell(lambda s, c: risks.answer(s, loop_id, how, c))

    def return_to_use(
        self,
        *,
        overdose: bool = False,
        reported_by: ReportedBy = ReportedBy.PARTNER,
        **more: Any,
    ) -> Outcome:
        return self.tell(
            lambda s, c: reengagement.report(
                s,
                reported_by,
                SubstanceClass.ALCOHOL,
                overdose=overdose,
                occurred_on=more.get("occurred_on"),
                cause=c,
            )
        )

    def transition(self, kind: TransitionKind, on: date) -> Outcome:
        return self.tell(lambda s, c: transitions.report(s, kind, on, c))

    def agree(self, *elements: str, **more: Any) -> Outcome:
        agreed = episode_state.Agreed(elements=elements, **more)
        return self.tell(lambda s, c: aftercare.agree(s, agreed, c))

    def appointment(self, outcome: appointments.Outcome) -> Outcome:
        plan_id = self.state.aftercare.aftercare_plan_id
        return self.tell(lambda s, c: appointments.report(s, plan_id, outcome, c))

    def loops(self, kind: FollowupLoop) -> list[Loop]:
        return list(self.state.loops_of(kind))

    def start(self, why: ReengagementCause) -> Outcome:
        return self.tell(lambda s, c: reengagement.start(s, why, c))

    def reengage(self, outcome: ReengagementOutcome, reengagement_id: str | None = None) -> Outcome:
        return self.tell(lambda s, c: reengagement.complete(s, outcome, c, reengagement_id))


def in_program(now: datetime = START) -> Followup:
    history = Followup(now)
    history.hear(admitted(now))
    return history


def in_aftercare(kind: DischargeKind = DischargeKind.GRADUATED, now: datetime = START) -> Followup:
    history = Followup(now)
    history.hear_all([admitted(now - 100 * DAY), drafted(), discharged(now, kind)])
    return history


BESIDES = (FollowupLoop.CHECK_IN, FollowupLoop.TIMELY_VISIT)
"""Loops that run beside most stories; tests of their own look at them."""


def cleared(history: Followup) -> list[tuple[FollowupLoop, int, ClearedReason]]:
    """What was taken back, of the loops that a story is about."""
    return [
        (e.loop, e.step_reached, e.reason)
        for e in history.of(followup.EscalationCleared)
        if e.loop not in BESIDES
    ]


def escalated(history: Followup) -> list[Any]:
    """What was escalated, of the loops that a story is about."""
    return [e for e in history.of(followup.LoopEscalated) if e.loop not in BESIDES]
