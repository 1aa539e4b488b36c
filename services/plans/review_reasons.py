"""What asks for a clinical review, and what takes that back: screens, absences, hours, danger, and what followup hears.

A fact asks for a review under a key, and a fact that retracts it takes the key away: a positive that is overturned, a
miss that was none. A review never ends an episode by itself.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from services.plans import episode_state, reviews, transfers
from services.plans.episode_state import EpisodeState, Week
from shared import loops
from shared.contracts import attendance, followup, intake
from shared.contracts.attendance import (
    BreathOutcome,
    NotProvidedKind,
    PauseEnd,
    ScreenClass,
    SpecimenValidity,
)
from shared.contracts.codes import ClearedReason, FollowupLoop, PlansLoop
from shared.contracts.plans import DischargeKind, ReviewTrigger
from shared.decision import Cause, Decision, Events, derive_id
from shared.errors import Unknown

CLINICAL_TIER: Final = 2
DANGER_WITHIN: Final = timedelta(hours=4)
WEEKS_KEPT: Final = 110
PAUSE: Final = "pause:"
OUTREACH: Final = "outreach"
HOURS: Final = "hours"
REPORT: Final = "report:"
OVERDOSE: Final = "overdose:"
"""What asks for a review, beside a screen or a threshold."""
INVALID_SPECIMENS: Final = frozenset(
    {
        SpecimenValidity.DILUTE,
        SpecimenValidity.SUBSTITUTED,
        SpecimenValidity.ADULTERATED,
        SpecimenValidity.INVALID,
    }
)


# --- screens ----------------------------------------------------------------------------------------------


def screen_failed(
    state: EpisodeState, event: attendance.ScreenFailed, cause: Cause
) -> Decision[EpisodeState]:
    """An unexpected positive is a reason to look, not to punish."""
    return _positive(state, event.screen_id, event.collected_at, cause)


def breath_tested(
    state: EpisodeState, event: attendance.BreathTestRecorded, cause: Cause
) -> Decision[EpisodeState]:
    """A positive breath test is looked at; a retest of it is the same matter."""
    if event.outcome is not BreathOutcome.POSITIVE:
        return Decision(state)
    return _positive(state, event.retest_of_screen_id or event.screen_id, event.tested_at, cause)


def breath_undone(
    state: EpisodeState, event: attendance.BreathTestUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """There was no such test, so it shows nothing."""
    return _no_positive(state, event.retest_of_screen_id or event.screen_id)


def _positive(
    state: EpisodeState, screen_id: str, at: datetime, cause: Cause
) -> Decision[EpisodeState]:
    state = state.replace(positives={**state.positives, screen_id: at})
    key = reviews.about_screen(screen_id)
    decision = reviews.request(state, ReviewTrigger.SCREEN, cause, because=key, about=screen_id)
    return Decision(reviews.reassessed(decision.state), decision.events)


def _no_positive(state: EpisodeState, screen_id: str) -> Decision[EpisodeState]:
    """The latest word on a screen is that it shows no unexpected positive."""
    left = {key: at for key, at in state.positives.items() if key != screen_id}
    return Decision(
        *reviews.withdraw(state.replace(positives=left), reviews.about_screen(screen_id))
    )


def screen_resulted(
    state: EpisodeState, event: attendance.ScreenResulted, cause: Cause
) -> Decision[EpisodeState]:
    """A specimen that can't be judged is no result; why it can't is for a clinician to find out."""
    others = tuple(one for one in state.invalid if one != event.screen_id)
    if event.validity not in INVALID_SPECIMENS:
        state = state.replace(invalid=others)
        return Decision(*reviews.withdraw(state, _validity(event.screen_id)))
    return _unjudged(state.replace(invalid=(*others, event.screen_id)), event.screen_id, cause)


def result_undone(
    state: EpisodeState, event: attendance.ResultUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """The laboratory said nothing of this specimen; what it said at another stage is said again."""
    others = tuple(one for one in state.invalid if one != event.screen_id)
    return Decision(*reviews.withdraw(state.replace(invalid=others), _validity(event.screen_id)))


def _unjudged(state: EpisodeState, screen_id: str, cause: Cause) -> Decision[EpisodeState]:
    key, trigger = _validity(screen_id), ReviewTrigger.VALIDITY
    return reviews.request(state, trigger, cause, because=key, about=screen_id)


def screen_interpreted(
    state: EpisodeState, event: attendance.ScreenInterpreted, cause: Cause
) -> Decision[EpisodeState]:
    """The latest interpretation of a screen holds: what an earlier one asked for is not asked for any more.

    A prescribed substance that is missing is talked about in private; it is no offence. Nothing is published. A
    specimen that a clinician can't judge is looked at once, whether its result was invalid already or not.
    """
    said, screen_id = event.classification, event.screen_id
    state, events = _interpreted_otherwise(state, screen_id, said)
    decision = Decision(state)
    if said is ScreenClass.INVALID:
        key = _unreadable(screen_id)
        decision = reviews.request(
            state, ReviewTrigger.VALIDITY, cause, because=key, about=screen_id
        )
    if said is ScreenClass.EXPECTED_ABSENT:
        key, trigger = _adherence(screen_id), ReviewTrigger.ADHERENCE
        decision = reviews.request(
            state, trigger, cause, because=key, about=screen_id, private=True
        )
    return Decision(decision.state, (*events, *decision.events))


def interpretation_undone(
    state: EpisodeState, event: attendance.InterpretationUndone, cause: Cause
) -> Decision[EpisodeState]:
    """Nothing that was read from this screen holds, until it is interpreted again; what the laboratory said does."""
    state, events = _interpreted_otherwise(state, event.screen_id, None)
    if event.screen_id not in state.invalid:
        return Decision(state, events)
    asked = _unjudged(state, event.screen_id, cause)
    return Decision(asked.state, (*events, *asked.events))


def _interpreted_otherwise(
    state: EpisodeState, screen_id: str, said: ScreenClass | None
) -> episode_state.StateAndEvents:
    events: Events = ()
    if said is not ScreenClass.UNEXPECTED_POSITIVE:
        state, events, *_ = _no_positive(state, screen_id)
    if said is not ScreenClass.INVALID:
        state, more = reviews.withdraw(state, _unreadable(screen_id))
        events += more
    if said not in (ScreenClass.INVALID, None):
        state, more = reviews.withdraw(state, _validity(screen_id))
        events += more
    if said is not ScreenClass.EXPECTED_ABSENT:
        state, more = reviews.withdraw(state, _adherence(screen_id))
        events += more
    return state, events


def _validity(screen_id: str) -> str:
    return f"validity:{screen_id}"


def _unreadable(screen_id: str) -> str:
    """The key of a clinician's word that a specimen can't be judged, beside the laboratory's."""
    return f"unreadable:{screen_id}"


def _adherence(screen_id: str) -> str:
    return f"adherence:{screen_id}"


def screen_not_provided(
    state: EpisodeState, event: attendance.ScreenNotProvided, cause: Cause
) -> Decision[EpisodeState]:
    """A refusal is reviewed; it is never recorded as use."""
    if event.kind is not NotProvidedKind.REFUSED:
        return Decision(state)
    key = _refusal(event.screen_id)
    return reviews.request(state, ReviewTrigger.REFUSAL, cause, because=key, about=event.screen_id)


def not_provided_undone(
    state: EpisodeState, event: attendance.ScreenNotProvidedUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """Nobody refused."""
    return Decision(*reviews.withdraw(state, _refusal(event.screen_id)))


def _refusal(screen_id: str) -> str:
    return f"refusal:{screen_id}"


# --- absence, hours, danger -------------------------------------------------------------------------------


def absence_threshold_reached(
    state: EpisodeState, event: attendance.AbsenceThresholdReached, cause: Cause
) -> Decision[EpisodeState]:
    """Absences add up: what keeps the person away?"""
    return _absent(state, _threshold(event.reached_at), event.reached_at, cause)


def absence_threshold_undone(
    state: EpisodeState, event: attendance.AbsenceThresholdUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """They had not added up after all."""
    return _not_absent(state, _threshold(event.reached_at))


def participation_paused(
    state: EpisodeState, event: attendance.ParticipationPaused, cause: Cause
) -> Decision[EpisodeState]:
    """Excluding somebody from groups is never the end of it: the reason for the absences is reviewed."""
    state = state.replace(paused_until=event.resumes_at)
    return _absent(state, f"{PAUSE}{event.paused_at.isoformat()}", event.paused_at, cause)


def participation_resumed(
    state: EpisodeState, event: attendance.ParticipationResumed, _cause: Cause
) -> Decision[EpisodeState]:
    """The person may come again. The review goes on, unless an absence that led to the pause was none.

    Who is not paused does not come back from a pause. After an end it is kept as it came (`late_facts.py`): decided
    then, it would be decided twice if the end is taken back.
    """
    if state.paused_until is None or state.discharged is not None:
        return Decision(state)
    state = state.replace(paused_until=None)
    pauses = [key for key in state.absences if key.startswith(PAUSE)]
    if event.reason is not PauseEnd.CORRECTED or not pauses:
        return Decision(state)
    return _not_absent(state, max(pauses))


def _absent(state: EpisodeState, key: str, at: datetime, cause: Cause) -> Decision[EpisodeState]:
    state = state.replace(absences={**state.absences, key: at})
    decision = reviews.request(state, ReviewTrigger.ABSENCE, cause, because=key)
    return Decision(reviews.reassessed(decision.state), decision.events)


def _not_absent(state: EpisodeState, key: str) -> Decision[EpisodeState]:
    left = {one: at for one, at in state.absences.items() if one != key}
    return Decision(*reviews.withdraw(state.replace(absences=left), key))


def _threshold(reached_at: datetime) -> str:
    return f"threshold:{reached_at.isoformat()}"


def outreach_escalated(
    state: EpisodeState, event: followup.OutreachEscalated, cause: Cause
) -> Decision[EpisodeState]:
    """From the second tier on, reaching out is a clinical matter."""
    if event.tier < CLINICAL_TIER or event.cause is not followup.OutreachCause.SESSION_MISSED:
        return Decision(state)
    decision = reviews.request(state, ReviewTrigger.ABSENCE, cause, because=OUTREACH)
    return Decision(reviews.reassessed(decision.state), decision.events)


def outreach_cleared(
    state: EpisodeState, event: followup.EscalationCleared, _cause: Cause
) -> Decision[EpisodeState]:
    """An outreach that is withdrawn had no miss behind it."""
    withdrawn = event.reason is ClearedReason.WITHDRAWN
    if event.loop is not FollowupLoop.OUTREACH or not withdrawn:
        return Decision(state)
    return Decision(*reviews.withdraw(state, OUTREACH))


def hours_short(
    state: EpisodeState, event: attendance.WeeklyHoursShortfallDetected, cause: Cause
) -> Decision[EpisodeState]:
    """A week that ended below its hours is reviewed; one that can still be made up is not."""
    if event.projected:
        return Decision(state)
    decision = reviews.request(state, ReviewTrigger.HOURS, cause, because=HOURS)
    again = {
        key: item.replace(weeks=tuple(sorted({*item.weeks, event.week_starts_on})))
        if item.open and item.trigger is ReviewTrigger.HOURS
        else item
        for key, item in decision.state.reviews.items()
    }
    return Decision(decision.state.replace(reviews=again), decision.events)


def week_evaluated(
    state: EpisodeState, event: attendance.WeeklyHoursEvaluated, cause: Cause
) -> Decision[EpisodeState]:
    """How a week came out; the latest evaluation holds.

    A review of hours is about what the person could have had and did not: with none of it left, also because less was
    offered than was said, nobody has to look. A week in which the program offered too little is the program's matter,
    never the patient's. House rule: below the hours, review; never discharge by itself.
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
    completed: Events = ()
    if min(event.minutes_threshold, event.minutes_offered) <= event.minutes_credited:
        state, completed = _weeks_made_good(state, event.week_starts_on)
    loop_id = week_loop(cause.subject_id, event.week_starts_on)
    if event.met or event.minutes_offered >= event.minutes_threshold:
        state, cleared = loops.close(
            state, PlansLoop.PROGRAM_HOURS, loop_id, ClearedReason.SUPERSEDED
        )
        return Decision(state, (*cleared, *completed))
    if state.discharged is None and state.loop(PlansLoop.PROGRAM_HOURS, loop_id) is None:
        state = loops.open_loop(state, PlansLoop.PROGRAM_HOURS, loop_id, cause)
    return Decision(state, completed)


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
        left = item.replace(weeks=weeks, open=bool(weeks), superseded=not weeks)
        state = state.replace(reviews={**state.reviews, review_id: left})
        if not weeks:
            state, over = reviews.superseded(state, review_id, left)
            events += over
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
    key = f"{OVERDOSE if event.overdose else REPORT}{event.report_id}"
    decision = reviews.request(state, ReviewTrigger.RETURN_TO_USE, cause, because=key)
    return Decision(_overdosed(decision.state), decision.events)


def return_to_use_undone(
    state: EpisodeState, event: followup.ReturnToUseUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """Nobody used: nothing is looked at because of it."""
    events: Events = ()
    for kind in (OVERDOSE, REPORT):
        state, more = reviews.withdraw(state, f"{kind}{event.report_id}")
        events += more
    return Decision(_overdosed(state), events)


def _overdosed(state: EpisodeState) -> EpisodeState:
    """A review of a return to use asks for a new level as long as an overdose is among what asks for it."""
    trigger = ReviewTrigger.RETURN_TO_USE
    again = {
        key: item.replace(reassess=any(one.startswith(OVERDOSE) for one in item.because))
        if item.open and item.trigger is trigger
        else item
        for key, item in state.reviews.items()
    }
    return state.replace(reviews=again)


def checked_in(
    state: EpisodeState, event: followup.CheckInCompleted, cause: Cause
) -> Decision[EpisodeState]:
    """A risk that came up at a check-in is looked at, also after the episode has ended: that is when check-ins are."""
    if not event.risk_flags or state.discharged is DischargeKind.DECEASED:
        return Decision(state)
    return reviews.request(
        state,
        ReviewTrigger.RISK,
        cause,
        because=f"check-in:{event.check_in_id}",
        about=event.check_in_id,
        after_end=True,
    )


def check_in_undone(
    state: EpisodeState, event: followup.CheckInUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """Nothing came up."""
    return Decision(*reviews.withdraw(state, f"check-in:{event.check_in_id}"))


def danger_identified(
    state: EpisodeState, _event: intake.ImminentDangerIdentified, cause: Cause
) -> Decision[EpisodeState]:
    """Danger found in somebody who is in treatment stops what is scheduled: the level is looked at within hours.

    Before the admission the danger is intake's to answer. Source: docs/domain.md 2.5 (Derivation), rule 1.
    """
    if state.admission is None or state.discharged is not None:
        return Decision(state)
    state = transfers.also_waited(state, lambda never: never.replace(level_change=None))
    state = state.replace(level_change=None).disarm("level-effective")
    due_at = cause.now + DANGER_WITHIN
    decision = reviews.request(state, ReviewTrigger.RISK, cause, due_at=due_at)
    state = reviews.flag(decision.state, {ReviewTrigger.RISK})
    for review_id, item in state.reviews.items():
        if item.open and item.trigger is ReviewTrigger.RISK and item.due_at > due_at:
            sooner = item.replace(due_at=due_at)
            state = state.replace(reviews={**state.reviews, review_id: sooner})
            state = loops.open_loop(
                state, PlansLoop.CLINICAL_REVIEW, review_id, cause, deadline_at=due_at
            )
    return Decision(state, decision.events)
