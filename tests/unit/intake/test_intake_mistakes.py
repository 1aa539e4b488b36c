"""Mistakes: entered in error, somebody else's, two referrals of one person, an admission that was none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.app import SERVICE
from shared.contracts import followup, intake, plans
from shared.contracts.codes import ClearedReason, IntakeLoop, MistakeReason
from shared.contracts.event import Event
from tests.unit.intake.partners import register
from tests.unit.served import Served, refused
from tests.unit.support import START, fact, uid

REFERRAL = {"source_kind": "self", "urgency": "routine"}
RATINGS = {"1": 0, "2": 1, "3": 1, "4": 2, "5": 2, "6": 1}
LEVEL = {"system": "asam", "edition": "3", "code": "2.1"}
ANSWERING = ("clinical_supervisor", "program_director", "privacy_officer")
PROGRAM = "evening-groups"
STAGES = ("referred", "acknowledged", "assessed", "placed", "admitted", "oriented")


ORIENTED = {"rules_accepted": ["attendance", "screens"], "part2_notice_at": START.isoformat()}


class Path:
    """One episode on its way, over HTTP."""

    def __init__(self, served: Served, told: dict[str, Any]) -> None:
        self.served = served
        self.id: str = told["episode_id"]
        self.person_id: str = told["person_id"]
        self.subject = f"episode/{self.id}"

    @classmethod
    async def begin(cls, served: Served, person_id: str | None = None) -> Path:
        served.acting_as("intake_coordinator")
        body = {**REFERRAL, **({} if person_id is None else {"person_id": person_id})}
        return cls(served, await served.does("/referrals", body))

    @classmethod
    async def until(
        cls, served: Served, stage: str, person_id: str | None = None, prior: str | None = None
    ) -> Path:
        path = await cls.begin(served, person_id)
        for step in STAGES[1 : STAGES.index(stage) + 1]:
            await path.go(step, prior)
        return path

    async def go(self, step: str, prior: str | None = None) -> None:
        served, of = self.served.acting_as("clinician"), {"episode_id": self.id}
        match step:
            case "acknowledged":
                await served.does(f"/referrals/{self.id}/ack")
            case "assessed":
                starts = {**of, "starts_at": served.now().isoformat()}
                await served.does("/assessments", starts)
                assessment = f"/assessments/{self.state.assessment.assessment_id}"
                found = {
                    **of,
                    "edition": "3",
                    "ratings": RATINGS,
                    "severity": "moderate",
                    "co_occurring": "capable",
                    "imminent_danger": False,
                }
                await served.does(f"{assessment}/complete", found)
                await served.does(f"{assessment}/recommendation", of)
            case "placed":
                await served.does("/placements", {**of, "actual_level": LEVEL})
            case "admitted":
                body = {
                    **of,
                    "population": "adult",
                    "court_involved": False,
                    "program": PROGRAM,
                    "length_weeks": 16,
                    "time_zone": "America/Chicago",
                }
                await served.does("/episodes", {**body, "prior_episode_id": prior})
            case _:
                body = {
                    "rules_accepted": ["attendance", "screens"],
                    "part2_notice_at": served.now().isoformat(),
                }
                await served.does(f"/episodes/{self.id}/orientation", body)

    @property
    def state(self) -> Any:
        return self.served.state(self.subject)

    @property
    def person(self) -> Any:
        return self.served.state(f"person/{self.person_id}")

    def of(self, event_type: type[Any]) -> list[Any]:
        return [e for e in self.served.said(self.subject) if isinstance(e, event_type)]

    async def discharged(self) -> None:
        await self.served.hear(
            self.subject, fact(plans.EpisodeDischarged, discharged_at=self.served.now())
        )

    async def takes_back(self, what: str, body: dict[str, Any], **more: Any) -> Any:
        return await self.served.acting_as("clinical_supervisor").post(
            what.format(self.id), body, **more
        )

    async def void(self, reason: str = "test_entry", **more: Any) -> Any:
        return await self.takes_back("/episodes/{}/entered-in-error", {"reason": reason}, **more)

    async def undo(self) -> Any:
        return await self.takes_back("/episodes/{}/admission/undo", {"reason": "not_intended"})

    async def give_to(self, person_id: str) -> Any:
        return await self.takes_back("/episodes/{}/person", {"person_id": person_id})

    async def merge(self, into: str) -> Any:
        return await self.takes_back("/referrals/{}/merge", {"into_episode_id": into})


@pytest.fixture
async def served() -> Served:
    return await register(Served(SERVICE))


def at_rest(path: Path) -> None:
    """Nothing of it is waited for, and every escalation that was said is taken back."""
    assert path.state.loops == {}
    assert path.state.deadlines == {}
    said: dict[tuple[str, str], int] = {}
    for event in path.served.said(path.subject):
        if isinstance(event, intake.LoopEscalated):
            said[event.loop, event.loop_id] = event.step
        if isinstance(event, intake.EscalationCleared):
            assert said.pop((event.loop, event.loop_id)) == event.step_reached
    assert said == {}


def reasons_after(path: Path, mistake: Event) -> set[ClearedReason]:
    """Why escalations were taken back with the mistake."""
    said = path.served.said(path.subject)
    after = said[said.index(mistake) :]
    return {e.reason for e in after if isinstance(e, intake.EscalationCleared)}


# --- entered in error -----------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 40])
@pytest.mark.parametrize("stage", STAGES)
async def test_what_was_entered_in_error_is_waited_for_no_more(
    served: Served, stage: str, days: int
) -> None:
    path = await Path.until(served, stage)
    await served.after(days=days)
    assert (await path.void()).status_code == 200
    [event] = path.of(intake.EpisodeEnteredInError)
    assert event.reason is MistakeReason.TEST_ENTRY
    at_rest(path)
    assert path.state.void
    assert path.person.episodes == {path.id: False}
    assert reasons_after(path, event) == (
        {ClearedReason.ENTERED_IN_ERROR} if days and stage != "oriented" else set()
    )
    before = served.names(path.subject)
    await served.after(days=400)
    assert served.names(path.subject) == before, "it says nothing any more"
    assert (await served.get("/loops")).json()["loops"] == []


COMMANDS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/referrals/{}/ack", {}),
    ("POST", "/referrals/{}/decline", {"reason": "payer"}),
    ("POST", "/referrals/{}/close", {"outcome": "lost"}),
    ("POST", "/assessments", {"episode_id": "{}", "starts_at": START.isoformat()}),
    ("POST", "/placements", {"episode_id": "{}", "actual_level": LEVEL}),
    ("POST", "/episodes/{}/orientation", ORIENTED),
    ("POST", "/episodes/{}/entered-in-error", {"reason": "duplicate"}),
    ("POST", "/episodes/{}/admission/undo", {"reason": "duplicate"}),
    ("PUT", "/episodes/{}/team", {"role": "clinician", "staff_id": uid("x")}),
]  # fmt: skip


async def test_nothing_more_is_done_about_it(served: Served) -> None:
    path = await Path.until(served, "admitted")
    other = await Path.begin(served)
    await path.void()
    before = path.state
    for method, route, body in COMMANDS:
        for role in ("clinician", "clinical_supervisor"):
            filled = {k: v.format(path.id) if v == "{}" else v for k, v in body.items()}
            answer = await served.acting_as(role).send(method, route.format(path.id), filled)
            if answer.json()["code"] != "role-not-allowed":
                refused(answer, 409, "entered-in-error")
    refused(await path.give_to(other.person_id), 409, "entered-in-error")
    refused(await path.merge(other.id), 409, "entered-in-error")
    refused(await other.merge(path.id), 409, "different-persons")
    assert path.state == before


async def test_what_others_still_say_of_it_changes_nothing(served: Served) -> None:
    path = await Path.until(served, "oriented")
    await path.void()
    said = served.names(path.subject)
    await path.discharged()
    assert served.names(path.subject) == said
    assert path.state.loops == {}


async def test_a_repeated_command_is_one_mistake(served: Served) -> None:
    path = await Path.begin(served)
    first = await path.void(key="once")
    again = await path.void(key="once")
    assert (first.json(), again.status_code) == (again.json(), 200)
    assert len(path.of(intake.EpisodeEnteredInError)) == 1
    refused(await path.void("duplicate", key="once"), 422, "idempotency-key-reused")


async def test_treatment_that_was_none_ends_what_ends_with_treatment(served: Served) -> None:
    path = await Path.until(served, "admitted")
    served.acting_as("intake_coordinator")
    await served.does(
        "/consents",
        {
            "person_id": path.person_id,
            "kind": "specific",
            "discloser_id": "harbor-iop",
            "recipients": ["harbor-detox"],
            "categories": ["attendance"],
            "purpose": "care_coordination",
            "effective_at": START.isoformat(),
            "expires_with": "end_of_treatment",
            "statements": ["right_to_revoke"],
            "signed_on": "2026-03-02",
            "document_sha256": "9f" * 32,
        },
    )
    await path.void()
    await served.after(days=1)
    assert "consent-expired" in served.names(f"person/{path.person_id}")


# --- somebody else's ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
async def test_an_episode_goes_to_the_person_whose_it_is(served: Served, stage: str) -> None:
    path, other = await Path.until(served, stage), await Path.begin(served)
    before = path.state
    assert (await path.give_to(other.person_id)).status_code == 200
    [event] = path.of(intake.EpisodePersonCorrected)
    assert (event.previous_person_id, event.person_id) == (path.person_id, other.person_id)
    assert path.state == before.replace(person_id=other.person_id), "what happened stands"
    assert (path.person.episodes, path.person.left) == ({}, (path.id,))
    assert other.person.episodes == {other.id: True, path.id: True}
    await path.give_to(path.person_id)
    assert path.person.episodes == {path.id: True}
    assert other.person.episodes == {other.id: True}


async def test_a_closed_episode_goes_closed(served: Served) -> None:
    path, other = await Path.until(served, "oriented"), await Path.begin(served)
    await path.discharged()
    await path.give_to(other.person_id)
    assert other.person.episodes == {other.id: True, path.id: False}


async def test_no_consent_goes_along(served: Served) -> None:
    path, other = await Path.begin(served), await Path.begin(served)
    granted = await served.does(
        "/consents",
        {
            "person_id": path.person_id,
            "kind": "specific",
            "discloser_id": "harbor-iop",
            "recipients": ["harbor-detox"],
            "categories": ["referral_status"],
            "purpose": "care_coordination",
            "effective_at": START.isoformat(),
            "expires_on": "2026-12-31",
            "statements": ["right_to_revoke"],
            "signed_on": "2026-03-02",
            "document_sha256": "9f" * 32,
        },
    )
    await path.give_to(other.person_id)
    assert set(path.person.consents) == {granted["consent_id"]}
    assert other.person.consents == {}
    answer = await served.acting_as("case_manager").post(
        "/outbound-referrals",
        {
            "episode_id": path.id,
            "target_kind": "withdrawal_management",
            "target_facility_id": "harbor-detox",
            "consent_id": granted["consent_id"],
            "respond_within_hours": 24,
        },
    )
    refused(answer, 403, "consent-missing")


async def test_whose_it_cannot_be(served: Served) -> None:
    path = await Path.begin(served)
    refused(await path.give_to(path.person_id), 409, "person-unchanged")
    refused(await path.give_to(uid("nobody")), 404, "unknown-person")
    refused(await path.give_to("not-an-id"), 422, "request-invalid")
    served.acting_as("intake_coordinator", "x", "river-iop")
    theirs = await served.does("/referrals", REFERRAL)
    refused(await path.give_to(theirs["person_id"]), 403, "other-facility")


# --- two referrals of one person ------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 40])
@pytest.mark.parametrize("stage", ["referred", "acknowledged", "assessed", "placed"])
async def test_a_second_referral_goes_into_the_first(served: Served, stage: str, days: int) -> None:
    first = await Path.until(served, "admitted")
    second = await Path.until(served, stage, first.person_id)
    await served.after(days=days)
    going_on = first.state
    assert (await second.merge(first.id)).status_code == 200
    [event] = second.of(intake.ReferralMerged)
    assert event.into_episode_id == first.id
    at_rest(second)
    assert reasons_after(second, event) == ({ClearedReason.SUPERSEDED} if days else set())
    assert second.person.episodes == {first.id: True, second.id: False}
    assert first.state == going_on
    served.acting_as("intake_coordinator")
    refused(await served.post(f"/referrals/{second.id}/ack"), 409, "entered-in-error")


async def test_what_is_not_merged(served: Served) -> None:
    one = await Path.begin(served)
    two = await Path.begin(served, one.person_id)
    stranger = await Path.begin(served)
    admitted = await Path.until(served, "admitted", one.person_id)
    gone = await Path.begin(served, one.person_id)
    await served.does(f"/referrals/{gone.id}/close", {"outcome": "lost"})
    refused(await one.merge(one.id), 422, "merged-into-itself")
    refused(await one.merge(stranger.id), 409, "different-persons")
    refused(await one.merge(gone.id), 409, "other-episode-closed")
    refused(await gone.merge(one.id), 409, "episode-closed")
    refused(await admitted.merge(one.id), 409, "already-admitted")
    refused(await one.merge(uid("nothing")), 404, "unknown-episode")
    refused(await one.merge("x"), 422, "request-invalid")
    assert (await two.merge(one.id)).status_code == 200
    refused(await one.merge(two.id), 409, "other-episode-closed")


# --- an admission that was none -------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 20])
@pytest.mark.parametrize("stage", ["admitted", "oriented"])
async def test_who_was_not_admitted_waits_to_be(served: Served, stage: str, days: int) -> None:
    placed = (await Path.until(served, "placed")).state
    path = await Path.until(served, stage)
    await served.after(days=days)
    assert (await path.undo()).status_code == 200
    [event] = path.of(intake.AdmissionUndone)
    assert event.reason is MistakeReason.NOT_INTENDED
    state = path.state
    assert state.admission is None
    assert state.referral.outcome is None, "the referral is open again"
    assert (state.placed_level, state.closed_at) == (placed.placed_level, None)
    assert [loop.kind for loop in state.loops.values()] == [IntakeLoop.ADMISSION]
    assert path.person.episodes == {path.id: True}
    await path.go("admitted")
    await path.go("oriented")
    assert len(path.of(intake.PatientAdmitted)) == 2
    at_rest(path)


@pytest.mark.parametrize("stage", STAGES[: STAGES.index("admitted")])
async def test_nobody_is_un_admitted_before(served: Served, stage: str) -> None:
    refused(await (await Path.until(served, stage)).undo(), 409, "not-admitted")


@pytest.mark.fault("F53")
async def test_an_admission_that_was_undone_by_mistake_has_a_way_back_that_is_named(
    served: Served,
) -> None:
    path = await Path.until(served, "oriented")
    await path.undo()
    answer = await path.undo()
    refused(answer, 409, "not-admitted")
    assert "POST /episodes" in answer.json()["hint"]
    await path.go("admitted")
    assert path.state.admission is not None


async def test_nobody_is_un_admitted_after(served: Served) -> None:
    path = await Path.until(served, "oriented")
    await path.discharged()
    refused(await path.undo(), 409, "episode-closed")


# --- a readmission that was none ------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("how", ["undo", "void", "give"])
@pytest.mark.scenario(11)
async def test_who_is_not_back_is_waited_for_again(
    served: Served, how: str, *, asked: bool
) -> None:
    old = await Path.until(served, "oriented")
    await old.discharged()
    if asked:
        await served.hear(old.subject, fact(followup.ReadmissionRequested))
    stranger = await Path.begin(served)
    new = await Path.until(served, "admitted", old.person_id, old.id)
    assert old.state.readmitted_as == new.id
    assert old.state.loops == {}
    match how:
        case "undo":
            await new.undo()
        case "void":
            await new.void()
        case _:
            await new.give_to(stranger.person_id)
            assert new.state.admission.prior_episode_id is None
    assert old.state.readmitted_as is None
    waited = [loop.kind for loop in old.state.loops.values()]
    assert waited == ([IntakeLoop.READMISSION] if asked else [])


# --- who may --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "role",
    [
        *("intake_coordinator", "clinician", "counselor", "nurse", "case_manager", "operator"),
        *("peer_specialist", "partner", *ANSWERING),
    ],
)
async def test_only_who_answers_for_the_program_takes_back(served: Served, role: str) -> None:
    path = await Path.until(served, "admitted")
    first = await Path.begin(served)
    second = await Path.begin(served, first.person_id)
    tries = [
        (f"/referrals/{second.id}/merge", {"into_episode_id": first.id}),
        (f"/episodes/{path.id}/person", {"person_id": first.person_id}),
        (f"/episodes/{path.id}/admission/undo", {"reason": "other"}),
        (f"/episodes/{path.id}/entered-in-error", {"reason": "other"}),
    ]
    for route, body in tries:
        answer = await served.acting_as(role).post(route, body)
        if role in ANSWERING:
            assert answer.status_code == 200, answer.text
        else:
            refused(answer, 403, "role-not-allowed")


@pytest.mark.parametrize(
    "route",
    ["/episodes/{}/entered-in-error", "/episodes/{}/admission/undo"],
)
@pytest.mark.parametrize(
    "body", [{}, {"reason": "unknown"}, {"reason": "because"}, {"reason": "other", "note": "x"}]
)
async def test_a_reason_is_a_code(served: Served, route: str, body: dict[str, Any]) -> None:
    path = await Path.until(served, "admitted")
    refused(await path.takes_back(route, body), 422, "request-invalid")
    nothing = route.format(uid("nothing"))
    refused(await served.post(nothing, {"reason": "other"}), 404, "unknown-episode")


# --- whatever happens -----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["undo", "admit", "give", "back", "wait", "void"]), max_size=7))
async def test_every_episode_is_one_persons_whatever_is_taken_back(deeds: list[str]) -> None:
    served = Served(SERVICE)
    path, other = await Path.until(served, "admitted"), await Path.begin(served)
    for deed in deeds:
        match deed:
            case "undo":
                await path.undo()
            case "give":
                await path.give_to(other.person_id)
            case "back":
                await path.give_to(path.person_id)
            case "void":
                await path.void()
            case "wait":
                await served.after(days=9)
            case _ if path.state.admission is None and not path.state.void:
                await path.go("admitted")
            case _:
                pass
        holders = [p for p in (path, other) if path.id in p.person.episodes]
        assert [p.person_id for p in holders] == [path.state.person_id]
        assert holders[0].person.episodes[path.id] is (path.state.closed_at is None)
    if path.state.void:
        at_rest(path)
    else:
        assert path.state.loops, "somebody has the next step"
