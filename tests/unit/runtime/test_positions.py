"""Positions: where a consumer stands, which gaps are real, and when only an operator may go on. Without Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.kafka.positions import (
    STALLED_SECONDS,
    Gap,
    Noted,
    PositionLost,
    Positions,
    Stall,
    end_offsets,
    first_offsets,
)
from shared.runtime.kafka.reading import Message

INTAKE, PLANS = "care.intake", "care.plans"
ONE, TWO = TopicPartition(INTAKE, 1), TopicPartition(INTAKE, 2)


def message(tp: TopicPartition, offset: int) -> Message:
    return ConsumerRecord(
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=None,
        value=None,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )


def batch(tp: TopicPartition, *offsets: int) -> list[Message]:
    return [message(tp, offset) for offset in offsets]


class Client:
    """A client's answers: what is assigned and committed, and how far each partition reaches."""

    def __init__(self, *assigned: TopicPartition, committed: int | None = None, end: int = 10):
        self.held = set(assigned)
        self.commits = dict.fromkeys(assigned, committed)
        self.beginnings = dict.fromkeys(assigned, 0)
        self.ends = dict.fromkeys(assigned, end)
        self.at = dict.fromkeys(assigned, 0)
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while a question is on its way."""
        self.questions = 0

    def assignment(self) -> set[TopicPartition]:
        return set(self.held)

    async def committed(self, partition: TopicPartition) -> int | None:
        self.questions += 1
        self.meanwhile()
        return self.commits[partition]

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition]

    async def beginning_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        self.questions += 1
        return {partition: self.beginnings[partition] for partition in partitions}

    async def end_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        self.questions += 1
        self.meanwhile()
        return {partition: self.ends[partition] for partition in partitions}


async def nothing_noted() -> Mapping[str, int]:
    return {}


def noting(**offsets: int) -> Noted:
    """A store whose note says these next offsets of partitions of the first topic, by `p1`, `p2`."""

    async def noted() -> Mapping[str, int]:
        return {f"{INTAKE}/{name[1:]}": offset for name, offset in offsets.items()}

    return noted


@pytest.fixture
def positions() -> Positions:
    return Positions([INTAKE, PLANS], nothing_noted)


async def reached(positions: Positions, client: Client, tp: TopicPartition, offset: int) -> None:
    """Have the positions at `offset` of a partition, everything before it applied."""
    await positions.learn(client, [tp])
    positions.advance({tp: offset})


# --- where to begin -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("committed", "beginning", "expected"),
    [(None, 0, 0), (0, 0, 0), (7, 0, 7), (7, 7, 7), (7, 3, 7)],
    ids=["never committed", "at nought", "in the middle", "at the beginning", "behind it"],
)
async def test_a_partition_begins_where_the_group_has_committed(
    positions: Positions, committed: int | None, beginning: int, expected: int
) -> None:
    client = Client(ONE, committed=committed)
    client.beginnings[ONE] = beginning
    await positions.learn(client, [ONE])
    assert positions.next_offsets([ONE]) == {"care.intake/1": expected}


@pytest.mark.parametrize(
    ("committed", "noted", "expected", "sought"),
    [
        (9, 4, 4, {ONE: 4}),
        (9, 9, 9, {}),
        (4, 9, 4, {}),
        (None, 9, 0, {}),
        (9, 0, 0, {ONE: 0}),
    ],
    ids=["set forward", "together", "behind the note", "never committed", "all of it skipped"],
)
async def test_a_partition_begins_at_the_lower_of_committed_offset_and_note(
    committed: int | None, noted: int, expected: int, sought: Mapping[TopicPartition, int]
) -> None:
    positions = Positions([INTAKE], noting(p1=noted))
    await positions.learn(Client(ONE, committed=committed), [ONE])
    assert positions.next_offsets([ONE]) == {"care.intake/1": expected}
    assert positions.take_behind() == sought
    assert positions.take_behind() == {}, "it is sought once"


async def test_messages_behind_a_skip_wait_and_are_no_gap() -> None:
    positions = Positions([INTAKE], noting(p1=4))
    client = Client(ONE, TWO, committed=9)
    client.ends |= {ONE: 20, TWO: 20}
    found, gaps = await positions.without_gaps(client, [*batch(ONE, 9, 10), *batch(TWO, 9, 10)])
    assert ([(m.topic, m.partition) for m in found], gaps) == ([(INTAKE, TWO.partition)] * 2, [])
    assert positions.take_behind() == {ONE: 4}
    found, gaps = await positions.without_gaps(client, batch(ONE, 4, 5))
    assert ([m.offset for m in found], gaps) == ([4, 5], [])


async def test_a_position_that_a_batch_has_reached_meanwhile_stays(positions: Positions) -> None:
    client = Client(ONE, committed=2)
    client.meanwhile = lambda: positions.advance({ONE: 5})
    await positions.learn(client, [ONE])
    assert positions.next_offsets([ONE]) == {"care.intake/1": 5}


async def test_what_is_known_is_not_asked_for_again(positions: Positions) -> None:
    client = Client(ONE, TWO)
    await positions.learn(client, [ONE])
    asked = client.questions
    await positions.learn(client, [ONE])
    found, gaps = await positions.without_gaps(client, batch(ONE, 0, 1))
    assert ([m.offset for m in found], gaps) == ([0, 1], [])
    assert client.questions == asked, "an ordinary batch asks Kafka nothing"


# --- gaps ---------------------------------------------------------------------------------------------------


async def test_a_gap_is_fetched_again_once_and_then_taken_as_real(positions: Positions) -> None:
    """A transaction marker, a compacted message: the topic still begins before it and ends behind it."""
    client = Client(ONE)
    await reached(positions, client, ONE, 5)
    found, gaps = await positions.without_gaps(client, batch(ONE, 7, 8))
    assert (found, gaps) == ([], [Gap(ONE, expected=5, found=7)])
    found, gaps = await positions.without_gaps(client, batch(ONE, 7, 8))
    assert ([m.offset for m in found], gaps) == ([7, 8], [])
    positions.advance(end_offsets(found))
    _, gaps = await positions.without_gaps(client, batch(ONE, 11))
    assert gaps == [Gap(ONE, expected=9, found=11)], "another gap is fetched again too"


async def test_a_gap_that_was_none_is_forgotten(positions: Positions) -> None:
    """The client had dropped messages: fetched again they are there, and the same gap later is a new one."""
    client = Client(ONE)
    await reached(positions, client, ONE, 5)
    await positions.without_gaps(client, batch(ONE, 7))
    found, gaps = await positions.without_gaps(client, batch(ONE, 5, 6, 7))
    assert ([m.offset for m in found], gaps) == ([5, 6, 7], [])
    _, gaps = await positions.without_gaps(client, batch(ONE, 7))  # the batch was not saved
    assert gaps == [Gap(ONE, expected=5, found=7)]


async def test_a_gap_stops_its_own_partition_alone(positions: Positions) -> None:
    client = Client(ONE, TWO)
    await positions.learn(client, [ONE, TWO])
    found, gaps = await positions.without_gaps(client, [*batch(ONE, 3), *batch(TWO, 0, 1)])
    assert [(m.partition, m.offset) for m in found] == [(2, 0), (2, 1)]
    assert gaps == [Gap(ONE, expected=0, found=3)]


async def test_what_comes_again_passes(positions: Positions) -> None:
    """The inbox recognises it; where to go on is decided by what was applied last."""
    client = Client(ONE)
    await reached(positions, client, ONE, 5)
    found, gaps = await positions.without_gaps(client, batch(ONE, 3, 4, 5))
    assert ([m.offset for m in found], gaps) == ([3, 4, 5], [])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
async def test_every_message_passes_in_order_whatever_the_gaps_are(holes: list[int]) -> None:
    """Offsets with any holes, each batch fetched from where the positions say: all arrive, each once."""
    offsets = [sum(holes[:n]) + n for n in range(1, len(holes) + 1)]
    client, positions = Client(ONE, end=offsets[-1] + 1), Positions([INTAKE], nothing_noted)
    arrived: list[int] = []
    at = 0
    for _ in range(2 * len(offsets)):
        messages = batch(ONE, *[offset for offset in offsets if offset >= at][:2])
        if not messages:
            break
        found, gaps = await positions.without_gaps(client, messages)
        arrived += [m.offset for m in found]
        positions.advance(end_offsets(found))
        at = gaps[0].expected if gaps else end_offsets(found)[ONE]
    assert arrived == offsets


# --- what retention has removed, and topics that are made again ------------------------------------------------


async def test_what_retention_removed_before_it_was_applied_is_a_loss(positions: Positions) -> None:
    client = Client(ONE)
    await reached(positions, client, ONE, 5)
    client.beginnings[ONE] = 8
    with pytest.raises(PositionLost) as lost:
        await positions.without_gaps(client, batch(ONE, 8, 9))
    assert (lost.value.code, lost.value.gaps) == ("history-removed", [Gap(ONE, 5, 8)])
    assert positions.give_up_removed(client) == {ONE: 8}
    found, gaps = await positions.without_gaps(client, batch(ONE, 8, 9))
    assert ([m.offset for m in found], gaps) == ([8, 9], [])


async def test_every_partition_that_lost_something_before_the_start_is_named(
    positions: Positions,
) -> None:
    client = Client(ONE, TWO, committed=2)
    client.beginnings = {ONE: 4, TWO: 6}
    with pytest.raises(PositionLost) as lost:
        await positions.learn(client, [ONE, TWO])
    assert lost.value.gaps == [Gap(ONE, 2, 4), Gap(TWO, 2, 6)]
    client.held = {TWO}
    assert positions.give_up_removed(client) == {TWO: 6}, "only of the partitions held"


async def test_an_accepted_loss_stays_accepted_over_a_rebalance(positions: Positions) -> None:
    client = Client(ONE, committed=2)
    client.beginnings[ONE] = 4
    with pytest.raises(PositionLost):
        await positions.learn(client, [ONE])
    positions.give_up_removed(client)
    positions.forget()
    await positions.learn(client, [ONE])  # as long as nothing behind it was committed
    assert positions.next_offsets([ONE]) == {"care.intake/1": 4}
    client.beginnings[ONE] = 5
    positions.forget()
    with pytest.raises(PositionLost):  # more has gone since
        await positions.learn(client, [ONE])


async def test_what_retention_removed_after_it_was_applied_is_no_loss(positions: Positions) -> None:
    client = Client(ONE)
    await reached(positions, client, ONE, 5)
    client.beginnings[ONE] = 5
    found, gaps = await positions.without_gaps(client, batch(ONE, 5, 6))
    assert ([m.offset for m in found], gaps) == ([5, 6], [])
    assert positions.give_up_removed(client) == {}


async def test_a_topic_that_is_shorter_than_what_was_applied_was_made_again(
    positions: Positions,
) -> None:
    client = Client(ONE)
    await reached(positions, client, ONE, 10)
    client.ends[ONE] = 3
    with pytest.raises(PositionLost) as lost:
        await positions.without_gaps(client, batch(ONE, 0, 1))
    assert (lost.value.code, list(lost.value.gaps)) == ("topic-made-again", [])


# --- rebalancing ----------------------------------------------------------------------------------------------


async def test_a_revocation_in_the_middle_of_a_batch_leaves_nothing_of_the_old_positions(
    positions: Positions,
) -> None:
    """Another member went on meanwhile: what was expected, and a gap once fetched again, mean nothing any more."""
    client = Client(ONE)
    await reached(positions, client, ONE, 5)
    await positions.without_gaps(client, batch(ONE, 7))  # sought once
    positions.forget()
    assert positions.next_offsets([ONE]) == {}
    assert positions.rewound({ONE: 7}) == {ONE: 7}, "nothing is known to go back to"
    client.commits[ONE] = 5  # and comes back, where the other member has stopped
    _, gaps = await positions.without_gaps(client, batch(ONE, 7))
    assert gaps == [Gap(ONE, expected=5, found=7)], "the gap is fetched again here too"


async def test_partitions_that_move_while_their_ends_are_asked_for_are_no_target(
    positions: Positions,
) -> None:
    client = Client(ONE, TWO, end=0)
    client.meanwhile = lambda: client.held.discard(TWO)
    await positions.take_target(client)
    assert not positions.has_target
    assert not await positions.caught_up(client)
    await positions.take_target(client)
    assert await positions.caught_up(client)


@pytest.mark.parametrize(("first", "wanted"), [(3, 3), (5, 5), (9, 5)])
async def test_a_batch_is_fetched_again_from_its_beginning_or_from_what_comes_next(
    positions: Positions, first: int, wanted: int
) -> None:
    await reached(positions, Client(ONE), ONE, 5)
    assert positions.rewound({ONE: first}) == {ONE: wanted}


# --- caught up ------------------------------------------------------------------------------------------------


async def test_it_has_caught_up_when_all_that_was_there_at_assignment_is_applied(
    positions: Positions,
) -> None:
    client = Client(ONE, TWO, end=3)
    assert not await positions.caught_up(client), "nothing is known yet"
    await positions.take_target(client)
    client.ends = {ONE: 99, TWO: 99}  # what comes later does not count
    positions.advance({ONE: 3})
    assert not await positions.caught_up(client)
    positions.advance({TWO: 3})
    assert await positions.caught_up(client)
    positions.assigned()
    assert not positions.has_target
    assert not await positions.caught_up(client), "after an assignment it is asked anew"


async def test_empty_topics_are_caught_up_at_once(positions: Positions) -> None:
    client = Client(ONE, TWO, end=0)
    await positions.take_target(client)
    assert await positions.caught_up(client)
    positions.forget()
    assert not await positions.caught_up(client), (
        "without partitions there is nothing to have caught up with"
    )


async def test_it_has_not_caught_up_with_a_topic_that_has_lost_something(
    positions: Positions,
) -> None:
    client = Client(ONE, committed=2)
    client.beginnings[ONE] = 4
    with pytest.raises(PositionLost):
        await positions.take_target(client)
    assert not await positions.caught_up(client)


# --- what is held ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "buckets"),
    [
        ([], []),
        ([(INTAKE, 0)], []),
        ([(INTAKE, 0), (PLANS, 1)], []),
        ([(INTAKE, 0), (PLANS, 0)], [0]),
        ([(INTAKE, 5), (PLANS, 5), (INTAKE, 2), (PLANS, 2), (PLANS, 1)], [2, 5]),
    ],
)
def test_a_bucket_is_held_when_its_partition_is_held_of_every_topic(
    positions: Positions, held: list[tuple[str, int]], buckets: list[int]
) -> None:
    assert positions.buckets(TopicPartition(*one) for one in held) == buckets


async def test_only_partitions_held_are_reported(positions: Positions) -> None:
    await positions.learn(Client(ONE, TWO, committed=4), [ONE, TWO])
    assert positions.next_offsets([TWO]) == {"care.intake/2": 4}


@given(st.lists(st.sampled_from([ONE, TWO]), max_size=20))
def test_first_and_end_offsets_are_those_of_each_partition(order: list[TopicPartition]) -> None:
    messages = [message(tp, offset) for offset, tp in enumerate(order)]
    for tp in (ONE, TWO):
        offsets = [m.offset for m in messages if m.partition == tp.partition]
        assert first_offsets(messages).get(tp) == (offsets[0] if offsets else None)
        assert end_offsets(messages).get(tp) == (offsets[-1] + 1 if offsets else None)


@pytest.mark.parametrize("markers", [1, 2, 7])
async def test_what_no_application_sees_at_the_end_of_a_partition_is_passed(
    positions: Positions, markers: int
) -> None:
    """A transaction's marker stopped every deadline of a replica, and nothing said so."""
    client = Client(ONE, end=3 + markers)
    await positions.take_target(client)
    positions.take(batch(ONE, 0, 1, 2))
    positions.advance({ONE: 2})
    client.at[ONE] = 3 + markers
    assert not await positions.caught_up(client), "what the client gave out is not applied yet"
    positions.advance({ONE: 3})
    client.at[ONE] = 3
    assert not await positions.caught_up(client), "the client has not come to the end yet"
    client.at[ONE] = 3 + markers
    assert await positions.caught_up(client)


async def test_a_partition_of_markers_alone_is_passed(positions: Positions) -> None:
    client = Client(ONE, end=2)
    await positions.take_target(client)
    assert not await positions.caught_up(client)
    client.at[ONE] = 2
    assert await positions.caught_up(client)


def test_catching_up_stands_still_when_nothing_has_moved_for_a_while() -> None:
    now = [100.0]
    stall = Stall(lambda: now[0])
    assert not stall.stalled
    for seconds, progress, done, stalled in (
        (0, 1, False, False),
        (STALLED_SECONDS + 1, 2, False, False),  # it moves, slowly
        (STALLED_SECONDS, 2, False, False),
        (1, 2, False, True),
        (1, 3, False, False),
        (STALLED_SECONDS + 1, 3, False, True),
        (0, 3, True, False),
        (0, 3, False, False),  # a new assignment begins anew
    ):
        now[0] += seconds
        stall.look(progress, done=done)
        assert stall.stalled is stalled
