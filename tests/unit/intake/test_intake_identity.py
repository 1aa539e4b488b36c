"""Identity: written, read for a purpose, found again; each access in a log, and no name anywhere else."""

from __future__ import annotations

import json
import logging
from collections import Counter
from datetime import date
from hashlib import sha256
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.intake.app import SERVICE
from services.intake.person import accounting, identity
from services.intake.person.accounting import Accounting, Disclosed, Disclosure
from services.intake.person.identity import (
    AccessPurpose,
    Channel,
    Contact,
    Identity,
    MaySay,
    Sought,
)
from shared.contracts.intake import DisclosureBasis
from shared.errors import Forbidden
from shared.runtime.audit.api import READERS
from shared.testing.fake_keys import memory_vault
from shared.testing.fakes import decoded, encoded
from tests.unit.intake.partners import register
from tests.unit.served import Served, refused
from tests.unit.support import START, cause, uid

CANARY = {
    "given_name": "Zephyrine",
    "family_name": "Quillfeather",
    "born_on": "1987-04-19",
    "contacts": [
        {"channel": "sms", "value": "+15555550142"},
        {"channel": "email", "value": "zq@canary.example", "may_say": "program_named"},
        {"channel": "letter", "value": "17 Canary Row, Harborton"},
    ],
    "language": "es",
}
SECRETS = (
    *("Zephyrine", "Quillfeather", "zephyrine", "quillfeather", "1987-04-19"),
    *("5555550142", "canary.example", "Canary Row"),
)
REFERRAL = {"source_kind": "self", "urgency": "routine"}


@pytest.fixture
async def intake() -> Served:
    return await register(Served(SERVICE), "harbor-ed")


async def referred(intake: Served) -> tuple[str, str]:
    """A person and their episode."""
    told = await intake.acting_as("intake_coordinator").does("/referrals", REFERRAL)
    return told["person_id"], told["episode_id"]


async def known(intake: Served, **changes: Any) -> str:
    """A person whose identity is written down."""
    person_id, _ = await referred(intake)
    answer = await intake.put(f"/people/{person_id}/identity", {**CANARY, **changes})
    assert answer.status_code == 200, answer.text
    return person_id


async def accesses(intake: Served, person_id: str, **params: Any) -> list[dict[str, Any]]:
    """The entries of the audit about this identity, the earliest first."""
    asked = {"subject": f"identity/{person_id}", **params}
    answer = await intake.acting_as("privacy_officer").get("/audit", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return [
        entry
        for entry in reversed(found)
        if "/identity" in entry["what"] or "/matches" in entry["what"]
    ]


def kinds(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(entry["kind"], entry["outcome"]) for entry in entries]


WRITTEN = ("command", "applied")


# --- written and read -----------------------------------------------------------------------------------


async def test_what_was_written_is_read(intake: Served) -> None:
    person_id = await known(intake)
    answer = await intake.get(f"/people/{person_id}/identity", params={"purpose": "contact"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert (found["given_name"], found["born_on"]) == ("Zephyrine", "1987-04-19")
    assert found["language"] == "es"
    assert found["contacts"][0]["may_say"] == "call_back_only", "never the program, by default"
    assert found["safe_channel"] == found["contacts"][0]


async def test_an_identity_is_replaced_whole(intake: Served) -> None:
    person_id = await known(intake)
    body = {**CANARY, "purpose": "correction", "contacts": []}
    await intake.put(f"/people/{person_id}/identity", body)
    answer = await intake.get(f"/people/{person_id}/identity", params={"purpose": "contact"})
    assert answer.json()["contacts"] == []
    assert answer.json()["safe_channel"] is None


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, True),
        ({"given_name": "  Ana  María "}, True),
        ({"given_name": "李"}, True),
        ({"given_name": ""}, False),
        ({"given_name": "   "}, False),
        ({"given_name": "a" * 101}, False),
        ({"given_name": "bell\u0007"}, False),
        ({"born_on": "not a day"}, False),
        ({"born_on": None}, False),
        ({"language": "spanish"}, False),
        ({"language": "pt-BR"}, True),
        ({"contacts": [{"channel": "voice", "value": "555-0142"}]}, False),
        ({"contacts": [{"channel": "email", "value": "nobody"}]}, False),
        ({"contacts": [{"channel": "fax", "value": "+15555550142"}]}, False),
        ({"contacts": CANARY["contacts"] * 4}, False),
        ({"contacts": [{"channel": "voice", "value": "+15555550142", "may_say": "nothing"}]}, True),
        ({"contacts": [{**CANARY["contacts"][0], "may_say": "program_named"}]}, False),
        ({"note": "someone"}, False),
        ({"purpose": "treatment"}, False),
        ({"purpose": "curiosity"}, False),
    ],
)
async def test_identities_that_are_taken(
    intake: Served, changes: dict[str, Any], *, accepted: bool
) -> None:
    person_id, _ = await referred(intake)
    answer = await intake.put(f"/people/{person_id}/identity", {**CANARY, **changes})
    assert (answer.status_code == 200) is accepted, answer.text
    if not accepted:
        assert answer.status_code in (403, 422)
        assert answer.json()["code"] in ("request-invalid", "purpose-not-allowed")
        assert not any(secret in answer.text for secret in SECRETS), "a refusal repeats nothing"


@pytest.mark.parametrize(
    ("born_on", "plausible"),
    [("2026-03-02", True), ("2026-03-03", False), ("1896-01-01", True), ("1895-12-31", False)],
)
async def test_birth_days_of_the_living(intake: Served, born_on: str, *, plausible: bool) -> None:
    person_id, _ = await referred(intake)
    answer = await intake.put(f"/people/{person_id}/identity", {**CANARY, "born_on": born_on})
    if plausible:
        assert answer.status_code == 200
    else:
        refused(answer, 422, "birth-date-implausible")


@pytest.mark.parametrize("channel", [*Channel])
@pytest.mark.parametrize("may_say", [*MaySay])
def test_what_is_left_behind_never_names_the_program(channel: Channel, may_say: MaySay) -> None:
    """Anyone may listen to a voicemail or read a text: docs/domain.md 4.1 (Scope)."""
    value = {Channel.EMAIL: "a@b.example", Channel.LETTER: "1 Some Street"}.get(channel)
    body = {"channel": channel, "value": value or "+15555550142", "may_say": may_say}
    if channel in (Channel.SMS, Channel.VOICEMAIL) and may_say is MaySay.PROGRAM_NAMED:
        with pytest.raises(ValidationError):
            Contact.model_validate(body)
    else:
        assert Contact.model_validate(body).may_say is may_say


def test_a_channel_that_is_not_safe_is_never_the_safe_one() -> None:
    contacts = [
        {"channel": "voice", "value": "+15555550142", "may_say": "nothing"},
        {"channel": "email", "value": "a@b.example"},
    ]
    known = Identity.model_validate({**CANARY, "contacts": contacts})
    assert known.safe_channel is not None
    assert known.safe_channel.channel is Channel.EMAIL


# --- who may ---------------------------------------------------------------------------------------------

ROLES = (
    *("intake_coordinator", "clinician", "counselor", "nurse", "case_manager", "peer_specialist"),
    *("clinical_supervisor", "program_director", "privacy_officer", "operator", "partner", "x"),
)


@pytest.mark.parametrize("role", ROLES)
async def test_every_role_sees_only_for_its_purposes(intake: Served, role: str) -> None:
    person_id = await known(intake)
    for purpose in AccessPurpose:
        before = len(await accesses(intake, person_id))
        answer = await intake.acting_as(role, "reader").get(
            f"/people/{person_id}/identity", params={"purpose": purpose.value}
        )
        may = role in identity.ALLOWED[purpose]
        assert answer.status_code == (200 if may else 403), (role, purpose)
        after = await accesses(intake, person_id)
        assert len(after) - before == int(may), "seen exactly when it is written down"
        if may:
            [row] = [one for one in after if one["kind"] == "read"][-1:]
            assert (row["actor_id"], row["role"]) == (uid("reader"), role)
            assert (row["outcome"], row["purpose"]) == ("shown", purpose.value)


@pytest.mark.parametrize("role", ["operator", "partner", "system", "x"])
def test_nobody_outside_care_ever_sees_an_identity(role: str) -> None:
    for purpose in AccessPurpose:
        with pytest.raises(Forbidden):
            identity.permit(purpose, role)


@pytest.mark.parametrize(
    ("purpose", "code"), [(None, "request-invalid"), ("curiosity", "request-invalid")]
)
async def test_nothing_is_shown_without_a_purpose(
    intake: Served, purpose: str | None, code: str
) -> None:
    person_id = await known(intake)
    params = {} if purpose is None else {"purpose": purpose}
    refused(await intake.get(f"/people/{person_id}/identity", params=params), 422, code)


@pytest.mark.parametrize("role", [role for role in ROLES if role not in READERS])
async def test_only_privacy_officers_and_directors_read_the_audit(
    intake: Served, role: str
) -> None:
    refused(await intake.acting_as(role).get("/audit"), 403, "role-not-allowed")


@pytest.mark.parametrize(
    "state", ["gone", {"sealed": 7}, {"sealed": "no seal"}, {"sealed": "AAAA"}, {"sealed": ""}]
)
async def test_one_who_cannot_be_read_stops_no_search(intake: Served, state: Any) -> None:
    bad, good = await known(intake), await known(intake)
    name = f"identity/{bad}"
    document = decoded(intake.disk.records[name])
    kept: dict[str, Any] = document["state"]
    intake.disk.records[name] = encoded(
        document | {"state": kept | state if isinstance(state, dict) else state}
    )
    answer = await intake.post("/people/matches", _names(CANARY))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["person_ids"], answer.json()["left_out"]) == ([good], [name])


async def test_another_facility_sees_nothing_and_leaves_a_trace(intake: Served) -> None:
    person_id = await known(intake)
    other = intake.acting_as("clinician", "stranger", "river-iop")
    path = f"/people/{person_id}/identity"
    refused(await other.get(path, params={"purpose": "treatment"}), 403, "other-facility")
    intake.acting_as("intake_coordinator", "stranger", "river-iop")
    refused(await intake.put(path, CANARY), 403, "other-facility")
    found = await intake.post("/people/matches", _names(CANARY))
    assert found.json()["person_ids"] == []
    assert kinds(await accesses(intake, person_id)) == [WRITTEN]
    answer = await intake.acting_as("privacy_officer").get(
        "/audit", params={"subject": f"person/{person_id}", "kind": "refusal"}
    )
    tried = [(one["outcome"], one["actor_id"]) for one in answer.json()["entries"]]
    assert tried == [("other-facility", uid("stranger"))] * 2, "whose record it is sees who tried"


async def test_who_is_not_known_has_no_identity(intake: Served) -> None:
    path = f"/people/{uid('nobody')}/identity"
    intake.acting_as("intake_coordinator")
    refused(await intake.get(path, params={"purpose": "contact"}), 404, "unknown-person")
    refused(await intake.put(path, CANARY), 404, "unknown-person")
    person_id, _ = await referred(intake)
    answer = await intake.get(f"/people/{person_id}/identity", params={"purpose": "contact"})
    refused(answer, 404, "unknown-identity")
    assert kinds(await accesses(intake, person_id)) == [("read", "unknown-identity")]


# --- the log ---------------------------------------------------------------------------------------------


async def test_a_write_that_is_repeated_is_one_access(intake: Served) -> None:
    person_id, _ = await referred(intake)
    for _ in range(3):
        await intake.put(f"/people/{person_id}/identity", CANARY, key="the same")
    repeated = ("command", "repeated")
    assert kinds(await accesses(intake, person_id)) == [WRITTEN, repeated, repeated]


@settings(max_examples=20, deadline=None)
@given(st.integers(min_value=0, max_value=3 * accounting.ENTRIES_PER_PAGE + 2))
def test_a_full_accounting_makes_pages_and_drops_nothing(count: int) -> None:
    pages: dict[str, tuple[Disclosure, ...]] = {}
    log, at = Accounting(), cause(subject=f"accounting/{uid('p')}")
    for number in range(count):
        row = Disclosure(
            disclosure_id=str(number),
            disclosed_at=START,
            recorded_at=START,
            recipient_id="harbor-ed",
            categories=(),
            basis=DisclosureBasis.CONSENT,
            discloser_id=uid("nurse"),
            notice_version="1",
        )
        decision = accounting.disclosed(log, Disclosed(disclosure=row), at)
        log = decision.state
        for item in decision.handoffs:
            assert item.subject not in pages, "a page is written once"
            assert isinstance(item.body, accounting.DisclosuresFiled)
            pages[item.subject] = item.body.entries
    in_order = [
        row.disclosure_id
        for number in range(1, log.pages + 1)
        for row in pages[accounting.page_subject(at.subject, number)]
    ] + [row.disclosure_id for row in log.entries]
    assert in_order == [str(number) for number in range(count)]


async def test_every_page_of_the_audit_is_read(intake: Served) -> None:
    person_id = await known(intake)
    for number in range(4):
        await intake.acting_as("nurse", f"nurse {number}").get(
            f"/people/{person_id}/identity", params={"purpose": "treatment"}
        )
    intake.acting_as("privacy_officer")
    seen: list[dict[str, Any]] = []
    asked: dict[str, Any] = {"subject": f"identity/{person_id}", "limit": 2}
    while True:
        page = (await intake.get("/audit", params=asked)).json()
        seen += page["entries"]
        if "next" not in page:
            break
        asked["after"] = page["next"]
    readers = [uid(f"nurse {number}") for number in range(4)]
    assert sorted(one["actor_id"] for one in seen if one["kind"] == "read") == sorted(readers)
    assert len({one["id"] for one in seen}) == len(seen) == 5
    wrong = {"after": "nowhere", "subject": f"identity/{person_id}"}
    refused(await intake.get("/audit", params=wrong), 422, "after-invalid")


# --- found again -----------------------------------------------------------------------------------------


def _names(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("given_name", "family_name", "born_on")}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, True),
        ({"given_name": "ZEPHYRINE"}, True),
        ({"family_name": "Quill-Feather"}, True),
        ({"family_name": "Quíllfeather"}, True),
        ({"given_name": " Zephyrine "}, True),
        ({"given_name": "Zephyrin"}, False),
        ({"given_name": "Quillfeather", "family_name": "Zephyrine"}, False),
        ({"born_on": "1987-04-20"}, False),
        ({"born_on": "1987-04-18"}, False),
    ],
)
async def test_who_is_known_is_found(
    intake: Served, changes: dict[str, Any], *, found: bool
) -> None:
    person_id = await known(intake)
    for other in ("1987-04-18", "1987-04-20"):
        await known(intake, given_name="Other", born_on=other)
    answer = await intake.acting_as("intake_coordinator").post(
        "/people/matches", {**_names(CANARY), **changes}
    )
    assert answer.status_code == 200
    assert answer.json()["person_ids"] == ([person_id] if found else [])
    assert set(answer.json()) == {"person_ids"}, "ids only"


async def test_many_of_one_birthday_are_told_apart(intake: Served) -> None:
    wanted = [await known(intake) for _ in range(3)]
    for number in range(250):  # more than a page of the store
        person_id = uid(str(number))
        await _put(
            intake, person_id, Identity.model_validate({**CANARY, "given_name": str(number)})
        )
    before = len(intake.key_store.calls)
    answer = await intake.acting_as("case_manager").post("/people/matches", _names(CANARY))
    assert sorted(answer.json()["person_ids"]) == sorted(wanted)
    assert intake.key_store.calls[before:] == ["by_tokens"], "their keys are at hand"


async def test_keys_of_many_are_asked_for_once(intake: Served) -> None:
    wanted = [await known(intake) for _ in range(30)]
    intake.vault = memory_vault(intake.key_store)  # another replica, which holds no key
    answer = await intake.acting_as("case_manager").post("/people/matches", _names(CANARY))
    assert sorted(answer.json()["person_ids"]) == sorted(wanted)
    assert Counter(intake.key_store.calls)["people"] == 30 + 1, (
        "one for each write, one for the search"
    )


async def test_a_corrected_name_is_found_and_the_wrong_one_no_longer(intake: Served) -> None:
    person_id = await known(intake)
    await intake.put(f"/people/{person_id}/identity", {**CANARY, "given_name": "Zoe"})
    intake.acting_as("case_manager")
    for name, found in (("Zoe", [person_id]), ("Zephyrine", [])):
        answer = await intake.post("/people/matches", {**_names(CANARY), "given_name": name})
        assert answer.json()["person_ids"] == found, name


async def test_a_refused_identity_leaves_nothing_behind(intake: Served) -> None:
    person_id, _ = await referred(intake)
    path = f"/people/{person_id}/identity"
    for changes, headers in (
        ({"born_on": "2199-01-01"}, {"Idempotency-Key": "a key"}),
        ({}, {}),
        ({}, {"Idempotency-Key": "a key", "If-Match": '"7"'}),
    ):
        answer = await intake.client.put(path, json={**CANARY, **changes}, headers=headers)
        assert answer.status_code in (400, 412, 422), answer.text
    assert intake.key_store.persons == {}


async def _put(intake: Served, person_id: str, known: Identity) -> None:
    subject = f"identity/{person_id}"
    key = await intake.vault.key_for_writing(person_id, "harbor-iop")
    sealed = key.seal(subject, identity.IDENTITY_FIELD, known.model_dump_json().encode())
    await intake.vault.add_to_index(person_id, "harbor-iop", identity.index_words(known))
    records = await intake.store.load([subject])
    record = records[subject]
    record.state = identity.IdentityState(sealed=sealed)
    record.facility_id, record.touched = "harbor-iop", True
    await intake.store.save([record], START)


async def test_a_search_is_written_down_with_whoever_searched_and_whoever_was_found(
    intake: Served,
) -> None:
    person_id = await known(intake)
    intake.acting_as("intake_coordinator", "searcher")
    await intake.post("/people/matches", _names(CANARY), key="once")
    await intake.post("/people/matches", _names(CANARY), key="once")
    await intake.post("/people/matches", {**_names(CANARY), "given_name": "Nobody"})
    rows = await accesses(intake, person_id)
    assert [(row["outcome"], row["actor_id"]) for row in rows[1:]] == [
        ("shown", uid("searcher"))
    ] * 2
    answer = await intake.get("/audit", params={"actor_id": uid("searcher"), "kind": "command"})
    searches = [row for row in answer.json()["entries"] if "/matches" in row["what"]]
    found = [f"identity/{person_id}"]
    assert [row["subjects"] for row in reversed(searches)] == [found, found, []]


@pytest.mark.parametrize("role", ["nurse", "operator", "partner", "peer_specialist"])
async def test_not_everybody_searches(intake: Served, role: str) -> None:
    answer = await intake.acting_as(role).post("/people/matches", _names(CANARY))
    refused(answer, 403, "role-not-allowed")


NAMES = st.text("aAbé -ß", min_size=1, max_size=3).filter(lambda text: bool(text.strip()))
DAYS = st.dates(date(1990, 1, 1), date(1990, 1, 3))


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_a_name_is_the_same_as_itself_however_it_is_typed(one: str, other: str) -> None:
    try:
        known = Identity.model_validate({**CANARY, "given_name": one, "family_name": other})
        sought = Sought.model_validate(
            {"given_name": f" {one} ", "family_name": other, "born_on": date(1987, 4, 19)}
        )
    except ValidationError:
        return
    assert identity.matches(sought, known)
    assert set(identity.sought_words(sought)) <= set(identity.index_words(known)), "it is found"


@given(*[st.builds(Sought, given_name=NAMES, family_name=NAMES, born_on=DAYS)] * 2)
def test_the_index_finds_exactly_whom_the_names_match(one: Sought, other: Sought) -> None:
    known = Identity(**dict(one))
    found = set(identity.sought_words(other)) <= set(identity.index_words(known))
    assert found is identity.matches(other, known)


# --- nowhere else ----------------------------------------------------------------------------------------


@pytest.mark.fact("1.13")
async def test_no_name_is_anywhere_but_in_what_is_sealed(
    intake: Served, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Confidential from the first call on: events, records, keys, logs, metrics, answers, letters, loops."""
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        person_id = await known(intake)
        episode_id = next(iter(intake.state(f"person/{person_id}").episodes))
        await intake.put(f"/people/{person_id}/identity", {**CANARY, "born_on": "2199-01-01"})
        await intake.put(f"/people/{person_id}/identity", {**CANARY, "Quillfeather": 1})
        answers = [
            await intake.post("/people/matches", _names(CANARY)),
            await intake.get("/loops"),
            await intake.get("/tasks"),
            await intake.get(f"/episodes/{episode_id}"),
            await intake.get(f"/people/{person_id}/consents"),
            await intake.get("/metrics"),
        ]
        await intake.post(
            "/disclosures/emergency",
            {
                "person_id": person_id,
                "episode_id": episode_id,
                "recipient_id": "harbor-ed",
                "personnel_name": "Zephyrine Quillfeather",
                "personnel_role": "ed-physician",
                "categories": ["medication"],
                "discloser_id": uid("nurse"),
                "disclosed_at": START.isoformat(),
                "nature": "overdose",
            },
        )
        await intake.post(f"/episodes/{episode_id}/entered-in-error", {"reason": "test_entry"})
        await accesses(intake, person_id)
        await intake.acting_as("privacy_officer").get(
            f"/people/{person_id}/identity", params={"purpose": "privacy_review"}
        )
    documents = intake.disk.documents()
    assert len(documents) >= 3
    elsewhere = json.dumps(
        [
            documents,
            repr(intake.key_store),
            intake.disk.dead_letter_documents(),
            [decoded(raw) for raw in intake.disk.audit.values()],
            lines,
            caplog.text,
            capsys.readouterr(),
            [(answer.text, str(answer.url), [*answer.headers.items()]) for answer in answers],
            intake.metrics.registry.collect().__repr__(),
        ],
        default=str,
    )
    for secret in SECRETS:
        assert secret not in elsewhere, secret
    named = [body for body in intake.bodies if any(one in body.decode() for one in SECRETS)]
    assert len(named) == 5
    digests = [sha256(body).hexdigest() for body in named]
    assert not any(digest in elsewhere for digest in digests), "nor a digest that can be guessed"


async def test_an_identity_says_nothing_to_anybody(intake: Served) -> None:
    person_id = await known(intake)
    assert intake.said(f"identity/{person_id}") == []
