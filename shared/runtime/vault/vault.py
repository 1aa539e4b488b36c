"""The vault: provides the keys of people, finds people in the blind index, and destroys a key for good.

A key stays in memory for at most `cache_seconds`, whether it is used or not. So this long after an erasure, no replica
has the key any more. See docs/decisions/0006-encryption-per-person.md.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from time import monotonic
from typing import Final, NamedTuple

from shared.errors import ConfigurationError, IdentityErased, Unavailable
from shared.runtime import development
from shared.runtime.connections import contents
from shared.runtime.core.store_connection import mongo_options
from shared.runtime.logs import log
from shared.runtime.vault.key_store import (
    FACILITIES,
    PEOPLE,
    KeyRow,
    KeyStore,
    MongoKeyStore,
    WrappedKey,
)
from shared.runtime.vault.sealing import (
    DEVELOPMENT_KEY,
    IndexKey,
    KeyEncryption,
    PersonKey,
    new_key,
)
from shared.runtime.vault.settings import VaultSettings

CACHE_SECONDS: Final = 30.0
CACHE_MAX: Final = 1_000


class Erased(NamedTuple):
    """The key of this person was destroyed, and what it sealed can't be read by anybody."""

    at: datetime


class _Held(NamedTuple):
    key: PersonKey
    until: float


def key_missing() -> Unavailable:
    """There is something sealed, and neither a key for it nor a note that it was destroyed."""
    return Unavailable(
        "identity-key-missing",
        "The key of this person is not in the key database.",
        hint="Restore the newest backup of the key database: runbook, keys of people.",
    )


class Vault:
    """The keys of the people of all facilities of one service."""

    def __init__(
        self,
        store: KeyStore,
        encryption: KeyEncryption,
        *,
        cache_seconds: float = CACHE_SECONDS,
        cache_max: int = CACHE_MAX,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._encryption = encryption
        self._cache_seconds = cache_seconds
        self._cache_max = cache_max
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._indexes: dict[str, IndexKey] = {}
        self._forgetting: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Check that every key opens, and wrap anew what the key-encryption key before the present one has wrapped.

        Raises `Unavailable` while the key database is away, and `ConfigurationError` when it has keys that none of our
        key-encryption keys has wrapped.
        """
        await self._store.start()
        if await self._store.foreign(self._encryption.known):
            raise ConfigurationError(
                "key-encryption-key-differs",
                "The key database has keys that were encrypted with another key-encryption key.",
                hint="Set CARE_KEY_ENCRYPTION_KEY_BEFORE to the key that encrypted them.",
                setting="CARE_KEY_ENCRYPTION_KEY",
            )
        while stale := await self._store.wrapped_otherwise(self._encryption.present):
            await self._store.rewrap(
                (name, owner, key, self._wrapped(name, owner, self._unwrapped(name, owner, key)))
                for name, owner, key in stale
            )

    async def close(self) -> None:
        """Forget every key, and close the connection."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._held.clear()
        self._indexes.clear()
        await self._store.close()

    # --- keys --------------------------------------------------------------------------------------

    async def keys(self, person_ids: Iterable[str]) -> dict[str, PersonKey | Erased]:
        """The keys of these people, by one query at most; who never had one is left out. Raises `Unavailable`."""
        self._forget()
        wanted = list(dict.fromkeys(person_ids))
        found: dict[str, PersonKey | Erased] = {
            person_id: self._held[person_id].key for person_id in wanted if person_id in self._held
        }
        missing = [person_id for person_id in wanted if person_id not in found]
        if missing:
            for person_id, row in (await self._store.people(missing)).items():
                found[person_id] = self._taken(person_id, row)
        return found

    async def key_for_writing(
        self, person_id: str, facility_id: str, *, first: bool = True
    ) -> PersonKey:
        """The person's key. Their first one is made here, if it may be the first.

        Raises `IdentityErased` when the person was, and `Unavailable` when there should be a key and is none.

        Asks the database even for a key at hand: nothing is sealed with one that another replica has destroyed.
        """
        row = (await self._store.people([person_id])).get(person_id)
        if row is None:
            if not first:
                raise key_missing()
            key = self._wrapped(PEOPLE, person_id, new_key())
            row = await self._store.people_once(person_id, facility_id, key)
        taken = self._taken(person_id, row)
        if isinstance(taken, Erased):
            raise IdentityErased
        return taken

    async def erase(self, person_id: str, facility_id: str, at: datetime) -> datetime:
        """Destroy the person's key and blind index for good. Repeatable; returns when it was first done."""
        self._held.pop(person_id, None)
        return await self._store.destroy(person_id, facility_id, at)

    @property
    def held(self) -> int:
        """How many keys of people are in memory."""
        return len(self._held)

    # --- the blind index ---------------------------------------------------------------------------

    async def add_to_index(self, person_id: str, facility_id: str, words: Sequence[str]) -> None:
        """Have the person found by these words. Raises `IdentityErased` when the person was.

        Done before what has the words is saved, so that whoever is stored is found. The words of an earlier state
        stay, so that what the index finds has to be opened and compared.
        """
        index = await self.index(facility_id)
        if not await self._store.add_tokens(person_id, [index.token(word) for word in words]):
            raise IdentityErased

    async def find(self, facility_id: str, words: Sequence[str], limit: int) -> list[str]:
        """Who of a facility may be meant by all of these words, by id."""
        index = await self.index(facility_id)
        return await self._store.by_tokens(facility_id, [index.token(w) for w in words], limit)

    async def index(self, facility_id: str) -> IndexKey:
        """The key of a facility's index; the first one is made here."""
        known = self._indexes.get(facility_id)
        if known is not None:
            return known
        found = await self._store.facility_once(facility_id, None)
        if found is None:
            new = self._wrapped(FACILITIES, facility_id, new_key())
            found = await self._store.facility_once(facility_id, new)
            assert found is not None
        made = IndexKey(self._unwrapped(FACILITIES, facility_id, found))
        self._indexes[facility_id] = made
        return made

    # --- inside ------------------------------------------------------------------------------------

    def _taken(self, person_id: str, row: KeyRow) -> PersonKey | Erased:
        """The key of a row, and from now on in memory for a while."""
        if row.erased_at is not None or row.key is None:
            self._held.pop(person_id, None)
            if row.erased_at is None:
                raise key_missing()
            return Erased(row.erased_at)
        key = PersonKey(self._unwrapped(PEOPLE, person_id, row.key))
        self._held.pop(person_id, None)
        self._held[person_id] = _Held(key, self._clock() + self._cache_seconds)
        while len(self._held) > self._cache_max:
            self._held.popitem(last=False)
        self._forget_later()
        return key

    def _forget(self) -> None:
        """Drop the keys whose time is over; the oldest come first."""
        now = self._clock()
        while self._held:
            person_id, held = next(iter(self._held.items()))
            if held.until > now:
                return
            del self._held[person_id]

    def _forget_later(self) -> None:
        if self._forgetting is None and self._held:
            seconds = next(iter(self._held.values())).until - self._clock()
            loop = asyncio.get_running_loop()
            self._forgetting = loop.call_later(max(0.0, seconds), self._forget_now)

    def _forget_now(self) -> None:
        self._forgetting = None
        self._forget()
        self._forget_later()

    def _wrapped(self, kind: str, owner: str, key: bytes) -> WrappedKey:
        return WrappedKey(self._encryption.present, self._encryption.wrap(kind, owner, key))

    def _unwrapped(self, kind: str, owner: str, key: WrappedKey) -> bytes:
        return self._encryption.unwrap(key.key_id, kind, owner, key.wrapped)


def check_vault(settings: VaultSettings) -> None:
    """Raise the `ConfigurationError` of settings with which no vault can be opened, or not in production."""
    options, published = _options(settings), _published(settings)
    if development.is_on(settings):
        return
    if published:
        raise development.refusal("CARE_KEY_ENCRYPTION_KEY")
    for setting, password in (
        ("CARE_KEYS_URI", development.password_in(settings.keys_uri)),
        ("CARE_KEYS_PASSWORD_FILE", str(options.get("password", ""))),
    ):
        if password.startswith(development.PUBLISHED_PASSWORD):
            raise development.refusal(setting)


def open_vault(settings: VaultSettings) -> Vault:
    """The vault that the settings name. Raises `ConfigurationError` when they can't be used."""
    if _published(settings):
        log.warning("vault.development_key", setting="CARE_KEY_ENCRYPTION_KEY")
    store = MongoKeyStore(
        settings.keys_uri or settings.mongo_uri, settings.keys_database_name, _options(settings)
    )
    return Vault(
        store,
        settings.key_encryption(),
        cache_seconds=settings.key_cache_seconds,
        cache_max=settings.key_cache_max,
    )


def _published(settings: VaultSettings) -> bool:
    return settings.key_encryption().present == KeyEncryption(DEVELOPMENT_KEY).present


def _options(settings: VaultSettings) -> dict[str, object]:
    """How the key database is reached: as the store is, but as the user who may."""
    options = mongo_options(settings)
    if settings.keys_uri or settings.keys_username:
        options.pop("username", None)
        options.pop("password", None)
    if settings.keys_username:
        options["username"] = settings.keys_username
    if settings.keys_password_file:
        options["password"] = contents(settings, "keys_password_file", "CARE_")
    return options
