"""The settings of a service, from environment variables. Every default is safe."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.contracts.attributes import FACILITY
from shared.runtime.connections import KafkaConnection, MongoConnection
from shared.runtime.core import record_cache


class ServiceSettings(  # pyright: ignore[reportIncompatibleVariableOverride] - pydantic merges the two kinds of config
    KafkaConnection, MongoConnection, BaseSettings
):
    """The settings that all services have. A service subclasses this for its own.

    The environment variables are `KAFKA_…` and `MONGO_…` for the connections, and `CARE_` and the name for all others.
    """

    model_config = SettingsConfigDict(
        env_prefix="CARE_", extra="ignore", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    kafka_replication: int = Field(default=1, ge=1)
    """The replication factor of topics that this service creates; existing topics stay as they are."""
    database_prefix: str = "care_"
    """The service's database is this prefix and the service's name."""
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """HTTP port; 0 means the service's own default."""
    metrics_host: str = "127.0.0.1"
    """Where `/metrics` is served when it has a port of its own."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """A port for `/metrics`, `/healthz` and `/readyz` alone, and `/metrics` is on no other; 0: with everything else."""
    census_seconds: float = Field(default=30.0, gt=0)
    """How often what waits in the store is counted for `/metrics`, in the background and by one replica."""
    connections_max: int = Field(default=1_000, ge=10)
    """How many HTTP connections there may be; a request on one more is answered 503."""
    actor_requests_per_second_max: float = Field(default=500.0, ge=0)
    """How many requests a second one actor may send, of ten seconds at once; one more is answered 429. 0: no limit."""
    mode: str = Field(default="production", pattern="^(production|development)$")
    """`development` lets in the keys and passwords that are published for development, and says so everywhere."""
    jwks: str = ""
    """Who may call: a JWKS document, or the path of one. Empty, without `oidc_discovery`: nobody may."""
    issuer: str = "throughcare"
    """The `iss` that tokens must carry; with `oidc_discovery` its issuer's."""
    oidc_discovery: str = ""
    """The issuer's discovery URL, `https://…/.well-known/openid-configuration`, instead of `jwks`: keys are fetched,
    kept, and fetched again."""
    audience: str = "throughcare"
    """The `aud` that tokens must carry."""
    claim_actor: str = "sub"
    """The claim that says who calls; what is no UUID becomes one, and is kept nowhere."""
    claim_facility: str = "facility"
    """The claim that names the facility."""
    claim_role: str = "role"
    """The claim that names the role, or the groups that `role_map` turns into one. A dot leads into an object."""
    role_map: str = ""
    """A JSON object from the issuer's groups to roles, the first that fits; empty: the claim names the role."""
    token_max_age_seconds: float = Field(default=86_400.0, gt=0)
    """How long after it was issued a token is taken at most, whatever it says itself."""
    operating_facility: str = Field(default="operations", pattern=f"^{FACILITY}$")
    """The organisation that runs the service: its operators work on whole services, and on what is no facility's."""
    one_person_discard: bool = False
    """Whether one operator alone may discard a dead letter; each start and readiness say so."""
    programs: str = ""
    """A directory of program profiles (`*.toml`) beside those that ship; empty: none."""
    directory: str = ""
    """A TOML file with the codes that the facility has registered, such as its partners; empty: the one that ships."""
    clock: str = Field(default="wall", pattern="^(wall|stepped)$")
    """`stepped` lets a driver set the domain time through PUT /ops/clock. Never in production."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    batch_records: int = Field(default=500, ge=1, le=5000)
    """The most records that one batch takes from Kafka."""
    session_timeout_ms: int = Field(default=10_000, ge=6_000)
    """How long Kafka waits for a silent consumer before its partitions move on."""
    journal_key: str = ""
    """32 bytes in base64: write an encrypted copy of every record to the service's journal, from which a lost store can
    be rebuilt. Empty: no journal."""
    journal_key_before: str = ""
    """The key before the present one: opens what it has sealed, until every record is sealed anew."""
    sweep_after_seconds: float = Field(default=5.0, gt=0)
    """An outbox or handoff that waits longer was left by a crash: any replica resumes it."""
    record_cache_max: int = Field(default=record_cache.RECORDS_MAX, ge=0)
    """How many records just saved the cache holds for the next event about the same person; 0: none."""
    handoff_wait_seconds: float = Field(default=2.0, gt=0)
    """How long a command waits for its fan-out before it answers 202."""
    shutdown_seconds: float = Field(default=10.0, gt=0)
    dead_letters_in_a_row_max: int = Field(default=100, ge=0)
    """How many new dead letters in a row trip the circuit breaker, which halts the consumer; 0: no limit."""
    dead_letters_in_window_max: int = Field(default=1_000, ge=0)
    """How many new dead letters within a minute trip the circuit breaker; 0: no limit."""
    clock_tolerance_seconds: float = Field(default=60.0, gt=0)
    """How far this machine's wall clock and the store's may differ; beyond it nothing is decided, and the service is
    not ready (`clock-differs`)."""
    topics_check_seconds: float = Field(default=10.0, gt=0)
    """How often a running service checks that the topics have not changed."""
    otel: bool = False
    """Send traces by OTLP; needs the extra `otel`. The standard OTEL_ variables name the collector."""

    @property
    def programs_directory(self) -> Path | None:
        """Where the facility's own profiles are; None: only those that ship are known."""
        return Path(self.programs) if self.programs else None

    @property
    def directory_file(self) -> Path | None:
        """The facility's own directory; None: the one that ships."""
        return Path(self.directory) if self.directory else None
