"""A full outbox holds up what comes, and lets nothing overtake what it has refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.outlet.streams import StreamState, pass_on
from shared.contracts.outlets import OUT_SEQUENCE
from shared.runtime.core import record as records
from shared.runtime.core.outbox import header_of
from shared.runtime.core.record import Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.work import OutcomeStatus, StreamPosition, Work
from tests.unit.outlet.test_outlet_streams import CAUSE, foreign

TOPICS = ("care.out.a", "care.out.b", "care.out.c")
ROOM = 4


def work(number: int, topics: int) -> Work:
    event = foreign(number, TOPICS[:topics])
    return Work(
        subject="episode/1",
        cause_id=f"id-{number}",
        correlation_id="c",
        facility_id="harbor-iop",
        now=CAUSE.now,
        decide=lambda state, cause: pass_on(state, event, cause),  # type: ignore[arg-type]
        stream=StreamPosition("intake@1", number, f"id-{number}"),
    )


@given(st.lists(st.integers(0, 3), max_size=12))
def test_nothing_overtakes_what_had_no_room(widths: list[int]) -> None:
    """`widths` says for each event how many topics it goes to; what was refused comes again until all is done."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "MAX_OUTBOX", ROOM)
        record = Record("episode/1", RecordKind(StreamState), StreamState())
        works = [work(number, width) for number, width in enumerate(widths, 1)]
        published: list[dict[str, object]] = []
        for _ in range(len(widths) + 1):
            outcomes = [record.apply(one, "care.outlet") for one in works]
            allowed = {OutcomeStatus.APPLIED, OutcomeStatus.DUPLICATE, OutcomeStatus.REFUSED}
            assert {one.status for one in outcomes} <= allowed
            published += record.new_events
            saved = record.copy()  # what a load gives once the relay has published everything
            saved.version = record.version + 1
            record = saved
            if all(one.error is None for one in outcomes):
                break
        for place, topic in enumerate(TOPICS):
            counts = [int(header_of(e, OUT_SEQUENCE)) for e in published if e["topic"] == topic]
            numbers = [int(header_of(e, "ce_sequence")) for e in published if e["topic"] == topic]
            assert counts == list(range(1, len(counts) + 1))
            assert numbers == [n for n, width in enumerate(widths, 1) if width > place]
