"""Seconds behind: an age that is right after silence, grows while nothing moves, and ends when all is applied."""

from __future__ import annotations

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.kafka.lag import Lag

A, B = TopicPartition("care.intake", 0), TopicPartition("care.intake", 1)


class Clock:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def test_a_message_after_a_long_silence_is_not_old() -> None:
    clock = Clock()
    lag = Lag(clock)
    lag.assigned([A])
    clock.at += 10_000
    lag.look({A: 0})
    clock.at += 1
    assert lag.seconds({A: 1}) == 1


def test_it_grows_while_nothing_moves_and_ends_with_it() -> None:
    clock = Clock()
    lag = Lag(clock)
    lag.assigned([A, B])
    clock.at += 60
    assert lag.seconds({A: 3, B: 0}) == 60
    lag.look({A: 2}, {A: clock.at - 5})
    assert lag.seconds({A: 2, B: 0}) == 5
    clock.at += 60
    assert lag.seconds({A: 2, B: 0}) == 65
    lag.look({A: 0, B: 0})
    assert lag.seconds({A: 0, B: 0}) == 0


def test_a_halted_consumer_is_behind_although_it_does_not_see_the_end() -> None:
    clock = Clock()
    lag = Lag(clock)
    lag.assigned([A])
    lag.look({A: 0})
    clock.at += 300
    assert lag.seconds({A: 0}) == 0
    assert lag.seconds({A: 0}, halted=True) == 300


def test_partitions_that_have_moved_away_do_not_count() -> None:
    clock = Clock()
    lag = Lag(clock)
    lag.assigned([A, B])
    clock.at += 60
    lag.assigned([B])
    assert lag.seconds({A: 5, B: 1}) == 0
    lag.assigned([])
    assert lag.seconds({}) == lag.seconds({}, halted=True) == 0


@given(st.floats(-1e9, 1e9), st.integers(0, 5))
def test_no_publishers_clock_makes_it_negative(timestamp: float, messages: int) -> None:
    clock = Clock()
    lag = Lag(clock)
    lag.assigned([A])
    lag.look({A: messages}, {A: timestamp})
    assert lag.seconds({A: messages}) >= 0


def test_a_message_without_a_time_says_nothing_of_how_far_behind_it_is() -> None:
    """One such message made a replica half a century late."""
    clock = Clock()
    lag = Lag(clock)
    lag.assigned([A])
    clock.at += 10
    lag.look({A: 2}, {A: -0.001})
    assert lag.seconds({A: 2}) == 10
