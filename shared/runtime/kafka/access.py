"""Who may do what on Kafka: users and access rules (ACLs), from the catalogue. Pure; `grants.py` applies them.

A service writes its own topic and its own journal, reads the topics for which the catalogue names it as a consumer, and
uses its own consumer group. A subscriber reads chosen topics with consumer groups of its own, and writes nothing.
Nobody has any other right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Final

from shared.contracts.event import CATALOGUE
from shared.contracts.outlets import PREFIX, TEAM, TEAM_SAID, outlet_topic
from shared.contracts.topics import TOPICS
from shared.errors import Invalid
from shared.services import OUTLET, PROCESSES

ADMINISTRATOR: Final = "admin"
"""The user of operators: creates users, applies rules, migrates topics. A super user of the brokers."""
SUBSCRIBER: Final = re.compile(TEAM)
BROKER: Final = "broker"
"""The brokers' own user, by which they know each other. A super user as well."""
RESERVED: Final = frozenset({*PROCESSES, ADMINISTRATOR, BROKER})
"""Whose names no subscriber may have."""


class Resource(IntEnum):
    """What a rule is about, by Kafka's numbers."""

    TOPIC = 2
    GROUP = 3


class Operation(IntEnum):
    """What a rule allows, by Kafka's numbers. `READ` and `WRITE` include `DESCRIBE`."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


class Pattern(IntEnum):
    """How a rule's name is matched, by Kafka's numbers."""

    LITERAL = 3
    PREFIXED = 4


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One user may do one thing with one resource, from any host. Whatever no rule allows is refused."""

    user: str
    resource: Resource
    name: str
    operation: Operation
    pattern: Pattern = Pattern.LITERAL

    def allows(self, user: str, resource: Resource, name: str, operation: Operation) -> bool:
        """Whether this rule lets the user do it."""
        prefixed = self.pattern is Pattern.PREFIXED
        named = name.startswith(self.name) if prefixed else name == self.name
        implied = {Operation.DESCRIBE} if self.operation in _IMPLY_DESCRIBE else set[Operation]()
        return (
            self.user == user
            and self.resource is resource
            and named
            and operation in {self.operation, *implied}
        )


_IMPLY_DESCRIBE: Final = (Operation.READ, Operation.WRITE)


def inputs_of(service: str) -> list[str]:
    """The topics of the events that name this service as a consumer; its reactions are the same (tests/contracts).

    Outlet hears everything: which subscriber may read what is its own business.
    """
    if service == OUTLET:
        return sorted(TOPICS)
    return sorted({event.SOURCE for event in CATALOGUE.values() if service in event.CONSUMERS})


def service_rules(service: str) -> list[Rule]:
    """What a service needs, and nothing else.

    It reads its own topic and journal to compare them with its store, and the settings of topics to compare them with
    the catalogue. Whoever may write a topic may use an idempotent producer, so no rule on the cluster is needed.
    """
    own = f"care.{service}"
    reads, configs = Operation.READ, Operation.DESCRIBE_CONFIGS
    written = [own, f"{own}.journal"] if own in TOPICS else [f"{own}.journal"]
    rules = [
        Rule(service, Resource.TOPIC, topic, operation)
        for topic in written
        for operation in (reads, Operation.WRITE, Operation.CREATE, configs)
    ]
    rules += [
        Rule(service, Resource.TOPIC, topic, operation)
        for topic in inputs_of(service)
        for operation in (reads, configs)
    ]
    if service == OUTLET:
        rules += [
            Rule(service, Resource.TOPIC, PREFIX, operation, Pattern.PREFIXED)
            for operation in (reads, Operation.WRITE, Operation.CREATE, configs)
        ]
    return [*rules, Rule(service, Resource.GROUP, service, reads)]


def subscriber_rules(name: str, topics: Iterable[str], group: str = "") -> list[Rule]:
    """A subscriber reads these topics, with consumer groups named `GROUP` (its own name) and `GROUP.…`.

    Its outlet may be one of them, and then all that follow that one.

    Raises `Invalid` for a name that is a service's or malformed, or a topic that is not published.
    """
    wanted = list(topics)
    check_subscriber(name)
    own = outlet_topic(name)
    unknown = [topic for topic in wanted if topic not in TOPICS and topic != own]
    if unknown or not wanted:
        raise Invalid(
            "topic-unknown",
            "A subscriber can read only topics of the catalogue.",
            hint=f"Choose from {', '.join(sorted(TOPICS))}.",
        )
    following = [f"{own}."] if own in wanted else []
    return [
        *(Rule(name, Resource.TOPIC, topic, Operation.READ) for topic in wanted),
        *(Rule(name, Resource.TOPIC, t, Operation.READ, Pattern.PREFIXED) for t in following),
        Rule(name, Resource.GROUP, group or name, Operation.READ),
        Rule(name, Resource.GROUP, f"{group or name}.", Operation.READ, Pattern.PREFIXED),
    ]


def check_subscriber(name: str) -> None:
    """Raises `Invalid` for a name that a subscriber can't have."""
    if not SUBSCRIBER.fullmatch(name) or name in RESERVED:
        raise Invalid(
            "subscriber-name-unusable",
            "This can't be the name of a subscriber.",
            hint=f"Use {TEAM_SAID}; not the name of a service.",
        )


def all_service_rules(services: Sequence[str] = PROCESSES) -> list[Rule]:
    """The rules of all services."""
    return list(chain.from_iterable(map(service_rules, services)))
