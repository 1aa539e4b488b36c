"""A page of a subject's history: what it takes of a partition, where it goes on, and which cursors are none."""

from __future__ import annotations

import json
from itertools import chain

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from services.outlet import history
from services.outlet.history import HistoryPage, first_offset
from shared.contracts.attendance import SessionAttended
from shared.contracts.outlets import TOPIC_ENDED
from shared.errors import Invalid
from shared.kit.messages import Kept
from tests.unit.kit.subscribed import History
from tests.unit.support import uid

TOPIC = "care.out.billing.2"
MINE, OTHER = (f"episode/{uid(name)}" for name in ("mine", "other"))


def partition(*subjects: str) -> list[Kept]:
    """The messages of a partition as outlet writes them: one for each subject named."""
    said = History()
    found: list[Kept] = []
    for offset, subject in enumerate(subjects):
        message = said.say(SessionAttended.example(), subject)
        headers = [*message.headers, ("ce_outsequence", b"%018d" % (offset + 1))]
        found.append(Kept(TOPIC, 0, offset, message.key, message.value, headers))
    return found


def pages(messages: list[Kept], limit: int, batch: int) -> list[list[str]]:
    """The out-numbers of every page, each begun where the one before left off."""
    found: list[list[str]] = []
    after: str | None = None
    while True:
        page = HistoryPage(TOPIC, MINE, limit, first_offset(TOPIC, after))
        rest = messages[page.offset :]
        for at in range(0, len(rest), batch):
            page.take(rest[at : at + batch])
        found.append([event["outsequence"].lstrip("0") for event in page.events])
        if not page.full:
            return found
        after = page.cursor()


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_leave_out_and_repeat_nothing(limit: int, batch: int) -> None:
    messages = partition(MINE, OTHER, MINE, MINE, OTHER, MINE)
    assert [*chain(*pages(messages, limit, batch))] == ["1", "3", "4", "6"]


def test_a_page_of_a_rare_subject_may_come_without_events_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "SCANNED_MAX", 2)
    assert pages(partition(OTHER, OTHER, OTHER, MINE, OTHER), 10, 100) == [[], ["4"], []]


def test_an_event_is_a_structured_cloudevent_with_all_that_the_topic_has() -> None:
    [message] = partition(MINE)
    headers = [
        *message.headers,
        ("ce_outearlier", b"1,2"),
        ("ce_Not-Legal", b"x"),
        ("ce_data", b"x"),
    ]
    page = HistoryPage(TOPIC, MINE, 10, 0)
    page.take([message._replace(headers=headers)])
    [event] = page.events
    read = JSONFormat().read(CloudEvent, json.dumps(event))
    assert (read.get_id(), read.get_subject()) == (event["id"], MINE)
    assert read.get_extension("outearlier") == "1,2"
    assert read.get_extension("personid") == event["personid"]
    assert read.get_data() == json.loads(message.value or b"")
    assert set(event) == {name.lower() for name in event if name.isalnum()}


def test_what_is_no_event_is_left_out() -> None:
    good, end, broken, empty = partition(MINE, MINE, MINE, MINE)
    ending = [(n, TOPIC_ENDED.encode() if n == "ce_type" else raw) for n, raw in end.headers]
    taken = [
        good,
        end._replace(headers=ending),
        broken._replace(headers=[]),
        empty._replace(value=None),
    ]
    page = HistoryPage(TOPIC, MINE, 10, 0)
    page.take(taken)
    assert [event["outsequence"].lstrip("0") for event in page.events] == ["1"]
    assert page.cursor() == "2-4"


CURSORS = (
    "",
    "0",
    "2",
    "-",
    "2-",
    "-1",
    "1-0",
    "3-0",
    "02-0",
    "2-00",
    "2-1 ",
    "2-٣",
    "2-1e3",
    "2-" + "9" * 19,
)


@pytest.mark.parametrize("after", CURSORS)
def test_a_cursor_of_another_topic_or_of_no_form_is_refused(after: str) -> None:
    with pytest.raises(Invalid) as caught:
        first_offset(TOPIC, after)
    assert caught.value.code == "cursor-invalid"
