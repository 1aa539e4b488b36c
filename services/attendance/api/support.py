"""Routes for mutual support, family sessions and incentives."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from services.attendance.api import screen_views, views
from services.attendance.api.callers import SupportAmender, Supporter
from services.attendance.api.subjects import EPISODE, PERSON
from services.attendance.episode import mutual_support
from services.attendance.episode.episode_state import EpisodeState
from services.attendance.screening import incentives
from services.attendance.screening.incentives import LedgerState, TargetBehavior
from shared.contracts.attendance import FamilySessionKind, Fellowship, Verification
from shared.contracts.codes import UUID_PATTERN, AttendeeId, SessionId
from shared.errors import NotYetKnown
from shared.runtime.http.call import Body, OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.retractions import TakeBackOf
from shared.runtime.http.shown import shows

router = APIRouter(tags=["support and incentives"])


class LogMeeting(OfEpisode):
    attended_on: date
    fellowship: Fellowship
    verification: Verification


class ChooseSupport(Body):
    opted_out: bool = False
    alternatives: Annotated[tuple[Fellowship, ...], Field(max_length=10)] = ()


class LogFamilySession(OfEpisode):
    session_id: SessionId | None = None
    attendee_id: AttendeeId
    kind: FamilySessionKind | None = None
    minutes_attended: Annotated[int, Field(ge=1, le=480)]
    patient_present: bool


class TakeBackVisit(TakeBackOf):
    attendee_id: AttendeeId


class EarnIncentive(OfEpisode):
    behavior: TargetBehavior
    reference_id: Annotated[str, Field(pattern=UUID_PATTERN)]


@router.post("/mutual-support", status_code=201)
@shows(screen_views.MeetingLogged)
async def log_meeting(call: Supporter, body: LogMeeting) -> RecordAnswer:
    """Record a mutual-support meeting: the day, the fellowship and how it was verified; nothing of what was said."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: mutual_support.log_meeting(
            state, body.attended_on, body.fellowship, body.verification, cause
        ),
        status=201,
    )


@router.post("/mutual-support/{meeting_id}/undo")
async def undo_meeting(
    call: SupportAmender, meeting_id: SubjectId, body: TakeBackOf
) -> RecordAnswer:
    """Take back a meeting that was recorded by mistake."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, _cause: mutual_support.undo_meeting(state, meeting_id, body.reason),
    )


@router.put("/episodes/{episode_id}/mutual-support")
async def choose_support(
    call: Supporter, episode_id: SubjectId, body: ChooseSupport
) -> RecordAnswer:
    """Record what the patient chose: fellowships, a secular one among them, or none at all."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, _cause: mutual_support.choose(
            state, opted_out=body.opted_out, alternatives=body.alternatives
        ),
    )


@router.get("/episodes/{episode_id}/support")
@shows(views.Supports)
async def read_support(call: Supporter, episode_id: SubjectId) -> RecordAnswer:
    """This week's meetings and family sessions, and what the program asks for."""
    now = call.runtime.clock.now()

    def reading(state: EpisodeState) -> dict[str, Any]:
        if state.admission is None:
            raise NotYetKnown("episode")
        return {
            "mutual_support": mutual_support.support_view(state, now),
            "family": mutual_support.family_view(state, now),
        }

    return await call.read(EPISODE(episode_id), reading)


@router.post("/family-sessions", status_code=201)
@shows(screen_views.FamilyLogged)
async def log_family_session(call: Supporter, body: LogFamilySession) -> RecordAnswer:
    """Record that somebody of the family took part in a session, or met the staff outside of one."""
    visit = mutual_support.Visit(
        session_id=body.session_id or call.new_id("family-session"),
        attendee_id=body.attendee_id,
        kind=body.kind,
        minutes_attended=body.minutes_attended,
        patient_present=body.patient_present,
    )
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: mutual_support.family_attended(state, visit, cause),
        status=201,
    )


@router.post("/family-sessions/{session_id}/undo")
async def undo_family_session(
    call: SupportAmender, session_id: SubjectId, body: TakeBackVisit
) -> RecordAnswer:
    """Take back that somebody of the family took part."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, _cause: mutual_support.undo_visit(
            state, session_id, body.attendee_id, body.reason
        ),
    )


@router.post("/incentives", status_code=201)
@shows(screen_views.Rewarded)
async def earn_incentive(call: Supporter, body: EarnIncentive) -> RecordAnswer:
    """Reward a screen or a session that the program rewards. 201: it stands in the ledger. 202: it will shortly."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: incentives.earn(state, body.behavior, body.reference_id, cause),
        status=201,
        wait_for_handoffs=True,
    )


@router.get("/incentives/{person_id}")
@shows(screen_views.LedgerView)
async def read_ledger(call: Supporter, person_id: SubjectId) -> RecordAnswer:
    """A person's ledger: the rewards of all their episodes, and what each year adds up to."""
    return await call.read(PERSON(person_id), _ledger_view)


def _ledger_view(state: LedgerState) -> dict[str, Any]:
    years = sorted({entry.year for entry in state.entries.values()})
    return {
        "entries": {
            key: {"entry_id": incentives.entry_id(key), **entry.model_dump()}
            for key, entry in state.entries.items()
        },
        "total_cents": {str(year): state.total_cents(year) for year in years},
    }
