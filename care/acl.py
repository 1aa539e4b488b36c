"""`care topics acl`: prints and applies the Kafka users and their access rules, derived from the catalogue."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from care.show import Json, as_json, fail, failures, not_ignored, table
from care.subscribers import all_subscribers, over

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.contracts.publish.subscribers import Subscriber
    from shared.runtime.connections import KafkaConnection
    from shared.runtime.kafka.access import Rule
    from shared.runtime.kafka.names import Names

STRIMZI = "kafka.strimzi.io/v1beta2"
REPLICAS = 3
"""What a cluster of several brokers has; a service compares the settings with the replicas that it finds."""


def acl_command(
    context: typer.Context,
    subscriber: Annotated[
        str | None,
        typer.Option(
            help="Print only this subscriber's rules. Its file names the topics that it reads; without a file, name"
            " them with --topic."
        ),
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(help="With --subscriber: only the rules for this topic; repeatable."),
    ] = None,
    strimzi: Annotated[
        bool, typer.Option("--strimzi", help="Print KafkaUser and KafkaTopic resources as YAML.")
    ] = False,
    cluster: Annotated[
        str, typer.Option(help="With --strimzi: the name of the Strimzi cluster.")
    ] = "throughcare",
    apply: Annotated[
        bool, typer.Option("--apply", help="Add the rules to the cluster at KAFKA_BOOTSTRAP.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="List every access right of these users that the rules do not grant. With --apply, revoke them."
            " A subscriber without a file and without --topic then loses all rights and its user.",
        ),
    ] = False,
    passwords: Annotated[
        Path | None,
        typer.Option(
            help="With --apply: create the users. The file USER.password in this directory holds a user's"
            " password. The command creates a missing file with a new password.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print the Kafka access rules of all services, or of one subscriber with --subscriber.

    --apply and --prune connect as KAFKA_USERNAME, which must be an administrator.
    """
    import asyncio

    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka import access
    from shared.runtime.kafka.names import Names
    from shared.services import PROCESSES

    if not apply:
        not_ignored(context, "--passwords", "needs --apply")
    if subscriber is None:
        not_ignored(
            context, "--topic", "needs --subscriber: the catalogue names each service's topics"
        )
    if not strimzi:
        not_ignored(context, "--cluster", "needs --strimzi")
    elif json:
        raise typer.BadParameter("give one of --strimzi and --json", param_hint="--json")
    with failures():
        if subscriber is None:
            users, rules = list(PROCESSES), access.all_service_rules()
        else:
            users, rules = [subscriber], _rules_of(subscriber, topic or [], prune=prune)
        done = asyncio.run(
            _change(KafkaFromEnvironment(), users, rules, apply, prune, passwords)
            if apply or prune
            else _nothing()
        )
        kafka = KafkaFromEnvironment()
        names = Names.of(kafka)
    rules = [names.rule_on_cluster(rule) for rule in rules]
    if strimzi:
        _print_strimzi(rules, cluster, names, with_topics=subscriber is None)
    elif json:
        as_json([_fields(rule) for rule in rules])
    elif rules:
        table(("user", "on", "may"), _rows(rules))
    for line in done:
        typer.echo(line, err=True)


def _rules_of(subscriber: str, topics: Sequence[str], *, prune: bool) -> list[Rule]:
    """What a subscriber may do: by its file, of whose topics some may be chosen, or without a file the topics given.

    Who has neither, or a file that gives no right, may be pruned to nothing.
    """
    from shared.runtime.kafka import access

    access.check_subscriber(subscriber)
    team = all_subscribers().get(subscriber)
    if team is None and topics:
        return access.subscriber_rules(subscriber, topics)
    if team is not None and not over(team):
        if beyond := set(topics) - set(team.topics):
            fail(
                f"According to its file, {subscriber} reads nothing on {min(beyond)}.",
                "Correct the file first.",
            )
        return access.subscriber_rules(subscriber, topics or team.topics, team.group_prefix)
    if topics or not prune:
        fail(*_no_right(subscriber, team))
    return []


def _no_right(subscriber: str, team: Subscriber | None) -> tuple[str, str]:
    """Why a subscriber is given nothing, and what to do."""
    if team is None:
        return (
            f"The subscriber {subscriber} has no file.",
            f"Create it with `care subscribers new {subscriber}`, or name topics with --topic.",
        )
    return (
        f"The agreement of {subscriber} ended on {team.until}.",
        "Renew the agreement in the file, or revoke the rights with --apply --prune.",
    )


async def _nothing() -> list[str]:
    return []


async def _change(
    kafka: KafkaConnection,
    users: Sequence[str],
    rules: Sequence[Rule],
    apply: bool,
    prune: bool,
    passwords: Path | None,
) -> list[str]:
    """Bring users and rules to the cluster. Returns what was done, for a person."""
    from shared.runtime.kafka import grants

    said: list[str] = []
    if apply and passwords is not None and rules:
        await grants.set_passwords(kafka, {user: _password(passwords, user) for user in users})
        said.append(f"{len(users)} users have the passwords in {passwords}.")
    if apply and rules:
        await grants.grant(kafka, rules)
        said.append(f"{len(rules)} rules are in force.")
    if prune:
        surplus = await grants.surplus(kafka, users, rules)
        said += [f"{'revoked' if apply else 'not in the rules'}: {one}" for one in surplus]
        if apply:
            await grants.withdraw(kafka, surplus)
            said.append(f"{len(surplus)} rights are revoked.")
            if not rules:
                await grants.remove_users(kafka, users)
                said.append(f"The user {users[0]} is removed.")
    return said


def _password(directory: Path, user: str) -> str:
    """The user's password in the directory; a new one is made for this person's eyes only."""
    import secrets

    path = directory / f"{user}.password"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    found = path.read_text(encoding="utf-8").rstrip("\r\n")
    if not found:
        fail(f"{path} is empty.", "Put a password into it, or remove it.")
    return found


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


def _print_strimzi(rules: Sequence[Rule], cluster: str, names: Names, *, with_topics: bool) -> None:
    import yaml

    resources = [*_users(rules, cluster), *(_topics(cluster, names) if with_topics else ())]
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


def _topics(cluster: str, names: Names) -> Iterable[dict[str, Any]]:
    from shared.contracts.topics import TOPICS
    from shared.runtime.recovery.journal import journal_topic
    from shared.services import PROCESSES

    for topic in (*TOPICS.values(), *map(journal_topic, PROCESSES)):
        yield {
            "apiVersion": STRIMZI,
            "kind": "KafkaTopic",
            "metadata": {
                "name": names.on_cluster(topic.name),
                "labels": {"strimzi.io/cluster": cluster},
            },
            "spec": {
                "partitions": topic.partitions,
                "replicas": REPLICAS,
                "config": topic.settings(REPLICAS),
            },
        }
