"""Mistakes corrected: by events that every service subscribes to, never by an edit. Pure: no clock, no ids, no I/O.

House rules: what happened stays in the history, whose it was is corrected from now on, and nothing that the mistake
opened stays open.
"""

from __future__ import annotations

from typing import Final

from services.intake.episode import episode_state, waitlist
from services.intake.episode.episode_state import EpisodeState
from services.intake.episode.values import Admission
from services.intake.handoffs import (
    AdmittedTo,
    EpisodeJoined,
    EpisodeLeft,
    EpisodeReopened,
    Held,
    ReadmissionUndone,
    Readmitted,
    Released,
)
from services.intake.resources.care_teams import theirs
from shared import loops, voiding
from shared.contracts import intake
from shared.contracts.codes import ClearedReason, IntakeLoop, MistakeReason, Value
from shared.contracts.event import Event
from shared.decision import Cause, Decision, Handoff, Handoffs
from shared.endings import LateFacts
from shared.errors import Invalid, Refused

MEANWHILE: Final = LateFacts[EpisodeState]()
"""Decides what came while an episode was void, by the whole tables of reactions and handoffs."""

WITH_THE_ADMISSION: Final = (IntakeLoop.ORIENTATION, IntakeLoop.DOUBLE_ADMISSION)
"""The loops that an admission opens, and that end with it when it was none."""


class Other(Value):
    """What has to be known of the episode into which another is merged."""

    episode_id: str
    person_id: str
    open: bool


def entered_in_error(
    state: EpisodeState, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """The episode should never have existed. Every loop of it is closed, and nothing more is done about it."""
    episode_state.standing(state)
    gone = _nobodys(state, ClearedReason.ENTERED_IN_ERROR, intake.EpisodeEnteredInError, cause)
    event = intake.EpisodeEnteredInError(reason=reason)
    return Decision(
        gone.state, (event, *gone.events), (*gone.handoffs, *_not_readmitted(state, cause))
    )


def correct_person(state: EpisodeState, person_id: str, cause: Cause) -> Decision[EpisodeState]:
    """The episode is somebody else's. What happened in it stands; no consent of the wrong person goes along.

    That it continued an earlier episode was true of the wrong person, and is retracted.
    """
    episode_state.standing(state)
    if person_id == state.person_id:
        raise Refused(
            "person-unchanged", "The episode is this person's already.", hint="Check the id."
        )
    was = state.person_id
    handoffs = (
        Handoff(f"person/{was}", EpisodeLeft(episode_id=cause.subject_id, left_at=cause.now)),
        Handoff(f"person/{person_id}", _joined(state, cause)),
        *_not_readmitted(state, cause),
    )
    event = intake.EpisodePersonCorrected(previous_person_id=was, person_id=person_id)
    # That another episode had the place was true of the wrong person; the right one's record says how it stands.
    state, cleared = loops.close(
        state, IntakeLoop.DOUBLE_ADMISSION, cause.subject_id, ClearedReason.WITHDRAWN
    )
    state = state.replace(person_id=person_id, admission=_of_nobody_before(state.admission))
    return Decision(state, (event, *cleared), handoffs)


def merge(state: EpisodeState, other: Other, cause: Cause) -> Decision[EpisodeState]:
    """This referral is a second one of a person whose other episode goes on. An admission is not merged away."""
    if other.episode_id == cause.subject_id:
        raise Invalid(
            "merged-into-itself",
            "A referral is not merged into itself.",
            hint="Name the episode that goes on.",
        )
    episode_state.in_progress(state)
    if state.admission is not None:
        raise Refused(
            "already-admitted",
            "The person is admitted.",
            hint="Undo the admission first (/episodes/{id}/admission/undo), or end the episode by a discharge.",
        )
    if other.person_id != state.person_id:
        raise Refused(
            "different-persons",
            "The two episodes are not of one person.",
            hint="Correct the person of one of them first, if they are.",
        )
    if not other.open:
        raise Refused(
            "other-episode-closed",
            "The other episode has ended.",
            hint="Name an open episode, or close this referral.",
        )
    gone = _nobodys(state, ClearedReason.SUPERSEDED, intake.ReferralMerged, cause)
    event = intake.ReferralMerged(into_episode_id=other.episode_id)
    void = gone.state.replace(merged_into=other.episode_id)
    return Decision(void, (event, *gone.events), gone.handoffs)


def undo_entered_in_error(
    state: EpisodeState, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """The episode was right: it goes on in every service as it was, and so do the person's consents."""
    episode_state.known(state)
    if not voiding.was_voided_by(state, intake.EpisodeEnteredInError):
        raise Refused(
            "not-entered-in-error",
            "The episode is not entered in error.",
            hint="There is nothing to take back; a merge has its own undo: POST /referrals/{id}/merge/undo.",
        )
    return _restored(state, intake.EpisodeEnteredInErrorUndone(reason=reason), cause)


def undo_merge(state: EpisodeState, reason: MistakeReason, cause: Cause) -> Decision[EpisodeState]:
    """The referral was no second one: it goes on in every service as it was, beside the other episode."""
    episode_state.known(state)
    if state.merged_into is None or not voiding.was_voided_by(state, intake.ReferralMerged):
        raise Refused(
            "not-merged",
            "The referral is not merged into another episode.",
            hint="There is nothing to take back.",
        )
    event = intake.ReferralMergedUndone(into_episode_id=state.merged_into, reason=reason)
    return _restored(state, event, cause)


def _restored(state: EpisodeState, event: Event, cause: Cause) -> Decision[EpisodeState]:
    """The state that was put aside, told to the records that had let go of it, and then what came meanwhile."""
    assert state.voided is not None
    since, was = state.voided.at, voiding.before(state)
    waits, in_line = waitlist.joined_again(was, cause)
    back = voiding.go_on(waits, state, MEANWHILE, cause)
    held = tuple(
        Handoff(theirs(staff_id, cause), Held(episode_id=cause.subject_id, role=role))
        for role, staff_id in was.team.items()
    )
    open_again: Handoffs = ()
    if was.person_id and was.closed_at is None:
        reopened = EpisodeReopened(episode_id=cause.subject_id, ended_at=since)
        open_again = (Handoff(f"person/{was.person_id}", reopened),)
    before = None if was.admission is None else was.admission.prior_episode_id
    again = Readmitted(episode_id=cause.subject_id)
    continued = () if before is None else (Handoff(f"episode/{before}", again),)
    handoffs = (*open_again, *held, *continued, *in_line, *back.handoffs)
    return Decision(back.state, (event, *back.events), handoffs)


def undo_admission(
    state: EpisodeState, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """The admission is taken back: the person is placed, and waits to be admitted. The referral is open again.

    Where that was the mistake, the person is admitted again: from that day hours are asked for, and a plan is drafted.
    What was signed and credited under an admission that was none is not brought back unseen.
    """
    referral = episode_state.in_progress(state)
    if state.admission is None:
        raise Refused(
            "not-admitted",
            "The person is not admitted.",
            hint="There is no admission to undo. If one was undone by mistake, admit the person again: POST /episodes.",
        )
    event = intake.AdmissionUndone(admitted_at=state.admission.admitted_at, reason=reason)
    back = AdmittedTo(episode_id=cause.subject_id, program=None)
    handoffs = (Handoff(f"person/{state.person_id}", back), *_not_readmitted(state, cause))
    over = episode_state.own_loops(state, WITH_THE_ADMISSION, cause)
    state = state.replace(admission=None, referral=referral.replace(outcome=None))
    state, cleared = loops.close_all(state, over, ClearedReason.ENTERED_IN_ERROR)
    state = loops.open_loop(state, IntakeLoop.ADMISSION, cause.subject_id, cause)
    return Decision(state, (event, *cleared), handoffs)


def readmission_undone(
    state: EpisodeState, body: ReadmissionUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The person is not back after all: the loop of the readmission that was asked for opens again."""
    if state.readmitted_as != body.episode_id:
        return Decision(state)
    state = state.replace(readmitted_as=None)
    if state.readmission is None:
        return Decision(state)
    return Decision(loops.open_loop(state, IntakeLoop.READMISSION, cause.subject_id, cause))


def _nobodys(
    state: EpisodeState, reason: ClearedReason, by: type[Event], cause: Cause
) -> Decision[EpisodeState]:
    """Every loop of it is closed, and no member of staff holds a role in it."""
    void = episode_state.void(state, cause, reason)
    released = tuple(
        Handoff(theirs(staff_id, cause), Released(episode_id=cause.subject_id, role=role))
        for role, staff_id in state.team.items()
    )
    gone = voiding.put_aside(state, void.state.replace(team={}), by, cause)
    return Decision(gone, void.events, (*void.handoffs, *released))


def _not_readmitted(state: EpisodeState, cause: Cause) -> Handoffs:
    """Handoff to the earlier episode: this one does not continue it."""
    before = None if state.admission is None else state.admission.prior_episode_id
    if before is None:
        return ()
    return (Handoff(f"episode/{before}", ReadmissionUndone(episode_id=cause.subject_id)),)


def _joined(state: EpisodeState, cause: Cause) -> EpisodeJoined:
    return EpisodeJoined(
        episode_id=cause.subject_id,
        open=state.closed_at is None,
        program=None if state.admission is None else state.admission.program,
    )


def _of_nobody_before(admission: Admission | None) -> Admission | None:
    if admission is None:
        return None
    return admission.replace(prior_episode_id=None)
