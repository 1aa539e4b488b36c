"""Referrals by state: each is in exactly one list, whatever happens to it, with what is due next and whose it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake import mistakes
from services.intake.app import SERVICE
from services.intake.episode.episode_state import REFERRAL_INDEX, EpisodeState
from services.intake.episode.values import Outbound, OutboundStage, Stage
from shared.contracts.codes import IntakeLoop
from shared.contracts.intake import ConsentPurpose, MistakeReason, PartnerKind, ReferralOutcome
from shared.errors import CareError
from shared.loops import open_loop
from tests.unit.intake.test_intake_machine import COMMANDS, EVENTS
from tests.unit.intake.test_intake_mistakes import Path
from tests.unit.intake.world import STAGES, Intake, Rule, at_stage, close, discharged
from tests.unit.served import Served, refused
from tests.unit.support import FACILITY, START, cause, uid

WORDS: dict[str, Stage] = {
    "referred": Stage.RECEIVED,
    "acknowledged": Stage.ACKNOWLEDGED,
    "scheduled": Stage.AWAITING_ASSESSMENT,
    "assessed": Stage.ASSESSED,
    "in-danger": Stage.EMERGENCY,
    "eligible": Stage.ELIGIBLE,
    "ineligible": Stage.INELIGIBLE,
    "placed": Stage.PLACED,
    "admitted": Stage.ADMITTED,
    "oriented": Stage.ORIENTED,
    "closed": Stage.DECLINED,
}


@pytest.fixture
def served() -> Served:
    return Served(SERVICE)


async def listed(served: Served, query: str = "") -> list[dict[str, Any]]:
    served.acting_as("intake_coordinator")
    answer = await served.get(f"/referrals?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["referrals"]


async def on_list(served: Served, stage: str) -> set[str]:
    return {row["episode_id"] for row in await listed(served, f"state={stage}")}


# --- one stage each ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "stage"), WORDS.items())
def test_the_stage_of_the_way(name: str, stage: Stage) -> None:
    assert at_stage(name).state.stage is stage


def test_how_it_ends() -> None:
    void: Rule = lambda s, c: mistakes.entered_in_error(s, MistakeReason.OTHER, c)  # noqa: E731
    assert at_stage("referred").does(close(ReferralOutcome.LOST)).state.stage is Stage.CLOSED
    assert at_stage("oriented").does(void).state.stage is Stage.ENTERED_IN_ERROR
    left = at_stage("oriented")
    left.hear(discharged())
    assert left.state.stage is Stage.DISCHARGED


def test_every_stage_is_reached_by_somebody() -> None:
    shown = {*WORDS.values(), Stage.CLOSED, Stage.DISCHARGED, Stage.ENTERED_IN_ERROR}
    waits = at_stage("placed").does(COMMANDS["join"])
    offered = at_stage("placed").does(COMMANDS["join"], COMMANDS["offer"])
    assert shown | {waits.state.stage, offered.state.stage} == set(Stage)


@given(
    beginning=st.sampled_from([*STAGES]),
    steps=st.lists(st.sampled_from([*COMMANDS, *EVENTS]), max_size=12),
)
def test_a_referral_is_in_one_part_and_by_when_it_came(beginning: str, steps: list[str]) -> None:
    history = Intake().does(*STAGES[beginning])
    for name in steps:
        if name in EVENTS:
            history.hear(EVENTS[name])
        else:
            try:
                history.command(COMMANDS[name])
            except CareError:
                continue
    state = history.state
    assert state.index_parts()[REFERRAL_INDEX] == (state.stage.value,)
    received = None if state.referral is None else state.referral.received_at
    assert state.index_entries().get(REFERRAL_INDEX) == received


# --- over HTTP --------------------------------------------------------------------------------------------


@pytest.mark.fault("F42")
async def test_a_referral_goes_from_list_to_list(served: Served) -> None:
    first, second = await Path.begin(served), await Path.begin(served)
    assert await on_list(served, "received") == {first.id, second.id}
    for step, stage in [
        ("acknowledged", "acknowledged"),
        ("assessed", "eligible"),
        ("placed", "placed"),
        ("admitted", "admitted"),
        ("oriented", "oriented"),
    ]:
        await first.go(step)
        assert await on_list(served, stage) == {first.id}
        assert await on_list(served, "received") == {second.id}
    await first.discharged()
    assert await on_list(served, "discharged") == {first.id}
    await second.void()
    assert await on_list(served, "entered_in_error") == {second.id}
    assert await on_list(served, "received") == set()
    assert len(await listed(served)) == 2


async def test_what_is_due_and_whose_it_is(served: Served) -> None:
    path = await Path.begin(served)
    [row] = await listed(served)
    assert (row["loop"]["kind"], row["loop"]["overdue"]) == ("referral_acknowledgement", False)
    [deadline] = [loop.deadline_at for loop in path.state.loops.values()]
    assert datetime.fromisoformat(row["loop"]["deadline_at"]) == deadline
    assert row["loop"]["owner"] == {
        "role": "intake_coordinator",
        "staff_id": None,
        "acting_id": None,
    }
    await served.after(days=2)
    [row] = await listed(served)
    assert (row["loop"]["overdue"], row["loop"]["owner"]["role"]) == (True, "clinical_supervisor")
    assert row["person_id"] == path.person_id
    await served.does(f"/referrals/{path.id}/close", {"outcome": "lost"})
    [row] = await listed(served)
    assert (row["state"], row["outcome"], row["loop"]) == ("closed", "lost", None)


async def test_both_bounds_belong_to_the_list(served: Served) -> None:
    ids: list[str] = []
    for _ in range(3):
        ids.append((await Path.begin(served)).id)
        await served.after(hours=1)
    times = [START + timedelta(hours=n) for n in range(3)]

    async def between(begin: datetime | None, end: datetime | None) -> list[str]:
        query = {"from": begin, "to": end}
        asked = {key: at.isoformat() for key, at in query.items() if at is not None}
        answer = await served.acting_as("clinician").get("/referrals", params=asked)
        return [row["episode_id"] for row in answer.json()["referrals"]]

    assert await between(None, None) == ids
    assert await between(times[0], times[1]) == ids[:2]
    assert await between(times[1], None) == ids[1:]
    assert await between(None, times[0] - timedelta(microseconds=1)) == []


async def test_what_is_not_asked_so(served: Served) -> None:
    await Path.begin(served)
    served.acting_as("intake_coordinator")
    for query in (
        "state=nothing",
        "state=",
        "from=yesterday",
        "to=2026-03-02",
        "from=2026-03-02T15:00",
    ):
        refused(await served.get(f"/referrals?{query}"), 422, "request-invalid")
    refused(await served.acting_as("operator").get("/referrals"), 403, "role-not-allowed")


async def test_each_facility_has_its_own(served: Served) -> None:
    await Path.begin(served)
    served.acting_as("intake_coordinator", facility_id="river-iop")
    theirs = await served.does("/referrals", {"source_kind": "self", "urgency": "urgent"})
    answer = await served.get("/referrals?state=received")
    assert [row["episode_id"] for row in answer.json()["referrals"]] == [theirs["episode_id"]]
    assert uid("x") not in answer.text


async def test_a_page_goes_on_in_its_own_list_only(served: Served) -> None:
    for _ in range(3):
        await Path.begin(served)
    first = (await served.get("/referrals?state=received&limit=2")).json()
    rest = await served.get(f"/referrals?state=received&limit=2&after={first['next']}")
    assert [len(page["referrals"]) for page in (first, rest.json())] == [2, 1]
    refused(await served.get(f"/referrals?after={first['next']}"), 422, "after-invalid")


# --- referrals to partners ---------------------------------------------------------------------------------

SENT = Outbound(
    target_kind=PartnerKind.RESIDENTIAL,
    target_facility_id="hill-house",
    purpose=ConsentPurpose.TREATMENT,
    consent_id=uid("consent"),
    sent_at=START,
)
OUTBOUND: dict[OutboundStage, Outbound] = {
    OutboundStage.ASKED: SENT,
    OutboundStage.ACCEPTED: SENT.replace(accepted_at=START),
    OutboundStage.REJECTED: SENT.replace(rejected_at=START),
    OutboundStage.CLOSED: SENT.replace(accepted_at=START, outcome=ReferralOutcome.ADMITTED),
}


async def put(served: Served, name: str, *stages: OutboundStage) -> dict[str, str]:
    """An episode with a referral to a partner at each of these stages; their ids by stage."""
    ids = {stage: uid(f"{name} {stage}") for stage in stages}
    subject = f"episode/{uid(name)}"
    record = (await served.store.load([subject]))[subject]
    record.state = at_stage("ineligible").state.replace(
        outbound={ids[stage]: OUTBOUND[stage] for stage in stages}
    )
    record.facility_id, record.touched = FACILITY, True
    assert not await served.store.save([record], START)
    return {stage.value: ids[stage] for stage in stages}


async def test_referrals_to_partners_by_state(served: Served) -> None:
    one = await put(served, "one", OutboundStage.ASKED, OutboundStage.REJECTED)
    other = await put(served, "other", OutboundStage.ACCEPTED, OutboundStage.CLOSED)
    await Path.begin(served)
    for stage in OutboundStage:
        answer = await served.get(f"/outbound-referrals?state={stage}")
        [row] = answer.json()["referrals"]
        assert (row["state"], row["referral_id"]) == (stage, {**one, **other}[stage])
        assert (row["target_facility_id"], row["sent_at"]) == ("hill-house", START.isoformat())
    answer = await served.get("/outbound-referrals")
    assert len(answer.json()["referrals"]) == len(OutboundStage)


async def test_a_referral_to_a_partner_shows_its_own_loop(served: Served) -> None:
    ids = await put(served, "one", OutboundStage.ASKED)
    subject = f"episode/{uid('one')}"
    record = (await served.store.load([subject]))[subject]
    assert isinstance(record.state, EpisodeState)
    record.state = open_loop(
        record.state, IntakeLoop.OUTBOUND_REFERRAL, ids["asked"], cause(subject=subject)
    )
    record.touched = True
    assert not await served.store.save([record], START)
    [row] = (await served.get("/outbound-referrals?state=asked")).json()["referrals"]
    assert (row["loop"]["id"], row["loop"]["owner"]["role"]) == (ids["asked"], "case_manager")


async def test_what_was_entered_in_error_is_sent_to_nobody(served: Served) -> None:
    await put(served, "one", OutboundStage.ASKED)
    served.acting_as("clinical_supervisor")
    await served.does(f"/episodes/{uid('one')}/entered-in-error", {"reason": "test_entry"})
    assert (await served.get("/outbound-referrals")).json()["referrals"] == []
