"""Erasure: the key is destroyed, every read says so, nothing hangs, and nothing else of the person changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from services.intake.app import SERVICE
from shared.runtime.vault.vault import Vault
from shared.testing.fake_keys import memory_vault
from tests.unit.intake.partners import register
from tests.unit.served import Served, refused
from tests.unit.support import START, uid

WHO = {
    "given_name": "Zephyrine",
    "family_name": "Quillfeather",
    "born_on": "1987-04-19",
    "contacts": [{"channel": "sms", "value": "+15555550142"}],
}
NAMES = {name: WHO[name] for name in ("given_name", "family_name", "born_on")}
REFERRAL = {"source_kind": "self", "urgency": "routine"}
GONE_ON = "2026-04-01"
"""Thirty days after `START`."""


@pytest.fixture
async def intake() -> Served:
    return await register(Served(SERVICE), "harbor-ed")


async def known(intake: Served) -> tuple[str, str]:
    """A person with an identity and an open episode: both ids."""
    told = await intake.acting_as("intake_coordinator").does("/referrals", REFERRAL)
    answer = await intake.put(f"/people/{told['person_id']}/identity", WHO)
    assert answer.status_code == 200, answer.text
    return told["person_id"], told["episode_id"]


def emergency(person_id: str, episode_id: str) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "episode_id": episode_id,
        "recipient_id": "harbor-ed",
        "personnel_name": "Zephyrine Doctor",
        "personnel_role": "ed-physician",
        "categories": ["medication"],
        "discloser_id": uid("nurse"),
        "disclosed_at": START.isoformat(),
        "nature": "overdose",
    }


async def erase(intake: Served, person_id: str, **more: Any) -> Any:
    body = {"confirm_person_id": person_id, "why": "retention-over"}
    return await intake.acting_as("privacy_officer", "officer").does(
        f"/people/{person_id}/erasure", body, **more
    )


async def read(intake: Served, person_id: str, purpose: str = "privacy_review") -> Any:
    intake.acting_as("privacy_officer", "officer")
    return await intake.get(f"/people/{person_id}/identity", params={"purpose": purpose})


async def test_an_erased_person_is_erased_for_every_reader(intake: Served) -> None:
    person_id, episode_id = await known(intake)
    intake.acting_as("nurse")
    await intake.does("/disclosures/emergency", emergency(person_id, episode_id))
    told = await erase(intake, person_id)
    assert told["last_copy_gone_on"] == GONE_ON
    for role, purpose in (
        ("privacy_officer", "privacy_review"),
        ("intake_coordinator", "contact"),
        ("nurse", "treatment"),
    ):
        intake.acting_as(role)
        path = f"/people/{person_id}/identity"
        answer = await intake.get(path, params={"purpose": purpose})
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"status": "erased", "erased_at": told["erased_at"]}
        assert answer.headers["cache-control"] == "no-store"
    found = await intake.acting_as("case_manager").post("/people/matches", NAMES)
    assert found.json()["person_ids"] == []


async def test_what_would_write_a_name_is_refused_and_makes_no_key(intake: Served) -> None:
    person_id, episode_id = await known(intake)
    await erase(intake, person_id)
    intake.acting_as("intake_coordinator")
    refused(await intake.put(f"/people/{person_id}/identity", WHO), 409, "identity-erased")
    told = emergency(person_id, episode_id)
    refused(await intake.post("/disclosures/emergency", told), 409, "identity-erased")
    one = intake.key_store.persons[person_id]
    assert (one.key, one.tokens) == (None, [])
    assert intake.state(f"identity/{person_id}").sealed is None


async def test_what_waits_about_the_person_goes_on(intake: Served) -> None:
    person_id, episode_id = await known(intake)
    told = await intake.acting_as("nurse").does(
        "/disclosures/emergency", emergency(person_id, episode_id)
    )
    before = intake.state(f"episode/{episode_id}")
    await erase(intake, person_id)
    assert intake.state(f"episode/{episode_id}") == before, "states have no names"
    intake.acting_as("privacy_officer")
    path = f"/disclosures/{told['disclosure_id']}/review"
    await intake.does(path, {"episode_id": episode_id})
    loops = (await intake.get("/loops")).json()["loops"]
    assert "disclosure_review" not in {loop["kind"] for loop in loops}
    assert not intake.store.set_aside
    assert not intake.disk.dead_letters


async def test_erasing_again_says_the_same_and_changes_nothing(intake: Served) -> None:
    person_id, _ = await known(intake)
    first = await erase(intake, person_id, key="once")
    await intake.after(days=3)
    for key in ("once", "again"):
        again = await erase(intake, person_id, key=key)
        assert (again["erased_at"], again["last_copy_gone_on"]) == (first["erased_at"], GONE_ON)
    about = {"subject": f"identity/{person_id}", "kind": "command"}
    found = (await intake.acting_as("privacy_officer").get("/audit", params=about)).json()
    entries = [one for one in found["entries"] if one.get("purpose") == "erasure"]
    assert entries
    assert {one["actor_id"] for one in entries} == {uid("officer")}


async def test_who_has_no_identity_yet_gets_none_after_an_erasure(intake: Served) -> None:
    told = await intake.acting_as("intake_coordinator").does("/referrals", REFERRAL)
    await erase(intake, told["person_id"])
    answer = await read(intake, told["person_id"])
    assert answer.json()["status"] == "erased"


async def test_what_an_erasure_means_is_shown_before(intake: Served) -> None:
    person_id, _ = await known(intake)
    path = f"/people/{person_id}/erasure"
    intake.acting_as("privacy_officer")
    assert (await intake.get(path)).json() == {
        "status": "known",
        "erased_at": None,
        "open_episodes": 1,
        "last_copy_gone_on": GONE_ON,
    }
    told = await erase(intake, person_id)
    shown = (await intake.get(path)).json()
    assert (shown["status"], shown["erased_at"]) == ("erased", told["erased_at"])


async def test_every_erasure_is_in_the_audit_of_operators(intake: Served) -> None:
    person_id, _ = await known(intake)
    await erase(intake, person_id)
    [entry] = await intake.dead_letters.audit(None, 10)
    assert (entry["action"], entry["actor_id"]) == ("erase", uid("officer"))
    assert (entry["why"], entry["subject"]) == ("retention-over", f"identity/{person_id}")
    assert entry["result"]["last_copy_gone_on"] == GONE_ON


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"confirm_person_id": uid("another")}, 422, "confirmation-differs"),
        ({"confirm_person_id": "Zephyrine"}, 422, "request-invalid"),
        ({"why": "She asked for it."}, 422, "request-invalid"),
        ({"why": None}, 422, "request-invalid"),
        ({"person": "x"}, 422, "request-invalid"),
    ],
)
async def test_what_is_not_confirmed_erases_nothing(
    intake: Served, body: dict[str, Any], status: int, code: str
) -> None:
    person_id, _ = await known(intake)
    whole = {"confirm_person_id": person_id, "why": "retention-over"}
    intake.acting_as("privacy_officer")
    refused(await intake.post(f"/people/{person_id}/erasure", {**whole, **body}), status, code)
    assert (await read(intake, person_id)).json()["given_name"] == "Zephyrine"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "idempotency-key-required"),
        ({"Idempotency-Key": "a key", "If-Match": '"7"'}, 412, "revision-outdated"),
        ({"Idempotency-Key": "a key", "If-Match": "seven"}, 422, "if-match-invalid"),
    ],
)
async def test_a_command_that_is_none_erases_nothing(
    intake: Served, headers: dict[str, str], status: int, code: str
) -> None:
    person_id, _ = await known(intake)
    intake.acting_as("privacy_officer")
    body = {"confirm_person_id": person_id, "why": "retention-over"}
    path = f"/people/{person_id}/erasure"
    refused(await intake.client.post(path, json=body, headers=headers), status, code)
    assert (await read(intake, person_id)).json()["given_name"] == "Zephyrine"
    assert await intake.dead_letters.audit(None, 10) == []


@pytest.mark.parametrize("role", ["operator", "program_director", "clinician", "partner", "x"])
async def test_only_the_privacy_officer_erases(intake: Served, role: str) -> None:
    person_id, _ = await known(intake)
    body = {"confirm_person_id": person_id, "why": "retention-over"}
    intake.acting_as(role)
    path = f"/people/{person_id}/erasure"
    refused(await intake.post(path, body), 403, "role-not-allowed")
    refused(await intake.get(path), 403, "role-not-allowed")
    intake.acting_as("privacy_officer", "stranger", "river-iop")
    refused(await intake.post(path, body), 403, "other-facility")
    nobody = {**body, "confirm_person_id": uid("nobody")}
    refused(await intake.post(f"/people/{uid('nobody')}/erasure", nobody), 404, "unknown-person")
    assert (await read(intake, person_id)).json()["status"] == "known"


# --- copies, replicas, crashes ---------------------------------------------------------------------------


async def test_a_store_from_before_the_erasure_gives_nothing_back(intake: Served) -> None:
    """A backup or a journal has what was sealed; the key is in neither. All other records come back as they were."""
    person_id, _ = await known(intake)
    subject = f"identity/{person_id}"
    before = copy.deepcopy(intake.disk.records)
    await erase(intake, person_id)
    erased_only = {name for name, raw in intake.disk.records.items() if before.get(name) != raw}
    assert erased_only == {subject}
    intake.disk.records[subject] = before[subject]
    assert intake.state(subject).sealed is not None
    for vault in (intake.vault, memory_vault(intake.key_store)):
        intake.vault = vault
        assert (await read(intake, person_id)).json()["status"] == "erased"
        found = await intake.acting_as("case_manager").post("/people/matches", NAMES)
        assert found.json()["person_ids"] == []
    refused(
        await intake.acting_as("intake_coordinator").put(f"/people/{person_id}/identity", WHO),
        409,
        "identity-erased",
    )


async def test_another_replica_that_holds_the_key_shows_nothing(intake: Served) -> None:
    person_id, _ = await known(intake)
    here, there = intake.vault, memory_vault(intake.key_store)
    intake.vault = there
    assert (await read(intake, person_id)).json()["status"] == "known"
    intake.vault = here
    await erase(intake, person_id)
    intake.vault = there
    assert there.held == 1
    assert (await read(intake, person_id)).json()["status"] == "erased"


async def test_a_crash_after_the_key_is_destroyed_leaves_nobody_readable(intake: Served) -> None:
    person_id, _ = await known(intake)
    await intake.vault.erase(person_id, "harbor-iop", START)
    assert (await read(intake, person_id)).json()["status"] == "erased"
    told = await erase(intake, person_id)
    assert told["last_copy_gone_on"] == GONE_ON
    assert intake.state(f"identity/{person_id}").sealed is None


async def test_a_write_that_the_erasure_overtakes_is_lost(
    intake: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    person_id, _ = await known(intake)
    given_out = Vault.add_to_index

    async def overtaken(self: Vault, *arguments: Any) -> None:
        await given_out(self, *arguments)
        monkeypatch.undo()
        await erase(intake, person_id)
        intake.acting_as("intake_coordinator")

    monkeypatch.setattr(Vault, "add_to_index", overtaken)
    intake.acting_as("intake_coordinator")
    answer = await intake.put(f"/people/{person_id}/identity", {**WHO, "given_name": "Zoe"})
    refused(answer, 409, "identity-erased")
    assert intake.state(f"identity/{person_id}").sealed is None
    assert intake.key_store.persons[person_id].key is None


async def test_a_lost_key_is_not_shown_as_an_erasure(intake: Served) -> None:
    person_id, _ = await known(intake)
    del intake.key_store.persons[person_id]
    intake.vault = memory_vault(intake.key_store)
    refused(await read(intake, person_id), 503, "identity-key-missing")
    intake.acting_as("intake_coordinator")
    refused(await intake.put(f"/people/{person_id}/identity", WHO), 503, "identity-key-missing")
