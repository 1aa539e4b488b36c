"""What every `KeyStore` does: the fake and MongoDB run the same tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from shared.runtime.vault.key_store import FACILITIES, PEOPLE, TOKENS_MAX, KeyStore, WrappedKey

ONE: Final = WrappedKey("one", b"wrapped by one")
TWO: Final = WrappedKey("two", b"wrapped by two")
NOW: Final = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


class KeyStoreSuite:
    """Subclass it, and give a fixture `keys`."""

    async def test_the_first_key_of_a_person_stays(self, keys: KeyStore) -> None:
        await keys.start()
        assert (await keys.people_once("a", "here", ONE)).key == ONE
        assert (await keys.people_once("a", "here", TWO)).key == ONE
        assert set(await keys.people(["a", "b"])) == {"a"}

    async def test_a_destroyed_key_stays_destroyed(self, keys: KeyStore) -> None:
        await keys.start()
        await keys.people_once("a", "here", ONE)
        assert await keys.add_tokens("a", [b"1"])
        assert await keys.destroy("a", "here", NOW) == NOW
        assert await keys.destroy("a", "here", NOW + timedelta(days=1)) == NOW, "the first time"
        row = await keys.people_once("a", "here", TWO)
        assert (row.key, row.erased_at) == (None, NOW)
        assert not await keys.add_tokens("a", [b"1"])
        assert await keys.by_tokens("here", [b"1"], 10) == []

    async def test_who_never_had_a_key_is_erased_as_well(self, keys: KeyStore) -> None:
        await keys.start()
        await keys.destroy("a", "here", NOW)
        assert (await keys.people_once("a", "here", ONE)).key is None

    async def test_the_first_key_of_a_facility_stays(self, keys: KeyStore) -> None:
        await keys.start()
        assert await keys.facility_once("here", None) is None
        assert await keys.facility_once("here", ONE) == ONE
        assert await keys.facility_once("here", TWO) == ONE
        assert await keys.facility_once("there", None) is None

    async def test_who_has_all_tokens_is_found_in_order_and_here_alone(
        self, keys: KeyStore
    ) -> None:
        await keys.start()
        for person_id, place in (("b", "here"), ("a", "here"), ("c", "there"), ("d", "here")):
            await keys.people_once(person_id, place, ONE)
            await keys.add_tokens(person_id, [b"1"] if person_id == "d" else [b"1", b"2"])
        assert await keys.by_tokens("here", [b"2", b"1"], 10) == ["a", "b"]
        assert await keys.by_tokens("here", [b"1"], 2) == ["a", "b"]
        assert await keys.by_tokens("here", [b"3"], 10) == []
        assert not await keys.add_tokens("nobody", [b"1"])

    async def test_the_latest_tokens_stay(self, keys: KeyStore) -> None:
        await keys.start()
        await keys.people_once("a", "here", ONE)
        await keys.add_tokens("a", [b"first"])
        await keys.add_tokens("a", [f"{n}".encode() for n in range(TOKENS_MAX)])
        assert await keys.by_tokens("here", [b"first"], 10) == []
        assert await keys.by_tokens("here", [b"0", f"{TOKENS_MAX - 1}".encode()], 10) == ["a"]

    async def test_keys_are_wrapped_anew_unless_they_have_changed(self, keys: KeyStore) -> None:
        await keys.start()
        for person_id in ("a", "b"):
            await keys.people_once(person_id, "here", ONE)
        await keys.facility_once("here", ONE)
        assert await keys.foreign(["two"])
        assert not await keys.foreign(["one", "two"])
        stale = await keys.wrapped_otherwise("two")
        assert sorted(row[:2] for row in stale) == [
            (FACILITIES, "here"),
            (PEOPLE, "a"),
            (PEOPLE, "b"),
        ]
        await keys.destroy("b", "here", NOW)
        await keys.rewrap((name, owner, key, TWO) for name, owner, key in stale)
        assert await keys.wrapped_otherwise("two") == []
        rows = await keys.people(["a", "b"])
        assert (rows["a"].key, rows["b"].key) == (TWO, None), "an erased key does not come back"
        assert await keys.facility_once("here", None) == TWO
