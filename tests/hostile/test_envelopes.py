"""Row 3: what stands in an attribute without being one is unreadable, and never repeated on another topic."""

from __future__ import annotations

import pytest

from services.plans.app import SERVICE
from shared.contracts.attributes import PATTERNS
from shared.contracts.intake import PatientAdmitted
from tests.hostile.listening import Hearing
from tests.unit.support import uid

MARK = "ZZCANARY"
TEXTS = {
    "a name": MARK,
    "a name and a line feed": f"{MARK} NAME\n",
    "a legal text and a line feed": "{}\n",
    "a legal text and a blank": "{} ",
    "a legal text twice": "{}, {}",
    "a legal text in capitals, marked": "{}" + MARK,
    "sixty thousand letters": MARK + "a" * 1_500,
    "digits of another script": MARK + "٣",
    "a combining accent": "{}\u0301",
    "a zero byte": "{}\x00",
    "JSON": '{"name": "' + MARK + '"}',
    "a path": f"../../{MARK}",
    "markup": f"<b>{MARK}</b>",
    "an operator of the store": "$where",
}
ATTRIBUTES = [
    name for name in PATTERNS if name != "source"
]  # the source is compared with the topic


@pytest.mark.parametrize("attribute", ATTRIBUTES)
async def test_what_breaks_an_attributes_pattern_is_set_aside(attribute: str) -> None:
    hearing = Hearing(SERVICE)
    for number, text in enumerate(TEXTS.values()):
        headers = hearing.headers(PatientAdmitted, f"hostile {number}")
        legal = headers[f"ce_{attribute}"].decode()
        headers[f"ce_{attribute}"] = text.replace("{}", legal).encode()
        hearing.send(PatientAdmitted, headers)
    hearing.send(PatientAdmitted, hearing.headers(PatientAdmitted, "ordinary"))
    await hearing.hear()
    reasons = [row["reason"] for row in hearing.dead_letters()]
    assert len(reasons) == len(TEXTS)
    assert set(reasons) <= {"envelope-invalid", "headers-undecodable", "subject-mismatch"}
    assert not any(row["redrivable"] for row in hearing.dead_letters())
    published = await hearing.published()
    assert published, "the ordinary event has led to something"
    assert all(
        MARK not in str(headers) and MARK.encode() not in data for headers, data in published
    )
    assert len(hearing.served.disk.records) < len(TEXTS), "no record of a hostile event"


TRACES: dict[str, bytes] = {
    "a name": b"ZZCANARY NAME",
    "a megabyte would do as well": b"0" * 15_000,
    "not UTF-8": b"\xff\xfe",
    "capitals": b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
    "no trace": b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "no span": b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "the forbidden version": b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "a line feed": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
    "a blank before": b" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "a fifth part": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-Maria",
    "three parts": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "letters beyond f": b"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
    "other digits": "٠٠-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("name", TRACES)
async def test_what_is_no_trace_is_dropped_and_the_event_goes_on(name: str) -> None:
    hearing = Hearing(SERVICE)
    headers = hearing.headers(PatientAdmitted, "traced") | {"ce_traceparent": TRACES[name]}
    hearing.send(PatientAdmitted, headers)
    await hearing.hear()
    assert hearing.dead_letters() == []
    published = await hearing.published()
    assert published
    assert all("ce_traceparent" not in headers for headers, _ in published)


async def test_a_trace_travels_on() -> None:
    hearing = Hearing(SERVICE)
    headers = hearing.headers(PatientAdmitted, "traced")
    hearing.send(PatientAdmitted, headers)
    await hearing.hear()
    traces = {headers.get("ce_traceparent") for headers, _ in await hearing.published()}
    assert traces == {headers["ce_traceparent"].decode()}


async def test_the_words_of_a_newer_version_are_read() -> None:
    """Roles and sensitivities are a pattern, not a list, so that an older replica reads a newer one's."""
    hearing = Hearing(SERVICE)
    changes = {"actorrole": "peer_navigator", "sensitivity": "research", "facilityid": "new-iop"}
    hearing.send(PatientAdmitted, hearing.headers(PatientAdmitted, "newer", **changes))
    await hearing.hear()
    assert hearing.dead_letters() == []
    assert await hearing.published()


async def test_a_kind_of_subject_that_is_not_known_is_skipped_or_set_aside() -> None:
    """Of a type that nobody here reads it is skipped, as the type is; of a type that is read it is set aside."""
    hearing = Hearing(SERVICE)
    subject = f"household/{uid('newer')}"
    newer = {"type": "care.intake.household-joined.v1", "subject": subject}
    schema = "urn:throughcare:schema:care.intake.household-joined.v1"
    hearing.send(
        PatientAdmitted, hearing.headers(PatientAdmitted, "newer", dataschema=schema, **newer)
    )
    hearing.send(PatientAdmitted, hearing.headers(PatientAdmitted, "wrong", subject=subject))
    hearing.send(PatientAdmitted, hearing.headers(PatientAdmitted, "ordinary"))
    await hearing.hear()
    assert [row["reason"] for row in hearing.dead_letters()] == ["subject-kind-wrong"]
    skipped = hearing.served.metrics.events_skipped.labels("care.intake")
    assert skipped._value.get() == 1
    assert len(hearing.served.disk.records) == 1
    assert await hearing.published(), "the ordinary event has led to something"
