"""`care topics acl`: the users of the bus and what each may do, derived from the catalogue."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from care.show import Json, as_json, failures, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.runtime.kafka.access import Rule

STRIMZI = "kafka.strimzi.io/v1beta2"
REPLICAS = 3
"""What a cluster of several brokers has; a service compares the settings with the replicas that it finds."""


def acl_command(
    subscriber: Annotated[
        str | None,
        typer.Option(help="Only the rules of this subscriber, who reads the topics given."),
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="A topic that the subscriber reads; repeatable.")
    ] = None,
    strimzi: Annotated[
        bool, typer.Option("--strimzi", help="Print KafkaUser and KafkaTopic resources as YAML.")
    ] = False,
    cluster: Annotated[str, typer.Option(help="Strimzi: the cluster's name.")] = "throughcare",
    apply: Annotated[
        bool, typer.Option("--apply", help="Add the rules to the cluster at KAFKA_BOOTSTRAP.")
    ] = False,
    json: Json = False,
) -> None:
    """Print who may do what on the bus: services by default, or one subscriber.

    --apply needs an administrator in KAFKA_USERNAME. It adds rules and removes none; the users themselves are created
    with Kafka's own `kafka-configs.sh`.
    """
    import asyncio

    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka import access

    with failures():
        rules = (
            access.subscriber_rules(subscriber, topic or [])
            if subscriber
            else access.all_service_rules()
        )
        if apply:
            asyncio.run(access.grant(KafkaFromEnvironment(), rules))
    if strimzi:
        _print_strimzi(rules, cluster, with_topics=subscriber is None)
    elif json:
        as_json([_fields(rule) for rule in rules])
    else:
        table(("user", "on", "may"), _rows(rules))
    if apply:
        typer.echo(f"{len(rules)} rules are in force.", err=True)


def _operation(rule: Rule) -> str:
    return rule.operation.name.lower().replace("_", "-")


def _fields(rule: Rule) -> dict[str, str]:
    return {
        "principal": f"User:{rule.user}",
        "resource": rule.resource.name.lower(),
        "name": rule.name,
        "pattern": rule.pattern.name.lower(),
        "operation": _operation(rule),
    }


def _grouped(rules: Iterable[Rule]) -> dict[tuple[str, str, str, str], list[str]]:
    """The operations of each user on each resource."""
    found: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for rule in rules:
        resource, pattern = rule.resource.name.lower(), rule.pattern.name.lower()
        found[rule.user, resource, rule.name, pattern].append(_operation(rule))
    return found


def _rows(rules: Iterable[Rule]) -> Iterable[Sequence[str]]:
    for (user, resource, name, pattern), operations in _grouped(rules).items():
        shown = f"{name}*" if pattern == "prefixed" else name
        yield user, f"{resource} {shown}", " ".join(operations)


def _print_strimzi(rules: Sequence[Rule], cluster: str, *, with_topics: bool) -> None:
    import yaml

    resources = [*_users(rules, cluster), *(_topics(cluster) if with_topics else ())]
    typer.echo(yaml.safe_dump_all(resources, sort_keys=False), nl=False)


def _users(rules: Sequence[Rule], cluster: str) -> Iterable[dict[str, Any]]:
    for user in dict.fromkeys(rule.user for rule in rules):
        acls = [
            {
                "resource": {"type": resource, "name": name, "patternType": _strimzi(pattern)},
                "operations": ["".join(map(str.title, one.split("-"))) for one in operations],
            }
            for (owner, resource, name, pattern), operations in _grouped(rules).items()
            if owner == user
        ]
        yield {
            "apiVersion": STRIMZI,
            "kind": "KafkaUser",
            "metadata": {"name": user, "labels": {"strimzi.io/cluster": cluster}},
            "spec": {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": acls},
            },
        }


def _strimzi(pattern: str) -> str:
    return "prefix" if pattern == "prefixed" else pattern


def _topics(cluster: str) -> Iterable[dict[str, Any]]:
    from shared.contracts.topics import TOPICS
    from shared.runtime.recovery.journal import journal_topic
    from shared.services import SERVICES

    for topic in (*TOPICS.values(), *map(journal_topic, SERVICES)):
        yield {
            "apiVersion": STRIMZI,
            "kind": "KafkaTopic",
            "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": cluster}},
            "spec": {
                "partitions": topic.partitions,
                "replicas": REPLICAS,
                "config": topic.settings(REPLICAS),
            },
        }
