"""Who may do what on the bus: no user may write what is not its own, and each may do what it has to."""

from __future__ import annotations

from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.outlets import outlet_topic
from shared.contracts.topics import TOPICS
from shared.errors import Invalid
from shared.runtime.kafka.access import (
    ADMINISTRATOR,
    SUBSCRIBER,
    Operation,
    Resource,
    Rule,
    all_service_rules,
    inputs_of,
    service_rules,
    subscriber_rules,
)
from shared.services import OUTLET, PROCESSES, SERVICES

JOURNALS = [f"care.{name}.journal" for name in SERVICES]
EVERY_TOPIC = [*TOPICS, *JOURNALS]
GROUPS = [*SERVICES, "partner", "partner.reporting"]
subscribers = st.from_regex(SUBSCRIBER, fullmatch=True).filter(
    lambda name: name not in (*PROCESSES, ADMINISTRATOR, "broker")
)
some_topics = st.lists(st.sampled_from(sorted(TOPICS)), min_size=1, unique=True)


def _may(rules: list[Rule], user: str, resource: Resource, name: str, operation: Operation) -> bool:
    return any(rule.allows(user, resource, name, operation) for rule in rules)


@given(subscribers, some_topics)
def test_nobody_may_write_what_is_not_its_own(subscriber: str, topics: list[str]) -> None:
    rules = [*all_service_rules(), *subscriber_rules(subscriber, topics)]
    for user in {rule.user for rule in rules} | {subscriber, "nobody"}:
        for topic in EVERY_TOPIC:
            for operation in (Operation.WRITE, Operation.CREATE):
                own = topic in (f"care.{user}", f"care.{user}.journal") and user in SERVICES
                assert _may(rules, user, Resource.TOPIC, topic, operation) is own


@given(subscribers, some_topics)
def test_nobody_joins_the_group_of_another_or_reads_a_foreign_journal(
    subscriber: str, topics: list[str]
) -> None:
    rules = [*all_service_rules(), *subscriber_rules(subscriber, topics)]
    for user in (*SERVICES, subscriber):
        for name in SERVICES:
            read = _may(rules, user, Resource.GROUP, name, Operation.READ)
            assert read is (user == name)
            journal = f"care.{name}.journal"
            assert _may(rules, user, Resource.TOPIC, journal, Operation.DESCRIBE) is (user == name)


@given(subscribers, some_topics)
def test_a_subscriber_reads_what_was_chosen_and_nothing_else(
    subscriber: str, topics: list[str]
) -> None:
    rules = subscriber_rules(subscriber, topics)
    for topic in EVERY_TOPIC:
        chosen = topic in topics
        assert _may(rules, subscriber, Resource.TOPIC, topic, Operation.READ) is chosen
    for group, own in ((subscriber, True), (f"{subscriber}.a", True), (f"{subscriber}a", False)):
        assert _may(rules, subscriber, Resource.GROUP, group, Operation.READ) is own


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_what_it_has_to(name: str) -> None:
    rules = service_rules(name)
    reacts = import_module(f"services.{name}.app").SERVICE.reactions.topics
    assert inputs_of(name) == reacts
    for topic in reacts:
        assert _may(rules, name, Resource.TOPIC, topic, Operation.READ)
        assert _may(rules, name, Resource.TOPIC, topic, Operation.DESCRIBE)
    for own in (f"care.{name}", f"care.{name}.journal"):
        for operation in (Operation.READ, Operation.WRITE, Operation.CREATE):
            assert _may(rules, name, Resource.TOPIC, own, operation)
    for topic in set(EVERY_TOPIC) - {*reacts, f"care.{name}", f"care.{name}.journal"}:
        for operation in Operation:
            assert not _may(rules, name, Resource.TOPIC, topic, operation)


@pytest.mark.parametrize("name", [*SERVICES, ADMINISTRATOR, "", "UPPER", "a b", "x", "a.b", "*"])
def test_a_subscriber_can_not_take_the_name_of_another(name: str) -> None:
    with pytest.raises(Invalid):
        subscriber_rules(name, ["care.plans"])


@pytest.mark.parametrize("topics", [[], ["care.plans.journal"], ["*"], ["care.plans", "other"]])
def test_a_subscriber_reads_published_topics_only(topics: list[str]) -> None:
    with pytest.raises(Invalid):
        subscriber_rules("partner", topics)


@given(subscribers, subscribers)
def test_outlet_alone_writes_outlets_and_each_team_reads_its_own(one: str, other: str) -> None:
    """Also where one name begins with the other."""
    rules = [*all_service_rules(), *subscriber_rules(one, [outlet_topic(one)])]
    for topic in (outlet_topic(one), outlet_topic(one, 2), outlet_topic(one, 17)):
        assert _may(rules, one, Resource.TOPIC, topic, Operation.READ)
        assert not _may(rules, one, Resource.TOPIC, topic, Operation.WRITE)
        assert not _may(rules, one, Resource.TOPIC, topic, Operation.CREATE)
    for topic in (outlet_topic(other), outlet_topic(other, 2), f"{outlet_topic(one)}-2"):
        mine = other == one and not topic.endswith("-2")
        assert _may(rules, one, Resource.TOPIC, topic, Operation.READ) is mine
        for service in PROCESSES:
            for operation in (Operation.WRITE, Operation.CREATE, Operation.READ):
                own = service == OUTLET
                assert _may(rules, service, Resource.TOPIC, topic, operation) is own
    for topic in TOPICS:
        assert not _may(rules, one, Resource.TOPIC, topic, Operation.DESCRIBE)
        assert _may(rules, OUTLET, Resource.TOPIC, topic, Operation.READ)
        assert not _may(rules, OUTLET, Resource.TOPIC, topic, Operation.WRITE)


def test_nobody_is_given_the_outlet_of_another() -> None:
    with pytest.raises(Invalid):
        subscriber_rules("partner", ["care.out.billing"])
