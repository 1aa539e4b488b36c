"""Aftercare: the year after discharge, with a calendar of eight check-ins that somebody owns.

Leaving opens it, whoever is heard first: the discharge waits for the admission, whose time zone it needs. A check-in
is done when the person was spoken to, missed when its window closes; either way the calendar goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from services.followup import cadence, domain, risks
from services.followup.domain import (
    Admission,
    Aftercare,
    CheckIn,
    Discharge,
    Draft,
    EpisodeState,
    Loop,
    Step,
)
from shared.contracts import followup, intake, plans
from shared.contracts.codes import ClearedReason, FollowupLoop, Role, Value
from shared.contracts.followup import (
    AttemptResult,
    Channel,
    FollowupEvent,
    Housing,
    OutreachCause,
    ReengagementOutcome,
    RiskFlag,
    Support,
    Taken,
    UseSince,
    Work,
)
from shared.decision import Cause, Decision, Handoff, HandoffBody, derive_id
from shared.errors import NotYetKnown, Refused, Unknown

HORIZON_DAYS: Final = 365
ELEMENTS: Final = ("check-in-calendar",)
"""What aftercare consists of when no plan was drafted: the calendar at least."""
TIER_MAX: Final = 3
ESCALATE_EVERY: Final = timedelta(days=1)
MISSING_FACT: Final = (Role.OPERATOR, Role.PROGRAM_DIRECTOR)
"""Who looks for an admission that should have been heard of: a fact is late, not a person."""


Ending = Callable[[EpisodeState, ClearedReason], Step]
ENDINGS: Final[tuple[Ending, ...]] = (
    domain.end_lost,
    risks.end_all,
    domain.end_reengagement,
)
"""What stops when nobody may be called any more."""


class Readmitted(HandoffBody):
    """To the episode before: a new one has taken over."""


class Answers(Value):
    """What the person said at a check-in."""

    use_since: UseSince
    medication_taken: Taken | None = None
    housing: Housing | None = None
    work: Work | None = None
    support: Support | None = None
    risk_flags: tuple[RiskFlag, ...] = ()


# --- what others say ------------------------------------------------------------------------------------


def admitted(
    state: EpisodeState, event: intake.PatientAdmitted, cause: Cause
) -> Decision[EpisodeState]:
    """From here on silence is noticed. A readmission takes over from the episode before."""
    admission = Admission(admitted_at=event.admitted_at, time_zone=event.time_zone)
    state, events = _activate(domain.arm_silence(state.but(admission=admission)), cause)
    prior = event.prior_episode_id
    handoffs = () if prior is None else (Handoff(f"episode/{prior}", Readmitted()),)
    return Decision(state, events, handoffs)


def drafted(
    state: EpisodeState, event: plans.AftercarePlanDrafted, _cause: Cause
) -> Decision[EpisodeState]:
    """The latest draft counts; one that comes after the activation changes nothing."""
    draft = Draft(aftercare_plan_id=event.aftercare_plan_id, elements=event.elements)
    return Decision(state if state.aftercare is not None else state.but(draft=draft))


def graduated(
    state: EpisodeState, event: plans.ProgramGraduated, _cause: Cause
) -> Decision[EpisodeState]:
    """Names the aftercare plan that takes over; the discharge follows at once and starts it."""
    if state.aftercare is not None:
        return Decision(state)
    elements = ELEMENTS if state.draft is None else state.draft.elements
    draft = Draft(aftercare_plan_id=event.aftercare_plan_id, elements=elements)
    return Decision(state.but(draft=draft))


def discharged(
    state: EpisodeState, event: plans.EpisodeDischarged, cause: Cause
) -> Decision[EpisodeState]:
    """What ran during the program ends, reviews with it; aftercare begins, however the person left."""
    if state.discharge is not None:
        return Decision(state)
    discharge = Discharge(kind=event.kind, discharged_at=event.discharged_at)
    state, ended = domain.end_outreach(state, ClearedReason.EPISODE_CLOSED)
    state = domain.arm_silence(state.but(discharge=discharge, reviews_open=()))
    if event.kind in domain.NO_CONTACT:
        state, stopped = _end_all(state, ENDINGS, ClearedReason.EPISODE_CLOSED)
        return Decision(state, (*ended, *stopped))
    state, events = _activate(state, cause)
    return Decision(state, (*ended, *events))


def readmitted(state: EpisodeState, _body: Readmitted, _cause: Cause) -> Decision[EpisodeState]:
    """The later episode will be followed up from its own discharge: the rest of this calendar is superseded."""
    said: tuple[FollowupEvent, ...] = ()
    if state.reengagement is not None:
        said = (followup.ReengagementCompleted(outcome=ReengagementOutcome.READMITTED),)
    endings = (domain.end_reengagement, domain.end_lost, domain.end_outreach)
    state, ended = _end_all(state, endings, ClearedReason.SUPERSEDED)
    state = state.but(readmitted=True).disarm("check-in:*", "silence", "missing-fact")
    return Decision(state, (*said, *ended))


def _end_all(state: EpisodeState, endings: Iterable[Ending], reason: ClearedReason) -> Step:
    events: list[FollowupEvent] = []
    for end in endings:
        state, ended = end(state, reason)
        events += ended
    return state, tuple(events)


def _activate(state: EpisodeState, cause: Cause) -> Step:
    """Begin aftercare as soon as both ends of the episode are known."""
    left, admission = state.discharge, state.admission
    if left is None or left.kind in domain.NO_CONTACT:
        return state, ()
    if state.readmitted or state.aftercare is not None:
        return state, ()
    if admission is None:
        return state.arm("missing-fact", cause.now + ESCALATE_EVERY), ()
    state, found = _admission_found(state)
    # Ids follow from the episode and not from the cause: whichever of the two facts is heard last, they are the same.
    draft = state.draft or Draft(
        aftercare_plan_id=derive_id("aftercare-plan", cause.subject), elements=ELEMENTS
    )
    check_ins = {
        derive_id("check-in", cause.subject, window.milestone): CheckIn(window=window)
        for window in cadence.windows(left.discharged_at, admission.time_zone)
    }
    activated = followup.AftercarePlanActivated(
        aftercare_plan_id=draft.aftercare_plan_id,
        days_horizon=HORIZON_DAYS,
        elements=draft.elements,
    )
    scheduled = tuple(_scheduled(key, item) for key, item in check_ins.items())
    aftercare = Aftercare(aftercare_plan_id=draft.aftercare_plan_id, check_ins=check_ins)
    state = state.but(aftercare=aftercare)
    for key, item in check_ins.items():
        state = state.arm(f"check-in:{key}", item.window.closes_at)
    return state, (*found, activated, *scheduled)


def _scheduled(check_in_id: str, item: CheckIn) -> followup.CheckInScheduled:
    return followup.CheckInScheduled(
        check_in_id=check_in_id,
        milestone=item.window.milestone,
        opens_at=item.window.opens_at,
        due_at=item.window.due_at,
        closes_at=item.window.closes_at,
        channel=Channel.CALL,
    )


def missing_fact(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Someone left whose admission was never heard of: until it is, nobody can be called on the right day."""
    loop = state.missing_fact or Loop(loop_id=derive_id("missing-fact", cause.subject))
    loop = loop.model_copy(update={"steps": loop.steps + 1})
    event = followup.LoopEscalated(
        loop=FollowupLoop.MISSING_FACT,
        loop_id=loop.loop_id,
        owner_role=MISSING_FACT[loop.steps - 1],
        step=loop.steps,
        deadline_at=cause.now + ESCALATE_EVERY,
    )
    state = state.but(missing_fact=loop)
    if loop.steps < len(MISSING_FACT):
        state = state.arm("missing-fact", cause.now + ESCALATE_EVERY)
    return Decision(state, (event,))


def _admission_found(state: EpisodeState) -> Step:
    loop = state.missing_fact
    state = state.but(missing_fact=None).disarm("missing-fact")
    if loop is None:
        return state, ()
    event = domain.cleared(
        FollowupLoop.MISSING_FACT, loop.loop_id, loop.steps, ClearedReason.RESOLVED
    )
    return state, (event,)


# --- check-ins ------------------------------------------------------------------------------------------


def attempt(
    state: EpisodeState,
    check_in_id: str,
    channel: Channel,
    result: AttemptResult,
    cause: Cause,
) -> Decision[EpisodeState]:
    """Someone tried. Reaching the person is contact, but only their answers complete the check-in."""
    item = _open(state, check_in_id, cause)
    number = item.attempts + 1
    event = followup.CheckInAttempted(
        check_in_id=check_in_id, attempt=number, channel=channel, result=result
    )
    state = _with(state, check_in_id, item.model_copy(update={"attempts": number}))
    contact: tuple[FollowupEvent, ...] = ()
    if result is AttemptResult.REACHED:
        state, contact = domain.in_contact(state, cause.now)
    return Decision(state, (event, *contact), answer={"attempt": number})


def complete(
    state: EpisodeState, check_in_id: str, answers: Answers, cause: Cause
) -> Decision[EpisodeState]:
    """The person was spoken to. A risk to life is a clinician's at once."""
    item = _open(state, check_in_id, cause)
    event = followup.CheckInCompleted(
        check_in_id=check_in_id,
        use_since=answers.use_since,
        medication_taken=answers.medication_taken,
        housing=answers.housing,
        work=answers.work,
        support=answers.support,
        risk_flags=answers.risk_flags,
    )
    done = item.model_copy(update={"settled": "done"})
    state = _with(state, check_in_id, done).disarm(f"check-in:{check_in_id}")
    state, contact = domain.in_contact(state, cause.now)
    risk: tuple[FollowupEvent, ...] = ()
    answer: dict[str, str] = {}
    if not risks.TO_LIFE.isdisjoint(answers.risk_flags):
        loop_id = cause.derive_id("risk")
        state, risk = risks.open_loop(state, loop_id, cause)
        answer["risk_loop_id"] = loop_id
    state, over = _complete_all(state, cause)
    return Decision(state, (event, *contact, *risk, *over), answer=answer)


def closed(state: EpisodeState, check_in_id: str, cause: Cause) -> Decision[EpisodeState]:
    """The window closed without an answer: each miss in a row is a tier higher, whoever was reached since."""
    if state.aftercare is None:
        return Decision(state)
    item = state.aftercare.check_ins[check_in_id]
    state = _with(state, check_in_id, item.model_copy(update={"settled": "missed"}))
    missed = followup.CheckInMissed(check_in_id=check_in_id, attempts=item.attempts)
    state, escalated = _reach_out(state, check_in_id, cause)
    state, over = _complete_all(state, cause)
    return Decision(state, (missed, *escalated, *over))


def _reach_out(state: EpisodeState, check_in_id: str, cause: Cause) -> Step:
    """Unless the person was reached after the window closed, before the deadline could be looked at."""
    if state.contact_at is not None and state.contact_at > cause.now:
        return state, ()
    if state.outreach is None:
        outreach = domain.Outreach(
            loop_id=cause.derive_id("outreach"),
            cause=OutreachCause.CHECK_IN_MISSED,
            since=cause.now,
        )
        state = state.but(outreach=outreach)
    tier = min(_missed_in_a_row(state, check_in_id), TIER_MAX)
    state, escalated = domain.escalate(
        state, OutreachCause.CHECK_IN_MISSED, tier, cause, daily=False
    )
    since = domain.silent_since(state)
    if since is not None and state.lost is None and since + domain.LOST_AFTER > cause.now:
        return state.arm("silence", since + domain.LOST_AFTER), escalated
    state, lost = domain.lose_contact(state, cause)
    return state, (*escalated, *lost)


def _missed_in_a_row(state: EpisodeState, check_in_id: str) -> int:
    """How many in a row, up to this one. The calendar is looked at in its own order, not in that of the misses."""
    run = 0
    for key, item in _check_ins(state).items():
        run = run + 1 if item.settled == "missed" else 0
        if key == check_in_id:
            break
    return run


def _complete_all(state: EpisodeState, cause: Cause) -> Step:
    """When the last one is settled the year is over, and with it whatever still reached out."""
    aftercare, items = state.aftercare, _check_ins(state).values()
    if aftercare is None or not all(item.settled for item in items):
        return state, ()
    state, ended = domain.end_outreach(state, ClearedReason.EPISODE_CLOSED)
    event = followup.AftercareCompleted(
        check_ins_done=sum(item.settled == "done" for item in items),
        check_ins_due=len(items),
        completed_at=cause.now,
    )
    aftercare = aftercare.model_copy(update={"completed_at": cause.now})
    return state.but(aftercare=aftercare).disarm("silence"), (*ended, event)


# --- helpers --------------------------------------------------------------------------------------------


def _check_ins(state: EpisodeState) -> dict[str, CheckIn]:
    return {} if state.aftercare is None else state.aftercare.check_ins


def _open(state: EpisodeState, check_in_id: str, cause: Cause) -> CheckIn:
    """A check-in that may be worked on now."""
    domain.reachable(state)
    if state.aftercare is None:
        raise NotYetKnown("check-in")
    item = state.aftercare.check_ins.get(check_in_id)
    if item is None:
        raise Unknown("check-in")
    if state.readmitted:
        raise Refused(
            "check-in-superseded",
            "A later episode has taken over this calendar.",
            way_out="Work on the later episode.",
        )
    if item.settled == "done":
        raise Refused(
            "check-in-done",
            "This check-in was completed.",
            way_out="Record a further contact as an outreach.",
        )
    if item.settled == "missed" or cause.now >= item.window.closes_at:
        raise Refused(
            "check-in-closed",
            "The window of this check-in has closed.",
            way_out="Record an outreach, or use the next check-in.",
        )
    if cause.now < item.window.opens_at:
        raise Refused(
            "check-in-not-open",
            "This check-in has not opened yet.",
            way_out="Wait for its opens_at, or record an outreach.",
        )
    return item


def _with(state: EpisodeState, check_in_id: str, item: CheckIn) -> EpisodeState:
    if state.aftercare is None:
        return state
    check_ins = {**state.aftercare.check_ins, check_in_id: item}
    return state.but(aftercare=state.aftercare.model_copy(update={"check_ins": check_ins}))
