"""Routes over all episodes of a facility: the measures, the steps that take too long, and upcoming sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from services.followup import invariants
from services.followup.api import views
from services.followup.api.callers import Measurer, Teller, TellerAmender
from services.followup.api.episodes import journey_view
from services.followup.api.subjects import EPISODE
from services.followup.episode.episode_state import EpisodeState
from services.followup.episode.upcoming_sessions import SessionState
from services.followup.measures import measures, transitions
from services.followup.measures.measures import Measure
from shared import calendar
from shared.contracts.codes import Day, MistakeReason
from shared.contracts.followup import TransitionKind
from shared.errors import Invalid
from shared.runtime.http.call import Call, OfEpisode
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.paging import After, Limit, all_pages, states
from shared.runtime.http.shown import shows

router = APIRouter(tags=["measures"])

PERIOD_MAX: Final = timedelta(days=3 * 366)
FIRST_DAY: Final = date(1900, 1, 1)
LAST_DAY: Final = date(2200, 1, 1)


class ReportTransition(OfEpisode):
    kind: TransitionKind
    on: Day


class TakeBackTransition(ReportTransition):
    """Which report, and why it is taken back."""

    reason: MistakeReason


@router.post("/transitions/undo")
async def undo_transition(call: TellerAmender, body: TakeBackTransition) -> RecordAnswer:
    """Take back a visit or a discharge elsewhere that was reported by mistake."""
    return await call.execute(
        EPISODE(body.episode_id),
        invariants.for_command(
            lambda state, cause: transitions.undo(state, body.kind, body.on, body.reason, cause)
        ),
    )


@router.post("/transitions")
async def report_transition(call: Teller, body: ReportTransition) -> RecordAnswer:
    """Report an emergency visit, or a discharge from a bed or from withdrawal management, and its day."""
    return await call.execute(
        EPISODE(body.episode_id),
        invariants.for_command(
            lambda state, cause: transitions.report(state, body.kind, body.on, cause)
        ),
    )


@router.get("/measures/{measure}")
@shows(views.MeasureView)
async def read_measure(
    call: Measurer,
    measure: Measure,
    first: Annotated[Day, Query(alias="from")],
    last: Annotated[Day, Query(alias="to")],
) -> dict[str, Any]:
    """How many were seen in time, of those whose index day lies in the period. HEDIS-style, not certified.

    `open` are those not yet seen who still can be; they are in the denominator.
    """
    if not FIRST_DAY <= first <= last <= LAST_DAY or last - first > PERIOD_MAX:
        raise Invalid(
            "period-invalid",
            "The period ends before it begins, or is longer than three years.",
            hint="Give `from` and `to` as days, at most three years apart.",
        )
    now = call.runtime.clock.now()
    clocks = [
        (clock, calendar.local_day(now, state.time_zone))
        async for state in _from(call, measure.value, invariants.index_mark(first))
        for clock in invariants.clocks(state)
    ]
    counted = measures.tally(measure, clocks, first, last)
    return {
        "measure": measure.value,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "parts": {
            name: {
                "denominator": part.denominator,
                "numerator": part.numerator,
                "open": part.open,
                "rate": part.rate,
            }
            for name, part in counted.items()
        },
        "certified": False,
        "now": now.isoformat(),
    }


@router.get("/journeys")
@shows(views.JourneysView)
async def late_journeys(call: Measurer, limit: Limit = 100, after: After = None) -> dict[str, Any]:
    """The episodes that have stayed in one step for longer than they may, the longest first, and who owns each.

    Pages as `GET /loops` does.
    """
    now = call.runtime.clock.now()
    page = await call.page("awaited", after, limit, until=now)
    rows = [
        {"subject": subject, **journey_view(state, now)}
        for subject, state in states(page, EpisodeState)
    ]
    return {"journeys": rows, "now": now.isoformat(), **page.next_field}


@router.get("/sessions/coming")
@shows(views.SessionsView)
async def coming_sessions(call: Teller, limit: Limit = 50, after: After = None) -> dict[str, Any]:
    """The next sessions of the facility, so that whoever calls can say when the person is expected.

    Pages as `GET /loops` does.
    """
    now = call.runtime.clock.now()
    page = await call.page("coming", after, limit, since=now)
    return {
        "sessions": [
            {
                "session_id": subject.partition("/")[2],
                **state.model_dump(
                    mode="json", include={"starts_at", "group_id", "modality", "topic"}
                ),
            }
            for subject, state in states(page, SessionState)
        ],
        "now": now.isoformat(),
        **page.next_field,
    }


async def _from(call: Call, index: str, at: datetime) -> AsyncIterator[EpisodeState]:
    """All episodes of the facility that an index has at or after an instant."""
    async for page in all_pages(call, index, since=at):
        for _, state in states(page, EpisodeState):
            yield state
