"""The snapshot's file: every message comes back byte by byte, and a file that is not whole is refused."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import CATALOGUE
from shared.contracts.attendance import SessionAttended
from shared.contracts.event import Envelope, Event
from shared.kit import Connection, SQLiteInbox, Subscriber
from shared.kit import snapshot as it
from shared.kit.errors import Refused
from shared.kit.handlers import Handlers
from shared.kit.history import History
from shared.kit.messages import Kept, Message
from shared.kit.reading import read
from shared.kit.scenarios import every_example, play
from tests.unit.kit.subscribed import ATTENDED

TYPES = frozenset(CATALOGUE)


def _header(messages: Sequence[Message], types: Iterable[str] = TYPES) -> it.Header:
    ends: dict[tuple[str, int], tuple[int, int]] = {}
    for one in messages:
        ends[one.topic, one.partition] = (0, one.offset + 1)
    topics = {topic: topic[::-1] for topic, _ in ends}
    return it.Header("reporting", "cluster", topics, "2026-03-02", tuple(sorted(types)), ends)


def _text(messages: Sequence[Message], header: it.Header | None = None) -> bytes:
    """A whole file, as `care events snapshot` writes it."""
    header = header or _header(messages)
    lines = [it.line_of(one, header.types) for one in messages]
    last = {(one.topic, one.partition): line for one, line in zip(messages, lines, strict=True)}
    text = it.header_line(header) + b"".join(lines) + it.last_line(last.values())
    return text + it.hash_line(sha256(text).hexdigest())


def _alike(one: Message, other: Message) -> bool:
    """The same but for the order of the headers, which says nothing."""
    return one[:5] == other[:5] and sorted(one.headers) == sorted(other.headers)  # type: ignore[index]


@pytest.fixture
def messages() -> list[Kept]:
    return play("graduation", History())


def test_every_example_comes_back(tmp_path: Path) -> None:
    said = every_example(History())
    file = tmp_path / "it.jsonl"
    file.write_bytes(_text(said))
    snapshot = it.verified(file)
    found = list(snapshot.messages())
    assert len(found) == len(CATALOGUE)
    assert all(map(_alike, found, said))
    assert snapshot.header == _header(said)
    assert b'"raw"' not in file.read_bytes()


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=40) | st.sampled_from([b"{}", b"[NaN]", b'{"a":\n1}']),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_type", "ce_subject", "ce_data", "content-type", "x"]),
            st.none() | st.binary(max_size=10),
        ),
        max_size=8,
    ),
)
def test_anything_comes_back(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    message = Kept("care.plans", 3, 17, key, value, headers)
    line = it.line_of(message, TYPES)
    assert line.count(b"\n") == 1
    assert it.place_of(line) == (*message[:2], 17)
    assert it.message_of(line) == message


def test_of_what_the_team_does_not_read_there_is_the_place_alone(messages: list[Kept]) -> None:
    handlers = Handlers()
    for one in messages:
        line = it.line_of(one, {SessionAttended.TYPE})
        found, before = read(it.message_of(line), handlers), read(one, handlers)
        assert found._replace(message=one) == before
        assert (b'"data":' in line) == (SessionAttended.TYPE.encode() in line)


def test_a_message_that_can_not_be_trusted_is_kept_as_it_came(messages: list[Kept]) -> None:
    forged = messages[0]._replace(topic="care.followup")
    assert it.message_of(it.line_of(forged, {SessionAttended.TYPE})) == forged


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzip"])
def test_a_file_that_is_cut_off_or_edited_is_refused(
    tmp_path: Path, messages: list[Kept], gzipped: bool
) -> None:
    text = _text(messages[:6])
    file = tmp_path / ("it.jsonl.gz" if gzipped else "it.jsonl")
    packed = gzip.compress(text) if gzipped else text
    file.write_bytes(packed)
    assert len(list(it.verified(file).messages())) == 6
    for at in range(0, len(packed), 37):
        file.write_bytes(packed[:at])
        with pytest.raises(Refused, match="snapshot-"):
            it.verified(file)
    for at in range(0, len(text) - 1, 37):
        spoilt = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        file.write_bytes(gzip.compress(spoilt) if gzipped else spoilt)
        with pytest.raises(Refused, match="snapshot-"):
            it.verified(file)
    lines = text.splitlines(keepends=True)
    for left_out in range(len(lines)):
        spoilt = b"".join(lines[:left_out] + lines[left_out + 1 :])
        file.write_bytes(gzip.compress(spoilt) if gzipped else spoilt)
        with pytest.raises(Refused, match="snapshot-"):
            it.verified(file)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "snapshot-unreadable"),
        (b"hello\n", "snapshot-unreadable"),
        (b"[]\n", "snapshot-unreadable"),
        (b"[" * 5_000, "snapshot-unreadable"),
        (b'{"throughcare-snapshot": 1}\n', "snapshot-unreadable"),
        (b'{"throughcare-snapshot": 2, "new": "form"}\n', "snapshot-newer"),
    ],
)
def test_what_is_no_snapshot_is_refused(tmp_path: Path, text: bytes, code: str) -> None:
    file = tmp_path / "it.jsonl"
    file.write_bytes(text)
    with pytest.raises(Refused, match=code):
        it.verified(file)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "nowhere.jsonl.gz", "."])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="snapshot-unreadable"):
        it.verified(tmp_path / name)


def test_a_line_from_outside_of_its_bounds_is_refused(tmp_path: Path) -> None:
    """Its hash is right: whoever wrote it was no tool of ours."""
    history = History()
    said = [history.say(ATTENDED, history.subject("episode", 1)) for _ in range(3)]
    file = tmp_path / "it.jsonl"
    file.write_bytes(_text(said, _header(said[:2])))
    with pytest.raises(Refused, match="snapshot-damaged"):
        list(it.verified(file).messages())


NO_LINES = [
    b'{"kafkaplace":"oops"}',
    b'{"kafkaplace":"a/b/c"}',
    b'{"kafkaplace":"care.plans/0/0"',
    b'{"kafkaplace":"care.plans/0/0"}',
    b'{"kafkaplace":"care.plans/0/0","raw":5}',
    b'{"kafkaplace":"care.plans/0/0","raw":"[1,2]"}',
    b'{"kafkaplace":"care.plans/0/0","raw":"' + b"[" * 5_000 + b'"}',
    b'{"kafkaplace":"care.plans/0/0","id":' + b"[" * 5_000 + b"}",
    b'{"kafkaplace":"care.plans/0/0","subject":5}',
    b'{"kafkaplace":"care.unheard-of/0/0","subject":"x"}',
    b'{"kafkaplace":"',
    b'{"kafkaplace":"\xff/0/0"}',
]


@pytest.mark.parametrize("line", NO_LINES)
def test_a_line_that_is_no_message_is_refused(tmp_path: Path, line: bytes) -> None:
    """The hash is right: whoever wrote it was no tool of ours."""
    header = it.Header("reporting", "c", {}, "2026-03-02", (), {("care.plans", 0): (0, 1)})
    text = it.header_line(header) + line + b"\n" + it.last_line([])
    file = tmp_path / "it.jsonl"
    file.write_bytes(text + it.hash_line(sha256(text).hexdigest()))
    with pytest.raises(Refused, match="snapshot-damaged"):
        list(it.verified(file).messages())


def test_a_file_whose_end_says_nothing_is_refused(tmp_path: Path) -> None:
    header = it.Header("reporting", "c", {}, "2026-03-02", (), {})
    for held in (b"[" * 5_000, b"[]", b"5", b'{"last":5}', b'{"last":[[1]]}'):
        text = it.header_line(header) + held + b"\n"
        file = tmp_path / "it.jsonl"
        file.write_bytes(text + it.hash_line(sha256(text).hexdigest()))
        with pytest.raises(Refused, match="snapshot-damaged"):
            it.verified(file)


def test_a_value_that_is_nested_too_deeply_is_kept_as_it_came(messages: list[Kept]) -> None:
    deep = messages[0]._replace(value=b"[" * 5_000 + b"]" * 5_000)
    assert it.message_of(it.line_of(deep, TYPES)) == deep


def test_a_snapshot_of_another_history_is_refused(tmp_path: Path, messages: list[Kept]) -> None:
    file = tmp_path / "it.jsonl"
    file.write_bytes(_text(messages))
    snapshot = it.verified(file)
    ends = {place: end for place, (_, end) in snapshot.header.bounds.items()}
    names = {place: name for place, (_, name) in snapshot.last.items()}
    it.check_history(snapshot, "cluster", {place: end + 1 for place, end in ends.items()}, names)
    place = next(iter(ends))
    for cluster, ends_there, names_there in (
        ("another", ends, names),
        ("cluster", ends | {place: ends[place] - 1}, names),
        ("cluster", ends, names | {place: "another"}),
    ):
        with pytest.raises(Refused, match="snapshot-of-another-history"):
            it.check_history(snapshot, cluster, ends_there, names_there)


@pytest.mark.parametrize(
    ("name", "outlet", "code"),
    [
        ("reporting", "", None),
        ("reporting.new", "", None),
        ("reporting.late.2", "", None),
        ("reporting2", "", "snapshot-of-another-team"),
        ("report", "", "snapshot-of-another-team"),
        ("billing", "", "snapshot-of-another-team"),
        ("billing.reporting", "", "snapshot-of-another-team"),
        ("reporting", "care.out.reporting", "snapshot-of-other-topics"),
        ("billing", "care.out.billing", "snapshot-of-other-topics"),
    ],
)
async def test_a_snapshot_is_loaded_by_its_own_team(
    tmp_path: Path, messages: list[Kept], name: str, outlet: str, code: str | None
) -> None:
    """It was taken by any subscriber, so that a team read with another's rights what is none of its business."""
    file, inbox = tmp_path / "it.jsonl", tmp_path / "inbox.db"
    file.write_bytes(_text(messages))
    nowhere = Connection(bootstrap="127.0.0.1:1")
    events = Subscriber(name, SQLiteInbox(inbox), kafka=nowhere, outlet=outlet)
    events.on(SessionAttended)(_take)
    events.stop()  # who is not refused would wait for Kafka
    async with events:
        if code is None:
            await events.load(file)
        else:
            with pytest.raises(Refused, match=code) as refused:
                await events.load(file)
            assert refused.value.hint
        assert await events._inbox.offsets() == {}  # pyright: ignore[reportPrivateUsage]


async def _take(_event: Event, _envelope: Envelope) -> None: ...


def test_handlers_that_want_more_are_refused() -> None:
    header = _header([], [SessionAttended.TYPE])
    it.check_types(header, [SessionAttended.TYPE])
    with pytest.raises(Refused, match="snapshot-lacks-types"):
        it.check_types(header, sorted(CATALOGUE)[:2])


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzip"])
def test_of_a_torn_file_what_is_whole_is_found(
    tmp_path: Path, messages: list[Kept], gzipped: bool
) -> None:
    lines = [it.line_of(one, TYPES) for one in messages[:9]]
    pieces = [b"".join(lines[at : at + 3]) for at in range(0, 9, 3)]
    packed = [gzip.compress(one) if gzipped else one for one in pieces]
    file, whole = tmp_path / "it.part", b"".join(packed)
    for size in range(0, len(whole) + 1, 11):
        file.write_bytes(whole[:size])
        found = list(it.recovered(file, gzipped=gzipped))
        got = b"".join(line for some, _ in found for line in some)
        end = found[-1][1] if found else 0
        assert b"".join(lines).startswith(got)
        assert size - end < max(map(len, packed))
        assert (gzip.decompress(whole[:end]) if gzipped and end else whole[:end]) == got
