"""Routes for circumstances: death, jail, hospital and moves, because of which nobody calls the person."""

from __future__ import annotations

from fastapi import APIRouter

from services.followup import circumstances
from services.followup.api import views
from services.followup.api.callers import Witness
from services.followup.api.subjects import EPISODE
from services.followup.invariants import for_command
from shared.contracts.codes import Day
from shared.contracts.followup import CircumstanceKind
from shared.runtime.http.call import OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.retractions import TakeBackOf
from shared.runtime.http.shown import shows

router = APIRouter(tags=["circumstances"])


class RecordCircumstance(OfEpisode):
    kind: CircumstanceKind
    occurred_on: Day


@router.post("/circumstances", status_code=201)
@shows(views.CircumstanceRecorded)
async def record_circumstance(call: Witness, body: RecordCircumstance) -> RecordAnswer:
    """Record that the person died, is in jail or hospital, or moved away: nobody calls them any more."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(
            lambda state, cause: circumstances.record(state, body.kind, body.occurred_on, cause)
        ),
        status=201,
    )


@router.post("/circumstances/{circumstance_id}/confirm")
async def confirm_circumstance(
    call: Witness, circumstance_id: SubjectId, body: OfEpisode
) -> RecordAnswer:
    """Somebody found out that it still lasts: nobody calls the person, and it is asked again later."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: circumstances.confirm(state, circumstance_id, cause)),
    )


@router.post("/circumstances/{circumstance_id}/end")
async def end_circumstance(
    call: Witness, circumstance_id: SubjectId, body: OfEpisode
) -> RecordAnswer:
    """It is over: the person may be called again, from now on."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(lambda state, cause: circumstances.end(state, circumstance_id, cause)),
    )


@router.post("/circumstances/{circumstance_id}/undo")
async def undo_circumstance(
    call: Witness, circumstance_id: SubjectId, body: TakeBackOf
) -> RecordAnswer:
    """It was a mistake: everything goes on as if it had not been recorded."""
    return await call.execute(
        EPISODE(body.episode_id),
        for_command(
            lambda state, cause: circumstances.undo(state, circumstance_id, body.reason, cause)
        ),
    )
