"""The recorded input: what attendance says of a population in treatment, and the plans that are in force by then.

People come one after another and stay for some weeks; each has sessions, weekly hours and screens, in the order of
their own time, interleaved with everybody else's as on the real topic. Made from a seed with the published event
classes, so that every contestant hears the same bytes. What it must lead to is found by running the rules of plans.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from random import Random
from typing import Any, Final

from bench.people import FACILITY, apply, copy_of, in_treatment
from services.plans.app import SERVICE
from shared.contracts import attendance
from shared.contracts.codes import Modality
from shared.contracts.event import Envelope, Event
from shared.contracts.topics import PARTITIONS
from shared.decision import derive_id
from shared.runtime.core.outbox import published_types
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.record import Record
from shared.runtime.core.work import StreamPosition

ATTENDANCE: Final = "care.attendance"
PEOPLE_AT_ONCE: Final = 300
STAY_WEEKS: Final = (2, 6)
EVENTS_PER_WEEK: Final = 9.5
WEEK: Final = timedelta(days=7)

Told = tuple[datetime, str, Event]
"""One fact as it is told: when, about whom, what."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One record for the input topic, and the types of the events that it must lead to."""

    id: str
    subject: str
    partition: int
    value: bytes
    headers: list[tuple[str, bytes]]
    effects: tuple[str, ...]


@dataclass(slots=True)
class Recording:
    """The whole input, and the records that plans keeps before it begins."""

    records: list[Sent]
    kept: list[Record]
    _at: int = 0
    _taken: int = 0
    _last: dict[int, list[Sent]] = field(default_factory=dict[int, list[Sent]])

    def rewind(self) -> None:
        """Begin anew, for another contestant."""
        self._at = self._taken = 0

    @property
    def left(self) -> int:
        """How many records there still are."""
        return len(self.records) - self._at

    def take(self, count: int) -> list[Sent]:
        """The next records, and behind them one in each partition that is sure to have an effect."""
        taken = self.records[self._at : self._at + count]
        self._at += len(taken)
        self._taken += 1
        return taken + self._last.setdefault(self._taken, _last_ones(self._taken))


def effects_of(records: Sequence[Sent]) -> set[tuple[str, str]]:
    """What has to be published because of these records: event id and type."""
    return {(sent.id, event_type) for sent in records for event_type in sent.effects}


def record(
    count: int, *, seed: int = 1, people_at_once: int = PEOPLE_AT_ONCE, now: datetime | None = None
) -> Recording:
    """Make a recording of about `count` records; the latest of them lies a little before `now`."""
    now = now or datetime.now(UTC)
    weeks = count / (people_at_once * EVENTS_PER_WEEK) + STAY_WEEKS[1]
    begin = datetime.combine(now.date(), time(), UTC) - timedelta(weeks=round(weeks))
    begin -= timedelta(days=begin.weekday())
    every = timedelta(weeks=sum(STAY_WEEKS) / 2) / people_at_once
    recorder = _Recorder(now)
    people = (_stay(Random(f"{seed}/{n}"), n, begin + n * every) for n in _count())
    told = islice(_in_order(people, every, begin), count)
    sent = [recorder.write(at, subject, event) for at, subject, event in told]
    return Recording(sent, recorder.kept)


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _in_order(
    people: Iterator[Iterator[Told]], every: timedelta, begin: datetime
) -> Iterator[Told]:
    """Everybody's facts by their time; nobody is begun with before they come."""
    waiting: list[tuple[datetime, int, Told, Iterator[Told]]] = []
    for number, stay in enumerate(people):
        comes_at = begin + number * every
        while waiting and waiting[0][0] <= comes_at:
            _, n, told, rest = heapq.heappop(waiting)
            yield told
            _push(waiting, n, rest)
        _push(waiting, number, stay)


def _push(waiting: list[Any], number: int, stay: Iterator[Told]) -> None:
    told = next(stay, None)
    if told is not None:
        heapq.heappush(waiting, (told[0], number, told, stay))


# --- one person's stay --------------------------------------------------------------------------------


def _stay(luck: Random, number: int, comes_at: datetime) -> Iterator[Told]:
    """Three sessions a week, the week's hours, a screen, a meeting; absences and positives by chance."""
    subject = f"episode/{derive_id('bench', 'episode', str(number))}"
    attends, positive = luck.uniform(0.75, 0.99), luck.choice([0.0, 0.0, 0.05, 0.15, 0.3])
    missed_in_a_row = 0
    for week in range(luck.randint(*STAY_WEEKS)):
        monday = comes_at + week * WEEK
        minutes = 0
        for day in (0, 2, 4):
            at = monday + timedelta(days=day, hours=17)
            session_id = derive_id(subject, str(week), str(day))
            present = luck.random() < attends
            missed_in_a_row = 0 if present else missed_in_a_row + 1
            minutes += 180 if present else 0
            yield at, subject, _session(luck, session_id, at, present=present)
            if missed_in_a_row == 2:
                yield at + timedelta(minutes=1), subject, _absences(at, missed_in_a_row)
        yield from _screen(luck, subject, week, monday, positive)
        yield (
            monday + timedelta(days=5),
            subject,
            attendance.MutualSupportLogged(
                meeting_id=derive_id(subject, "meeting", str(week)),
                fellowship=attendance.Fellowship.SMART,
                attended_on=(monday + timedelta(days=5)).date(),
                verification=attendance.Verification.SELF,
            ),
        )
        yield from _hours(luck, subject, week, monday, minutes)


def _session(luck: Random, session_id: str, at: datetime, *, present: bool) -> Event:
    if present:
        return attendance.SessionAttended(
            session_id=session_id,
            starts_at=at,
            modality=Modality.GROUP,
            arrival=attendance.Arrival.ATTENDED,
            minutes_credited=180,
            participation=attendance.Participation.ACTIVE,
            family_only=False,
        )
    return attendance.SessionMissed(
        session_id=session_id,
        starts_at=at,
        modality=Modality.GROUP,
        absence=luck.choice([attendance.Absence.NO_SHOW, attendance.Absence.EXCUSED]),
        family_only=False,
    )


def _absences(at: datetime, in_a_row: int) -> Event:
    return attendance.AbsenceThresholdReached(
        reached_at=at,
        absences_consecutive=in_a_row,
        absences_last_14_days=in_a_row,
        days_silent=4,
    )


def _screen(
    luck: Random, subject: str, week: int, monday: datetime, positive: float
) -> Iterator[Told]:
    """A screen: ordered, and given, refused, or impossible to judge; then interpreted."""
    screen_id = derive_id(subject, "screen", str(week))
    at = monday + timedelta(days=1, hours=9)
    minute = timedelta(minutes=1)
    yield (
        at,
        subject,
        attendance.ScreenOrdered(
            screen_id=screen_id,
            matrix=attendance.Matrix.URINE,
            panel="urine-12",
            reason=attendance.ScreenReason.RANDOM,
            window_ends_at=at + timedelta(hours=10),
        ),
    )
    if luck.random() < 0.03:
        kind = attendance.NotProvidedKind.REFUSED
        told = attendance.ScreenNotProvided(screen_id=screen_id, kind=kind)
        yield at + minute, subject, told
        return
    dilute = luck.random() < 0.04
    validity = attendance.SpecimenValidity.DILUTE if dilute else attendance.SpecimenValidity.VALID
    yield (
        at + minute,
        subject,
        attendance.ScreenResulted(
            screen_id=screen_id,
            stage=attendance.ScreenStage.PRESUMPTIVE,
            validity=validity,
            panel="urine-12",
        ),
    )
    if dilute:
        return
    failed = luck.random() < positive
    found = attendance.ScreenClass.UNEXPECTED_POSITIVE
    clear = attendance.ScreenClass.NEGATIVE
    reviewer = derive_id("bench", "reviewer")
    yield (
        at + 2 * minute,
        subject,
        attendance.ScreenInterpreted(
            screen_id=screen_id,
            collected_at=at,
            classification=found if failed else clear,
            interpreted_by_id=reviewer,
        ),
    )
    if failed:
        told = attendance.ScreenFailed(
            screen_id=screen_id,
            collected_at=at,
            matrix=attendance.Matrix.URINE,
            interpreted_by_id=reviewer,
        )
        yield at + 2 * minute, subject, told


def _hours(luck: Random, subject: str, week: int, monday: datetime, minutes: int) -> Iterator[Told]:
    """How the week came out; what is short is said, and some of it turns out to be a mistake of the record."""
    at, day = monday + timedelta(days=6), monday.date()
    yield at, subject, _week(day, minutes)
    if minutes >= 540:
        return
    short = attendance.WeeklyHoursShortfallDetected(
        week_starts_on=day, minutes_short=540 - minutes, projected=False
    )
    yield at, subject, short
    if luck.random() < 0.15:
        corrected = attendance.AttendanceCorrected(
            session_id=derive_id(subject, str(week), "0"),
            status_before=attendance.AttendanceStatus.NO_SHOW,
            status_after=attendance.AttendanceStatus.ATTENDED,
            minutes_before=0,
            minutes_after=180,
            reason=attendance.CorrectionReason.LATE_DOCUMENTATION,
            family_only=False,
        )
        yield at, subject, corrected
        yield at, subject, _week(day, 540)


def _week(day: date, minutes: int) -> Event:
    return attendance.WeeklyHoursEvaluated(
        week_starts_on=day,
        minutes_threshold=540,
        minutes_scheduled=540,
        minutes_offered=540,
        minutes_credited=minutes,
        met=minutes >= 540,
        prorated=False,
        ceiling_reached=False,
    )


# --- from facts to records of the topic ---------------------------------------------------------------


class _Recorder:
    """Writes facts down as attendance would publish them, with what plans makes of each."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._numbers: Counter[str] = Counter()
        self._records: dict[str, Record] = {}
        self.kept: list[Record] = []

    def write(self, at: datetime, subject: str, event: Event, *, stranger: bool = False) -> Sent:
        if subject not in self._records and not stranger:
            self._records[subject] = in_treatment(subject, at, self._now)
            self.kept.append(copy_of(self._records[subject]))
        self._numbers[subject] += 1
        sequence = self._numbers[subject]
        event_id = derive_id("bench", subject, "attendance", str(sequence))
        envelope = Envelope(
            id=event_id,
            source=ATTENDANCE,
            type=event.TYPE,
            subject=subject,
            sequence=sequence,
            time=at,
            correlationid=event_id,
            causationid=event_id,
            facilityid=FACILITY,
            actorrole="counselor",
            sensitivity=event.SENSITIVITY,
            dataschema=event.schema_id(),
        )
        kind = SERVICE.kinds["episode"]
        kept = self._records.setdefault(subject, Record(subject, kind, kind.state()))
        headers = [(name, text.encode()) for name, text in envelope.headers().items()]
        effects = self._effects(kept, event_id, event, sequence)
        partition = partition_of(subject, PARTITIONS)
        return Sent(event_id, subject, partition, event.data(), headers, effects)

    def _effects(self, kept: Record, event_id: str, event: Event, sequence: int) -> tuple[str, ...]:
        reaction = SERVICE.reactions.find(event.TYPE.rpartition(".v")[0])
        if reaction is None:
            return ()
        stream = StreamPosition("attendance", sequence, event_id)
        rule = reaction.rule
        apply(SERVICE, kept, event_id, self._now, lambda s, c: rule(s, event, c), stream=stream)
        types = tuple(published_types(kept.new_events))
        kept.new_events.clear()
        return types


def _last_ones(number: int) -> list[Sent]:
    """Somebody in each partition of whom nothing was heard before, with a positive screen: a review is asked for."""
    recorder = _Recorder(datetime.now(UTC))
    found: dict[int, Sent] = {}
    for n in _count():
        subject = f"episode/{derive_id('bench', 'last', str(number), str(n))}"
        partition = partition_of(subject, PARTITIONS)
        if partition not in found:
            told = attendance.ScreenFailed(
                screen_id=derive_id(subject, "screen"),
                collected_at=datetime.now(UTC),
                matrix=attendance.Matrix.URINE,
                interpreted_by_id=derive_id("bench", "reviewer"),
            )
            found[partition] = recorder.write(datetime.now(UTC), subject, told, stranger=True)
        if len(found) == PARTITIONS:
            break
    return list(found.values())
