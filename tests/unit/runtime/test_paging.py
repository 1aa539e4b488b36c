"""Cursors: what is made is read, by the list that made it; all else is refused, whatever text it is."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import Invalid
from shared.runtime.core.documents import in_microseconds
from shared.runtime.core.paging import CURSOR_LENGTH_MAX, make_cursor, read_cursor

URL_SAFE = set(string.ascii_letters + string.digits + "-_")
SCOPE = ("index", "loop", "harbor-iop")
SCOPES = st.lists(st.text(max_size=20), min_size=1, max_size=3).map(tuple)
CONTENTS = st.binary(max_size=100)
INSTANTS = st.datetimes(
    timezones=st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
)


def refused(text: str, *scope: str) -> bool:
    """Whether it is refused, and as it should be; anything else that is raised fails the test."""
    try:
        read_cursor(text, *scope)
    except Invalid as error:
        return error.code == "after-invalid" and error.status == 422 and bool(error.hint)
    return False


@given(CONTENTS, SCOPES)
def test_what_was_made_is_read_and_needs_no_escaping(
    content: bytes, scope: tuple[str, ...]
) -> None:
    cursor = make_cursor(content, *scope)
    assert set(cursor) <= URL_SAFE
    assert read_cursor(cursor, *scope) == content


@given(st.text())
@example("\ud800")
@example("\x00")
@example("=" * CURSOR_LENGTH_MAX)
@example("A" * 10**6)
def test_any_other_text_is_refused(text: str) -> None:
    assert refused(text, *SCOPE)


@given(st.text(st.sampled_from(sorted(URL_SAFE)), max_size=CURSOR_LENGTH_MAX))
def test_any_other_text_of_the_same_letters_is_refused(text: str) -> None:
    assert refused(text, *SCOPE)


@given(CONTENTS, SCOPES, SCOPES)
@example(b"x", ("index", "a", "b"), ("index", "ab", ""))
@example(b"x", ("index", "a", "b"), ("index", "b", "a"))
def test_the_cursor_of_another_list_is_refused(
    content: bytes, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert refused(make_cursor(content, *one), *other) is (one != other)


@given(CONTENTS, st.data())
def test_a_cursor_with_a_slip_of_the_pen_is_refused(content: bytes, data: st.DataObject) -> None:
    cursor = make_cursor(content, *SCOPE)
    at = data.draw(st.integers(0, len(cursor) - 1))
    letter = data.draw(st.sampled_from(sorted(URL_SAFE | {"=", "+", "/", " ", "\n", "~"})))
    put_in = cursor[:at] + letter + cursor[at:]
    replaced = cursor[:at] + letter + cursor[at + 1 :]
    for text in (put_in, replaced, cursor[:at], cursor[at + 1 :], cursor + letter, letter + cursor):
        assert text == cursor or refused(text, *SCOPE)


@given(INSTANTS, INSTANTS)
def test_instants_keep_their_order_as_numbers(one: datetime, other: datetime) -> None:
    assert (in_microseconds(one) < in_microseconds(other)) is (one < other)
    assert (in_microseconds(one) == in_microseconds(other)) is (one == other)


@pytest.mark.parametrize("hours", [-23, -12, 0, 14, 23])
def test_the_ends_of_the_calendar_have_a_number_in_every_zone(hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    for end in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        shift = in_microseconds(end) - in_microseconds(end.replace(tzinfo=zone))
        assert shift == hours * 3_600_000_000
