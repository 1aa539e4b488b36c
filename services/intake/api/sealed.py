"""Encrypts (seals) and decrypts a person's identifying data with the person's key.

Rules, records and the copies of records contain only the sealed form.
"""

from __future__ import annotations

from services.intake.api.subjects import IDENTITY
from services.intake.person.identity import (
    IDENTITY_FIELD,
    Identity,
    IdentityState,
    personnel_field,
)
from shared.runtime.http.call import Call
from shared.runtime.http.subjects import state_of
from shared.runtime.vault.sealing import PersonKey
from shared.runtime.vault.vault import Erased, key_missing


async def key_for_command(call: Call, person_id: str) -> PersonKey:
    """The key with which a command on the person's identity seals; made here for the first command.

    Raises what the command would be refused for before any rule runs, `IdentityErased`, and `Unavailable` where
    something is sealed and its key is lost: another one would hide that.
    """
    record = await call.check_command(IDENTITY(person_id))
    state = state_of(record, IdentityState)
    return await call.runtime.vault.key_for_writing(
        person_id,
        call.actor.facility_id,
        first=state.sealed is None and not state.personnel,
    )


def seal_identity(key: PersonKey, person_id: str, known: Identity) -> str:
    """An identity as it is stored."""
    return key.seal(IDENTITY(person_id).name, IDENTITY_FIELD, known.model_dump_json().encode())


def open_identity(key: PersonKey, person_id: str, sealed: str) -> Identity:
    """A stored identity. Raises `SealBroken`."""
    plain = key.open(IDENTITY(person_id).name, IDENTITY_FIELD, sealed)
    return Identity.model_validate_json(plain)


def seal_personnel(key: PersonKey, person_id: str, personnel_id: str, name: str) -> str:
    """The name of somebody who was told, as it is stored."""
    return key.seal(IDENTITY(person_id).name, personnel_field(personnel_id), name.encode())


def open_personnel(key: PersonKey, person_id: str, personnel_id: str, sealed: str) -> str:
    """A stored name of somebody who was told. Raises `SealBroken`."""
    return key.open(IDENTITY(person_id).name, personnel_field(personnel_id), sealed).decode()


async def opened_identity(call: Call, person_id: str) -> Identity | None:
    """Who the person is, for a rule of a command that shows nothing of it; None where nothing is known, or any more.

    Raises `Unavailable` where something is sealed and its key is lost.
    """
    state = await call.state_if_any(IDENTITY(person_id))
    if state is None or state.sealed is None:
        return None
    key = (await call.runtime.vault.keys([person_id])).get(person_id)
    if isinstance(key, Erased):
        return None
    if key is None:
        raise key_missing()
    return open_identity(key, person_id, state.sealed)
