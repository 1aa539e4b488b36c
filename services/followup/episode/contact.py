"""Contact and silence: when the person was reached, what that ends, and who may be called. Pure; no clock, ids or I/O.

Contact counts by its own time, and not by when its event arrived: a session attended before the latest miss does not
end the reaching out for that miss, however late its roll is called. What contact ended is remembered, so that it goes
on when nothing is left that ended it, in whichever order facts are taken back. Time limits come from the program's
terms, pinned at admission; the defaults are house rules, docs/domain.md 3.9 (Absence).
"""

from __future__ import annotations

from datetime import date, datetime

from services.followup.episode.episode_state import (
    NO_CONTACT,
    Admission,
    Ended,
    Ending,
    EpisodeState,
    Outreach,
    StateAndEvents,
)
from shared import calendar, endings, loops
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.followup import CircumstanceKind, OutreachCause
from shared.contracts.plans import DischargeKind
from shared.decision import Cause, Decision, Events, derive_id
from shared.errors import Invalid, NotYetKnown, Refused
from shared.loops import Loop

# --- contact --------------------------------------------------------------------------------------------


def made(state: EpisodeState, key: str, at: datetime) -> StateAndEvents:
    """The person was reached at this time, says the fact `key`: silence and reaching out before it are over."""
    since = silent_since(state)
    return found(state.replace(contacts={**state.contacts, key: at}), since, at)


def never_made(state: EpisodeState, key: str) -> StateAndEvents:
    """The fact `key` was a mistake, so nobody was reached: what only that ended goes on."""
    if key not in state.contacts:
        return state, ()
    left = {other: at for other, at in state.contacts.items() if other != key}
    return goes_on(state.replace(contacts=left))


def found(
    state: EpisodeState,
    before: datetime | None,
    at: datetime,
    *,
    but: tuple[OutreachCause, ...] = (),
) -> StateAndEvents:
    """There was contact at this time, which ends reaching out, `but` for these causes.

    `before` is since when there had been silence.
    """
    events: Events = ()
    outreach, loop = state.outreach, state.outreach_loop
    if state.lost_at is not None and before is not None and at > before:
        state = _remembered(state, lost_entry(state, before))
        state, events = close_lost(state, ClearedReason.RESOLVED)
    if outreach is not None and at >= outreach.since and outreach.cause not in but:
        state = _remembered(state, outreach_entry(state, outreach, loop))
        state, ended = close_outreach(state, ClearedReason.RESOLVED)
        events += ended
    return arm_silence(state), events


def open_now(state: EpisodeState) -> tuple[Ended, ...]:
    """What reaches out to the person now, for the case that something else ends it."""
    since = silent_since(state)
    entries: list[Ended] = []
    if state.outreach is not None:
        entries.append(outreach_entry(state, state.outreach, state.outreach_loop))
    if state.lost_at is not None and since is not None:
        entries.append(lost_entry(state, since))
    return tuple(entries)


def outreach_entry(state: EpisodeState, outreach: Outreach, loop: Loop | None) -> Ended:
    """An outreach as it is."""
    in_program = state.discharge is None
    known = None if loop is None else loop.shown
    return Ended(since=outreach.since, loop=known, outreach=outreach, in_program=in_program)


def lost_entry(state: EpisodeState, since: datetime) -> Ended:
    """A loss of contact as it is."""
    loop = next((one.shown for one in state.loops_of(FollowupLoop.LOST_CONTACT)), None)
    in_program = state.discharge is None
    return Ended(since=since, loop=loop, lost_at=state.lost_at, in_program=in_program)


def _remembered(state: EpisodeState, entry: Ended) -> EpisodeState:
    return state.replace(ended=(*state.ended, entry))


# --- contact that was none ------------------------------------------------------------------------------


def goes_on(state: EpisodeState) -> StateAndEvents:
    """What contact had ended goes on where no contact is left that ends it, the latest first."""
    events: Events = ()
    for entry in reversed(state.ended):
        if not _is_over(state, entry):
            left = tuple(other for other in state.ended if other is not entry)
            state, again = _again(state.replace(ended=left), entry)
            events += again
    return arm_silence(state), events


def _is_over(state: EpisodeState, entry: Ended) -> bool:
    """Contact ended it, or a circumstance that has passed did. A referral that led nowhere is ended by contact only."""
    moments = [state.contact_at]
    outreach = entry.outreach
    if outreach is None or outreach.cause is not OutreachCause.REFERRAL:
        moments += [one.ended_at for one in state.circumstances.values()]
    last = max((at for at in moments if at is not None), default=None)
    if last is None:
        return False
    return last > entry.since if outreach is None else last >= entry.since


def _again(state: EpisodeState, entry: Ended) -> StateAndEvents:
    """Go on reaching out. Nobody does after a readmission; what an end would have closed waits in case it is undone."""
    left, outreach = state.discharge, entry.outreach
    if state.readmitted or state.undone:
        return state, ()
    ended_it = left is not None and (outreach is not None or left.kind in NO_CONTACT)
    if ended_it and entry.in_program:
        ending = state.ending or Ending()
        return state.replace(ending=ending.replace(ended=(*ending.ended, entry))), ()
    over = state.aftercare is not None and state.aftercare.completed_at is not None
    if outreach is None:
        state, cleared = close_lost(state, ClearedReason.SUPERSEDED)
        state = state.replace(lost_at=entry.lost_at)
        loop = None if over else entry.loop
    elif over:
        return state, ()
    else:
        outreach, loop = _merged(state, outreach, entry.loop)
        state, cleared = close_outreach(state, ClearedReason.SUPERSEDED)
        state = state.replace(outreach=outreach)
    state, again = endings.reopened(state, () if loop is None else (loop,))
    return state, (*cleared, *again)


def _merged(
    state: EpisodeState, outreach: Outreach, loop: Loop | None
) -> tuple[Outreach, Loop | None]:
    """An outreach that goes on, with what came since: it would have been one, and not two."""
    newer, latest = state.outreach, state.outreach_loop
    if newer is None:
        return outreach, loop
    channels = tuple(dict.fromkeys((*outreach.channels, *newer.channels)))
    one = newer.replace(
        loop_id=outreach.loop_id,
        since=max(outreach.since, newer.since),
        attempts=outreach.attempts + newer.attempts,
        channels=channels,
    )
    if loop is not None and latest is not None and latest.step > loop.step:
        loop = loop.replace(step=latest.step, deadline_at=latest.deadline_at)
    return one, loop


# --- silence --------------------------------------------------------------------------------------------


def silent_since(state: EpisodeState) -> datetime | None:
    """Since when nobody has had contact: the last contact, or admission or discharge when that was later."""
    known = [state.contact_at]
    if state.admission is not None:
        known.append(state.admission.admitted_at)
    if state.discharge is not None and state.discharge.kind is not DischargeKind.LOST_CONTACT:
        known.append(state.discharge.discharged_at)
    known += [one.ended_at for one in state.circumstances.values()]
    return max((at for at in known if at is not None), default=None)


def arm_silence(state: EpisodeState) -> EpisodeState:
    """During the program the deadline of silence always runs; after it, only once a check-in was missed."""
    since, admission = silent_since(state), state.admission
    if since is None or admission is None or state.readmitted or state.lost_at is not None:
        return state.disarm("silence")
    at = since + admission.lost_after
    if state.discharge is not None:
        missed = _first_missed(state, since)
        if missed is None:
            return state.disarm("silence")
        at = max(at, missed)
    return state.arm("silence", at)


def _first_missed(state: EpisodeState, since: datetime) -> datetime | None:
    """When the first check-in was missed since then, as long as the calendar runs."""
    year = state.aftercare
    if year is None or year.completed_at is not None:
        return None
    missed = [item.window.closes_at for item in year.check_ins.values() if item.settled == "missed"]
    return min((at for at in missed if at > since), default=None)


def silence(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """The deadline of silence has come."""
    return Decision(*lose(state, cause))


def lose(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """Publish once that contact is lost, after the silence that the terms allow. The person may come back at any time.

    The announcement is the loop's first step: from then on a case manager looks for the person, and a supervisor
    after another month.
    """
    since, admission = silent_since(state), state.admission
    if state.lost_at is not None or since is None or admission is None:
        return state, ()
    if cause.now - since < admission.lost_after:
        return state, ()
    loop_id = derive_id("lost-contact", cause.subject, since.isoformat())
    kind = FollowupLoop.LOST_CONTACT
    state = state.replace(lost_at=cause.now)
    state = loops.open_loop(state, kind, loop_id, cause, deadline_at=cause.now)
    state = loops.escalate(state, f"{loops.DEADLINE}{kind.value}:{loop_id}", cause).state
    return state, (followup.ContactLost(days_silent=(cause.now - since).days),)


# --- loops -----------------------------------------------------------------------------------------------


def close_outreach(state: EpisodeState, reason: ClearedReason) -> StateAndEvents:
    """Nobody has to be reached any more."""
    return _close_kind(state.replace(outreach=None), FollowupLoop.OUTREACH, reason)


def close_lost(state: EpisodeState, reason: ClearedReason) -> StateAndEvents:
    """The person whose contact was lost is found."""
    return _close_kind(state.replace(lost_at=None), FollowupLoop.LOST_CONTACT, reason)


def close_reengagement(state: EpisodeState, reason: ClearedReason) -> StateAndEvents:
    """Nobody has to prepare the way back any more."""
    return _close_kind(state.replace(reengagement=None), FollowupLoop.REENGAGEMENT, reason)


def close_everything(state: EpisodeState, reason: ClearedReason) -> StateAndEvents:
    """Nobody may, or need, be called any more: every loop and every deadline ends."""
    state, events = loops.close_all(state, reason=reason)
    return state.replace(outreach=None, lost_at=None, reengagement=None, deadlines={}), events


def _close_kind(state: EpisodeState, kind: FollowupLoop, reason: ClearedReason) -> StateAndEvents:
    return loops.close_all(state, state.loops_of(kind), reason)


# --- who may be called, and what can be said of them ----------------------------------------------------


def must_be_known(state: EpisodeState) -> None:
    """Raise when nothing has been heard of the person: neither a referral nor an admission."""
    if state.admission is None and state.referral is None:
        raise NotYetKnown("episode")


def must_have_come(on: date, state: EpisodeState, cause: Cause) -> None:
    """Raise when a day lies in the future."""
    if on > calendar.local_day(cause.now, state.time_zone):
        raise Invalid(
            "day-in-future",
            "The day lies in the future.",
            hint="Give the day in the facility's time zone, once it has come.",
        )


def reachable(state: EpisodeState) -> Admission:
    """The admission of someone who may be called."""
    if state.admission is None:
        raise NotYetKnown("episode")
    callable_at_all(state)
    return state.admission


def callable_at_all(state: EpisodeState) -> None:
    """Refuse while a circumstance lasts, and after an ending after which nobody is called."""
    stopped_by = state.stopped_by
    if stopped_by is not None:
        ends = stopped_by.kind is not CircumstanceKind.DECEASED
        over = "When it is over, end it: POST /circumstances/{id}/end. " if ends else ""
        raise Refused(
            "no-contact",
            "A circumstance is recorded because of which nobody is called.",
            hint=f"{over}If it was a mistake, take it back: POST /circumstances/{{id}}/undo.",
        )
    if state.discharge is not None and state.discharge.kind in NO_CONTACT:
        raise Refused(
            "no-contact",
            "The episode ended in a way after which nobody is called.",
            hint="If that was a mistake, take it back in plans: POST /episodes/{id}/discharge/undo.",
        )
