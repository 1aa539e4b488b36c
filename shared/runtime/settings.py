"""Settings of a service, from the environment. Every one has a default that is safe, or none at all."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.runtime.core import record_cache


class ServiceSettings(BaseSettings):
    """What every service can be told. A service subclasses it for its own settings.

    Names are used as they stand for the two addresses, and with the prefix `CARE_` otherwise.
    """

    model_config = SettingsConfigDict(
        env_prefix="CARE_", extra="ignore", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    kafka_bootstrap: str = Field(default="127.0.0.1:9092", validation_alias="KAFKA_BOOTSTRAP")
    """Kafka's bootstrap servers, `host:port[,host:port]`."""
    mongo_uri: str = Field(default="mongodb://127.0.0.1:27017", validation_alias="MONGO_URI")
    """MongoDB's connection string; may carry the service's own credentials."""
    kafka_replication: int = Field(default=1, ge=1)
    """Copies of a topic that this service has to make; existing topics keep what they have."""
    database_prefix: str = "care_"
    """The service's database is this prefix and the service's name."""
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """HTTP port; 0 means the service's own default."""
    jwks: str = ""
    """Who may call: a JWKS document, or the path of one. Empty: nobody may."""
    issuer: str = "throughcare"
    """The `iss` that tokens must carry."""
    programs: str = ""
    """A directory of program profiles (`*.toml`) beside those that ship; empty: none."""
    clock: str = Field(default="wall", pattern="^(wall|stepped)$")
    """`stepped` lets a driver set the domain time through PUT /ops/clock. Never in production."""
    log_level: str = "info"
    batch_records: int = Field(default=500, ge=1, le=5000)
    """The most records that one batch takes from Kafka."""
    session_timeout_ms: int = Field(default=10_000, ge=6_000)
    """How long Kafka waits for a silent consumer before its partitions move on."""
    journal_key: str = ""
    """32 bytes in base64: keep an encrypted copy of every record on the service's journal, from which a lost store is
    rebuilt. Empty: no journal."""
    sweep_after_seconds: float = Field(default=5.0, gt=0)
    """An outbox or handoff that waits longer was left by a crash: any replica takes it up."""
    record_cache_max: int = Field(default=record_cache.RECORDS_MAX, ge=0)
    """How many records just written stay in memory for the next event about the same person; 0: none."""
    handoff_wait_seconds: float = Field(default=2.0, gt=0)
    """How long a command waits for its fan-out before it answers 202."""
    shutdown_seconds: float = Field(default=10.0, gt=0)
    dead_letters_in_a_row_max: int = Field(default=100, ge=0)
    """So many new dead letters in a row halt the consumer; 0 means no limit."""
    dead_letters_in_window_max: int = Field(default=1_000, ge=0)
    """So many new dead letters within a minute halt the consumer; 0 means no limit."""
    topics_check_seconds: float = Field(default=10.0, gt=0)
    """How often the topics are compared, in mid-run, with what they were."""
    otel: bool = False
    """Send traces by OTLP; needs the extra `otel`. The standard OTEL_ variables name the collector."""

    @property
    def programs_directory(self) -> Path | None:
        """Where the facility's own profiles are; None: only those that ship are known."""
        return Path(self.programs) if self.programs else None
