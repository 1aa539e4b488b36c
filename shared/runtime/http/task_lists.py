"""Open loops and task lists over HTTP, the same in every service.

`GET /loops` lists what is open, its owner, its deadline, and how far it has been escalated. `GET /tasks` lists what one
person has to do now: what their roles on care teams own, and what the colleagues own whom they deputise for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from shared.contracts import intake
from shared.contracts.codes import UUID_PATTERN
from shared.duty import StaffState, absence_ended, absence_planned, acting, staff_subject
from shared.errors import Forbidden
from shared.loops import LOOP_INDEX, CareState, Loop
from shared.runtime.core.reactions import on
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.http import views
from shared.runtime.http.call import Call
from shared.runtime.http.paging import PAGE_MAX, After, Limit, all_pages, states
from shared.runtime.http.roles import require_roles
from shared.runtime.http.shown import shows
from shared.runtime.http.subjects import state_of

router = APIRouter(tags=["open loops"])

STAFF_KIND: Final = {"staff": RecordKind(StaffState)}
"""For a service's `kinds`: what it knows of the staff."""
STAFF_REACTIONS: Final = (
    on(intake.StaffAbsencePlanned, absence_planned),
    on(intake.StaffAbsenceEnded, absence_ended),
)
"""For a service's reaction table: who is away, and who acts for them."""

PAGE: Final = PAGE_MAX
SUPERVISORS: Final = ("clinical_supervisor", "program_director", "operator", "privacy_officer")
"""Who may see other people's task lists."""

Anyone = Annotated[Call, require_roles()]
Code = Annotated[str | None, Query(pattern="^[a-z_]{2,40}$")]
StaffIdQuery = Annotated[str | None, Query(pattern=UUID_PATTERN)]


@router.get("/loops")
@shows(views.LoopsView)
async def open_loops(
    call: Anyone,
    kind: Code = None,
    owner_role: Code = None,
    *,
    overdue: bool = False,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """What this service waits for, the most urgent person first.

    `overdue` leaves only loops that were escalated or whose deadline has passed. A page holds the loops of at most
    `limit` people; `next`, when it is there, is `after` for the page that follows.
    """
    now = call.runtime.clock.now()
    page = await call.page(LOOP_INDEX, after, limit)
    loops = [
        view
        for views in await loop_views(call, states(page, CareState), now)
        for view in views
        if (kind is None or view["kind"] == kind)
        and (owner_role is None or view["owner"]["role"] == owner_role)
        and (not overdue or view["overdue"])
    ]
    return {"loops": loops, "now": _in_utc(now), **page.next_field}


@router.get("/tasks")
@shows(views.TasksView)
async def tasks(
    call: Anyone, staff_id: StaffIdQuery = None, role: Code = None, limit: Limit = 100
) -> dict[str, Any]:
    """What someone has to do now, the most urgent first. Without a question, the caller's own and their role's.

    A loop is on a person's list when the role that owns it is theirs for that episode, or is held by someone who is
    away and for whom they act. A loop whose role nobody in person holds is on the list of everyone with that role.
    Asked for a person, it answers what is theirs in person; asked for a role, what nobody in person has. The lists of
    others are for supervisors.
    """
    own = staff_id in (None, call.actor.id) and role in (None, call.actor.role)
    if not own and call.actor.role not in SUPERVISORS:
        raise Forbidden(
            "not-your-tasks", "This is somebody else's task list.", hint="Ask for your own."
        )
    asked = staff_id is not None or role is not None
    wanted = (staff_id, role) if asked else (call.actor.id, call.actor.role)
    now = call.runtime.clock.now()
    items: list[dict[str, Any]] = []
    async for page in all_pages(call, LOOP_INDEX, limit=PAGE):
        found = states(page, CareState)
        staff = await _staff(call, (state for _, state in found))
        items += [
            view
            for subject, state in found
            for loop in _in_order(state)
            if _is_on_list(view := _view(subject, state, loop, staff, now), *wanted)
        ]
        items.sort(key=_urgency)
        # A later page has only people whose first deadline is later; one of this page may have a later one as well.
        reached = _in_utc(found[-1][1].index_entries()[LOOP_INDEX]) if found else ""
        if len(items) >= limit and items[limit - 1]["deadline_at"] <= reached:
            break
    return {"staff_id": wanted[0], "role": wanted[1], "tasks": items[:limit], "now": _in_utc(now)}


async def loop_views(
    call: Call, found: Sequence[tuple[str, CareState]], now: datetime
) -> list[list[dict[str, Any]]]:
    """The open loops of each of these records as people see them, the most urgent first."""
    staff = await _staff(call, (state for _, state in found))
    return [
        [_view(subject, state, loop, staff, now) for loop in _in_order(state)]
        for subject, state in found
    ]


def _is_on_list(view: Mapping[str, Any], staff_id: str | None, role: str | None) -> bool:
    """In person, when somebody in person acts; else by the role."""
    owner = view["owner"]
    if owner["acting_id"] is not None:
        return owner["acting_id"] == staff_id
    return owner["role"] == role


def _urgency(view: Mapping[str, Any]) -> tuple[str, str, str]:
    return view["deadline_at"], view["subject"], view["id"]


async def _staff(call: Call, states: Iterable[CareState]) -> dict[str, StaffState]:
    """Everyone on these care teams, and everyone who may have to act for them."""
    known: dict[str, StaffState] = {}
    wanted = {staff_id for state in states for staff_id in state.team.values()}
    while wanted:
        facility_id = call.actor.facility_id
        subjects = {staff_id: staff_subject(facility_id, staff_id) for staff_id in sorted(wanted)}
        records = await call.runtime.store.load([*subjects.values()])
        for staff_id, subject in subjects.items():
            record = records[subject]
            # Nothing is known of a record that can't be read; the list is shown without it.
            known[staff_id] = StaffState() if record.unusable else state_of(record, StaffState)
        deputies = {a.deputy_id for s in known.values() for a in s.absences.values()}
        wanted = deputies - set(known)
    return known


def _in_order(state: CareState) -> list[Loop]:
    shown = (loop for loop in state.loops.values() if not loop.hidden)
    return sorted(shown, key=lambda loop: (loop.deadline_at, loop.key))


def _view(
    subject: str, state: CareState, loop: Loop, staff: Mapping[str, StaffState], now: datetime
) -> dict[str, Any]:
    """One open loop as people see it: owner, deadline, age and escalation step."""
    holder = state.team.get(loop.owner_role)
    following = loop.owners[min(loop.step + 1, len(loop.owners) - 1)]
    return {
        "kind": loop.kind,
        "id": loop.id,
        "subject": subject,
        "owner": {
            "role": loop.owner_role,
            "staff_id": holder,
            "acting_id": None if holder is None else acting(holder, staff, now),
        },
        "opened_at": _in_utc(loop.opened_at),
        "deadline_at": _in_utc(loop.deadline_at),
        "age_seconds": max(0, int((now - loop.opened_at).total_seconds())),
        "overdue": loop.step > 0 or loop.deadline_at <= now,
        "step": loop.step,
        "next_owner_role": None if loop.at_last_owner else following,
        **state.told_of(subject, loop),
    }


def _in_utc(moment: datetime) -> str:
    """As text that sorts as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
