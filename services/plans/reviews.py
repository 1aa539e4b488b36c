"""Clinical reviews: asked for, by when each is done, withdrawn when nothing asks for it any more, and completed.

Due within one working day (house rule, docs/domain.md 3.8 (Response)). What asks for one stands in
`review_reasons.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from services.plans import episode_state
from services.plans.episode_state import Completion, EpisodeState, Review
from shared import calendar, endings, loops
from shared.contracts import plans
from shared.contracts.codes import ClearedReason, Dimension, MistakeReason, PlansLoop
from shared.contracts.plans import ReviewOutcome, ReviewTrigger
from shared.decision import Cause, Decision, Events
from shared.errors import Invalid, NotYetKnown, Refused, Unknown
from shared.loops import Loop

REASSESS_WITHIN: Final = timedelta(days=14)
"""Two unexpected positives, or a positive and absences, this close together ask for a new look at the level."""
LOOP_OF_OUTCOME: Final[Mapping[ReviewOutcome, PlansLoop]] = {
    ReviewOutcome.AMEND: PlansLoop.CONTINUED_SERVICE,
    ReviewOutcome.UP: PlansLoop.LEVEL_CHANGE,
    ReviewOutcome.DOWN: PlansLoop.LEVEL_CHANGE,
}
"""What somebody now has to do because of an outcome; the others are attendance's and followup's to act on."""


# --- asking, completing -----------------------------------------------------------------------------------


def request(
    state: EpisodeState,
    trigger: ReviewTrigger,
    cause: Cause,
    *,
    because: str = "",
    about: str | None = None,
    due_at: datetime | None = None,
    private: bool = False,
    after_end: bool = False,
    gap_from_at: datetime | None = None,
) -> Decision[EpisodeState]:
    """Open a review, unless one for the same reason or of the same thing exists, or the episode has ended.

    `because` names the fact that asks for it, for the case that it is taken back (`withdraw`). `gap_from_at` is since
    when a mistake stood that is taken back now: what passed until now is looked at.
    """
    if state.discharged is not None and not after_end:
        return Decision(state)
    for review_id, item in state.reviews.items():
        if item.trigger is not trigger or item.superseded:
            continue
        if item.open:
            reasons = tuple(sorted({*item.because, because or cause.id}))
            more = _wider(item.replace(because=reasons), gap_from_at, cause)
            return Decision(state.replace(reviews={**state.reviews, review_id: more}))
        if about is not None and item.about == about:
            return Decision(state)
    review_id = cause.derive_id("review", trigger)
    due_at = due_at or calendar.next_working_day(cause.now, state.time_zone)
    item = Review(
        trigger=trigger,
        due_at=due_at,
        about=about,
        because=(because or cause.id,),
        private=private,
    )
    item = _wider(item, gap_from_at, cause)
    state = state.replace(reviews={**state.reviews, review_id: item})
    state = loops.open_loop(state, PlansLoop.CLINICAL_REVIEW, review_id, cause, deadline_at=due_at)
    if private:
        return Decision(state)
    event = plans.ClinicalReviewRequested(
        review_id=review_id,
        trigger=trigger,
        trigger_event_id=cause.id,
        due_at=due_at,
        gap_from_at=item.gap_from_at,
        gap_until_at=item.gap_until_at,
    )
    return Decision(state, (event,))


def _wider(item: Review, gap_from_at: datetime | None, cause: Cause) -> Review:
    """The review also is about what passed since then; the time that it was about already stays in it."""
    if gap_from_at is None:
        return item
    since = min(item.gap_from_at or gap_from_at, gap_from_at)
    return item.replace(gap_from_at=since, gap_until_at=cause.now)


def withdraw(state: EpisodeState, because: str) -> episode_state.StateAndEvents:
    """A fact that asked for a review does not hold: what no other fact asks for needs nobody to look any more."""
    events: Events = ()
    for review_id, item in state.reviews.items():
        if because not in item.because or not (item.open or item.completion):
            continue
        left = tuple(reason for reason in item.because if reason != because)
        if not item.open:  # nothing is to be done about it, unless it was completed by mistake
            done = item.replace(because=left)
            state = state.replace(reviews={**state.reviews, review_id: done})
            continue
        asked = item.replace(because=left, open=bool(left), superseded=not left)
        state = state.replace(reviews={**state.reviews, review_id: asked})
        if not left:
            state, over = superseded(state, review_id, asked)
            events += over
    return reassessed(state), events


def superseded(state: EpisodeState, review_id: str, item: Review) -> episode_state.StateAndEvents:
    """Nobody has to look any more: its loop is closed, and so that it is known, it is completed without an outcome."""
    state, cleared = loops.close(
        state, PlansLoop.CLINICAL_REVIEW, review_id, ClearedReason.SUPERSEDED
    )
    if item.private:
        return state, cleared
    over = plans.ClinicalReviewCompleted(review_id=review_id, outcome=ReviewOutcome.NONE)
    return state, (over, *cleared)


def about_screen(screen_id: str) -> str:
    """The key of what a screen asks for."""
    return f"screen:{screen_id}"


def reassessed(state: EpisodeState) -> EpisodeState:
    """Two unexpected positives in fourteen days, or a positive and absences, ask for a new look at the level.

    By the facts that hold, at the time they are of; one of the two asks for a review that is open. House rule,
    docs/domain.md 3.8 (Response).
    """
    concerned = {ReviewTrigger.SCREEN, ReviewTrigger.ABSENCE}
    positives = {about_screen(key): at for key, at in state.positives.items()}
    moments = {**positives, **state.absences}
    asking = {
        reason
        for item in state.reviews.values()
        if item.open and item.trigger in concerned
        for reason in item.because
    }
    wanted = any(
        key in asking and abs(moments[key] - at) <= REASSESS_WITHIN
        for key in moments
        for other, at in moments.items()
        if other != key and (key in positives or other in positives)
    )
    reviews = {
        key: item.replace(reassess=wanted) if item.open and item.trigger in concerned else item
        for key, item in state.reviews.items()
    }
    return state.replace(reviews=reviews)


def flag(state: EpisodeState, triggers: set[ReviewTrigger]) -> EpisodeState:
    """The open reviews of these triggers ask for the level of care to be looked at anew."""
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
        raise Refused(
            "review-closed",
            "This review is closed.",
            hint="There is nothing left to do; a new reason opens a new review.",
        )
    if item.reassess and drivers is None:
        raise Invalid(
            "reassessment-missing",
            "This review asks for the level of care to be looked at anew.",
            hint="Name the dimensions that drive the level now, also when there are none.",
        )
    follows = _follows(state, outcome)
    completion = Completion(
        outcome=outcome,
        drivers=drivers,
        drivers_before=state.drivers,
        loop=_shown(state, PlansLoop.CLINICAL_REVIEW, review_id),
        follows=follows,
        waited=None if follows is None else _shown(state, follows, cause.subject_id),
    )
    closed = item.replace(open=False, completion=completion)
    state = state.replace(reviews={**state.reviews, review_id: closed})
    if drivers is not None:
        state = state.replace(drivers=drivers)
    state, cleared = loops.close(state, PlansLoop.CLINICAL_REVIEW, review_id)
    if follows is not None:
        state = loops.open_loop(state, follows, cause.subject_id, cause)
    if item.private:
        return Decision(state, cleared)
    event = plans.ClinicalReviewCompleted(review_id=review_id, outcome=outcome)
    return Decision(state, (event, *cleared))


def _follows(state: EpisodeState, outcome: ReviewOutcome) -> PlansLoop | None:
    """What somebody has to do because of an outcome; a change of level that is decided already needs nobody."""
    follows = LOOP_OF_OUTCOME.get(outcome)
    decided = follows is PlansLoop.LEVEL_CHANGE and state.level_change is not None
    if decided or state.admission is None or state.discharged is not None:
        return None
    return follows


def _shown(state: EpisodeState, kind: PlansLoop, loop_id: str) -> Loop | None:
    loop = state.loop(kind, loop_id)
    return None if loop is None else loop.shown


def undo(
    state: EpisodeState, review_id: str, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """The review was completed by mistake: it is to be done, by whom and when it was. What it led to is withdrawn.

    One that ended with the episode, or was superseded, was not completed by anybody.
    """
    episode_state.in_treatment(state)
    item = state.reviews.get(review_id)
    if item is None:
        raise Unknown("review")
    made = item.completion
    if item.open or made is None:
        raise Refused(
            "review-not-completed",
            "Nobody has completed this review.",
            hint="There is nothing to take back; an open review is completed as it should be.",
        )
    if not item.because:
        raise Refused(
            "review-not-asked-for",
            "What this review was about was taken back since.",
            hint="There is nothing left to look at.",
        )
    again = item.replace(open=True, completion=None)
    state = state.replace(reviews={**state.reviews, review_id: again})
    if made.drivers is not None and made.drivers == state.drivers:
        state = state.replace(drivers=made.drivers_before)
    state, events, waited = _not_followed(state, made, cause)
    back = [one for one in (made.loop, waited) if one is not None]
    state, escalated = endings.reopened(state, back)
    undone = plans.ClinicalReviewUndone(
        review_id=review_id, outcome=made.outcome, due_at=item.due_at, reason=reason
    )
    facts = () if item.private else (undone,)
    return Decision(reassessed(state), (*facts, *events, *escalated))


def _not_followed(
    state: EpisodeState, made: Completion, cause: Cause
) -> tuple[EpisodeState, Events, Loop | None]:
    """What somebody has to do because of the review is withdrawn, unless it is done; and who had to do it before."""
    if made.follows is None or state.loop(made.follows, cause.subject_id) is None:
        return state, (), None
    error = ClearedReason.ENTERED_IN_ERROR
    state, cleared = loops.close(state, made.follows, cause.subject_id, error)
    return state, cleared, made.waited
