"""Explains refusals: which right a user lacks, on what, and the command that grants it.

Kafka tells a client little about a refusal: a topic that may not be read looks like one that does not exist, and
aiokafka's consumer waits for it without an error. A client therefore asks beforehand which rights the brokers give its
user, and compares them with the rules of `access.py`. A service asks again while it runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError

from shared.errors import AccessMissing
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import Operation, Resource, Rule, service_rules
from shared.runtime.kafka.topic_ids import operations_on
from shared.runtime.kafka.topics import admin_client
from shared.runtime.logs import log

SHOWING: Final = (Operation.READ, Operation.WRITE)
"""The operations that include seeing a topic at all."""
Rights = Mapping[str, Collection[int]]
"""By topic that exists: what the brokers let this user do with it, by Kafka's numbers. A hidden topic has none."""


def missing(wanted: Iterable[Rule], rights: Rights) -> list[Rule]:
    """The rules on topics that are not in force. On a topic that does not exist, none is missing.

    A topic is hidden from who may neither read nor write it, whatever other rights there are: only those two are named.
    """
    return [
        rule
        for rule in wanted
        if rule.resource is Resource.TOPIC
        and rule.name in rights
        and rule.operation not in rights[rule.name]
        and (rights[rule.name] or rule.operation in SHOWING)
    ]


async def check_service(kafka: KafkaConnection, service: str, topics: Iterable[str]) -> None:
    """Raises `AccessMissing` unless the service may do with these topics and its group what the catalogue says.

    Raises `Unavailable` while no broker answers.
    """
    used = set(topics)
    rules = [rule for rule in service_rules(service) if rule.name in used]
    await _check(kafka, rules, group=service)


async def check_reading(kafka: KafkaConnection, topics: Iterable[str]) -> None:
    """The same for a tool that reads topics and has no group."""
    await _check(kafka, [Rule("", Resource.TOPIC, topic, Operation.READ) for topic in topics])


async def _check(kafka: KafkaConnection, rules: Sequence[Rule], *, group: str = "") -> None:
    names = sorted({rule.name for rule in rules})
    async with admin_client(kafka) as admin:
        lacking = missing(rules, await operations_on(admin, names))
        if group:
            try:
                await admin.find_coordinator(group)
            except GroupAuthorizationFailedError:
                lacking.append(Rule(group, Resource.GROUP, group, Operation.READ))
            except GroupCoordinatorNotAvailableError:
                pass  # the user may; the cluster has not had a group yet
    if lacking:
        raise refusal(kafka, lacking)


def refusal(kafka: KafkaConnection, lacking: Sequence[Rule]) -> AccessMissing:
    """The error that says which rights are missing; each of them is also logged."""
    user = kafka.kafka_username or kafka.kafka_client_id or lacking[0].user
    for rule in lacking:
        log.error(
            "access.missing",
            bus_user=user or None,
            right=_right(rule),
            resource=f"{rule.resource.name.lower()} {rule.name}",
        )
    texts = [f"{_right(rule)} {rule.resource.name.lower()} {rule.name}" for rule in lacking]
    command = "care topics acl --apply"
    if not any(rule.user for rule in lacking):
        topics = " ".join(f"--topic {name}" for name in sorted({rule.name for rule in lacking}))
        command = f"care topics acl --subscriber {user or 'NAME'} {topics} --apply"
    return AccessMissing(user or "this user", texts, command)


def _right(rule: Rule) -> str:
    return rule.operation.name.lower().replace("_", "-")
