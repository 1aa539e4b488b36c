"""The vault: sealed for one field of one person, gone from every memory in time, and for good once destroyed."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.settings import IntakeSettings
from shared.errors import ConfigurationError, IdentityErased, Unavailable
from shared.runtime.vault.sealing import (
    DEVELOPMENT_KEY,
    IndexKey,
    KeyEncryption,
    PersonKey,
    SealBroken,
    new_key,
)
from shared.runtime.vault.vault import Erased, Vault, check_vault
from shared.testing.fake_keys import MemoryKeyStore
from shared.testing.key_store_suite import KeyStoreSuite

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
HERE = "harbor-iop"
OTHER_KEY = base64.b64encode(bytes(range(32))).decode()
THIRD_KEY = base64.b64encode(bytes(range(1, 33))).decode()


class TestMemoryKeyStore(KeyStoreSuite):
    @pytest.fixture
    def keys(self) -> MemoryKeyStore:
        return MemoryKeyStore()


class Time:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def vault(store: MemoryKeyStore, *keys: str, **more: Any) -> Vault:
    return Vault(store, KeyEncryption(*(keys or (DEVELOPMENT_KEY,))), **more)


# --- sealing ---------------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.text(max_size=20), st.text(max_size=20))
def test_what_was_sealed_opens_for_its_own_field_alone(
    plain: bytes, subject: str, field: str
) -> None:
    key = PersonKey(new_key())
    sealed = key.seal(subject, field, plain)
    assert key.open(subject, field, sealed) == plain
    assert key.seal(subject, field, plain) != sealed, "not even that two are equal shows"
    for other, where in (
        (PersonKey(new_key()), (subject, field)),
        (key, (subject + "x", field)),
        (key, (subject, field + "x")),
        (key, (subject + field[:1], field[1:] + "x")),
    ):
        with pytest.raises(SealBroken):
            other.open(*where, sealed)


@pytest.mark.parametrize("damaged", ["", "AAAA", "no base64!", "é", base64.b64encode(b"a" * 60)])
def test_what_is_damaged_does_not_open(damaged: str | bytes) -> None:
    text = damaged if isinstance(damaged, str) else damaged.decode()
    with pytest.raises(SealBroken):
        PersonKey(new_key()).open("subject", "field", text)


def test_tokens_and_digests_follow_from_their_key_and_word() -> None:
    one, again = new_key(), new_key()
    assert IndexKey(one).token("word") == IndexKey(one).token("word")
    assert len({IndexKey(one).token("word"), IndexKey(again).token("word"), b""}) == 3
    assert IndexKey(one).token("word") != IndexKey(one).token("words")
    assert PersonKey(one).digest(b"a") == PersonKey(one).digest(b"a")
    digests = {
        PersonKey(one).digest(b"a"),
        PersonKey(again).digest(b"a"),
        IndexKey(one).digest(b"b"),
    }
    assert len(digests) == 3


def test_a_wrapped_key_is_of_its_kind_and_owner_alone() -> None:
    encryption = KeyEncryption(OTHER_KEY)
    wrapped = encryption.wrap("people", "a", b"k" * 32)
    assert encryption.unwrap(encryption.present, "people", "a", wrapped) == b"k" * 32
    for key_id, kind, owner in (
        (encryption.present, "people", "b"),
        (encryption.present, "facilities", "a"),
        (KeyEncryption(THIRD_KEY).present, "people", "a"),
    ):
        with pytest.raises(SealBroken):
            encryption.unwrap(key_id, kind, owner, wrapped)


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(b"k" * 31).decode(), "é" * 44])
def test_what_is_no_key_is_refused_by_its_name(key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_vault(IntakeSettings(key_encryption_key=key))
    assert refused.value.setting == "CARE_KEY_ENCRYPTION_KEY"
    assert not key or key not in str(refused.value)


def test_what_is_published_wraps_no_key_in_production(tmp_path: Any) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{DEVELOPMENT_KEY}\n")
    password = tmp_path / "password"
    password.write_text("development-only-keys-mongo\n")
    own = {"key_encryption_key": OTHER_KEY}
    published: tuple[tuple[str, dict[str, str]], ...] = (
        ("CARE_KEY_ENCRYPTION_KEY", {}),
        ("CARE_KEY_ENCRYPTION_KEY", {"key_encryption_key_file": str(file)}),
        ("CARE_KEYS_URI", {**own, "keys_uri": "mongodb://care_keys:development-only-keys@mongo/"}),
        ("CARE_KEYS_PASSWORD_FILE", {**own, "keys_password_file": str(password)}),
    )
    for setting, secret in published:
        with pytest.raises(ConfigurationError) as refused:
            check_vault(IntakeSettings.model_validate({"mode": "production", **secret}))
        assert (refused.value.code, refused.value.setting) == ("development-secret", setting)
        check_vault(IntakeSettings.model_validate({"mode": "development", **secret}))
    left = {**own, "key_encryption_key_before": DEVELOPMENT_KEY}  # so that there is a way out
    check_vault(IntakeSettings.model_validate({"mode": "production", **left}))


def test_a_key_in_a_file_has_precedence(tmp_path: Any) -> None:
    file = tmp_path / "key"
    file.write_text(f"{OTHER_KEY}\n")
    settings = IntakeSettings(key_encryption_key_file=str(file))
    assert settings.key_encryption().present == KeyEncryption(OTHER_KEY).present
    for broken in (tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError) as refused:
            check_vault(IntakeSettings(key_encryption_key_file=str(broken)))
        assert refused.value.setting == "CARE_KEY_ENCRYPTION_KEY_FILE"


# --- keys ------------------------------------------------------------------------------------------------


async def test_a_person_has_one_key_whoever_asks_first() -> None:
    store = MemoryKeyStore()
    replicas = [vault(store) for _ in range(5)]
    keys = await asyncio.gather(*(one.key_for_writing("a", HERE) for one in replicas))
    sealed = keys[0].seal("identity/a", "identity", b"who")
    assert {key.open("identity/a", "identity", sealed) for key in keys} == {b"who"}


async def test_nothing_that_is_stored_is_a_key() -> None:
    store = MemoryKeyStore()
    await vault(store).key_for_writing("a", HERE)
    await vault(store).index(HERE)
    for key in (store.persons["a"].key, store.facilities[HERE]):
        assert key is not None
        assert len(key.wrapped) > 32 + 12, "a nonce, a key and a tag"
    with pytest.raises(SealBroken):
        await vault(store, OTHER_KEY).keys(["a"])


async def test_many_people_cost_one_query() -> None:
    store = MemoryKeyStore()
    people = [f"{n}" for n in range(50)]
    for person_id in people:
        await vault(store).key_for_writing(person_id, HERE)
    store.calls.clear()
    reader = vault(store)
    assert set(await reader.keys([*people, "nobody", *people])) == set(people)
    assert store.calls == ["people"]
    await reader.keys(people)
    assert store.calls == ["people"], "they are at hand"


async def test_a_destroyed_key_is_refused_at_once_for_writing() -> None:
    store = MemoryKeyStore()
    here, there = vault(store), vault(store)
    await here.key_for_writing("a", HERE)
    assert await there.erase("a", HERE, NOW) == NOW
    with pytest.raises(IdentityErased):
        await here.key_for_writing("a", HERE)
    with pytest.raises(IdentityErased):
        await here.add_to_index("a", HERE, ["word"])
    assert here.held == 0


async def test_a_destroyed_key_is_in_no_memory_after_its_time() -> None:
    store, time = MemoryKeyStore(), Time()
    here, there = (vault(store, clock=time, cache_seconds=30.0) for _ in range(2))
    await here.key_for_writing("a", HERE)
    assert isinstance((await there.keys(["a"]))["a"], PersonKey)
    await here.erase("a", HERE, NOW)
    assert here.held == 0
    assert await here.keys(["a"]) == {"a": Erased(NOW)}
    time.now = 29.9
    assert isinstance((await there.keys(["a"]))["a"], PersonKey), "so long it may be held"
    time.now = 30.0
    assert await there.keys(["a"]) == {"a": Erased(NOW)}
    assert there.held == 0


async def test_a_key_that_nobody_asks_for_leaves_memory_by_itself() -> None:
    one = vault(MemoryKeyStore(), cache_seconds=0.001)
    for person_id in ("a", "b"):
        await one.key_for_writing(person_id, HERE)
    async with asyncio.timeout(20):
        while one.held:  # noqa: ASYNC110 - nothing tells that a key was forgotten
            await asyncio.sleep(0)


async def test_memory_is_bounded() -> None:
    one = vault(MemoryKeyStore(), cache_max=3)
    for number in range(10):
        await one.key_for_writing(f"{number}", HERE)
    assert one.held == 3


async def test_who_has_no_key_and_was_not_erased_is_no_erased_person() -> None:
    store = MemoryKeyStore()
    one = vault(store)
    await one.key_for_writing("a", HERE)
    store.persons["a"].key = None  # damaged: a key is gone, and nobody destroyed it
    with pytest.raises(Unavailable, match="identity-key-missing"):
        await vault(store).keys(["a"])
    assert await one.keys(["b"]) == {}


# --- the index -------------------------------------------------------------------------------------------


async def test_people_are_found_by_all_words_in_their_own_facility() -> None:
    store = MemoryKeyStore()
    one = vault(store)
    for person_id, place in (("a", HERE), ("b", "river-iop")):
        await one.key_for_writing(person_id, place)
        await one.add_to_index(person_id, place, ["given:x", "day:y"])
    assert await one.find(HERE, ["given:x", "day:y"], 10) == ["a"]
    assert await one.find(HERE, ["given:x", "day:z"], 10) == []
    assert await vault(store).find("river-iop", ["given:x"], 10) == ["b"]
    assert not {*store.persons["a"].tokens} & {*store.persons["b"].tokens}, "a key per facility"
    await one.erase("a", HERE, NOW)
    assert store.persons["a"].tokens == []


# --- another key-encryption key --------------------------------------------------------------------------


async def test_a_new_key_encryption_key_wraps_all_anew() -> None:
    store = MemoryKeyStore()
    before = vault(store, OTHER_KEY)
    key = await before.key_for_writing("a", HERE)
    sealed = key.seal("identity/a", "identity", b"who")
    await before.add_to_index("a", HERE, ["word"])
    with pytest.raises(ConfigurationError, match="key-encryption-key-differs"):
        await vault(store, THIRD_KEY).start()
    await vault(store, THIRD_KEY, OTHER_KEY).start()
    after = vault(store, THIRD_KEY)
    await after.start()
    opened = (await after.keys(["a"]))["a"]
    assert isinstance(opened, PersonKey)
    assert opened.open("identity/a", "identity", sealed) == b"who"
    assert await after.find(HERE, ["word"], 10) == ["a"]
    with pytest.raises(ConfigurationError, match="key-encryption-key-differs"):
        await before.start()
