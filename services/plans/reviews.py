"""Clinical reviews: what asks for one, by when it is done, and what happens when it is not.

Due within one working day (house rule, docs/domain.md 3.8 (Response)). A review never ends an
episode by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

from services.plans import episode_state
from services.plans.episode_state import EpisodeState, Review, Week
from shared import calendar, loops
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.attendance import (
    BreathOutcome,
    NotProvidedKind,
    ScreenClass,
    SpecimenValidity,
)
from shared.contracts.codes import ClearedReason, Dimension, PlansLoop
from shared.contracts.plans import DischargeKind, ReviewOutcome, ReviewTrigger
from shared.decision import Cause, Decision, Events, derive_id
from shared.errors import Invalid, NotYetKnown, Refused, Unknown

CLINICAL_TIER: Final = 2
REASSESS_WITHIN: Final = timedelta(days=14)
"""Two unexpected positives, or a positive and absences, this close together ask for a new look at the level."""
DANGER_WITHIN: Final = timedelta(hours=4)
POSITIVES_KEPT: Final = 100
WEEKS_KEPT: Final = 110

INVALID_SPECIMENS: Final = frozenset(
    {
        SpecimenValidity.DILUTE,
        SpecimenValidity.SUBSTITUTED,
        SpecimenValidity.ADULTERATED,
        SpecimenValidity.INVALID,
    }
)
LOOP_OF_OUTCOME: Final[Mapping[ReviewOutcome, PlansLoop]] = {
    ReviewOutcome.AMEND: PlansLoop.CONTINUED_SERVICE,
    ReviewOutcome.UP: PlansLoop.LEVEL_CHANGE,
    ReviewOutcome.DOWN: PlansLoop.LEVEL_CHANGE,
}
"""What somebody now has to do because of an outcome; the others are attendance's and followup's to act on."""


# --- screens ----------------------------------------------------------------------------------------------


def screen_failed(
    state: EpisodeState, event: attendance.ScreenFailed, cause: Cause
) -> Decision[EpisodeState]:
    """An unexpected positive is a reason to look, not to punish."""
    return _positive(state, event.screen_id, cause)


def breath_tested(
    state: EpisodeState, event: attendance.BreathTestRecorded, cause: Cause
) -> Decision[EpisodeState]:
    """A positive breath test is looked at; a retest of it is the same matter."""
    if event.outcome is not BreathOutcome.POSITIVE:
        return Decision(state)
    return _positive(state, event.retest_of or event.screen_id, cause)


def _positive(state: EpisodeState, screen_id: str, cause: Cause) -> Decision[EpisodeState]:
    if screen_id not in state.positives:
        recent = [*state.positives.items(), (screen_id, cause.now)][-POSITIVES_KEPT:]
        state = state.replace(positives=dict(recent))
    decision = request(state, ReviewTrigger.SCREEN, cause, about=screen_id)
    return Decision(_reassess(decision.state, cause), decision.events)


def screen_resulted(
    state: EpisodeState, event: attendance.ScreenResulted, cause: Cause
) -> Decision[EpisodeState]:
    """A specimen that can't be judged is no result; why it can't is for a clinician to find out."""
    if event.validity not in INVALID_SPECIMENS:
        return Decision(state)
    return request(state, ReviewTrigger.VALIDITY, cause, about=event.screen_id)


def screen_interpreted(
    state: EpisodeState, event: attendance.ScreenInterpreted, cause: Cause
) -> Decision[EpisodeState]:
    """A prescribed substance that is missing is talked about in private; it is no offence. Nothing is published.

    A specimen that a clinician can't judge is looked at once, whether its result was invalid already or not.
    """
    if event.classification is ScreenClass.INVALID:
        return request(state, ReviewTrigger.VALIDITY, cause, about=event.screen_id)
    if event.classification is not ScreenClass.EXPECTED_ABSENT:
        return Decision(state)
    return request(state, ReviewTrigger.ADHERENCE, cause, about=event.screen_id, private=True)


def screen_not_provided(
    state: EpisodeState, event: attendance.ScreenNotProvided, cause: Cause
) -> Decision[EpisodeState]:
    """A refusal is reviewed; it is never recorded as use."""
    if event.kind is not NotProvidedKind.REFUSED:
        return Decision(state)
    return request(state, ReviewTrigger.REFUSAL, cause, about=event.screen_id)


# --- absence, hours, danger -------------------------------------------------------------------------------


def absence_threshold_reached(
    state: EpisodeState, _event: attendance.AbsenceThresholdReached, cause: Cause
) -> Decision[EpisodeState]:
    """Absences add up: what keeps the person away?"""
    decision = request(state.replace(absent_at=cause.now), ReviewTrigger.ABSENCE, cause)
    return Decision(_reassess(decision.state, cause), decision.events)


def participation_paused(
    state: EpisodeState, event: attendance.ParticipationPaused, cause: Cause
) -> Decision[EpisodeState]:
    """Excluding somebody from groups is never the end of it: the reason for the absences is reviewed."""
    state = state.replace(absent_at=cause.now, paused_until=event.resumes_at)
    decision = request(state, ReviewTrigger.ABSENCE, cause)
    return Decision(_reassess(decision.state, cause), decision.events)


def participation_resumed(
    state: EpisodeState, _event: attendance.ParticipationResumed, _cause: Cause
) -> Decision[EpisodeState]:
    """The person may come again. The review goes on."""
    return Decision(state.replace(paused_until=None))


def outreach_escalated(
    state: EpisodeState, event: followup.OutreachEscalated, cause: Cause
) -> Decision[EpisodeState]:
    """From the second tier on, reaching out is a clinical matter."""
    if event.tier < CLINICAL_TIER or event.cause is not followup.OutreachCause.SESSION_MISSED:
        return Decision(state)
    decision = request(state, ReviewTrigger.ABSENCE, cause)
    return Decision(_reassess(decision.state, cause), decision.events)


def hours_short(
    state: EpisodeState, event: attendance.WeeklyHoursShortfallDetected, cause: Cause
) -> Decision[EpisodeState]:
    """A week that ended below its hours is reviewed; one that can still be made up is not."""
    if event.projected:
        return Decision(state)
    decision = request(state, ReviewTrigger.HOURS, cause)
    reviews = {
        key: item.replace(weeks=tuple(sorted({*item.weeks, event.week_starts_on})))
        if item.open and item.trigger is ReviewTrigger.HOURS
        else item
        for key, item in decision.state.reviews.items()
    }
    return Decision(decision.state.replace(reviews=reviews), decision.events)


def week_evaluated(
    state: EpisodeState, event: attendance.WeeklyHoursEvaluated, cause: Cause
) -> Decision[EpisodeState]:
    """How a week came out; the latest evaluation holds.

    A week that a correction made good needs no review any more. A week in which the program offered too little is the
    program's matter, never the patient's. House rule: below the hours, review; never discharge by itself.
    """
    day = event.week_starts_on.isoformat()
    week = Week(
        minutes_threshold=event.minutes_threshold,
        minutes_offered=event.minutes_offered,
        met=event.met,
        prorated=event.prorated,
    )
    weeks = dict(sorted({**state.weeks, day: week}.items())[-WEEKS_KEPT:])
    state = state.replace(weeks=weeks)
    if not event.met and event.minutes_offered < event.minutes_threshold:
        if state.discharged is not None:
            return Decision(state)
        loop_id = week_loop(cause.subject_id, event.week_starts_on)
        if state.loop(PlansLoop.PROGRAM_HOURS, loop_id) is not None:
            return Decision(state)
        return Decision(loops.open_loop(state, PlansLoop.PROGRAM_HOURS, loop_id, cause))
    state, cleared = loops.close(
        state,
        PlansLoop.PROGRAM_HOURS,
        week_loop(cause.subject_id, event.week_starts_on),
        ClearedReason.SUPERSEDED,
    )
    if not event.met:
        return Decision(state, cleared)
    state, completed = _weeks_made_good(state, event.week_starts_on)
    return Decision(state, (*cleared, *completed))


def week_loop(episode_id: str, week_starts_on: date) -> str:
    """The loop of a week in which the program offered too little."""
    return derive_id("program-hours", episode_id, week_starts_on.isoformat())


def _weeks_made_good(state: EpisodeState, week_starts_on: date) -> episode_state.StateAndEvents:
    """A review of hours whose weeks are all good after all is superseded."""
    events: Events = ()
    for review_id, item in state.reviews.items():
        if not item.open or week_starts_on not in item.weeks:
            continue
        weeks = tuple(day for day in item.weeks if day != week_starts_on)
        left = item.replace(weeks=weeks, open=bool(weeks))
        state = state.replace(reviews={**state.reviews, review_id: left})
        if weeks:
            continue
        state, cleared = loops.close(
            state, PlansLoop.CLINICAL_REVIEW, review_id, ClearedReason.SUPERSEDED
        )
        over = plans.ClinicalReviewCompleted(review_id=review_id, outcome=ReviewOutcome.NONE)
        events = (*events, over, *cleared)
    return state, events


def hours_restored(
    state: EpisodeState, week_starts_on: date, cause: Cause
) -> Decision[EpisodeState]:
    """Someone saw to it that the program offers its hours again."""
    episode_state.in_treatment(state)
    loop_id = week_loop(cause.subject_id, week_starts_on)
    if state.loop(PlansLoop.PROGRAM_HOURS, loop_id) is None:
        raise Unknown("week")
    state, cleared = loops.close(state, PlansLoop.PROGRAM_HOURS, loop_id)
    return Decision(state, cleared)


def return_to_use_reported(
    state: EpisodeState, event: followup.ReturnToUseReported, cause: Cause
) -> Decision[EpisodeState]:
    """It opens the way back; while the episode runs, a clinician looks at it. An overdose asks for a new level."""
    decision = request(state, ReviewTrigger.RETURN_TO_USE, cause)
    if not event.overdose:
        return decision
    flagged = _flag(decision.state, {ReviewTrigger.RETURN_TO_USE})
    return Decision(flagged, decision.events)


def checked_in(
    state: EpisodeState, event: followup.CheckInCompleted, cause: Cause
) -> Decision[EpisodeState]:
    """A risk that came up at a check-in is looked at, also after the episode has ended: that is when check-ins are."""
    if not event.risk_flags or state.discharged is DischargeKind.DECEASED:
        return Decision(state)
    return request(state, ReviewTrigger.RISK, cause, about=event.check_in_id, after_end=True)


def danger_identified(
    state: EpisodeState, _event: intake.ImminentDangerIdentified, cause: Cause
) -> Decision[EpisodeState]:
    """Danger found in somebody who is in treatment stops what is scheduled: the level is looked at within hours.

    Before the admission the danger is intake's to answer. Source: docs/domain.md 2.5 (Derivation), rule 1.
    """
    if state.admission is None or state.discharged is not None:
        return Decision(state)
    state = state.replace(level_change=None).disarm("level-effective")
    due_at = cause.now + DANGER_WITHIN
    decision = request(state, ReviewTrigger.RISK, cause, due_at=due_at)
    state = _flag(decision.state, {ReviewTrigger.RISK})
    for review_id, item in state.reviews.items():
        if item.open and item.trigger is ReviewTrigger.RISK and item.due_at > due_at:
            sooner = item.replace(due_at=due_at)
            state = state.replace(reviews={**state.reviews, review_id: sooner})
            state = loops.open_loop(
                state, PlansLoop.CLINICAL_REVIEW, review_id, cause, deadline_at=due_at
            )
    return Decision(state, decision.events)


# --- asking, completing -----------------------------------------------------------------------------------


def request(
    state: EpisodeState,
    trigger: ReviewTrigger,
    cause: Cause,
    *,
    about: str | None = None,
    due_at: datetime | None = None,
    private: bool = False,
    after_end: bool = False,
) -> Decision[EpisodeState]:
    """Open a review, unless one for the same reason or of the same thing exists, or the episode has ended."""
    if state.discharged is not None and not after_end:
        return Decision(state)
    if any(
        item.trigger is trigger and (item.open or (about is not None and item.about == about))
        for item in state.reviews.values()
    ):
        return Decision(state)
    review_id = cause.derive_id("review", trigger)
    due_at = due_at or calendar.next_working_day(cause.now, state.time_zone)
    item = Review(trigger=trigger, due_at=due_at, about=about, private=private)
    state = state.replace(reviews={**state.reviews, review_id: item})
    state = loops.open_loop(state, PlansLoop.CLINICAL_REVIEW, review_id, cause, deadline_at=due_at)
    if private:
        return Decision(state)
    event = plans.ClinicalReviewRequested(
        review_id=review_id, trigger=trigger, trigger_event_id=cause.id, due_at=due_at
    )
    return Decision(state, (event,))


def _reassess(state: EpisodeState, cause: Cause) -> EpisodeState:
    """Two unexpected positives in fourteen days, or a positive and absences, ask for a new look at the level.

    House rule, docs/domain.md 3.8 (Response).
    """
    since = cause.now - REASSESS_WITHIN
    positives = sum(at >= since for at in state.positives.values())
    absent = state.absent_at is not None and state.absent_at >= since
    if positives + absent < 2:  # noqa: PLR2004 - two of them
        return state
    return _flag(state, {ReviewTrigger.SCREEN, ReviewTrigger.ABSENCE})


def _flag(state: EpisodeState, triggers: set[ReviewTrigger]) -> EpisodeState:
    reviews = {
        key: item.replace(reassess=True) if item.open and item.trigger in triggers else item
        for key, item in state.reviews.items()
    }
    return state.replace(reviews=reviews)


def complete(
    state: EpisodeState,
    review_id: str,
    outcome: ReviewOutcome,
    cause: Cause,
    *,
    drivers: tuple[Dimension, ...] | None = None,
) -> Decision[EpisodeState]:
    """A clinician decides what follows. Where the level has to be reassessed, they name what drives it now."""
    episode_state.in_record(state)
    item = state.reviews.get(review_id)
    if item is None:
        raise NotYetKnown("episode") if state.admission is None else Unknown("review")
    if not item.open:
        raise Refused("review-closed", "This review is closed.")
    if item.reassess and drivers is None:
        raise Invalid(
            "reassessment-missing",
            "This review asks for the level of care to be looked at anew.",
            hint="Name the dimensions that drive the level now, also when there are none.",
        )
    closed = item.replace(open=False)
    state = state.replace(reviews={**state.reviews, review_id: closed})
    if drivers is not None:
        state = state.replace(drivers=drivers)
    state, cleared = loops.close(state, PlansLoop.CLINICAL_REVIEW, review_id)
    follows = LOOP_OF_OUTCOME.get(outcome)
    decided = follows is PlansLoop.LEVEL_CHANGE and state.level_change is not None
    if follows is not None and state.admission is not None and not decided:
        state = (
            state if state.discharged else loops.open_loop(state, follows, cause.subject_id, cause)
        )
    if item.private:
        return Decision(state, cleared)
    event = plans.ClinicalReviewCompleted(review_id=review_id, outcome=outcome)
    return Decision(state, (event, *cleared))
