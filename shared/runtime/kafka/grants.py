"""Reads, adds and removes the users and access rules on a cluster. `access.py` defines the rules that should exist.

Every call needs an administrator. aiokafka 0.14 has no calls for rules and users, so this module sends the requests
itself; aiokafka does not know those for users (KIP-554) at all. Callers use the catalogue's names, and the rules that
this module finds have the cluster's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka.errors import KafkaError, NoError, for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import Operation, Pattern, Resource, Rule
from shared.runtime.kafka.clients import NamedAdmin
from shared.runtime.kafka.names import Names
from shared.runtime.kafka.topics import admin_client

ANY_HOST: Final = "*"
ALLOW: Final = 3
ANY: Final = 1
"""Kafka's number for "whichever" in a search for rules."""
SCRAM_SHA_512: Final = 2
ITERATIONS: Final = 8192
NO_SUCH_USER: Final = 91
"""Kafka's error for a user that has no password to be removed."""


class InForce(NamedTuple):
    """A rule as a cluster has it; it may be none of ours, so the numbers are Kafka's own."""

    resource: int
    name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int

    def __str__(self) -> str:
        """Such as `User:intake may WRITE TOPIC care.intake`."""
        verb = "may" if self.permission == ALLOW else "may not"
        what = f"{_name(Operation, self.operation)} {_name(Resource, self.resource)}"
        star = "*" if self.pattern == Pattern.PREFIXED else ""
        host = "" if self.host == ANY_HOST else f" from {self.host}"
        return f"{self.principal} {verb} {what} {self.name}{star}{host}"


def _name(kind: type[Operation | Resource], number: int) -> str:
    try:
        return kind(number).name
    except ValueError:
        return f"({number})"


def in_force(rule: Rule) -> InForce:
    """How a cluster has this rule."""
    return InForce(
        rule.resource,
        rule.name,
        rule.pattern,
        f"User:{rule.user}",
        ANY_HOST,
        rule.operation,
        ALLOW,
    )


# --- rules -------------------------------------------------------------------------------------------


async def grant(kafka: KafkaConnection, rules: Iterable[Rule]) -> None:
    """Add these rules to a cluster; one that is there stays.

    Raises `Unavailable`, with the code `broker-access-denied` when the user is not an administrator.
    """
    wanted = _on_cluster(kafka, rules)
    async with admin_client(kafka) as admin:
        for rule in wanted:
            response = await admin.send(CreateAclsRequest(*rule))
            for code, *_message in response.creation_responses:
                _check(code)


async def found(kafka: KafkaConnection, users: Iterable[str]) -> set[InForce]:
    """All rules in force for these users. Raises `Unavailable`."""
    async with admin_client(kafka) as admin:
        there = sorted(map(admin.names.on_cluster, set(users)))
        return {rule for user in there for rule in await _rules_of(admin, user)}


async def surplus(
    kafka: KafkaConnection, users: Iterable[str], rules: Iterable[Rule]
) -> list[InForce]:
    """What is in force for these users beside these rules. Raises `Unavailable`."""
    return sorted(await found(kafka, users) - set(_on_cluster(kafka, rules)))


async def withdraw(kafka: KafkaConnection, rules: Iterable[InForce]) -> None:
    """Take these rules back; one that is not there is no error. Raises `Unavailable`."""
    async with admin_client(kafka) as admin:
        for rule in rules:
            response = await admin.send(DeleteAclsRequest(*rule))
            for code, *_rest in response.filter_responses:
                _check(code)


def _on_cluster(kafka: KafkaConnection, rules: Iterable[Rule]) -> list[InForce]:
    return [in_force(rule) for rule in map(Names.of(kafka).rule_on_cluster, rules)]


async def _rules_of(admin: NamedAdmin, user: str) -> list[InForce]:
    principal = f"User:{user}"
    # An absent name, host or principal finds all of them; aiokafka's types do not say so.
    absent: Any = None
    request = DescribeAclsRequest(ANY, absent, ANY, principal, absent, ANY, ANY)
    response = await admin.send(request)
    _check(response.error_code)
    return [
        InForce(resource, name, pattern, *acl)
        for resource, name, pattern, acls in response.resources
        for acl in acls
    ]


# --- users -------------------------------------------------------------------------------------------


async def set_passwords(kafka: KafkaConnection, passwords: Mapping[str, str]) -> None:
    """Create users for SCRAM-SHA-512, or change their passwords. The passwords do not leave this process.

    Raises `Unavailable`, with the code `broker-access-denied` when the user is not an administrator.
    """
    on_cluster = Names.of(kafka).on_cluster
    salted = [_salted(on_cluster(user), secret) for user, secret in passwords.items()]
    await _alter_users(kafka, [], salted)


async def remove_users(kafka: KafkaConnection, users: Collection[str]) -> None:
    """Remove users; one that is not there is no error. Raises `Unavailable`."""
    on_cluster = Names.of(kafka).on_cluster
    await _alter_users(kafka, [(on_cluster(user), SCRAM_SHA_512, {}) for user in users], [])


def _salted(user: str, password: str) -> tuple[str, int, int, bytes, bytes, dict[int, bytes]]:
    salt = os.urandom(32)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return user, SCRAM_SHA_512, ITERATIONS, salt, salted, {}


async def _alter_users(kafka: KafkaConnection, deletions: list[Any], upsertions: list[Any]) -> None:
    async with admin_client(kafka) as admin:
        response = await admin.send(AlterUsersRequest(deletions, upsertions))
        for _user, code, *_message in response.results:
            if code != NO_SUCH_USER:
                _check(code)


class AlterUsersResponse0(Response):
    """AlterUserScramCredentials, version 0."""

    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterUsersRequest0(RequestStruct):
    """The one version there is."""

    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = AlterUsersResponse0
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("tags", TaggedFields),
            ),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterUsersRequest(Request[AlterUsersRequest0]):
    """Changes the passwords of users."""

    API_KEY = 51

    def __init__(self, deletions: list[Any], upsertions: list[Any]) -> None:
        self._deletions = deletions
        self._upsertions = upsertions

    def build(self, request_struct_class: type[AlterUsersRequest0]) -> AlterUsersRequest0:
        return request_struct_class(self._deletions, self._upsertions, {})


# --- both --------------------------------------------------------------------------------------------


def _check(code: int) -> None:
    error: type[KafkaError] = for_code(code)
    if error is not NoError:
        raise error
