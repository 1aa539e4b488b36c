"""Attendance over HTTP: sessions and their rolls, an episode's weeks, screens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field

from services.attendance import domain, screens, sessions
from shared.contracts.attendance import (
    AttendanceStatus,
    CancelledBy,
    Matrix,
    NotProvidedKind,
    Participation,
    ScreenReason,
    ScreenStage,
    SessionMode,
    SpecimenValidity,
)
from shared.contracts.codes import (
    AnalyteCode,
    EpisodeId,
    GroupId,
    Modality,
    PanelCode,
    TopicCode,
)
from shared.errors import Invalid, NotYetKnown
from shared.runtime.http import Body, Call, SubjectId, call_by

router = APIRouter(tags=["attendance"])

Staff = Annotated[Call, call_by("counselor", "clinician", "case_manager", "nurse")]
Clinician = Annotated[Call, call_by("clinician", "nurse")]


class ScheduleSession(Body):
    group_id: GroupId | None = None
    modality: Modality
    topic: TopicCode | None = None
    starts_at: AwareDatetime
    minutes_planned: Annotated[int, Field(ge=15, le=480)]
    mode: SessionMode = SessionMode.ON_SITE
    roster: Annotated[list[EpisodeId], Field(min_length=1, max_length=50)]


class RollLine(Body):
    episode_id: EpisodeId
    status: AttendanceStatus
    minutes_present: Annotated[int, Field(ge=0, le=480)] = 0
    participation: Participation = Participation.NOT_RATED


class CallRoll(Body):
    entries: Annotated[list[RollLine], Field(min_length=1, max_length=50)]


class CancelSession(Body):
    cancelled_by: CancelledBy


class OrderScreen(Body):
    episode_id: EpisodeId
    matrix: Matrix = Matrix.URINE
    panel: PanelCode
    reason: ScreenReason = ScreenReason.RANDOM


class OfScreen(Body):
    episode_id: EpisodeId


class CollectSpecimen(OfScreen):
    observed: bool = False
    temperature_in_range: bool | None = None


class RecordResult(OfScreen):
    stage: ScreenStage
    validity: SpecimenValidity
    positives: Annotated[tuple[AnalyteCode, ...], Field(max_length=50)] = ()


class NotProvided(OfScreen):
    kind: NotProvidedKind


@router.post("/sessions", status_code=201)
async def schedule_session(call: Staff, body: ScheduleSession) -> Response:
    """Schedule a session for the people on its roster. All of them must be admitted and known here."""
    if len(set(body.roster)) != len(body.roster):
        raise Invalid("roster-repeats", "Someone stands on the roster twice.")
    for record in await call.records([f"episode/{episode}" for episode in body.roster]):
        if not isinstance(record.state, domain.EpisodeState) or record.state.admission is None:
            raise NotYetKnown("episode")
    new = sessions.NewSession(
        group_id=body.group_id,
        modality=body.modality,
        topic=body.topic,
        starts_at=body.starts_at,
        minutes_planned=body.minutes_planned,
        mode=body.mode,
        roster=tuple(body.roster),
    )
    return await call.execute(
        f"session/{call.new_id('session')}",
        lambda state, cause: sessions.schedule(state, new, cause),
        status=201,
        wait_for_handoffs=True,
    )


@router.get("/sessions/{session_id}")
async def read_session(call: Staff, session_id: SubjectId) -> Response:
    """A session, its roster, and whether its roll was called."""
    return await call.read(f"session/{session_id}", _session_view)


@router.post("/sessions/{session_id}/attendance")
async def call_roll(call: Staff, session_id: SubjectId, body: CallRoll) -> Response:
    """Call the roll. 200: everyone's record has it. 202: it is saved, and reaches the records shortly."""
    entries = [
        sessions.RollEntry(
            episode_id=line.episode_id,
            status=line.status,
            minutes_present=line.minutes_present,
            participation=line.participation,
        )
        for line in body.entries
    ]
    return await call.execute(
        f"session/{session_id}",
        lambda state, cause: sessions.call_roll(state, entries, cause),
        wait_for_handoffs=True,
    )


@router.post("/sessions/{session_id}/cancel")
async def cancel_session(call: Staff, session_id: SubjectId, body: CancelSession) -> Response:
    """Cancel a session that has not taken place."""
    return await call.execute(
        f"session/{session_id}",
        lambda state, cause: sessions.cancel(state, body.cancelled_by, cause),
        wait_for_handoffs=True,
    )


@router.get("/episodes/{episode_id}")
async def read_episode(call: Staff, episode_id: SubjectId) -> Response:
    """What attendance knows of an episode: closed weeks, open bookings, absences, screens."""
    return await call.read(f"episode/{episode_id}", _episode_view)


@router.post("/screens", status_code=201)
async def order_screen(call: Staff, body: OrderScreen) -> Response:
    """Notify a person of a screen."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: screens.order(state, body.matrix, body.panel, body.reason, cause),
        status=201,
    )


@router.post("/screens/{screen_id}/collect")
async def collect_specimen(call: Staff, screen_id: SubjectId, body: CollectSpecimen) -> Response:
    """Record that the specimen was taken and sealed."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: screens.collect(
            state,
            screen_id,
            observed=body.observed,
            temperature_in_range=body.temperature_in_range,
            cause=cause,
        ),
    )


@router.post("/screens/{screen_id}/not-provided")
async def not_provided(call: Staff, screen_id: SubjectId, body: NotProvided) -> Response:
    """Record why there is no specimen."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: screens.not_provided(state, screen_id, body.kind, cause),
    )


@router.post("/screens/{screen_id}/results")
async def record_result(call: Staff, screen_id: SubjectId, body: RecordResult) -> Response:
    """Record a result. It is interpreted by a clinician before anyone else hears what it means."""
    positives = tuple(sorted(set(body.positives)))
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, _cause: screens.record_result(
            state, screen_id, stage=body.stage, validity=body.validity, positives=positives
        ),
    )


@router.post("/screens/{screen_id}/interpret")
async def interpret_screen(call: Clinician, screen_id: SubjectId, body: OfScreen) -> Response:
    """Interpret a result against what is prescribed."""
    return await call.execute(
        f"episode/{body.episode_id}",
        lambda state, cause: screens.interpret(state, screen_id, cause),
    )


def _session_view(state: sessions.SessionState) -> dict[str, Any]:
    return state.model_dump(mode="json", exclude={"deadlines"})


def _episode_view(state: domain.EpisodeState) -> dict[str, Any]:
    if state.admission is None:
        raise NotYetKnown("episode")
    view = state.model_dump(mode="json", exclude={"deadlines", "screens", "expected"})
    view["screens"] = {
        key: {"matrix": screen.matrix, "closed": screen.closed}
        for key, screen in state.screens.items()
    }
    return view
