"""A session: scheduled once, called once, and what is refused of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.attendance import domain
from shared.contracts import attendance
from shared.contracts.attendance import CancelledBy
from shared.errors import CareError
from tests.unit.attendance.world import ATTENDED, HOUR, NO_SHOW, Session
from tests.unit.support import EPISODE_ID, START, uid

OTHER_ID = uid("other")


def scheduled() -> Session:
    session = Session()
    session.schedule(EPISODE_ID, OTHER_ID)
    return session


def begun() -> Session:
    session = scheduled()
    session.now = START + HOUR
    return session


def called() -> Session:
    session = begun()
    session.call(**{EPISODE_ID: ATTENDED, OTHER_ID: NO_SHOW})
    return session


def cancelled() -> Session:
    session = scheduled()
    session.cancel()
    return session


EVERYBODY = {EPISODE_ID: ATTENDED, OTHER_ID: ATTENDED}
Step = Callable[[Session], object]


@pytest.mark.parametrize(
    ("given", "step", "code"),
    [
        (scheduled, lambda s: s.schedule(), "session-exists"),
        (scheduled, lambda s: s.call(**EVERYBODY), "session-not-begun"),
        (begun, lambda s: s.call(**{EPISODE_ID: ATTENDED}), "roll-incomplete"),
        (begun, lambda s: s.call(**EVERYBODY, **{uid("stranger"): ATTENDED}), "roll-incomplete"),
        (begun, lambda s: s.call(**{uid("stranger"): ATTENDED}), "roll-incomplete"),
        (called, lambda s: s.call(**EVERYBODY), "roll-already-called"),
        (called, lambda s: s.cancel(), "roll-already-called"),
        (called, lambda s: s.schedule(), "session-exists"),
        (cancelled, lambda s: s.call(**EVERYBODY), "session-cancelled"),
        (cancelled, lambda s: s.cancel(), "session-cancelled"),
        (Session, lambda s: s.call(**EVERYBODY), "unknown-session"),
        (Session, lambda s: s.cancel(), "unknown-session"),
    ],
)
def test_what_is_refused_of_a_session(given: Callable[[], Session], step: Step, code: str) -> None:
    session = given()
    before = (session.state, list(session.names), len(session.handing))
    with pytest.raises(CareError) as refused:
        step(session)
    assert refused.value.code == code
    assert (session.state, list(session.names), len(session.handing)) == before


def test_a_roll_is_handed_to_everybody_on_the_roster() -> None:
    session = called()
    booked, other, *rolls = session.handing
    assert [item.subject for item in (booked, other)] == [
        f"episode/{EPISODE_ID}",
        f"episode/{OTHER_ID}",
    ]
    told = {item.subject: item.body for item in rolls}
    statuses = {
        subject: body.status
        for subject, body in told.items()
        if isinstance(body, domain.RollCalled)
    }
    assert statuses == {f"episode/{EPISODE_ID}": ATTENDED, f"episode/{OTHER_ID}": NO_SHOW}
    assert session.names == ["session-scheduled"], (
        "a roll is said of each person, not of the session"
    )


def test_a_cancellation_is_handed_to_everybody_with_whose_it_was() -> None:
    session = scheduled()
    session.cancel(CancelledBy.WEATHER)
    dropped = [item.body for item in session.handing if isinstance(item.body, domain.Dropped)]
    assert [body.cancelled_by for body in dropped] == [CancelledBy.WEATHER] * 2
    [event] = session.of(attendance.SessionCancelled)
    assert (event.cancelled_by, event.minutes_planned) == (CancelledBy.WEATHER, 180)


def test_a_roll_may_be_called_from_the_moment_the_session_begins() -> None:
    session = begun()
    assert session.call(**EVERYBODY).answer == {"entries": 2}
