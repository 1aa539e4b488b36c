"""Maps every event to the one rule of outlet, and chooses the outlets that receive the event."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import count
from typing import Any, Final

from services.outlet import streams
from services.outlet.planning import Outlet, Plan, entitled, planned, takes, without_file
from services.outlet.settings import SETTING, read_subscribers
from shared.calendar import local_day
from shared.contracts.event import CATALOGUE, Envelope
from shared.contracts.outlets import PREFIX
from shared.contracts.topics import PARTITIONS, TOPICS, Topic
from shared.decision import Cause, Decision, State, derive_id
from shared.errors import ConfigurationError
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.passing import note_name
from shared.runtime.core.reactions import EveryMajor, pass_on
from shared.runtime.core.store import Store
from shared.runtime.core.work import Work
from shared.runtime.kafka.positions import NOTED_POSITIONS, positions_to_note
from shared.runtime.kafka.startup_checks import first_offsets
from shared.runtime.kafka.topics import topics_with_prefix
from shared.runtime.settings import ServiceSettings

REACTIONS: Final = EveryMajor(*(pass_on(event, streams.pass_on) for event in CATALOGUE.values()))
NOTE: Final = "outlets"
"""The metadata in which the store keeps each plan, by its number: they are never changed."""


class Outlets:
    """`shared.runtime.core.passing.Passing` by the subscribers' files."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._teams = read_subscribers(settings)
        self._plan = Plan()
        self._by_type: Mapping[str, Sequence[Outlet]] = {}

    @property
    def epoch(self) -> int:
        return self._plan.epoch

    @property
    def topics(self) -> Sequence[Topic]:
        return [Topic(one.topic) for one in self._plan.open]

    def topics_for(self, envelope: Envelope) -> Sequence[str]:
        wanting = self._by_type.get(envelope.type, ())
        if not wanting:
            return ()
        today = _today()
        return [one.topic for one in wanting if entitled(one, envelope, today)]

    def ended_for(self, envelope: Envelope) -> Sequence[str]:
        return [one.topic for one in self._plan.outlets if one.ended and takes(one, envelope)]

    def entitled(self, team: str) -> Outlet | None:
        """The topic that a team reads now; None when it reads none, or its agreement has ended."""
        today = _today()
        return next(
            (one for one in self._plan.open if one.team == team and not one.is_over(today)), None
        )

    async def establish(self, kafka: KafkaConnection, store: Store) -> None:
        """Take the plan that the store has, and the next one where the files ask for another.

        Each plan is stored once and never changed, so that replicas which start at once agree on one.
        """
        existing = await topics_with_prefix(kafka, PREFIX)
        first = positions_to_note(await first_offsets(kafka, TOPICS.values()))
        plan = Plan()
        for number in count(1):
            stored = await store.metadata(f"{NOTE}:{number}")
            if not stored:
                self._check_files(plan, existing)
                unused = int(datetime.now(UTC).timestamp())
                wanted = planned(plan, self._teams.values(), existing, _today(), unused)
                if wanted == plan:
                    break
                # Before the plan: whoever finds the plan finds where its epoch begins.
                await store.metadata_once(note_name(NOTED_POSITIONS, wanted.epoch), first)
                stored = await store.metadata_once(
                    f"{NOTE}:{number}", {"plan": wanted.model_dump(mode="json")}
                )
            plan = Plan.model_validate(stored["plan"])
        self._plan = plan
        self._by_type = {
            event_type: [one for one in plan.open if event_type in one.types]
            for event_type in {name for one in plan.open for name in one.types}
        }

    def _check_files(self, plan: Plan, existing: Collection[str]) -> None:
        """Raises `ConfigurationError` when an outlet would end for no other reason than that a file is not there."""
        if missing := without_file(plan, self._teams, existing, _today()):
            raise ConfigurationError(
                "subscribers-missing",
                f"No file of {', '.join(missing)}, whose outlet is running.",
                hint="Put it back, or correct CARE_SUBSCRIBERS. To end the outlet: a file whose `until` is over.",
                setting=SETTING,
            )

    def last_works(self, now: datetime) -> Sequence[Work]:
        return [
            _ending(outlet, partition, self._settings.operating_facility, now)
            for outlet in self._plan.outlets
            if outlet.ended
            for partition in range(PARTITIONS)
        ]


def _ending(outlet: Outlet, partition: int, facility_id: str, now: datetime) -> Work:
    subject = ending_subject(outlet.topic, partition)
    cause_id = derive_id("topic-ended", subject, outlet.successor or "")
    return Work(
        subject=subject,
        cause_id=cause_id,
        correlation_id=cause_id,
        facility_id=facility_id,
        now=now,
        decide=lambda state, cause: _end(state, cause, outlet),
    )


def _end(state: Any, cause: Cause, outlet: Outlet) -> Decision[State]:
    return streams.end(state, cause, outlet.topic, outlet.successor)


def ending_subject(topic: str, partition: int) -> str:
    """The subject of the record that ends a partition: its key leads to that partition."""
    names = (f"{streams.ENDING}/{derive_id(topic, str(partition), str(n))}" for n in count())
    return next(name for name in names if partition_of(name, PARTITIONS) == partition)


def _today() -> date:
    return local_day(datetime.now(UTC), "UTC")
