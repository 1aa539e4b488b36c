"""Clinical reviews: what asks for one, by when it is done, and what happens when it is not.

Due within one working day (house rule, domain reference, section 3, "Response"). A review never ends an
episode by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.plans.domain import EpisodeState, Review
from shared.contracts import attendance, followup, plans
from shared.contracts.plans import ReviewOutcome, ReviewTrigger
from shared.decision import Cause, Decision
from shared.errors import NotYetKnown, Refused, Unknown

SATURDAY: Final = 5
CLINICAL_TIER: Final = 2
OVERDUE_STEPS: Final = 3
"""How often an overdue review is said, a day apart; then it stays on the director's list."""


def screen_failed(
    state: EpisodeState, _event: attendance.ScreenFailed, cause: Cause
) -> Decision[EpisodeState]:
    """An unexpected positive is a reason to look, not to punish."""
    return _request(state, ReviewTrigger.SCREEN, cause)


def screen_not_provided(
    state: EpisodeState, event: attendance.ScreenNotProvided, cause: Cause
) -> Decision[EpisodeState]:
    """A refusal is reviewed; it is never recorded as use."""
    if event.kind is not attendance.NotProvidedKind.REFUSED:
        return Decision(state)
    return _request(state, ReviewTrigger.REFUSAL, cause)


def absence_threshold_reached(
    state: EpisodeState, _event: attendance.AbsenceThresholdReached, cause: Cause
) -> Decision[EpisodeState]:
    """Absences add up: what keeps the person away?"""
    return _request(state, ReviewTrigger.ABSENCE, cause)


def hours_short(
    state: EpisodeState, event: attendance.WeeklyHoursShortfallDetected, cause: Cause
) -> Decision[EpisodeState]:
    """A week that ended below its hours is reviewed; one that can still be mended is not."""
    if event.projected:
        return Decision(state)
    return _request(state, ReviewTrigger.HOURS, cause)


def outreach_escalated(
    state: EpisodeState, event: followup.OutreachEscalated, cause: Cause
) -> Decision[EpisodeState]:
    """From the second tier on, reaching out is a clinical matter."""
    if event.tier < CLINICAL_TIER or event.cause is not followup.OutreachCause.SESSION_MISSED:
        return Decision(state)
    return _request(state, ReviewTrigger.ABSENCE, cause)


def return_to_use_reported(
    state: EpisodeState, _event: followup.ReturnToUseReported, cause: Cause
) -> Decision[EpisodeState]:
    """It opens the way back; while the episode runs, a clinician looks at it."""
    return _request(state, ReviewTrigger.RETURN_TO_USE, cause)


def _request(state: EpisodeState, trigger: ReviewTrigger, cause: Cause) -> Decision[EpisodeState]:
    """Open a review, unless one for the same reason is open or the episode has ended."""
    if state.discharged is not None:
        return Decision(state)
    if any(item.open and item.trigger is trigger for item in state.reviews.values()):
        return Decision(state)
    review_id = cause.derive_id("review", trigger)
    due_at = next_working_day(cause.now, _time_zone(state))
    event = plans.ClinicalReviewRequested(
        review_id=review_id, trigger=trigger, trigger_event_id=cause.id, due_at=due_at
    )
    item = Review(trigger=trigger, due_at=due_at)
    state = state.but(reviews={**state.reviews, review_id: item})
    return Decision(state.arm(f"clinical-review:{review_id}", due_at), (event,))


def complete(
    state: EpisodeState, review_id: str, outcome: ReviewOutcome, _cause: Cause
) -> Decision[EpisodeState]:
    """A clinician says what follows."""
    item = state.reviews.get(review_id)
    if item is None:
        raise NotYetKnown("episode") if state.admission is None else Unknown("review")
    if not item.open:
        raise Refused("review-closed", "This review is closed.")
    event = plans.ClinicalReviewCompleted(review_id=review_id, outcome=outcome)
    closed = item.model_copy(update={"open": False})
    state = state.but(reviews={**state.reviews, review_id: closed})
    return Decision(state.disarm(f"clinical-review:{review_id}"), (event,))


def overdue(state: EpisodeState, review_id: str, cause: Cause) -> Decision[EpisodeState]:
    """Nobody has looked. Said a day apart until someone does."""
    item = state.reviews[review_id]
    hours = int((cause.now - item.due_at).total_seconds() // 3600)
    event = plans.ClinicalReviewOverdue(
        review_id=review_id, due_at=item.due_at, hours_overdue=hours
    )
    stepped = item.model_copy(update={"steps": item.steps + 1})
    state = state.but(reviews={**state.reviews, review_id: stepped})
    if stepped.steps < OVERDUE_STEPS:
        state = state.arm(f"clinical-review:{review_id}", cause.now + timedelta(days=1))
    return Decision(state, (event,))


def next_working_day(moment: datetime, time_zone: str) -> datetime:
    """The same local time on the next Monday-to-Friday day."""
    local = moment.astimezone(ZoneInfo(time_zone)) + timedelta(days=1)
    while local.weekday() >= SATURDAY:
        local += timedelta(days=1)
    return local.astimezone(moment.tzinfo)


def _time_zone(state: EpisodeState) -> str:
    """Before the admission is heard, the facility's zone is not known yet; UTC is near enough for a day."""
    return "UTC" if state.admission is None else state.admission.time_zone
