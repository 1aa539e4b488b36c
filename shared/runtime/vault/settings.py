"""The settings of a service that stores identifying data of people."""

from __future__ import annotations

from pydantic import Field

from shared.runtime.connections import contents
from shared.runtime.settings import ServiceSettings
from shared.runtime.vault.sealing import DEVELOPMENT_KEY, KeyEncryption


class VaultSettings(ServiceSettings):
    """Where the keys of people are kept, what wraps them, and for how long copies of them exist."""

    keys_uri: str = ""
    """The MongoDB that has the key database, with a user of its own; empty: the one of MONGO_URI."""
    keys_username: str = ""
    """The user of the key database, in place of the one in the connection string."""
    keys_password_file: str = ""
    """A file with that user's password."""
    keys_database: str = ""
    """The key database; empty: CARE_DATABASE_PREFIX and `keys`."""
    key_encryption_key: str = DEVELOPMENT_KEY
    """32 bytes in base64: wraps the keys of people. The default is published: only development mode takes it."""
    key_encryption_key_file: str = ""
    """A file with that key; it takes precedence."""
    key_encryption_key_before: str = ""
    """The key-encryption key before the present one: opens what it has wrapped, until all is wrapped anew."""
    key_backup_days: int = Field(default=30, ge=1, le=3650)
    """How many days a backup of the key database is kept: so long after an erasure the last copy of a key is gone."""
    key_cache_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long a replica holds a key in memory, and so at most after an erasure by another replica."""
    key_cache_max: int = Field(default=1_000, ge=1)
    """How many keys a replica holds in memory."""

    @property
    def keys_database_name(self) -> str:
        """The key database of this environment."""
        return self.keys_database or f"{self.database_prefix}keys"

    def key_encryption(self) -> KeyEncryption:
        """The key-encryption keys. Raises `ConfigurationError` for what is none, and for a file that can't be read."""
        present = self.key_encryption_key
        if self.key_encryption_key_file:
            present = contents(self, "key_encryption_key_file", "CARE_")
        return KeyEncryption(present, self.key_encryption_key_before)
