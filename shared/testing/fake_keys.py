"""An in-memory key database that behaves as MongoDB does where the vault depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.runtime.vault.key_store import FACILITIES, PEOPLE, TOKENS_MAX, KeyRow, WrappedKey
from shared.runtime.vault.sealing import DEVELOPMENT_KEY, KeyEncryption
from shared.runtime.vault.vault import Vault


@dataclass(slots=True)
class Person:
    """The document of one person."""

    facility_id: str
    key: WrappedKey | None = None
    tokens: list[bytes] = field(default_factory=list[bytes])
    erased_at: datetime | None = None


@dataclass(slots=True)
class MemoryKeyStore:
    """`shared.runtime.vault.key_store.KeyStore` in memory. Several vaults may share one, as replicas do."""

    persons: dict[str, Person] = field(default_factory=dict[str, Person])
    facilities: dict[str, WrappedKey] = field(default_factory=dict[str, WrappedKey])
    calls: list[str] = field(default_factory=list[str])
    """The names of all calls, in their order."""

    async def start(self) -> None:
        await self._call("start")

    async def people(self, person_ids: Sequence[str]) -> dict[str, KeyRow]:
        await self._call("people")
        return {
            person_id: KeyRow(one.key, one.erased_at)
            for person_id in person_ids
            if (one := self.persons.get(person_id)) is not None
        }

    async def people_once(self, person_id: str, facility_id: str, key: WrappedKey) -> KeyRow:
        await self._call("people_once")
        one = self.persons.setdefault(person_id, Person(facility_id, key))
        return KeyRow(one.key, one.erased_at)

    async def facility_once(self, facility_id: str, key: WrappedKey | None) -> WrappedKey | None:
        await self._call("facility_once")
        if key is not None:
            self.facilities.setdefault(facility_id, key)
        return self.facilities.get(facility_id)

    async def add_tokens(self, person_id: str, tokens: Sequence[bytes]) -> bool:
        await self._call("add_tokens")
        one = self.persons.get(person_id)
        if one is None or one.key is None:
            return False
        one.tokens = [*one.tokens, *tokens][-TOKENS_MAX:]
        return True

    async def by_tokens(self, facility_id: str, tokens: Sequence[bytes], limit: int) -> list[str]:
        await self._call("by_tokens")
        found = (
            person_id
            for person_id, one in self.persons.items()
            if one.facility_id == facility_id and one.tokens and set(tokens) <= set(one.tokens)
        )
        return sorted(found)[:limit]

    async def destroy(self, person_id: str, facility_id: str, at: datetime) -> datetime:
        await self._call("destroy")
        one = self.persons.setdefault(person_id, Person(facility_id))
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)  # as MongoDB keeps it
        one.key, one.tokens = None, []
        one.erased_at = at if one.erased_at is None else min(at, one.erased_at)
        return one.erased_at

    async def foreign(self, key_ids: Sequence[str]) -> bool:
        await self._call("foreign")
        return any(key.key_id not in key_ids for _, _, key in self._keys())

    async def wrapped_otherwise(self, key_id: str) -> list[tuple[str, str, WrappedKey]]:
        await self._call("wrapped_otherwise")
        return [row for row in self._keys() if row[2].key_id != key_id]

    async def rewrap(self, changes: Iterable[tuple[str, str, WrappedKey, WrappedKey]]) -> None:
        await self._call("rewrap")
        for name, owner, before, after in changes:
            if name == FACILITIES:
                self.facilities[owner] = after
            elif self.persons[owner].key == before:
                self.persons[owner].key = after

    async def close(self) -> None:
        await self._call("close")

    async def _call(self, name: str) -> None:
        await asyncio.sleep(0)  # a driver suspends here
        self.calls.append(name)

    def _keys(self) -> list[tuple[str, str, WrappedKey]]:
        people = [(PEOPLE, owner, one.key) for owner, one in self.persons.items() if one.key]
        return [*people, *((FACILITIES, owner, key) for owner, key in self.facilities.items())]


def memory_vault(store: MemoryKeyStore | None = None) -> Vault:
    """A vault in memory, with the key for development."""
    return Vault(store or MemoryKeyStore(), KeyEncryption(DEVELOPMENT_KEY))
