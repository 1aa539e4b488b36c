"""Check-ins: opened, tried over several channels, done or missed. Pure; no clock, no ids, no I/O.

A check-in is done when the person was spoken to, and missed when its window closes; either way the calendar goes on.
From its opening on it is a loop: the case manager's until half a day before its window closes, and then, unless the
person was tried three times over two channels, a clinician's. A miss becomes an outreach, a tier higher for each in a
row. House rules, docs/domain.md 3.14 (Cadence), scenario 16.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.followup.aftercare import risks
from services.followup.episode import contact
from services.followup.episode.episode_state import CheckIn, EpisodeState, StateAndEvents
from services.followup.outreach import outreach
from shared import endings, loops
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, FollowupLoop, MistakeReason, Value
from shared.contracts.followup import (
    AttemptResult,
    Channel,
    Housing,
    OutreachCause,
    RiskFlag,
    Support,
    Taken,
    UseSince,
    Work,
)
from shared.decision import Cause, Decision, Events
from shared.errors import NotYetKnown, Refused, Unknown
from shared.retractions import holding, taken_back

ATTEMPTS_NEEDED: Final = 3
CHANNELS_NEEDED: Final = 2
"""Nobody counts as not to be reached before they were tried so often, over so many channels."""
LOOKED_AT_BEFORE: Final = timedelta(hours=12)
"""So long before its window closes, a check-in that was not tried enough gets another owner."""


class Answers(Value):
    """The person's answers at a check-in."""

    use_since: UseSince
    medication_taken: Taken | None = None
    housing: Housing | None = None
    work: Work | None = None
    support: Support | None = None
    risk_flags: tuple[RiskFlag, ...] = ()


def tried_enough(item: CheckIn) -> bool:
    """Whether the program has done its part."""
    return item.attempts >= ATTEMPTS_NEEDED and len(item.channels) >= CHANNELS_NEEDED


# --- the window -----------------------------------------------------------------------------------------


def opened(state: EpisodeState, check_in_id: str, cause: Cause) -> Decision[EpisodeState]:
    """The window opens: from now on somebody owns it."""
    item = check_ins(state).get(check_in_id)
    if item is None or item.settled:
        return Decision(state)
    state = loops.open_loop(
        state,
        FollowupLoop.CHECK_IN,
        check_in_id,
        cause,
        deadline_at=item.window.closes_at - LOOKED_AT_BEFORE,
    )
    return Decision(state)


def looked_at(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Shortly before the window closes: who was tried enough stays with their owner, the others go on to the next."""
    check_in_id = name.rpartition(":")[2]
    item = check_ins(state).get(check_in_id)
    if item is None:
        return Decision(state)
    left = item.window.closes_at - cause.now
    if not tried_enough(item):
        return loops.escalate(state, name, cause, again_after=left)
    state = loops.open_loop(
        state, FollowupLoop.CHECK_IN, check_in_id, cause, deadline_at=item.window.closes_at
    )
    return Decision(state)


def closed(state: EpisodeState, check_in_id: str, cause: Cause) -> Decision[EpisodeState]:
    """The window closed without an answer: each miss in a row is a tier higher, unless the person was reached since."""
    item = check_ins(state).get(check_in_id)
    if item is None or item.settled:
        return Decision(state)
    state, cleared = settle(state, check_in_id, item, "missed", ClearedReason.SUPERSEDED)
    missed = followup.CheckInMissed(
        check_in_id=check_in_id, attempts=item.attempts, channels_tried=len(item.channels)
    )
    state, escalated = _reach_out(state, check_in_id, cause)
    state, over = finished(state, cause)
    return Decision(state, (missed, *cleared, *escalated, *over))


def settle(
    state: EpisodeState, check_in_id: str, item: CheckIn, how: str, reason: ClearedReason
) -> StateAndEvents:
    """How a check-in ended; its loop is closed, and nothing more is due."""
    state = with_item(state, check_in_id, item.replace(settled=how))
    state = state.disarm(f"check-in:{check_in_id}", f"check-in-opens:{check_in_id}")
    return loops.close(state, FollowupLoop.CHECK_IN, check_in_id, reason)


def _reach_out(state: EpisodeState, check_in_id: str, cause: Cause) -> StateAndEvents:
    """Unless the person was reached after the window closed, or a circumstance passed, before it could be looked at."""
    since = contact.silent_since(state)
    if since is not None and since > cause.now:
        return state, ()
    why = OutreachCause.CHECK_IN_MISSED
    if state.outreach is None:
        within = outreach.REACH_AFTER_CHECK_IN
        state = outreach.begin(state, why, cause.now, cause, within=within)
    tier = max(state.tier, min(_missed_in_a_row(state, check_in_id), outreach.TIER_CONFERENCE))
    state, escalated = outreach.escalate(state, why, tier, cause)
    admission = state.admission
    if since is None or admission is None:
        return state, escalated
    if state.lost_at is None and since + admission.lost_after > cause.now:
        return state.arm("silence", since + admission.lost_after), escalated
    state, lost = contact.lose(state, cause)
    return state, (*escalated, *lost)


def _missed_in_a_row(state: EpisodeState, check_in_id: str) -> int:
    """How many in a row, up to this one. The calendar is looked at in its own order, not in that of the misses."""
    run = 0
    for key, item in check_ins(state).items():
        run = run + 1 if item.settled == "missed" else 0
        if key == check_in_id:
            break
    return run


def finished(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """When the last one is settled the year is over, and with it whatever still reached out or was arranged."""
    aftercare, items = state.aftercare, check_ins(state).values()
    if aftercare is None or not all(item.settled for item in items):
        return state, ()
    before = state
    over = state.loops_of(
        FollowupLoop.OUTREACH,
        FollowupLoop.LOST_CONTACT,
        FollowupLoop.AFTERCARE_PLAN,
        FollowupLoop.FIRST_APPOINTMENT,
    )
    state, ended = loops.close_all(state.replace(outreach=None), over, ClearedReason.EPISODE_CLOSED)
    event = followup.AftercareCompleted(
        check_ins_done=sum(item.settled == "done" for item in items),
        check_ins_due=len(items),
        completed_at=cause.now,
    )
    aftercare = aftercare.replace(completed_at=cause.now)
    state = state.replace(aftercare=aftercare).disarm("silence", "aftercare-over")
    return endings.put_aside(before, state, FollowupLoop.FIRST_APPOINTMENT), (*ended, event)


# --- what staff do --------------------------------------------------------------------------------------


def attempt(
    state: EpisodeState,
    check_in_id: str,
    channel: Channel,
    result: AttemptResult,
    cause: Cause,
) -> Decision[EpisodeState]:
    """Someone tried. Reaching the person is contact, but only their answers complete the check-in."""
    item = _workable(state, check_in_id, cause)
    number = item.numbers + 1
    if number > ATTEMPTS_MAX:
        raise Refused(
            "too-many-attempts",
            "This check-in was tried as often as it may be.",
            hint="Leave the person in peace until the next one, or visit them.",
        )
    event = followup.CheckInAttempted(
        check_in_id=check_in_id, attempt=number, channel=channel, result=result
    )
    item = _tried(item.replace(numbers=number), {**item.tried, str(number): channel})
    state = with_item(state, check_in_id, item)
    told: Events = ()
    if result is AttemptResult.REACHED:
        state, told = contact.made(state, _reached_in(check_in_id, str(number)), cause.now)
    return Decision(state, (event, *told), answer={"attempt": number})


def undo_attempt(
    state: EpisodeState, check_in_id: str, attempt: int, reason: MistakeReason, _cause: Cause
) -> Decision[EpisodeState]:
    """Nobody tried, or it was another person: it is no attempt, and no contact."""
    if state.admission is None:
        raise NotYetKnown("episode")
    item = check_ins(state).get(check_in_id)
    if item is None:
        raise Unknown("check-in")
    known = {_attempt_id(check_in_id, number): number for number in item.tried}
    number = holding(state, known, _attempt_id(check_in_id, str(attempt)), "attempt")
    return Decision(*_never_tried(state, check_in_id, number, reason))


def _never_tried(
    state: EpisodeState, check_in_id: str, number: str, reason: MistakeReason
) -> StateAndEvents:
    item = check_ins(state)[check_in_id]
    left = {key: channel for key, channel in item.tried.items() if key != number}
    state = with_item(state, check_in_id, _tried(item, left))
    undone = followup.CheckInAttemptUndone(
        check_in_id=check_in_id, attempt=int(number), reason=reason
    )
    state, again = contact.never_made(state, _reached_in(check_in_id, number))
    return taken_back(state, _attempt_id(check_in_id, number), "attempt"), (undone, *again)


def _tried(item: CheckIn, tried: dict[str, Channel]) -> CheckIn:
    """A check-in with these attempts, and what follows from them."""
    channels = tuple(dict.fromkeys(tried.values()))
    return item.replace(tried=tried, attempts=len(tried), channels=channels)


def _attempt_id(check_in_id: str, number: str) -> str:
    return f"{check_in_id}/{number}"


def _reached_in(check_in_id: str, number: str) -> str:
    return f"attempt:{_attempt_id(check_in_id, number)}"


ATTEMPTS_MAX: Final = 100


def complete(
    state: EpisodeState, check_in_id: str, answers: Answers, cause: Cause
) -> Decision[EpisodeState]:
    """The person was spoken to. What came up is somebody's to answer; a risk to life a clinician's at once."""
    item = _workable(state, check_in_id, cause)
    event = followup.CheckInCompleted(
        check_in_id=check_in_id,
        use_since=answers.use_since,
        medication_taken=answers.medication_taken,
        housing=answers.housing,
        work=answers.work,
        support=answers.support,
        risk_flags=answers.risk_flags,
    )
    state, cleared = settle(state, check_in_id, item, "done", ClearedReason.RESOLVED)
    state, told = contact.made(state, _said_in(check_in_id), cause.now)
    answer: dict[str, str] = {}
    loop_id = cause.derive_id("risk")
    state, risk = risks.open_loops(state, answers.risk_flags, loop_id, cause)
    if answers.risk_flags:
        answer["risk_loop_id"] = loop_id
        done = check_ins(state)[check_in_id].replace(risk_loop_id=loop_id)
        state = with_item(state, check_in_id, done)
    state, over = finished(state, cause)
    return Decision(state, (event, *cleared, *told, *risk, *over), answer=answer)


def _said_in(check_in_id: str) -> str:
    return f"check-in:{check_in_id}"


def undo(
    state: EpisodeState, check_in_id: str, reason: MistakeReason, _cause: Cause
) -> Decision[EpisodeState]:
    """Nobody was spoken to: what came up did not, and the check-in is open again, or missed once its window closes.

    The attempts that reached the person are taken back with it: they are the same mistake.
    """
    if state.admission is None:
        raise NotYetKnown("episode")
    done = {key: item for key, item in check_ins(state).items() if item.settled == "done"}
    held = f"check-in:{check_in_id}" not in state.taken_back
    if held and check_in_id in check_ins(state) and check_in_id not in done:
        raise Refused(
            "check-in-not-done",
            "This check-in is not completed.",
            hint="There is nothing to take back.",
        )
    item = holding(state, done, check_in_id, "check-in")
    state = reopened(state, check_in_id, item)
    events: Events = (followup.CheckInUndone(check_in_id=check_in_id, reason=reason),)
    if item.risk_loop_id is not None:
        kind, why = FollowupLoop.RISK_RESPONSE, ClearedReason.ENTERED_IN_ERROR
        answered = {key: one for key, one in state.answered.items() if key != item.risk_loop_id}
        state = state.replace(answered=answered)
        state, cleared = loops.close(state, kind, item.risk_loop_id, why)
        events += cleared
    state, again = contact.never_made(state, _said_in(check_in_id))
    for number in item.tried:
        if _reached_in(check_in_id, number) in state.contacts:
            state, more = _never_tried(state, check_in_id, number, reason)
            again += more
    return Decision(taken_back(state, check_in_id, "check-in"), (*events, *again))


def _workable(state: EpisodeState, check_in_id: str, cause: Cause) -> CheckIn:
    """A check-in that may be worked on now."""
    contact.reachable(state)
    if state.aftercare is None:
        raise NotYetKnown("check-in")
    item = state.aftercare.check_ins.get(check_in_id)
    if item is None:
        raise Unknown("check-in")
    refusal = _refusal(state, item, cause)
    if refusal is not None:
        raise refusal
    return item


def _refusal(state: EpisodeState, item: CheckIn, cause: Cause) -> Refused | None:
    if state.readmitted:
        return Refused(
            "check-in-superseded",
            "A later episode has taken over this calendar.",
            hint="Work on the later episode.",
        )
    if item.settled == "done":
        return Refused(
            "check-in-done",
            "This check-in was completed.",
            hint="Record a further contact as an outreach.",
        )
    if item.settled == "missed" or cause.now >= item.window.closes_at:
        return Refused(
            "check-in-closed",
            "The window of this check-in has closed.",
            hint="Record an outreach, or use the next check-in.",
        )
    if cause.now < item.window.opens_at:
        return Refused(
            "check-in-not-open",
            "This check-in has not opened yet.",
            hint="Wait for its opens_at, or record an outreach.",
        )
    return None


def reopened(state: EpisodeState, check_in_id: str, item: CheckIn) -> EpisodeState:
    """A check-in that is not settled after all; the year is not over, then."""
    state = with_item(state, check_in_id, item.replace(settled=None, risk_loop_id=None))
    if state.aftercare is not None:
        state = state.replace(aftercare=state.aftercare.replace(completed_at=None))
    return armed(state, check_in_id, item)


def armed(state: EpisodeState, check_in_id: str, item: CheckIn) -> EpisodeState:
    """The check-in is to come, or to do; after a readmission it is superseded, and nothing is due."""
    if state.readmitted:
        return state
    state = state.arm(f"check-in-opens:{check_in_id}", item.window.opens_at)
    return state.arm(f"check-in:{check_in_id}", item.window.closes_at)


# --- helpers --------------------------------------------------------------------------------------------


def check_ins(state: EpisodeState) -> dict[str, CheckIn]:
    """The calendar; empty before aftercare has begun."""
    return {} if state.aftercare is None else state.aftercare.check_ins


def with_item(state: EpisodeState, check_in_id: str, item: CheckIn) -> EpisodeState:
    """The state with one check-in replaced."""
    if state.aftercare is None:
        return state
    items = {**state.aftercare.check_ins, check_in_id: item}
    return state.replace(aftercare=state.aftercare.replace(check_ins=items))


def standing(state: EpisodeState, item: CheckIn) -> str:
    """From the record alone, not from the clock: whether it is open follows from its times."""
    if item.settled is not None:
        return item.settled
    if state.readmitted:
        return "superseded"
    return "attempting" if item.attempts else "scheduled"
