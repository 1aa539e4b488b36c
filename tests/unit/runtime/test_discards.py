"""Discarding takes two operators within a day; what is pending is listed, and alarms when its day has passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from services.plans.app import SERVICE
from shared.errors import CareError, Forbidden, Invalid, Refused
from shared.runtime.dead_letters.audit import Who
from shared.runtime.dead_letters.discards import APPROVED_WITHIN, Discards
from shared.runtime.service import Runtime, create_app
from shared.runtime.settings import ServiceSettings
from tests.unit.runtime.redriving import NOW, Life, Noted, Rules, World, live, subject

ONE, TWO = Who("one", "never-true"), Who("two", "checked")
ABOUT = subject("discarded")
BAD = Rules(broken=frozenset({3}))


@dataclass
class Desk:
    """A stream of four items, of which the first failed, and a clock."""

    world: World = field(default_factory=World)
    one_person: bool = False
    at: datetime = NOW

    async def filled(self) -> Desk:
        said = [self.world.topics.say(Noted(amount=n), ABOUT) for n in (3, 5, 7, 11)]
        await live(self.world, BAD, lambda life: life.hear(*said))
        return self

    @property
    def discards(self) -> Discards:
        """As after a restart: nothing is in memory."""
        life = Life(self.world, BAD)
        return Discards(
            life.dead_letters, life.redriver, one_person=self.one_person, now=lambda: self.at
        )

    @property
    def rows(self) -> list[dict[str, Any]]:
        return sorted(self.world.rows(), key=lambda row: row["sequence"])

    @property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows]

    @property
    def statuses(self) -> list[str]:
        return [row["status"] for row in self.rows]


@pytest.fixture
async def desk() -> Desk:
    return await Desk().filled()


async def code_of(asked: Any) -> str:
    with pytest.raises(CareError) as refused:
        await asked
    return refused.value.code


async def test_one_requests_and_another_approves(desk: Desk) -> None:
    first = desk.ids[0]
    told = await desk.discards.request(first, ONE)
    assert told["until"] == NOW + APPROVED_WITHIN
    assert desk.statuses == ["open"] * 4, "nothing has happened yet"
    with pytest.raises(Forbidden) as alone:
        await desk.discards.approve(first, ONE)
    assert alone.value.code == "second-person-needed"
    assert desk.statuses == ["open"] * 4
    assert (await desk.discards.approve(first, TWO))["status"] == "discarded"
    assert desk.statuses == ["discarded", "open", "open", "open"]
    row = desk.rows[0]
    assert (row["discard"]["by"], row["closed"]["by"]) == ("one", "two")
    assert (row["discard"]["why"], row["closed"]["why"]) == ("never-true", "checked")
    assert await code_of(desk.discards.approve(first, TWO)) == "already-closed"


async def test_what_nobody_requested_nobody_approves(desk: Desk) -> None:
    assert await code_of(desk.discards.approve(desk.ids[0], TWO)) == "discard-not-requested"
    assert await code_of(desk.discards.request(desk.ids[1], ONE)) == "not-first-in-line"
    assert await code_of(desk.discards.approve(subject("x")[8:], TWO)) == "unknown-dead-letter"


@pytest.mark.parametrize(
    ("after", "approved"),
    [
        (timedelta(0), True),
        (APPROVED_WITHIN - timedelta(milliseconds=1), True),
        (APPROVED_WITHIN, False),
        (timedelta(days=9), False),
    ],
)
async def test_a_request_holds_for_a_day(desk: Desk, after: timedelta, *, approved: bool) -> None:
    first = desk.ids[0]
    await desk.discards.request(first, ONE)
    assert await code_of(desk.discards.request(first, TWO)) == "discard-requested"
    desk.at += after
    [pending] = await desk.discards.pending({}, "operations")
    assert pending["overdue"] is not approved
    assert pending["owner"]["role"] == "operator"
    if approved:
        await desk.discards.approve(first, TWO)
    else:
        assert await code_of(desk.discards.approve(first, TWO)) == "discard-expired"
        assert desk.statuses == ["open"] * 4
        await desk.discards.request(first, TWO)
        await desk.discards.approve(first, ONE)
    assert desk.statuses[0] == "discarded"
    assert await desk.discards.pending({}, "operations") == []


async def test_what_takes_it_back_goes_with_it(desk: Desk) -> None:
    first, second, third, _ = desk.ids
    for wrong in (third, first, subject("x")[8:]):
        with pytest.raises(Invalid) as refused:
            await desk.discards.request(first, ONE, wrong)
        assert refused.value.code == "not-next-in-line"
    await desk.discards.request(first, ONE, second)
    done = await desk.discards.approve(first, TWO)
    assert done["with"] == second
    assert desk.statuses == ["discarded", "discarded", "open", "open"]


async def test_a_crash_between_the_two_is_repaired_by_the_same_approval(desk: Desk) -> None:
    first, second, *_ = desk.ids
    await desk.discards.request(first, ONE, second)
    await Life(desk.world, BAD).redriver.discard(first, TWO)  # and then the process ended
    desk.at += APPROVED_WITHIN * 2
    assert (await desk.discards.approve(first, TWO))["with"] == second
    assert desk.statuses == ["discarded", "discarded", "open", "open"]


async def test_what_is_redriven_meanwhile_is_no_longer_pending(desk: Desk) -> None:
    first = desk.ids[0]
    await desk.discards.request(first, ONE)
    life = Life(desk.world, Rules())
    await life.redriver.redrive({}, TWO, limit=10)
    assert await desk.discards.pending({}, "operations") == []
    with pytest.raises(Refused):
        await desk.discards.approve(first, TWO)
    assert desk.statuses == ["redriven"] * 4


async def test_a_deployment_may_let_one_person_do_it(desk: Desk) -> None:
    desk.one_person = True
    first = desk.ids[0]
    assert await code_of(desk.discards.approve(first, ONE)) == "discard-not-requested"
    await desk.discards.request(first, ONE)
    await desk.discards.approve(first, ONE)
    assert desk.statuses[0] == "discarded"


async def test_a_request_that_nobody_approved_is_an_alarm_once(desk: Desk) -> None:
    discards = desk.discards
    await discards.request(desk.ids[0], ONE)
    with structlog.testing.capture_logs() as lines:
        for hours, late in ((1, 0), (24, 1), (25, 1)):
            desk.at = NOW + timedelta(hours=hours)
            await discards.look()
            assert discards.overdue == late
    assert [line["event"] for line in lines].count("discard.expired") == 1
    await discards.request(desk.ids[0], TWO)
    await discards.look()
    assert discards.overdue == 0


@pytest.mark.parametrize("one_person", [False, True])
async def test_readiness_says_what_is_late_and_that_one_person_suffices(
    *, one_person: bool
) -> None:
    settings = ServiceSettings.model_validate({"one_person_discard": one_person})
    runtime = Runtime(SERVICE, settings)
    assert ("one-person-discard" in runtime.warnings()) is one_person
    assert "discards-overdue" not in runtime.warnings()
    runtime.discards.overdue = 1
    assert "discards-overdue" in runtime.warnings()
    app = create_app(SERVICE, settings)
    app.state.runtime = runtime
    assert "discards-overdue" in TestClient(app).get("/readyz").json()["warnings"]
