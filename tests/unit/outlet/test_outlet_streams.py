"""How events are passed on: byte for byte, counted without a gap, once for each topic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from services.outlet.streams import EndState, StreamState, end, pass_on
from shared.contracts.event import Envelope
from shared.contracts.outlets import OUT_EARLIER, OUT_SEQUENCE, TOPIC_ENDED
from shared.decision import Cause, Foreign, PassedOn
from shared.runtime.core.outbox import header_of, passed_entry, wire_headers
from tests.unit.outlet.test_outlet_entitlement import envelope

ONE = "00000000-0000-4000-8000-000000000001"
CAUSE = Cause(
    ONE, datetime(2026, 11, 27, tzinfo=UTC), f"topic/{ONE}", "operations", "s", "system", ONE
)
A, B = "care.out.a", "care.out.b.2"
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5))).map(tuple)


def foreign(number: int, topics: Sequence[str], source: str = "care.intake") -> Foreign:
    one: Envelope = envelope(source=source, sequence=number)
    return Foreign(one, (("ce_sequence", str(number).encode()),), b"{}", tuple(topics))


def numbered(passed: Sequence[PassedOn], topic: str) -> list[tuple[int, bytes | None]]:
    return [
        (int(dict(one.headers)[OUT_SEQUENCE] or b""), dict(one.headers)["ce_sequence"])
        for one in passed
        if one.topic == topic
    ]


@given(headers, st.binary())
def test_headers_and_data_go_on_byte_for_byte(
    given_headers: tuple[tuple[str, bytes | None], ...], data: bytes
) -> None:
    event = Foreign(envelope(), given_headers, data, (A,))
    [one] = pass_on(StreamState(), event, CAUSE).passed
    assert one.headers == (*given_headers, (OUT_SEQUENCE, b"000000000000000001"))
    assert one.data == data
    entry = passed_entry(one, 7)
    assert wire_headers(entry) == list(one.headers)
    assert (entry["topic"], entry["data"], entry["sequence"]) == (A, data, 7)
    assert header_of(entry, OUT_SEQUENCE) == "000000000000000001"


def test_a_count_that_came_with_the_event_is_not_believed() -> None:
    event = Foreign(envelope(), ((OUT_SEQUENCE, b"9"),), b"{}", (A,))
    [one] = pass_on(StreamState(), event, CAUSE).passed
    assert one.headers == ((OUT_SEQUENCE, b"000000000000000001"),)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["care.intake", "care.plans"]),
            st.sets(st.sampled_from([A, B])).map(sorted),
        )
    )
)
def test_each_topic_counts_each_source_without_a_gap(said: list[tuple[str, list[str]]]) -> None:
    """Heard once, or again from any place on: the same events get the same numbers."""
    state, numbers = StreamState(), {"care.intake": count(1), "care.plans": count(1)}
    events = [foreign(next(numbers[source]), topics, source) for source, topics in said]
    passed: list[tuple[str, PassedOn]] = []
    for event in [*events, *events]:
        decision = pass_on(state, event, CAUSE)
        state = decision.state
        passed += [(event.envelope.source, one) for one in decision.passed]
    for topic in (A, B):
        for source in numbers:
            got = numbered([one for name, one in passed if name == source], topic)
            assert [number for number, _ in got] == list(range(1, len(got) + 1))
            wanted = [e for e in events if topic in e.topics and e.envelope.source == source]
            assert [raw for _, raw in got] == [str(e.envelope.sequence).encode() for e in wanted]


def test_a_topic_that_is_made_later_is_filled_and_the_other_hears_nothing_twice() -> None:
    state = StreamState()
    for number in (1, 2, 3):
        state = pass_on(state, foreign(number, [A]), CAUSE).state
    passed: list[PassedOn] = []
    for number in (1, 2, 3, 4):
        decision = pass_on(state, foreign(number, [A, B]), CAUSE)
        state, passed = decision.state, [*passed, *decision.passed]
    assert [number for number, _ in numbered(passed, A)] == [4]
    assert [number for number, _ in numbered(passed, B)] == [1, 2, 3, 4]


def test_a_topic_ends_once_and_names_the_next() -> None:
    first = end(EndState(), CAUSE, A, B)
    [last] = first.passed
    assert (last.topic, json.loads(last.data)) == (A, {"successor": B})
    assert dict(last.headers)["ce_type"] == TOPIC_ENDED.encode()
    assert dict(last.headers)[OUT_SEQUENCE] == b"000000000000000001"
    assert end(first.state, CAUSE, A, B).passed == ()


def test_what_follows_a_topic_much_later_is_named_once_by_a_second_record() -> None:
    first = end(EndState(), CAUSE, A, None)
    [alone] = first.passed
    assert json.loads(alone.data) == {}
    assert end(first.state, CAUSE, A, None).passed == ()
    second = end(first.state, CAUSE, A, B)
    [last] = second.passed
    assert json.loads(last.data) == {"successor": B}
    assert dict(last.headers)[OUT_SEQUENCE] == b"000000000000000002"
    for successor in (B, None):
        assert end(second.state, CAUSE, A, successor).passed == ()


def test_what_an_earlier_topic_of_the_team_had_is_marked_and_nothing_else() -> None:
    state = StreamState()
    for number in (1, 3):
        state = pass_on(state, foreign(number, [A, B]), CAUSE).state
    third = "care.out.b.3"
    marks: list[bytes | None] = []
    for number, ended in ((1, (A, B)), (2, (A,)), (3, (A, B)), (4, (A, B))):
        event = foreign(number, [third])._replace(ended=ended)
        decision = pass_on(state, event, CAUSE)
        state = decision.state
        marks += [dict(one.headers).get(OUT_EARLIER) for one in decision.passed]
    assert marks == [b"2", None, b"2", None]
