"""What the tests of followup have in common: the service's record, and the facts it hears."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from services.followup import aftercare, domain, reengagement, risks
from services.followup.app import SERVICE
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import Absence
from shared.contracts.followup import (
    AttemptResult,
    Channel,
    ReengagementOutcome,
    ReportedBy,
    RiskFlag,
    SubstanceClass,
    UseSince,
)
from shared.contracts.plans import DischargeKind
from shared.runtime.record import Outcome
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
        attendance.SessionMissed, starts_at=at, session_id=uid(f"session {at}"), absence=absence
    )


def threshold(consecutive: int, silent: int = 0) -> attendance.AbsenceThresholdReached:
    return fact(
        attendance.AbsenceThresholdReached,
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
    def check_ins(self) -> dict[str, domain.CheckIn]:
        return self.state.aftercare.check_ins

    @property
    def check_in_ids(self) -> list[str]:
        return list(self.check_ins)

    def open_check_in(self, index: int) -> str:
        """Let time pass until a check-in is due."""
        key = self.check_in_ids[index]
        self.at(self.check_ins[key].window.due_at)
        return key

    def outreach(
        self, result: AttemptResult = AttemptResult.REACHED, channel: Channel = Channel.CALL
    ) -> Outcome:
        return self.command(lambda s, c: domain.record_outreach(s, channel, result, c))

    def attempt(self, key: str, result: AttemptResult = AttemptResult.NO_ANSWER) -> Outcome:
        return self.command(lambda s, c: aftercare.attempt(s, key, Channel.CALL, result, c))

    def complete(self, key: str, *flags: RiskFlag) -> Outcome:
        answers = aftercare.Answers(use_since=UseSince.NONE, risk_flags=flags)
        return self.command(lambda s, c: aftercare.complete(s, key, answers, c))

    def answer_risk(self, loop_id: str) -> Outcome:
        return self.command(lambda s, c: risks.answer(s, loop_id, c))

    def return_to_use(
        self,
        *,
        overdose: bool = False,
        reported_by: ReportedBy = ReportedBy.PARTNER,
        **more: Any,
    ) -> Outcome:
        return self.command(
            lambda s, c: reengagement.report(
                s,
                reported_by,
                SubstanceClass.ALCOHOL,
                overdose=overdose,
                occurred_on=more.get("occurred_on"),
                cause=c,
            )
        )

    def reengage(self, outcome: ReengagementOutcome) -> Outcome:
        return self.command(lambda s, c: reengagement.complete(s, outcome, c))


def in_program(now: datetime = START) -> Followup:
    history = Followup(now)
    history.hear(admitted(now))
    return history


def in_aftercare(kind: DischargeKind = DischargeKind.GRADUATED, now: datetime = START) -> Followup:
    history = Followup(now)
    history.hear_all([admitted(now - 100 * DAY), drafted(), discharged(now, kind)])
    return history
