"""What the tests of intake have in common: an episode or a person, led to any stage of the path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.intake import handoffs, settings
from services.intake.app import SERVICE
from services.intake.episode import (
    admissions,
    assessments,
    deliveries,
    eligibility,
    episode_state,
    inbound_referrals,
    outbound_referrals,
    values,
)
from services.intake.episode.episode_state import EpisodeState
from services.intake.person import consents
from services.intake.person.may_disclose import NewConsent
from shared.contracts import followup, plans
from shared.contracts.codes import (
    CoOccurring,
    IntakeLoop,
    LevelOfCare,
    Population,
    Urgency,
)
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    DeclineReason,
    EmergencyAction,
    InformationCategory,
    PartnerKind,
    ReferralOutcome,
    Severity,
)
from shared.contracts.plans import DischargeKind
from shared.decision import Cause, Decision, HandoffBody
from shared.programs.profile import ProgramProfile
from shared.runtime.core.work import Outcome, StreamPosition, Work
from shared.runtime.http.programs import Programs
from tests.unit.intake.partners import known
from tests.unit.support import EPISODE, EPISODE_ID, FACILITY, START, History, uid

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PERSON_ID = uid("person")
PERSON = f"person/{PERSON_ID}"
PARTNER = "harbor-detox"

FOR_IOP: dict[int, int | str] = {1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 1}
FOR_DETOX: dict[int, int | str] = {**FOR_IOP, 1: 3}


def level(code: str, edition: str = "3") -> LevelOfCare:
    return LevelOfCare.model_validate({"system": "asam", "edition": edition, "code": code})


Rule = Callable[[Any, Cause], Decision[Any]]
TABLE = settings.rules()
PROGRAMS = Programs.load()
EVENING = PROGRAMS.current(FACILITY, "iop-adult", START.date())
HIGHER = EVENING.model_copy(update={"program": "php", "level": level("2.5", "4")})
ANY_PROGRAM = eligibility.Application(offered=("2.1", "2.5"))
"""The facility has a program at each of these levels."""


def receive(
    urgency: Urgency = Urgency.ROUTINE, source: PartnerKind = PartnerKind.WITHDRAWAL_MANAGEMENT
) -> Rule:
    new = values.NewReferral(
        source_kind=source,
        source_facility_id=PARTNER,
        urgency=urgency,
        requested_level=None,
    )
    return lambda state, cause: inbound_referrals.receive(state, new, PERSON_ID, cause)


def decline(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    return inbound_referrals.decline(state, DeclineReason.NO_CAPACITY, ("river-outpatient",), cause)


def close(outcome: ReferralOutcome = ReferralOutcome.LOST) -> Rule:
    return lambda state, cause: inbound_referrals.close(state, outcome, cause)


def schedule(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    return assessments.schedule(state, cause.now + DAY, cause)


def findings(
    ratings: dict[int, int | str] | None = None, edition: str = "3", **more: Any
) -> assessments.Findings:
    return assessments.Findings.model_validate(
        {
            "edition": edition,
            "ratings": FOR_IOP if ratings is None else ratings,
            "severity": Severity.MODERATE,
            "co_occurring": CoOccurring.CAPABLE,
            "imminent_danger": False,
            **more,
        }
    )


def in_danger(**more: Any) -> assessments.Findings:
    action = {"danger_action": EmergencyAction.EMERGENCY_DEPARTMENT}
    return findings(**{"imminent_danger": True, **action, **more})


def latest(state: EpisodeState) -> str:
    return uid("none") if state.assessment is None else state.assessment.assessment_id


def complete(found: assessments.Findings | None = None) -> Rule:
    return lambda state, cause: assessments.complete(
        state, latest(state), found or findings(), TABLE, cause
    )


def recommend(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    return assessments.recommend(state, latest(state), ANY_PROGRAM, cause)


def recommend_for(application: eligibility.Application) -> Rule:
    return lambda state, cause: assessments.recommend(state, latest(state), application, cause)


def place(code: str = "2.1", reason: Any = None) -> Rule:
    return lambda state, cause: admissions.place(state, level(code), reason, cause)


def admit_by(new: admissions.NewAdmission, profile: ProgramProfile = EVENING) -> Rule:
    """An admission as the person's record grants it, when nothing else of theirs is open in the program."""

    def decide(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
        admitting = admissions.admissible(state, cause.subject_id, new, profile)
        granted = handoffs.Granted(person_id=state.person_id, admitting=admitting)
        return admissions.granted(state, granted, cause)

    return decide


def admit(prior: str | None = None, profile: ProgramProfile = EVENING) -> Rule:
    new = admissions.NewAdmission(
        population=Population.ADULT,
        court_involved=False,
        length_weeks=16,
        time_zone="America/Chicago",
        prior_episode_id=prior,
    )
    return admit_by(new, profile)


def orient(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    since = date(2024, 4, 16)
    asks = admissions.OrientationAsks(rules=("attendance",), notice_since=since, time_zone="UTC")
    return admissions.orient(state, ("attendance",), cause.now, asks, cause)


def send(
    *, within: timedelta = 24 * HOUR, consent_id: str | None = None, reported: bool = True
) -> Rule:
    """The person allowed it: a partner is asked, and who sent it reports so at once unless told otherwise."""

    def rule(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
        episode_state.in_progress(state)
        referral_id = cause.derive_id("outbound-referral")
        body = handoffs.ReferralAllowed(
            referral_id=referral_id,
            person_id=PERSON_ID,
            target_kind=PartnerKind.WITHDRAWAL_MANAGEMENT,
            target_facility_id=PARTNER,
            target_level=level("3.7-WM"),
            purpose=ConsentPurpose.CARE_COORDINATION,
            consent_id=consent_id or uid("consent"),
            respond_within=within,
        )
        sent = outbound_referrals.allowed(state, body, cause)
        after = sent.state
        if reported:
            heard = handoffs.ReportHeard(delivery_id=referral_id)
            after = deliveries.report_heard(after, heard, cause).state
        return sent._replace(state=after, answer={"referral_id": referral_id})

    return rule


def discharged(at: datetime = START) -> plans.EpisodeDischarged:
    return plans.EpisodeDischarged(
        kind=DischargeKind.GRADUATED, discharged_at=at, final_level=level("2.1")
    )


def asked_back(
    urgency: Urgency = Urgency.URGENT, at: datetime = START
) -> followup.ReadmissionRequested:
    return followup.ReadmissionRequested(urgency=urgency, discharged_at=at)


def ended_with(outcome: followup.ReengagementOutcome) -> followup.ReengagementCompleted:
    return followup.ReengagementCompleted(reengagement_id=uid("way back"), outcome=outcome)


def used_again(*, overdose: bool = False) -> followup.ReturnToUseReported:
    return followup.ReturnToUseReported(
        report_id=uid("report"),
        reported_by=followup.ReportedBy.PATIENT,
        substance_class=followup.SubstanceClass.ALCOHOL,
        overdose=overdose,
        occurred_on=date(2026, 5, 11),
    )


class Intake(History):
    """One record of intake."""

    def __init__(self, subject: str = EPISODE) -> None:
        super().__init__(
            SERVICE.source,
            SERVICE.kinds[subject.partition("/")[0]],
            SERVICE.reactions,
            SERVICE.handoffs,
            subject=subject,
        )

    def does(self, *rules: Rule) -> Intake:
        for rule in rules:
            self.command(rule)
        return self

    def hand(self, body: HandoffBody, number: int = 1, *, of: str = "other") -> Outcome:
        """What another record hands over, with its place in that record's order."""
        rule = self.handoffs.find(type(body).__name__).rule
        return self.record.apply(
            Work(
                subject=self.record.subject,
                cause_id=uid(f"{of} {number}"),
                correlation_id=uid("correlation"),
                facility_id=FACILITY,
                now=self.now,
                decide=lambda state, cause: rule(state, body, cause),
                stream=StreamPosition(f"self|{of}", number, uid(f"{of} {number}")),
            ),
            self.source,
        )

    def due(self, loop: IntakeLoop, loop_id: str = EPISODE_ID) -> datetime | None:
        """When an open loop of the episode that is in sight is due next."""
        found = self.state.loop(loop, loop_id)
        return None if found is None or found.hidden else found.deadline_at

    @property
    def waits(self) -> dict[str, datetime]:
        """What the episode itself waits for, by kind; without referrals sent out."""
        return {
            loop.kind: loop.deadline_at
            for loop in self.state.loops.values()
            if loop.id == self.record.subject.partition("/")[2]
        }


STAGES: dict[str, tuple[Rule, ...]] = {"unknown": (), "referred": (receive(),)}
STAGES["acknowledged"] = (*STAGES["referred"], inbound_referrals.acknowledge)
STAGES["scheduled"] = (*STAGES["acknowledged"], schedule)
STAGES["assessed"] = (*STAGES["scheduled"], complete())
STAGES["in-danger"] = (*STAGES["scheduled"], complete(in_danger()))
STAGES["eligible"] = (*STAGES["assessed"], recommend)
STAGES["ineligible"] = (*STAGES["scheduled"], complete(findings(FOR_DETOX)), recommend)
STAGES["placed"] = (*STAGES["eligible"], place())
STAGES["admitted"] = (*STAGES["placed"], admit())
STAGES["oriented"] = (*STAGES["admitted"], orient)
STAGES["closed"] = (*STAGES["referred"], decline)


def at_stage(name: str) -> Intake:
    """An episode that has come this far."""
    return Intake().does(*STAGES[name])


def person(*, episode: str = EPISODE.partition("/")[2]) -> Intake:
    """A person with one open episode."""
    history = Intake(PERSON)
    history.hand(handoffs.EpisodeOpened(episode_id=episode), of="opened")
    return history


def consent(**changes: Any) -> NewConsent:
    return NewConsent.model_validate(
        {
            "kind": ConsentKind.SPECIFIC,
            "discloser_id": FACILITY,
            "statements": ("right_to_revoke",),
            "recipients": (PARTNER,),
            "categories": (InformationCategory.REFERRAL_STATUS,),
            "purpose": ConsentPurpose.CARE_COORDINATION,
            "effective_at": START,
            "expires_on": date(2026, 6, 30),
            "expires_with": None,
            "signed_on": START.astimezone(UTC).date(),
            "document_sha256": "9f" * 32,
            **changes,
        }
    )


def grant(**changes: Any) -> Rule:
    new = consent(**changes)
    here = consents.Circumstances(partners=known(), court_involved=False, time_zone="UTC")
    return lambda state, cause: consents.grant(state, new, here, cause)


def with_end_of_treatment() -> Rule:
    return grant(expires_on=None, expires_with=ConsentExpiry.END_OF_TREATMENT)
