"""Which right is missing is told from what the brokers allow, for every service and every set of rights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.topics import TOPICS
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import Operation, Resource, Rule, service_rules
from shared.runtime.kafka.refusals import missing, refusal
from shared.services import SERVICES

operations = st.frozensets(st.sampled_from(Operation))
rights_on_topics = st.dictionaries(st.sampled_from(sorted(TOPICS)), operations)


@given(st.sampled_from(SERVICES), rights_on_topics)
def test_what_is_missing_is_what_the_rules_say_and_the_brokers_do_not_allow(
    service: str, rights: dict[str, frozenset[Operation]]
) -> None:
    rules = service_rules(service)
    lacking = missing(rules, rights)
    for rule in rules:
        if rule.resource is Resource.GROUP or rule.name not in rights:
            assert rule not in lacking, "nothing is known of it"
        elif rule.operation in rights[rule.name]:
            assert rule not in lacking
        elif rights[rule.name] or rule.operation in (Operation.READ, Operation.WRITE):
            assert rule in lacking


@given(st.sampled_from(SERVICES), rights_on_topics)
def test_a_topic_that_is_hidden_is_never_passed_over(
    service: str, rights: dict[str, frozenset[Operation]]
) -> None:
    named = {rule.name for rule in missing(service_rules(service), rights)}
    used = {rule.name for rule in service_rules(service)}
    assert {topic for topic, found in rights.items() if not found and topic in used} <= named


READ = Rule("plans", Resource.TOPIC, "care.intake", Operation.READ)
TOOL = Rule("", Resource.TOPIC, "care.intake", Operation.READ)


@pytest.mark.parametrize(
    ("kafka", "rule", "user", "command"),
    [
        ({"kafka_username": "live.plans"}, READ, "live.plans", "care topics acl --apply"),
        ({}, READ, "plans", "care topics acl --apply"),
        ({"kafka_client_id": "plans-1"}, READ, "plans-1", "care topics acl --apply"),
        (
            {"kafka_username": "county"},
            TOOL,
            "county",
            "care topics acl --subscriber county --topic care.intake --apply",
        ),
        ({}, TOOL, "this user", "--subscriber NAME --topic care.intake --apply"),
    ],
)
def test_a_refusal_says_who_may_not_do_what_and_which_command_mends_it(
    kafka: dict[str, str], rule: Rule, user: str, command: str
) -> None:
    error = refusal(KafkaConnection(**kafka), [rule])  # type: ignore[arg-type]
    assert str(error).endswith(f"Kafka does not let {user} read topic care.intake.")
    assert command in error.hint
    assert error.rights == ("read topic care.intake",)
