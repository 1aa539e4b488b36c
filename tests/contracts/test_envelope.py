"""The envelope is read from bytes that anyone may have written: it is right, or it is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import intake
from shared.contracts.event import Envelope, EnvelopeError, format_time, read_envelope
from shared.contracts.publish.examples import example_of

CODES = {
    "headers-too-large",
    "headers-undecodable",
    "headers-repeated",
    "envelope-incomplete",
    "envelope-invalid",
    "subject-mismatch",
}

GOOD: dict[str, Any] = example_of(intake.PatientAdmitted)
HEADERS: dict[str, bytes] = {name: value.encode() for name, value in GOOD["headers"].items()}
KEY: bytes = GOOD["key"].encode()
UPPER = KEY.upper()

REQUIRED = sorted(HEADERS.keys() - {"ce_traceparent", "ce_personid", "content-type"})


def read(key: bytes | None = KEY, **changed: bytes | None) -> Envelope:
    """Read the good record with some headers changed; `ce_` is added, None removes one."""
    headers = HEADERS | {f"ce_{name}": value for name, value in changed.items()}
    return read_envelope([(name, value) for name, value in headers.items()], key)


def test_a_good_envelope_is_read() -> None:
    envelope = read()
    assert envelope.fact == "care.intake.patient-admitted"
    assert envelope.major == 1
    assert envelope.time == datetime(2026, 3, 2, 15, tzinfo=UTC)
    assert envelope.extensions == {}
    assert json.loads(json.dumps(envelope.headers())) == GOOD["headers"]


def test_what_is_not_ours_is_kept_or_ignored() -> None:
    headers = [*HEADERS.items(), ("ce_tenant", b"north"), ("other", b"\xff"), ("ce_gone", None)]
    assert read_envelope(headers, KEY).extensions == {"tenant": "north"}


@pytest.mark.parametrize("header", REQUIRED)
@pytest.mark.parametrize("value", [None, b""])
def test_a_missing_attribute_is_incomplete(header: str, value: bytes | None) -> None:
    with pytest.raises(EnvelopeError, match=header.removeprefix("ce_")) as caught:
        read(**{header.removeprefix("ce_"): value})
    assert caught.value.code == "envelope-incomplete"


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("id", b"\xff\xfe", "headers-undecodable"),
        ("tenant", b"\xc3(", "headers-undecodable"),
        ("specversion", b"0.3", "envelope-invalid"),
        ("specversion", b"1.0 ", "envelope-invalid"),
        ("subject", b"episode", "envelope-invalid"),
        ("subject", b"episode/7", "envelope-invalid"),
        ("subject", b"/" + KEY[8:], "envelope-invalid"),
        ("subject", b"Patient/" + KEY[8:], "envelope-invalid"),
        ("subject", b"a-patient/" + KEY[8:], "envelope-invalid"),
        ("subject", b"p" * 41 + b"/" + KEY[8:], "envelope-invalid"),
        ("subject", KEY + b"\n", "envelope-invalid"),
        ("subject", KEY[:8] + KEY[8:].upper(), "envelope-invalid"),
        ("subject", b"person/" + KEY[8:], "subject-mismatch"),
        ("type", b"care.intake.patient-admitted", "envelope-invalid"),
        ("type", b"care.intake.patient-admitted.v0", "envelope-invalid"),
        ("type", b"care.intake.patient-admitted.v01", "envelope-invalid"),
        ("type", b"care.intake.PatientAdmitted.v1", "envelope-invalid"),
        ("type", b"org.intake.patient-admitted.v1", "envelope-invalid"),
        ("type", b"care.intake.patient-admitted.v1\n", "envelope-invalid"),
        ("sequence", b"0", "envelope-invalid"),
        ("sequence", b"-1", "envelope-invalid"),
        ("sequence", b"+1", "envelope-invalid"),
        ("sequence", b"1.0", "envelope-invalid"),
        ("sequence", b" 1", "envelope-invalid"),
        ("sequence", b"1_0", "envelope-invalid"),
        ("sequence", "\u0663".encode(), "envelope-invalid"),  # a digit of another script
        ("sequence", "\u00b2".encode(), "envelope-invalid"),  # a digit to isdigit, not to int
        ("sequence", b"9" * 19, "envelope-invalid"),
        ("sequence", b"0" * 18, "envelope-invalid"),
        ("personid", b"Jane Doe", "envelope-invalid"),
        ("personid", b"", "envelope-invalid"),
        ("personid", b"0" * 60_000, "headers-too-large"),
        ("sequence", b"1\n", "envelope-invalid"),
        ("time", b"yesterday", "envelope-invalid"),
        ("time", b"2026-03-02", "envelope-invalid"),
        ("time", b"2026-03-02T15:00:00", "envelope-invalid"),
        ("time", b"2026-02-30T15:00:00Z", "envelope-invalid"),
        ("time", b"0001-01-01T00:00:00+01:00", "envelope-invalid"),  # before the first year in UTC
        ("time", b"9999-12-31T23:59:59-01:00", "envelope-invalid"),  # after the last
    ],
)
def test_a_bad_attribute_has_its_code(header: str, value: bytes, code: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        read(**{header: value})
    assert caught.value.code == code


@pytest.mark.parametrize("key", [None, b"", b"episode/other", KEY + b" ", UPPER])
def test_the_key_must_be_the_subject(key: bytes | None) -> None:
    with pytest.raises(EnvelopeError) as caught:
        read(key=key)
    assert caught.value.code == "subject-mismatch"


@pytest.mark.parametrize("header", REQUIRED)
def test_an_error_never_shows_the_value(header: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        read(key=b"Jane Doe", **{header.removeprefix("ce_"): b"Jane Doe"})
    assert "Jane" not in str(caught.value)


TEXT = st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))
RAW = st.none() | st.binary(max_size=40) | TEXT
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(timezones=OFFSETS).map(lambda time: time.isoformat().encode())
NUMBERS = st.integers(-(10**20), 10**20).map(lambda number: str(number).encode())
NAMES = st.sampled_from(sorted(HEADERS)) | st.text(max_size=12).map("ce_".__add__) | st.text()


def refused_or_read(headers: list[tuple[str, bytes | None]], key: bytes | None) -> None:
    """Accept the only two outcomes there are; any other exception fails the test."""
    try:
        envelope = read_envelope(headers, key)
    except EnvelopeError as error:
        assert error.code in CODES  # noqa: PT017 - both outcomes are right
        return
    assert key == envelope.subject.encode()
    assert envelope.sequence >= 1
    assert envelope.time.tzinfo is UTC
    again = [(name, value.encode()) for name, value in envelope.headers().items()]
    assert read_envelope(again, key).headers() == envelope.headers()


@given(st.lists(st.tuples(NAMES, RAW), max_size=30), st.none() | st.binary(max_size=60))
def test_random_headers_are_refused_with_a_known_code(
    headers: list[tuple[str, bytes | None]], key: bytes | None
) -> None:
    refused_or_read(headers, key)


@given(
    st.dictionaries(NAMES, RAW | TIMES | NUMBERS, max_size=3),
    st.sampled_from([KEY, None, b"x"]),
)
def test_a_good_record_with_some_headers_changed(
    changed: dict[str, bytes | None], key: bytes | None
) -> None:
    headers: dict[str, bytes | None] = {**HEADERS, **changed}
    refused_or_read(list(headers.items()), key)


@given(TIMES | TEXT)
def test_any_time(time: bytes) -> None:
    refused_or_read(list((HEADERS | {"ce_time": time}).items()), KEY)


@given(st.uuids(), st.integers(1, 10**18 - 1), st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_what_is_read(uuid: UUID, sequence: int, time: datetime) -> None:
    subject = f"episode/{uuid}"
    changed = {
        "ce_subject": subject.encode(),
        "ce_sequence": f"{sequence:018}".encode(),
        "ce_time": format_time(time).encode(),
    }
    envelope = read_envelope((HEADERS | changed).items(), subject.encode())
    assert (envelope.subject, envelope.sequence, envelope.time) == (subject, sequence, time)
    written = {name: value.encode() for name, value in envelope.headers().items()}
    assert written == HEADERS | changed


@pytest.mark.parametrize("name", [*REQUIRED, "ce_traceparent", "ce_tenant"])
@pytest.mark.parametrize("same", [True, False])
def test_an_attribute_that_comes_twice_is_refused(name: str, *, same: bool) -> None:
    """Readers would differ in which of the two they believe."""
    headers = [*({"ce_tenant": b"x", "ce_traceparent": b"y"} | HEADERS).items()]
    value = dict(headers)[name]
    with pytest.raises(EnvelopeError) as refused:
        read_envelope([*headers, (name, value if same else b"another")], KEY)
    assert refused.value.code == "headers-repeated"


def test_what_is_no_attribute_may_come_twice() -> None:
    assert read_envelope([*HEADERS.items(), ("baggage", b"a"), ("baggage", b"b")], KEY)
