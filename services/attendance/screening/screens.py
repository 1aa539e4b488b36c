"""Screens: from the order to the interpretation. Results stay in this service; their interpretation is published.

A prescribed substance is expected; a dilute specimen is no result; a refusal is never use. Only an unexpected
positive is published as `screen-failed`, and only once a clinician has interpreted it. Which loops of a screen are open
follows from the screen as it stands, so that results may come twice and in any order. Source:
docs/domain.md 3.6 (Screens).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from services.attendance.episode.episode_state import EpisodeState, in_care, known
from services.attendance.laboratory import interpretation
from services.attendance.laboratory.interpretation import (
    Custody,
    DefinitiveReason,
    Interpretation,
    Report,
    Screen,
    UnableReason,
)
from services.attendance.laboratory.panels import Laboratory
from services.attendance.screening.specimens import (
    settle,
    with_screen,
)
from shared.contracts import attendance, plans
from shared.contracts.attendance import (
    CustodyHolder,
    Matrix,
    NotProvidedKind,
    ScreenClass,
    ScreenReason,
    ScreenStage,
)
from shared.contracts.codes import AttendanceLoop, PanelCode, Value
from shared.decision import Cause, Decision, Events
from shared.errors import Invalid, Refused, Unknown

WINDOW: Final = timedelta(hours=4)
"""From notification to specimen. House rule."""
CUSTODY_MAX: Final = 100
CLOCKS_APART: Final = timedelta(minutes=5)
"""How far the clock of a laboratory may be ahead of ours."""


class NewScreen(Value):
    """What is needed to notify somebody of a screen."""

    matrix: Matrix = Matrix.URINE
    panel: PanelCode
    reason: ScreenReason = ScreenReason.RANDOM
    retest_of: str | None = None


class Collection(Value):
    """How a specimen was taken."""

    observed: bool = False
    observer_id: str | None = None
    temperature_in_range: bool | None = None


# --- from order to laboratory ----------------------------------------------------------------------------


def order(state: EpisodeState, new: NewScreen, cause: Cause) -> Decision[EpisodeState]:
    """Notify the person of a screen. The order is published only now: there is no schedule ahead to be known.

    Ordered again while its window is open and nothing has come of it, as by a second click, it is the same screen.
    """
    in_care(state)
    offered = state.terms.panels
    if offered and new.panel not in offered:
        raise Refused(
            "panel-not-offered",
            "The program has no such panel.",
            hint="Choose one of the program's panels.",
        )
    screen_id = cause.derive_id("screen")
    ends_at = cause.now + WINDOW
    screen = Screen(
        matrix=new.matrix,
        panel=new.panel,
        reason=new.reason,
        window_ends_at=ends_at,
        retest_of=_retest_of(state, new),
    )
    known = _ordered_before(state, screen, cause.now)
    if known is not None:
        return Decision(state, answer={"screen_id": known})
    event = attendance.ScreenOrdered(
        screen_id=screen_id,
        matrix=new.matrix,
        panel=new.panel,
        reason=new.reason,
        window_ends_at=ends_at,
    )
    state, events, handoffs = settle(state, screen_id, screen, cause)
    return Decision(state, (event, *events), handoffs, {"screen_id": screen_id})


def _ordered_before(state: EpisodeState, new: Screen, now: datetime) -> str | None:
    """The screen that this is once more: ordered in the same words, and still waited for."""
    for screen_id, one in state.screens.items():
        if now < one.window_ends_at and one == new.replace(window_ends_at=one.window_ends_at):
            return screen_id
    return None


def _retest_of(state: EpisodeState, new: NewScreen) -> str | None:
    """Which screen is repeated: the one that is named, or the longest waiting."""
    if new.reason is not ScreenReason.RETEST:
        return None
    waiting = [
        loop.id for loop in state.loops_of(AttendanceLoop.SCREEN_RETEST) if loop.id in state.screens
    ]
    if new.retest_of is None:
        return waiting[0] if waiting else None
    if new.retest_of not in state.screens:
        raise Unknown("screen")
    return new.retest_of


def collect(
    state: EpisodeState, screen_id: str, collection: Collection, cause: Cause
) -> Decision[EpisodeState]:
    """A specimen was taken and sealed: the first link of its chain. A late one is still a specimen."""
    in_care(state)
    screen = _open(state, screen_id)
    if screen.collected_at is not None:
        raise Refused(
            "specimen-already-collected",
            "The specimen was collected before.",
            hint="Read the screen; if that was a mistake, take it back: POST /screens/{id}/collect/undo.",
        )
    event = attendance.SpecimenCollected(
        screen_id=screen_id,
        collected_at=cause.now,
        observed=collection.observed,
        temperature_in_range=collection.temperature_in_range,
        custody_sequence=1,
    )
    observer = collection.observer_id or cause.actor_id
    taken = screen.replace(
        collected_at=cause.now,
        observer_id=observer if collection.observed else None,
        temperature_in_range=collection.temperature_in_range,
        custody=(Custody(holder=CustodyHolder.COLLECTOR, at=cause.now),),
    )
    state, events, handoffs = settle(state, screen_id, taken, cause)
    return Decision(state, (event, *events), handoffs)


def hand_on(
    state: EpisodeState, screen_id: str, holder: CustodyHolder, number: int, cause: Cause
) -> Decision[EpisodeState]:
    """A specimen goes from one hand to the next, without a gap. The last link recorded again is no new one."""
    known(state)
    screen = of(state, screen_id)
    if screen.collected_at is None:
        raise Refused(
            "specimen-not-collected",
            "There is no specimen to hand on.",
            hint="Record the specimen first.",
        )
    links = len(screen.custody)
    if number == links and screen.custody[-1].holder is holder:
        return Decision(state, answer={"custody_sequence": links})
    if number <= links:
        raise Refused(
            "custody-conflict",
            "This link of the chain is recorded otherwise.",
            hint="Read the chain and continue it.",
        )
    if number != links + 1 or number > CUSTODY_MAX:
        raise Refused(
            "custody-gap",
            "A link of the chain is missing.",
            hint="Record the hand-over that came before.",
        )
    event = attendance.CustodyTransferred(
        screen_id=screen_id, transferred_at=cause.now, holder=holder, custody_sequence=number
    )
    link = Custody(holder=holder, at=cause.now)
    moved = screen.replace(custody=(*screen.custody, link))
    state = with_screen(state, screen_id, moved)
    return Decision(state, (event,), answer={"custody_sequence": number})


def not_provided(
    state: EpisodeState,
    screen_id: str,
    kind: NotProvidedKind,
    reason: UnableReason | None,
    cause: Cause,
) -> Decision[EpisodeState]:
    """There is no specimen, for a recorded reason. Never recorded as use.

    Somebody who is unable is asked about a shy bladder, an illness, a trauma and the observation before that.
    """
    in_care(state)
    screen = _open(state, screen_id)
    if screen.collected_at is not None:
        raise Refused(
            "specimen-already-collected",
            "There is a specimen.",
            hint="Read the screen; if that was a mistake, take it back: POST /screens/{id}/collect/undo.",
        )
    if (kind is NotProvidedKind.UNABLE) != (reason is not None):
        raise Invalid(
            "unable-not-assessed",
            "Someone who is unable is assessed for why, and only they.",
            hint="Give a reason with `unable`, and none otherwise.",
        )
    event = attendance.ScreenNotProvided(screen_id=screen_id, kind=kind)
    without = screen.replace(not_provided=kind, not_provided_at=cause.now, unable_reason=reason)
    state, events, handoffs = settle(state, screen_id, without, cause)
    return Decision(state, (event, *events), handoffs)


# --- results and what they mean --------------------------------------------------------------------------


def record_result(
    state: EpisodeState, screen_id: str, report: Report, laboratory: Laboratory, cause: Cause
) -> Decision[EpisodeState]:
    """A result came back, perhaps twice, perhaps amended.

    Of each stage the one that was reported last holds; of two that were reported at one time it is the one that came
    last, for an amendment often keeps the time of what it amends. One that is older than what holds is refused, so that
    nobody believes it was taken. A definitive one outranks a presumptive one whenever either comes. Only a result that
    changes what holds is published; then it has to be interpreted, again if need be.
    """
    known(state)
    screen = of(state, screen_id)
    if screen.not_provided is not None:
        raise Refused(
            "screen-closed",
            "This screen is closed: there is no specimen.",
            hint="Order another screen, or take back that no specimen was provided.",
        )
    if screen.collected_at is None:
        raise Refused(
            "specimen-not-collected",
            "There is no specimen to have a result of.",
            hint="Record the specimen first.",
        )
    stage = report.stage
    result = interpretation.read(report, screen.panel, laboratory, cause.now)
    _reported_in_time(screen.collected_at, result.reported_at, cause.now)
    before = screen.results.get(stage.value)
    if before == result:
        return Decision(state)
    if before is not None and before.reported_at > result.reported_at:
        raise Refused(
            "result-outdated",
            "A later report of this stage is on file, and holds.",
            hint="Read the screen; if this report is right, send it with the time it was issued.",
        )
    filed = screen.replace(results={**screen.results, stage.value: result})
    changed = filed.stage is stage and not result.says_the_same(before)
    event = attendance.ScreenResulted(
        screen_id=screen_id, stage=stage, validity=result.validity, panel=screen.panel
    )
    state, events, handoffs = settle(state, screen_id, filed, cause)
    return Decision(state, (*((event,) if changed else ()), *events), handoffs)


def _reported_in_time(collected_at: datetime, reported_at: datetime, now: datetime) -> None:
    """Laboratories often report whole minutes, and their clocks are not ours."""
    if collected_at.replace(second=0, microsecond=0) <= reported_at <= now + CLOCKS_APART:
        return
    raise Invalid(
        "reported-at-impossible",
        "A result is reported after the collection and before now.",
        hint="Send the time that the report states, with its zone.",
    )


def ask_definitive(
    state: EpisodeState,
    screen_id: str,
    reason: DefinitiveReason,
    cause: Cause,
    *,
    review_id: str | None = None,
) -> Decision[EpisodeState]:
    """Send the specimen for a definitive test: when a result is contested or consequential, and never as a habit."""
    known(state)
    screen = of(state, screen_id)
    if screen.result is None:
        raise Refused(
            "screen-not-resulted",
            "There is no result to confirm.",
            hint="Wait for the result, or record it.",
        )
    if screen.awaits_definitive:
        raise Refused(
            "definitive-awaited",
            "A definitive test was asked for.",
            hint="Wait for the definitive result.",
        )
    if screen.stage is ScreenStage.DEFINITIVE:
        raise Refused(
            "already-definitive",
            "The result is definitive.",
            hint="Nothing is left to confirm; interpret the result.",
        )
    asked = screen.replace(
        definitive_asked_at=cause.now, definitive_reason=reason, definitive_review_id=review_id
    )
    state, events, handoffs = settle(state, screen_id, asked, cause)
    return Decision(state, events, handoffs)


def review_completed(
    state: EpisodeState, event: plans.ClinicalReviewCompleted, cause: Cause
) -> Decision[EpisodeState]:
    """A clinical review wants to be certain: the latest presumptive unexpected positive goes to the laboratory."""
    if event.outcome is not plans.ReviewOutcome.DEFINITIVE_TEST or state.admission is None:
        return Decision(state)
    presumptive = [
        (screen.collected_at, screen_id)
        for screen_id, screen in state.screens.items()
        if screen.collected_at is not None
        and screen.stage is ScreenStage.PRESUMPTIVE
        and not screen.awaits_definitive
        and screen.interpreted is not None
        and screen.interpreted.classification is ScreenClass.UNEXPECTED_POSITIVE
    ]
    if not presumptive:
        return Decision(state)
    _, screen_id = max(presumptive)
    why = DefinitiveReason.CLINICAL_REVIEW
    return ask_definitive(state, screen_id, why, cause, review_id=event.review_id)


def review_undone(
    state: EpisodeState, event: plans.ClinicalReviewUndone, cause: Cause
) -> Decision[EpisodeState]:
    """Nobody asked for a definitive test; one whose result is here has been done."""
    for screen_id, screen in state.screens.items():
        if screen.awaits_definitive and screen.definitive_review_id == event.review_id:
            unasked = screen.replace(
                definitive_asked_at=None, definitive_reason=None, definitive_review_id=None
            )
            return Decision(*settle(state, screen_id, unasked, cause))
    return Decision(state)


def interpret(state: EpisodeState, screen_id: str, cause: Cause) -> Decision[EpisodeState]:
    """Publish what the result means, and an unexpected positive as an event of its own.

    The latest interpretation of a screen holds: a definitive result may contradict a presumptive one, and a
    prescription may be verified afterwards.
    """
    admission = known(state)
    screen = of(state, screen_id)
    result, stage, made = screen.result, screen.stage, screen.interpreted
    if screen.not_provided is not None:
        raise Refused(
            "screen-closed",
            "This screen is closed: there is no specimen.",
            hint="Order another screen, or take back that no specimen was provided.",
        )
    if result is None or stage is None or screen.collected_at is None:
        raise Refused(
            "screen-not-resulted",
            "There is no result to interpret.",
            hint="Wait for the result, or record it.",
        )
    if screen.awaits_definitive:
        raise Refused(
            "definitive-awaited",
            "A definitive test was asked for and decides.",
            hint="Interpret the screen when its definitive result is here.",
        )
    meaning = interpretation.classify(screen, state.expected, time_zone=admission.time_zone)
    if made is not None and screen.is_interpreted and made.classification is meaning:
        raise Refused(
            "screen-closed",
            "This screen is interpreted, and nothing has changed since.",
            hint="Have the prescription verified in plans, or the result amended, and interpret it then.",
        )
    made = Interpretation(classification=meaning, stage=stage, of=result, at=cause.now)
    state, events, handoffs = settle(state, screen_id, screen.replace(interpreted=made), cause)
    interpreted = attendance.ScreenInterpreted(
        screen_id=screen_id,
        collected_at=screen.collected_at,
        classification=meaning,
        interpreted_by_id=cause.actor_id,
    )
    facts: Events = (interpreted,)
    if meaning is ScreenClass.UNEXPECTED_POSITIVE:
        failed = attendance.ScreenFailed(
            screen_id=screen_id,
            collected_at=screen.collected_at,
            matrix=screen.matrix,
            interpreted_by_id=cause.actor_id,
        )
        facts = (interpreted, failed)
    return Decision(state, (*facts, *events), handoffs, {"classification": meaning})


# --- what staff see -----------------------------------------------------------------------------------------


def summary(state: EpisodeState) -> dict[str, dict[str, Any]]:
    """How far each screen is, for everyone of the staff; what was found stays with those who interpret it."""
    return {
        screen_id: {
            "matrix": screen.matrix,
            "collected": screen.collected_at is not None,
            "stage": screen.stage,
            "not_provided": screen.not_provided,
            "retest_of": screen.retest_of,
            "custody_sequence": len(screen.custody),
            "closed": screen.closed,
        }
        for screen_id, screen in state.screens.items()
    }


# --- shared by the rules above -----------------------------------------------------------------------------


def of(state: EpisodeState, screen_id: str) -> Screen:
    """One screen. Raises `Unknown` for one that was never ordered."""
    screen = state.screens.get(screen_id)
    if screen is None:
        raise Unknown("screen")
    return screen


def _open(state: EpisodeState, screen_id: str) -> Screen:
    screen = of(state, screen_id)
    if screen.closed:
        raise Refused(
            "screen-closed",
            "This screen is closed.",
            hint="Order another screen, or take back that no specimen was provided.",
        )
    return screen
