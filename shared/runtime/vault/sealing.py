"""Seals, finds and destroys for good the data that identifies a person. Pure, except for random bytes.

Three kinds of key, each 256 bits:

the key-encryption key   comes from a file or the environment and is in no database; it wraps the other two
the key of a person      seals the person's fields; destroyed with the person's erasure
the key of a facility    makes the blind index, in which the people of that facility are found
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from hashlib import blake2b, sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.decision import join_parts
from shared.errors import CareError, ConfigurationError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TOKEN_BYTES: Final = 16
"""Of a blind index: what the index finds is opened and compared, so that a rare collision does no harm."""
DEVELOPMENT_KEY: Final = "cHVibGlzaGVkLWtleS1mb3ItZGV2ZWxvcG1lbnQtMDE="
"""Known to everybody who can read this: for development only."""


class SealBroken(CareError):
    """What is stored does not open with this key: it was sealed with another one, for another field, or damaged."""

    def __init__(self) -> None:
        super().__init__(
            "seal-broken",
            "The stored identity of this person can't be decrypted with their key.",
            hint="Restore the newest backup of the key database: runbook, keys of people.",
        )


def new_key() -> bytes:
    """A random key."""
    return os.urandom(KEY_BYTES)


class _Cipher:
    """AES-256-GCM: nonce and ciphertext in one, bound to what it belongs to."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, bound_to: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise SealBroken from None


class PersonKey:
    """The key of one person. What it has sealed is bound to the subject and the field that it was sealed for."""

    __slots__ = ("_cipher", "_digest")

    def __init__(self, key: bytes) -> None:
        self._cipher = _Cipher(_derived(key, "seal"))
        self._digest = _derived(key, "digest")

    def seal(self, subject: str, field: str, plain: bytes) -> str:
        """A text that only this key opens, for this field of this subject."""
        return base64.b64encode(self._cipher.seal(plain, _bound_to(subject, field))).decode()

    def open(self, subject: str, field: str, sealed: str) -> bytes:
        """What was sealed. Raises `SealBroken`."""
        try:
            raw = base64.b64decode(sealed, validate=True)
        except (binascii.Error, ValueError):
            raise SealBroken from None
        return self._cipher.open(raw, _bound_to(subject, field))

    def digest(self, data: bytes) -> str:
        """A digest that nobody can compare with a guess who does not have this key."""
        return hmac.digest(self._digest, data, sha256).hex()


class IndexKey:
    """The key of a facility's blind index."""

    __slots__ = ("_digest", "_token")

    def __init__(self, key: bytes) -> None:
        self._token = _derived(key, "token")
        self._digest = _derived(key, "digest")

    def token(self, word: str) -> bytes:
        """What stands in the index for a word, such as a folded name."""
        return hmac.digest(self._token, word.encode(), sha256)[:TOKEN_BYTES]

    def digest(self, data: bytes) -> str:
        """A digest that nobody can compare with a guess who does not have this key."""
        return hmac.digest(self._digest, data, sha256).hex()


class KeyEncryption:
    """The key-encryption keys: the present one, which wraps, and the one before it, which only opens."""

    def __init__(self, present: str, before: str = "") -> None:
        """Raises `ConfigurationError` for what is no key."""
        former = [_decoded(before)] if before else []
        raw = _decoded(present)
        self.present: Final = _key_id(raw)
        """The id of the key that wraps; it tells nothing of the key."""
        self.known: Final = [_key_id(one) for one in (raw, *former)]
        self._ciphers = {_key_id(one): _Cipher(one) for one in (raw, *former)}

    def wrap(self, kind: str, owner: str, key: bytes) -> bytes:
        """A key as it is stored, bound to its kind and its owner."""
        return self._ciphers[self.present].seal(key, _bound_to(kind, owner))

    def unwrap(self, key_id: str, kind: str, owner: str, wrapped: bytes) -> bytes:
        """The key. Raises `SealBroken` when it was wrapped by none of these, or is another owner's."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SealBroken
        return cipher.open(wrapped, _bound_to(kind, owner))


def _derived(key: bytes, use: str) -> bytes:
    """A key for one use, so that no key has two."""
    return hmac.digest(key, f"throughcare {use}".encode(), sha256)


def _bound_to(*parts: str) -> bytes:
    return join_parts(*parts).encode()


def _key_id(key: bytes) -> str:
    return blake2b(key, digest_size=8, person=b"keys").hexdigest()


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ConfigurationError(
            "key-encryption-key-unusable",
            f"The key-encryption key is not {KEY_BYTES} bytes in base64.",
            hint="Create one with `openssl rand -base64 32`, and store it apart from every database and backup.",
            setting="CARE_KEY_ENCRYPTION_KEY",
        )
    return raw
