"""Each kind of hostile input has at least twelve inputs, none of which differs from another by its length alone.

The kinds are what can stop a service, and what can poison or silence it. Each of these tests ends by showing that
everybody else's work goes on, and that the thing is accounted for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from math import prod
from typing import Any, Final

import pytest

LEAST: Final = 12
STOPS: Final[Mapping[str, Sequence[str]]] = {
    "an event larger than the broker takes": (
        "test_outgoing.test_a_record_that_the_broker_refuses_holds_up_no_other",
        "test_outgoing.test_a_whole_event_is_measured_before_it_is_stored",
        "test_envelopes.test_what_is_no_trace_is_dropped_and_the_event_goes_on",
    ),
    "small on the wire and large in memory": (
        "test_packed_batches.test_a_message_stands_for_a_batch_that_is_too_large",
        "test_large_messages.test_it_is_kept_in_part_and_the_partition_moves_on",
        "test_header_names.test_every_message_of_the_batch_is_read",
    ),
    "an attribute that is none": (
        "test_envelopes.test_what_breaks_an_attributes_pattern_is_set_aside",
    ),
    "a stored record that does not read": (
        "test_stored_records.test_a_damaged_record_is_set_aside_and_the_others_go_on",
        "test_stored_dead_letters.test_a_damaged_dead_letter_is_left_out_and_named",
        "test_stored_audit.test_a_damaged_link_is_a_break_and_the_chains_go_on",
    ),
    "a log that can't be written": (
        "test_logs.test_a_line_that_cant_be_written_is_counted_and_raises_nothing",
        "test_logs.test_whoever_logs_within_an_except_goes_on",
    ),
    "a record of a newer version": (
        "test_stored_records.test_a_record_of_a_newer_version_is_left_to_that_version",
    ),
    "a request of nobody who is known": (
        "test_http.test_it_is_refused_with_a_problem_and_everybody_else_is_served",
        "test_http.test_depth_is_that_of_brackets_outside_of_strings",
        "test_two_readings.test_a_header_that_is_sent_once_may_not_come_twice",
        "test_two_readings.test_what_says_two_things_of_its_length_is_no_request",
        "test_unread_answers.test_who_never_reads_is_cut_off_and_everybody_else_is_served",
    ),
}
POISONS: Final[Mapping[str, Sequence[str]]] = {
    "a number that cannot be": (
        "test_poison.test_a_number_that_cannot_be_is_set_aside_and_nothing_is_taken_for_a_repeat",
    ),
    "another facility's record": (
        "test_poison.test_an_event_of_another_facility_changes_no_record",
    ),
    "another's record on our own topic": (
        "test_poison.test_anothers_record_on_our_own_topic_keeps_no_start_from_happening",
    ),
    "a clock that is wrong": ("test_poison.test_no_deadline_may_fire_on_a_clock_that_is_wrong",),
    "a partition that ends with no message": (
        "test_poison.test_a_partition_with_gaps_is_caught_up_with",
    ),
    "a journal with what is no copy": (
        "test_journal_entries.test_what_is_no_copy_opens_as_nothing",
    ),
}


def inputs(name: str) -> int:
    """How many inputs a test is run with, each of them once."""
    module, function = name.split(".")
    test: Any = getattr(import_module(f"tests.hostile.{module}"), function)
    marks = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    values = [[str(value) for value in mark.args[1]] for mark in marks]
    assert all(len(set(one)) == len(one) for one in values), f"{name} has an input twice"
    return prod(map(len, values))


@pytest.mark.parametrize("kind", [*STOPS, *POISONS])
def test_each_kind_has_at_least_twelve_inputs(kind: str) -> None:
    found = {name: inputs(name) for name in {**STOPS, **POISONS}[kind]}
    assert sum(found.values()) >= LEAST, found
