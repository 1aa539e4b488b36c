"""Names on the cluster: any name goes there and back, and two environments never share one."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.contracts.topics import TOPICS
from shared.errors import ConfigurationError
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import ADMINISTRATOR, SUBSCRIBER, all_service_rules
from shared.runtime.kafka.names import PREFIX, Names
from shared.services import SERVICES

NAMES = [*TOPICS, *(f"care.{name}.journal" for name in SERVICES), *SERVICES]
prefixes = st.from_regex(PREFIX, fullmatch=True)


@given(prefixes, st.sampled_from(NAMES), st.integers(0, 11))
def test_a_name_goes_to_the_cluster_and_back(prefix: str, name: str, number: int) -> None:
    names, partition = Names(prefix), TopicPartition(name, number)
    assert names.of_ours(names.on_cluster(name)) == name
    assert names.ours(names.on_cluster(name))
    assert names.partition_of_ours(names.partition_on_cluster(partition)) == partition
    assert names.partition_on_cluster(partition) == (prefix + name, number)


@given(prefixes, prefixes)
def test_two_environments_share_no_topic_group_or_user(one: str, other: str) -> None:
    assume(one != other)
    rules = [map(Names(prefix).rule_on_cluster, all_service_rules()) for prefix in (one, other)]
    first, second = ({(r.user, r.resource, r.name) for r in found} for found in rules)
    assert not {user for user, *_ in first} & {user for user, *_ in second}
    assert not {it[1:] for it in first} & {it[1:] for it in second}
    assert not any(Names(one).ours(Names(other).on_cluster(topic)) for topic in TOPICS if one), (
        "no prefix is the beginning of another's names"
    )


@given(prefixes)
def test_no_user_of_an_environment_is_a_subscriber_or_the_administrator(prefix: str) -> None:
    assume(prefix)
    for service in SERVICES:
        user = Names(prefix).on_cluster(service)
        assert user != ADMINISTRATOR
        assert not SUBSCRIBER.fullmatch(user)


@pytest.mark.parametrize(
    "prefix", ["test", "Test.", "a.b.", ".", "-x.", "1.", "a b.", "é.", f"{'a' * 40}.", "care/."]
)
def test_a_prefix_that_can_be_none_is_refused_by_its_name(prefix: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Names.of(KafkaConnection(kafka_prefix=prefix))
    assert refused.value.setting == "KAFKA_PREFIX"
