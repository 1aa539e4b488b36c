"""What HTTP may use of the replica that serves it. A route that uses anything else is a type error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol

from shared.programs.profile import ProgramProfile
from shared.runtime.clock import Clock
from shared.runtime.core.store import Store
from shared.runtime.core.work import Outcome, Work
from shared.runtime.metrics import Metrics
from shared.runtime.settings import ServiceSettings
from shared.runtime.vault.vault import Vault


class Named(Protocol):
    """A service, as far as it is named."""

    @property
    def name(self) -> str: ...


class CommandTaker(Protocol):
    """The reactor, as far as commands need it."""

    async def execute(self, work: Work) -> Outcome:
        """Decide one command and save it. Raises what the rule refuses, and `Unavailable`."""
        ...

    async def handed_over(self, subject: str, timeout_seconds: float) -> bool:
        """Wait until this record's handoffs are applied; False when they are still under way."""
        ...


class ProgramCatalogue(Protocol):
    """The programs that this replica knows."""

    def current(self, facility_id: str, program: str, on: date) -> ProgramProfile:
        """The version that holds on a day for new admissions. Raises `Unknown`."""
        ...

    def all_current(self, facility_id: str, on: date) -> list[ProgramProfile]:
        """Every program of a facility, as it holds on a day."""
        ...

    def is_registered(self, facility_id: str, registry: str, code: str) -> bool:
        """Whether a facility has registered this code. What is in no registry of ours its route looks up itself."""
        ...

    def zone_of(self, facility_id: str) -> str:
        """The time zone of a facility."""
        ...

    def signatures(
        self, facility_id: str, age_years: int | None, *, adolescent: bool = False
    ) -> tuple[str, ...]:
        """Whose signatures a consent needs from somebody of this age."""
        ...

    def notice_since(self, facility_id: str, today: date) -> date | None:
        """From when the notice holds that holds today."""
        ...


class AuditTaker(Protocol):
    """The audit, as far as requests need it."""

    async def write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write entries; returns when they are stored. Raises `Unavailable`."""
        ...

    def count_anonymous(self, code: str) -> None:
        """Count a refusal of somebody who is not known."""
        ...


class Replica(Protocol):
    """One replica of one service, as commands and questions see it."""

    @property
    def service(self) -> Named: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def store(self) -> Store: ...
    @property
    def reactor(self) -> CommandTaker: ...
    @property
    def settings(self) -> ServiceSettings: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def audit(self) -> AuditTaker: ...
    @property
    def programs(self) -> ProgramCatalogue: ...
    @property
    def vault(self) -> Vault:
        """The keys of people. Raises `RuntimeError` in a service that keeps nobody's identity."""
        ...

    def ensure_ready(self) -> None:
        """Raises `Unavailable` when commands can't be taken now."""
        ...
