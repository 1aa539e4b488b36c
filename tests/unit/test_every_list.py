"""Every list over HTTP, found in the four OpenAPI documents by its `after`: walked page by page, and asked nonsense.

The records' instants collide, differ by microseconds, lie on both sides of a millisecond and come with other UTC
offsets. `next` goes back into the URL as it came, without escaping.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from care.interfaces import document
from services.attendance.episode import episode_state as attendance
from services.attendance.groups.closures import (
    Closure,
    ClosureReason,
    ClosuresState,
    closures_id,
)
from services.attendance.groups.group_state import GroupState
from services.attendance.groups.session_state import SessionState as Session
from services.followup.episode import episode_state as followup
from services.followup.episode.check_in_calendar import Window
from services.followup.episode.upcoming_sessions import SessionState
from services.intake.episode import episode_state as intake
from services.intake.episode import values as intake_values
from services.intake.person.may_disclose import Partner
from services.intake.resources.partners import PartnerState
from shared.contracts.codes import Role, Urgency
from shared.contracts.followup import Milestone
from shared.contracts.intake import ConsentPurpose, PartnerKind
from shared.decision import State
from shared.devtools.stack import SERVICES
from shared.loops import Loop
from shared.runtime.service import Service
from shared.testing.dead_letter_suite import dead_letter
from shared.testing.fakes import decoded, encoded
from tests.unit.served import Served, refused
from tests.unit.support import FACILITY, START, uid

MICRO, MILLI, HOUR = timedelta(microseconds=1), timedelta(milliseconds=1), timedelta(hours=1)
BASE: Final = START.replace(microsecond=123_000)
INSTANTS: Final = (
    BASE,
    BASE + MICRO,
    BASE - MICRO,
    BASE + MICRO,
    BASE + 999 * MICRO,
    BASE + MILLI,
    BASE + MILLI,
    BASE + MILLI,
    (BASE + MILLI).astimezone(timezone(timedelta(hours=14))),
    (BASE + 2 * MICRO).astimezone(timezone(timedelta(hours=-11, minutes=-30))),
    BASE - HOUR / 2,
)
ODD: Final = (
    "",
    " ",
    "x",
    "~",
    "next",
    "AQ",
    "AQ==",
    "AA" * 40,
    "-" * 44,
    "_" * 5_000,
    "\x00",
    "é",
    "\U0001f600",
    "2026-03-02T15:00:00Z~episode/x",
    "2026-03-02T15:00:00+00:00~",
    "2026-13-01T00:00:00~x",
    "0001-01-01T00:00:00+14:00~x",
    "9999-12-31T23:59:59-14:00~x",
    uid("a row"),
)


@dataclass(frozen=True)
class List:
    """How a list is filled and read."""

    kind: str
    state: Callable[[Service, datetime], State]
    """The state of a record that stands at this instant."""
    ids: Callable[[Mapping[str, Any]], list[str]]
    """The ids of an answer, in its order."""
    role: str = "clinician"
    now: datetime = START


def _with_loop(service: Service, at: datetime) -> State:
    loop = Loop(kind="x", id=uid("x"), opened_at=START, deadline_at=at, owners=(Role.CLINICIAN,))
    return service.kinds["episode"].state().replace(loops={loop.key: loop})


def _with_referral(_service: Service, at: datetime) -> State:
    referral = intake_values.Referral(
        source_kind=PartnerKind.SELF,
        source_facility_id=None,
        urgency=Urgency.ROUTINE,
        requested_level=None,
        received_at=at,
    )
    return intake.EpisodeState(referral=referral)


def _with_outbound(_service: Service, at: datetime) -> State:
    outbound = intake_values.Outbound(
        target_kind=PartnerKind.RESIDENTIAL,
        target_facility_id="hill-house",
        purpose=ConsentPurpose.TREATMENT,
        consent_id=uid("consent"),
        sent_at=at,
    )
    return intake.EpisodeState(outbound={uid("outbound"): outbound})


def _admitted(_service: Service, at: datetime) -> State:
    admission = attendance.Admission.model_validate(
        {
            "level": {"system": "asam", "edition": "4", "code": "2.1"},
            "population": "adult",
            "admitted_at": at,
            "time_zone": "UTC",
        }
    )
    return attendance.EpisodeState(admission=admission)


def _with_check_in(_service: Service, at: datetime) -> State:
    window = Window(milestone=next(iter(Milestone)), opens_at=at, due_at=at, closes_at=at + HOUR)
    aftercare = followup.Aftercare(
        aftercare_plan_id=uid("plan"), check_ins={uid("check-in"): followup.CheckIn(window=window)}
    )
    return followup.EpisodeState(aftercare=aftercare)


def _a_partner(_service: Service, at: datetime) -> State:
    known = Partner(partner_id="harbor-detox", kind=PartnerKind.RESIDENTIAL)
    return PartnerState(known=known, registered_at=at)


def _subjects(name: str) -> Callable[[Mapping[str, Any]], list[str]]:
    return lambda answer: [row["subject"].partition("/")[2] for row in answer[name]]


def _by_id(name: str, field: str) -> Callable[[Mapping[str, Any]], list[str]]:
    return lambda answer: [row[field] for row in answer[name]]


ROWS: Final = "/ops/dead-letters/rows"
AUDIT: Final = "/audit"
"""The latest first, and by the millisecond."""
LISTS: Final = {
    "/loops": List("episode", _with_loop, _subjects("loops")),
    "/referrals": List("episode", _with_referral, _by_id("referrals", "episode_id")),
    "/outbound-referrals": List("episode", _with_outbound, _by_id("referrals", "episode_id")),
    "/episodes": List("episode", _admitted, _by_id("episodes", "episode_id")),
    "/groups": List("group", lambda _, at: GroupState(opened_at=at), _by_id("groups", "group_id")),
    "/checkins": List("episode", _with_check_in, _subjects("check_ins"), now=START + HOUR),
    "/journeys": List(
        "episode",
        lambda _, at: followup.EpisodeState(tz_index_entries={"awaited": at}),
        _subjects("journeys"),
        now=START + HOUR,
    ),
    "/sessions": List(
        "session",
        lambda _, at: Session(starts_at=at),
        _by_id("sessions", "session_id"),
        role="counselor",
    ),
    "/sessions/coming": List(
        "session",
        lambda _, at: SessionState(starts_at=at),
        _by_id("sessions", "session_id"),
        role="counselor",
        now=START - HOUR,
    ),
    "/partners": List("partner", _a_partner, _subjects("partners")),
    ROWS: List("", lambda _service, _at: State(), _by_id("rows", "id"), role="operator"),
    AUDIT: List("", lambda _service, _at: State(), _by_id("entries", "id"), role="privacy_officer"),
}
WITHOUT_PAGES: Final = {"/tasks": "the most urgent only", "/ops/dead-letters/audit": "the latest"}
"""Lists that are the beginning of something, and say so: they take a `limit` and have no next page."""


def service(name: str) -> Service:
    return import_module(f"services.{name}.app").SERVICE


def _asked(name: str) -> dict[str, set[str]]:
    """The query parameters of each GET route of a service."""
    paths = document(name)["paths"]
    return {
        path: {parameter["name"] for parameter in operations["get"].get("parameters", ())}
        for path, operations in paths.items()
        if "get" in operations
    }


EVERY: Final = [
    (n, path) for n in SERVICES for path, asked in _asked(n).items() if "after" in asked
]
each_list = pytest.mark.parametrize(("name", "path"), EVERY)


class Shelf:
    """One list of one service, with records of both facilities in it."""

    def __init__(self, name: str, path: str, operating: str = FACILITY) -> None:
        self.list, self.path = LISTS[path], path
        self.served = Served(service(name), self.list.now)
        if path == "/partners":  # the operating organisation's, and everybody lists them
            update = {"operating_facility": operating}
            self.served.settings = self.served.settings.model_copy(update=update)
        self.served.acting_as(self.list.role)
        self._count = 0

    async def put(self, at: datetime, facility_id: str = FACILITY) -> tuple[datetime, str]:
        """Put one more record in the list; its place in the order."""
        self._count += 1
        name = uid(f"{self.path} {self._count}")
        if self.path == ROWS:
            row = dead_letter(f"episode/{name}", "intake", self._count, "decision-raised", wall=at)
            row = replace(row, facility_id=facility_id)
            await self.served.store.add_dead_letters([row])
            return BASE, row.id
        if self.path == AUDIT:
            at = at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)
            entry = {"_id": name, "at": at, "facilities": [facility_id], "subjects": []}
            self.served.disk.audit[name] = encoded(entry | {"kind": "read", "outcome": "shown"})
            return at, name
        subject = f"{self.list.kind}/{name}"
        record = (await self.served.store.load([subject]))[subject]
        record.state = self.list.state(self.served.service, at)
        record.facility_id, record.touched = facility_id, True
        assert not await self.served.store.save([record], START)
        return at, name

    async def fill(self, instants: Sequence[datetime] = INSTANTS) -> list[str]:
        """Put records in the list; their ids, in the order of the list."""
        await self.put(BASE, "another-iop")
        places = sorted([await self.put(at) for at in instants], reverse=self.path == AUDIT)
        return [name for _, name in places]

    async def page(self, query: str) -> tuple[list[str], str | None]:
        answer = await self.served.get(f"{self.path}?{query}")
        assert answer.status_code == 200, answer.text
        return self.list.ids(answer.json()), answer.json().get("next")

    async def pages(self, limit: int) -> list[list[str]]:
        """All pages, each asked for with the `next` of the page before, pasted."""
        found, after = [], ""
        for _ in range(len(INSTANTS) + 5):
            ids, following = await self.page(f"limit={limit}{after}")
            found.append(ids)
            if following is None:
                return found
            after = f"&after={following}"
        raise AssertionError("the pages have no end")


def test_every_list_is_known_here() -> None:
    assert {path for _, path in EVERY} == set(LISTS)
    assert [n for n, path in EVERY if path == "/loops"] == list(SERVICES)
    limited = {
        path
        for name in SERVICES
        for path, asked in _asked(name).items()
        if "limit" in asked and "after" not in asked
    }
    assert limited == set(WITHOUT_PAGES)


@pytest.mark.parametrize("limit", [1, 2, 3, len(INSTANTS) - 1, len(INSTANTS), 100])
@each_list
async def test_the_walk_has_everything_once_and_in_order(name: str, path: str, limit: int) -> None:
    shelf = Shelf(name, path)
    ids = await shelf.fill()
    assert await shelf.pages(limit) == [
        ids[start : start + limit] for start in range(0, len(ids), limit)
    ]


@each_list
async def test_an_empty_list_is_one_page(name: str, path: str) -> None:
    assert await Shelf(name, path).pages(1) == [[]]


@each_list
async def test_next_passes_through_a_url_and_a_shell_as_it_is(name: str, path: str) -> None:
    shelf = Shelf(name, path)
    await shelf.fill()
    _, following = await shelf.page("limit=1")
    assert following is not None
    assert following.isascii()
    assert set(following) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert len(following) < 120


@each_list
async def test_a_wrong_after_is_refused_whatever_it_is(name: str, path: str) -> None:
    shelf = Shelf(name, path)
    await shelf.fill()
    _, following = await shelf.page("limit=1")
    assert following is not None
    cut = [following[:-1], following[1:], following + "A", f"{following}=", following.swapcase()]
    for text in (*ODD, *cut):
        answer = await shelf.served.get(path, params={"after": text})
        refused(answer, 422, "after-invalid")
        assert answer.json()["hint"]


@each_list
@given(text=st.text())
def test_a_wrong_after_is_refused_whatever_text_it_is(name: str, path: str, text: str) -> None:
    async def asked() -> None:
        answer = await _shelf(name, path).served.get(path, params={"after": text})
        refused(answer, 422, "after-invalid")

    asyncio.run(asked())


@pytest.fixture(scope="module")
async def foreign() -> dict[str, str]:
    """A `next` of each list, of another facility."""
    found: dict[str, str] = {}
    for name, path in {path: (name, path) for name, path in EVERY}.values():
        shelf = Shelf(name, path, operating="another-iop")
        shelf.served.acting_as(shelf.list.role, facility_id="another-iop")
        for at in INSTANTS[:2]:
            await shelf.put(at, "another-iop")
        _, following = await shelf.page("limit=1")
        assert following is not None
        found[path] = following
    return found


@each_list
async def test_the_next_of_another_list_or_facility_is_refused(
    name: str, path: str, foreign: dict[str, str]
) -> None:
    shelf = Shelf(name, path)
    await shelf.fill()
    for other, following in foreign.items():
        if path == other == ROWS:
            continue  # a list of the service, whatever the facility
        refused(await shelf.served.get(path, params={"after": following}), 422, "after-invalid")


@each_list
async def test_what_changes_behind_the_page_moves_nothing(name: str, path: str) -> None:
    """Records that come to stand before the cursor, or leave there, neither repeat nor hide what follows."""
    shelf = Shelf(name, path)
    ids = await shelf.fill(INSTANTS[1:])
    first, following = await shelf.page("limit=3")
    place = await shelf.put(BASE + HOUR if path == AUDIT else INSTANTS[-1] + MICRO)
    behind = path != ROWS or place[1] < first[-1]
    disk = shelf.served.disk
    gone = {ROWS: disk.dead_letters, AUDIT: disk.audit}.get(path, disk.records)
    for key, raw in list(gone.items()):
        if {first[0], first[-1]} & {decoded(raw).get("id"), key, key.partition("/")[2]}:
            del gone[key]
    rest, _ = await shelf.page(f"limit=100&after={following}")
    assert first == ids[:3]
    assert rest == (ids[3:] if behind else sorted([*ids[3:], place[1]]))


def _damaged(document: dict[str, Any], path: str) -> dict[str, Any]:
    broken = {ROWS: {"discard": "soon"}, AUDIT: {"at": "soon"}}
    return document | broken.get(path, {"state": "gone"})


@each_list
async def test_one_damaged_document_is_left_out_and_the_others_are_listed(
    name: str, path: str
) -> None:
    shelf = Shelf(name, path)
    ids = await shelf.fill()
    disk = shelf.served.disk
    stored = {ROWS: disk.dead_letters, AUDIT: disk.audit}.get(path, disk.records)
    gone = ids[len(ids) // 2]
    for key, raw in list(stored.items()):
        if gone in {decoded(raw).get("id"), key, key.partition("/")[2]}:
            stored[key] = encoded(_damaged(decoded(raw), path))
    for limit in (3,) if path == AUDIT else (1, 3, 100):  # each walk is in the audit itself
        found = [one for page in await shelf.pages(limit) for one in page]
        assert found == [one for one in ids if one != gone]
    if path != AUDIT:  # the keeper names those
        assert len(shelf.served.store.set_aside) == 1


GROUP, OTHER_GROUP = uid("damaged group"), uid("sound group")
ALONE, CLOSURES = uid("damaged episode"), closures_id(FACILITY)
SESSIONS: Final = {
    "damaged group's": Session(starts_at=BASE, group_id=GROUP),
    "sound group's": Session(starts_at=BASE, group_id=OTHER_GROUP),
    "damaged person's": Session(starts_at=BASE, roster=(ALONE,)),
}


@pytest.mark.parametrize("why", ["unreadable", "newer"])
@pytest.mark.parametrize("gone", [f"group/{GROUP}", f"episode/{ALONE}", f"closures/{CLOSURES}"])
async def test_a_session_is_listed_though_what_it_belongs_to_cannot_be_read(
    gone: str, why: str
) -> None:
    served = Served(service("attendance")).acting_as("counselor")
    on = BASE.date()
    closed = ClosuresState(
        closures={uid("c"): Closure(from_on=on, until_on=on, reason=ClosureReason.HOLIDAY)}
    )
    states: dict[str, State] = {
        f"group/{GROUP}": GroupState(opened_at=BASE),
        f"group/{OTHER_GROUP}": GroupState(opened_at=BASE),
        f"episode/{ALONE}": _admitted(service("attendance"), BASE),
        f"closures/{CLOSURES}": closed,
        **{f"session/{uid(name)}": state for name, state in SESSIONS.items()},
    }
    for subject, state in states.items():
        record = (await served.store.load([subject]))[subject]
        record.state, record.facility_id, record.touched = state, FACILITY, True
        assert not await served.store.save([record], START)
    document = decoded(served.disk.records[gone])
    damage: dict[str, Any] = {"state": "gone"} if why == "unreadable" else {"schema": 1_000}
    served.disk.records[gone] = encoded(document | damage)
    answer = await served.get("/sessions")
    assert answer.status_code == 200, answer.text
    found = {row["session_id"] for row in answer.json()["sessions"]}
    assert found == {uid(name) for name in SESSIONS}
    assert answer.json()["left_out"] == [gone]


_shelves: dict[tuple[str, str], Shelf] = {}


def _shelf(name: str, path: str) -> Shelf:
    return _shelves.setdefault((name, path), Shelf(name, path))


WHOLE: Final = {
    "loop": "only records with something open",
    "group": "only groups that are open",
    "check_in": "only people with a check-in to come, up to a day",
    "awaited": "only episodes whose step may not last any longer",
    "coming": "only sessions ahead",
    **dict.fromkeys(("iet", "fua", "fui"), "read between two days"),
    "partner": "of the operating organisation alone",
}
"""The indexes that are not divided, and why a page of theirs does not read past much that it leaves out."""


def test_an_index_is_divided_or_says_why_it_need_not_be() -> None:
    states = [kind.state for name in SERVICES for kind in service(name).kinds.values()]
    divided = {index for state in states for index in state.DIVIDED}
    assert {index for state in states for index in state.INDEXES} - divided == set(WHOLE)
    assert not divided & set(WHOLE)


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("end", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_an_instant_outside_the_calendar_is_refused(name: str, end: str) -> None:
    """Not a list, but the same text that once broke one."""
    served = Served(service(name)).acting_as("operator", facility_id="operations")
    refused(await served.get("/ops/flow", params={"due_until": end}), 422, "request-invalid")
