"""What a facility sees over all its episodes: measures, steps that take too long, and the sessions that are coming."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from services.followup import invariants
from services.followup.api.aftercare import place_of
from services.followup.api.episodes import journey_view
from services.followup.api.subjects import EPISODE
from services.followup.episode.episode_state import EpisodeState
from services.followup.measures import measures, transitions
from services.followup.measures.measures import Measure
from shared.contracts.codes import Day
from shared.contracts.followup import TransitionKind
from shared.errors import Invalid
from shared.runtime.http.call import Call, OfEpisode, require_roles
from shared.runtime.http.subjects import state_of

router = APIRouter(tags=["measures"])

Staff = Annotated[
    Call,
    require_roles(
        "counselor", "case_manager", "peer_specialist", "clinician", "intake_coordinator"
    ),
]
Reader = Annotated[
    Call,
    require_roles(
        "case_manager", "clinician", "clinical_supervisor", "program_director", "operator"
    ),
]
Limit = Annotated[int, Query(ge=1, le=500)]
After = Annotated[str | None, Query(max_length=120)]
PAGE: Final = 500
PERIOD_MAX: Final = timedelta(days=3 * 366)
FIRST_DAY: Final = date(1900, 1, 1)
LAST_DAY: Final = date(2200, 1, 1)


class ReportTransition(OfEpisode):
    kind: TransitionKind
    on: Day


@router.post("/transitions")
async def report_transition(call: Staff, body: ReportTransition) -> Response:
    """Report an emergency visit, or a discharge from a bed or from withdrawal management, and its day."""
    return await call.execute(
        EPISODE(body.episode_id),
        invariants.for_command(
            lambda state, cause: transitions.report(state, body.kind, body.on, cause)
        ),
    )


@router.get("/measures/{measure}")
async def read_measure(
    call: Reader,
    measure: Measure,
    first: Annotated[date, Query(alias="from")],
    last: Annotated[date, Query(alias="to")],
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
        (clock, transitions.local_day(state, now))
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
async def late_journeys(call: Reader, limit: Limit = 100, after: After = None) -> dict[str, Any]:
    """The episodes that have stayed in one step for longer than they may, the longest first, and who owns each.

    Pages as `GET /loops` does.
    """
    now = call.runtime.clock.now()
    records = await call.runtime.store.by_index(
        "awaited", call.actor.facility_id, place_of(after), limit
    )
    late = [record for record in records if record.state.index_entries()["awaited"] <= now]
    rows = [
        {"subject": one.subject, **journey_view(state_of(one, EpisodeState), now)} for one in late
    ]
    answer: dict[str, Any] = {"journeys": rows, "now": now.isoformat()}
    if len(late) == limit:
        last = late[-1]
        answer["next"] = f"{last.state.index_entries()['awaited'].isoformat()}~{last.subject}"
    return answer


@router.get("/sessions/coming")
async def coming_sessions(call: Staff, limit: Limit = 50) -> dict[str, Any]:
    """The next sessions of the facility, so that whoever calls can say when the person is expected."""
    now = call.runtime.clock.now()
    records = await call.runtime.store.by_index("coming", call.actor.facility_id, (now, ""), limit)
    return {
        "sessions": [
            {
                "session_id": record.subject.partition("/")[2],
                **record.state.model_dump(
                    mode="json", include={"starts_at", "group_id", "modality", "topic"}
                ),
            }
            for record in records
        ],
        "now": now.isoformat(),
    }


async def _from(call: Call, mark: str, at: datetime) -> AsyncIterator[EpisodeState]:
    """All episodes of the facility with a mark at or after an instant."""
    place = (at - timedelta(milliseconds=1), "~")
    while True:
        records = await call.runtime.store.by_index(mark, call.actor.facility_id, place, PAGE)
        for record in records:
            yield state_of(record, EpisodeState)
        if len(records) < PAGE:
            return
        place = (records[-1].state.index_entries()[mark], records[-1].subject)
