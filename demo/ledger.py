"""The account at the end: was anything lost, doubled, out of order or stuck?

It is made from three witnesses (`demo.witnesses`) and none of the services' code.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from demo.disclosed import not_allowed
from demo.journal import Accepted
from demo.witnesses import Document, Evidence, Heard, Kept
from shared.contracts import CATALOGUE

EXAMPLES_MAX: Final = 20
UNCOUNTED: Final = frozenset({"case_management", "wellness"})
"""Kinds of session that give no hours."""
PUT_ON_THE_CALENDAR: Final = frozenset(
    {"care.attendance.session-scheduled.v1", "care.attendance.session-rescheduled.v1"}
)
"""What says when a session is; the later holds."""
VOIDING: Final = frozenset(
    {"care.intake.episode-entered-in-error.v1", "care.intake.referral-merged.v1"}
)
"""After these an episode is as if it had never been."""
RESTORING: Final = frozenset(
    {"care.intake.episode-entered-in-error-undone.v1", "care.intake.referral-merged-undone.v1"}
)
"""After these it is as it had been."""


@dataclass(slots=True)
class Ledger:
    """The verdict: each list holds a sentence of evidence per finding."""

    events: int = 0
    redelivered: int = 0
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    stuck: list[str] = field(default_factory=list[str])
    out_of_order: list[str] = field(default_factory=list[str])
    not_allowed: list[str] = field(default_factory=list[str])
    """What left the house although no consent that was given allowed it then, or that no accounting has."""
    dead_letters: int = 0
    commands: int = 0
    outcomes: str = ""
    """A hash over all facts but their numbering: equal for equal outcomes, whatever crashed."""
    events_by_type: dict[str, int] = field(default_factory=dict[str, int])
    """Every type of the catalogue, also those that were not heard at all."""

    @property
    def unheard(self) -> list[str]:
        """The types of the catalogue that nobody said."""
        return sorted(name for name, count in self.events_by_type.items() if not count)

    @property
    def clean(self) -> bool:
        """Nothing lost, doubled, stuck, out of order, not allowed or set aside."""
        return not (any(self.findings().values()) or self.dead_letters)

    def findings(self) -> dict[str, list[str]]:
        """What is wrong, by kind."""
        return {
            "lost": self.lost,
            "doubled": self.doubled,
            "stuck": self.stuck,
            "out_of_order": self.out_of_order,
            "not_allowed": self.not_allowed,
        }

    def report(self) -> Document:
        """The ledger for machines; counts, with some of the evidence."""
        findings = self.findings()
        return {
            "events": self.events,
            **{name: len(found) for name, found in findings.items()},
            "dead_letters": self.dead_letters,
            "commands": self.commands,
            "redelivered": self.redelivered,
            "outcomes": self.outcomes,
            "events_by_type": dict(sorted(self.events_by_type.items())),
            "unheard": self.unheard,
            "evidence": {name: found[:EXAMPLES_MAX] for name, found in findings.items() if found},
        }


def judge(evidence: Evidence, *, whole: bool = True) -> Ledger:
    """Compare the witnesses.

    `whole`: the topics tell everybody's history to its end, so that the minutes of a week have to be those of its
    sessions.
    """
    ledger = Ledger(commands=len(evidence.accepted))
    facts = _first_occurrences(evidence.heard, ledger)
    ledger.events = len(facts)
    ledger.events_by_type = dict.fromkeys(CATALOGUE, 0) | Counter(fact.type for fact in facts)
    ledger.dead_letters = sum(kept.dead_letters for kept in evidence.kept.values())
    ledger.outcomes = outcomes(facts)
    _numbering(facts, evidence.kept, ledger)
    _commands(evidence.accepted, facts, ledger)
    _effects(facts, evidence.kept, ledger)
    _audited(facts, evidence.kept, ledger)
    _once(facts, ledger)
    if whole:
        ledger.not_allowed += not_allowed(facts)
        _minutes(facts, ledger)
    _stuck(evidence, ledger)
    return ledger


def outcomes(facts: Iterable[Heard]) -> str:
    """A hash over what became of everybody: who, what, when and the data, in no particular order."""
    lines = sorted(
        json.dumps([f.subject, f.type, f.headers["ce_time"], f.data], sort_keys=True) for f in facts
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _first_occurrences(heard: Sequence[Heard], ledger: Ledger) -> list[Heard]:
    """Each fact once. A repeat with the same number and id is at-least-once delivery; any other is a fault."""
    first: dict[tuple[str, str, int], Heard] = {}
    highest: dict[tuple[str, str], int] = {}
    for record in heard:
        key = (record.topic, record.subject, record.sequence)
        known = first.get(key)
        if known is not None:
            ledger.redelivered += 1
            if known.id != record.id:
                ledger.doubled.append(f"{_name(record)}: number taken by two facts")
            continue
        first[key] = record
        line = (record.topic, record.subject)
        if record.sequence < highest.get(line, 0):
            ledger.out_of_order.append(f"{_name(record)}: first seen after {highest[line]}")
        highest[line] = max(record.sequence, highest.get(line, 0))
    return list(first.values())


def _numbering(facts: Sequence[Heard], kept: Mapping[str, Kept], ledger: Ledger) -> None:
    """Every number below the owner's next one is on the topic, and none beyond."""
    said: dict[tuple[str, str], set[int]] = defaultdict(set)
    ids: Counter[str] = Counter()
    for fact in facts:
        said[(fact.topic, fact.subject)].add(fact.sequence)
        ids[fact.id] += 1
    ledger.doubled += [f"event id {id_} stands for {n} facts" for id_, n in ids.items() if n > 1]
    for service, store in kept.items():
        topic = f"care.{service}"
        for subject, record in store.records.items():
            owned = set(range(1, record["next_sequence"]))
            there = said.pop((topic, subject), set())
            ledger.lost += [
                f"{topic} {subject} #{number}: not on the topic" for number in sorted(owned - there)
            ]
            ledger.lost += [
                f"{topic} {subject} #{number}: not in its record"
                for number in sorted(there - owned)
            ]
    for (topic, subject), numbers in said.items():
        if topic.removeprefix("care.") in kept:
            ledger.lost.append(f"{topic} {subject}: {len(numbers)} facts without a record")


def _commands(accepted: Sequence[Accepted], facts: Sequence[Heard], ledger: Ledger) -> None:
    """Every accepted command has its facts, as often as it was accepted and no more."""
    wanted: Counter[tuple[str, str, str]] = Counter()
    shapes: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for command in accepted:
        for event_type, subject, data in command.expects:
            names = tuple(sorted(data))
            shapes[(event_type, subject)].add(names)
            wanted[(event_type, subject, _values(data, names))] += 1
    found: Counter[tuple[str, str, str]] = Counter()
    for fact in facts:
        for names in shapes.get((fact.type, fact.subject), ()):
            found[(fact.type, fact.subject, _values(fact.data, names))] += 1
    for key, count in wanted.items():
        event_type, subject, _ = key
        if found[key] < count:
            ledger.lost.append(f"{event_type} {subject}: accepted {count}, published {found[key]}")
        if found[key] > count:
            ledger.doubled.append(
                f"{event_type} {subject}: accepted {count}, published {found[key]}"
            )


def _values(data: Mapping[str, Any], names: Sequence[str]) -> str:
    return json.dumps([[name, data.get(name)] for name in names])


def _effects(facts: Sequence[Heard], kept: Mapping[str, Kept], ledger: Ledger) -> None:
    """Every fact that a service wants has been applied there: its inbox has come as far as the last one."""
    for service, store in kept.items():
        last: dict[tuple[str, str], Heard] = {}
        for fact in facts:
            if fact.type in store.wanted:
                line = (fact.topic, fact.subject)
                if line not in last or last[line].sequence < fact.sequence:
                    last[line] = fact
        for (topic, subject), fact in last.items():
            applied = store.records.get(subject, {}).get("inbox", {})
            number, window, *_ = applied.get(topic.removeprefix("care."), (0, b""))
            last_id = blake2b(fact.id.encode(), digest_size=8).digest()
            if (number, window[-8:]) != (fact.sequence, last_id):
                ledger.lost.append(f"{_name(fact)}: {service} has applied up to {number}")


def _audited(facts: Sequence[Heard], kept: Mapping[str, Kept], ledger: Ledger) -> None:
    """Every command that led to a fact is in the audit of the service that published the fact."""
    for fact in facts:
        store = kept.get(fact.topic.removeprefix("care."))
        if store is None or store.audited is None or fact.headers["ce_actorrole"] == "system":
            continue
        if fact.headers["ce_causationid"] not in store.audited:
            ledger.lost.append(f"{_name(fact)}: its command is not in the audit")


def _once(facts: Sequence[Heard], ledger: Ledger) -> None:
    """What there may be only one of, counted anew from the topics: rolls, reviews and check-ins."""
    rolls: Counter[tuple[str, str]] = Counter()
    reviews: Counter[tuple[str, str]] = Counter()
    check_ins: Counter[tuple[str, str]] = Counter()
    calendars: Counter[str] = Counter()
    """Ends that were taken back, each with a calendar of its own, perhaps."""
    for fact in facts:
        if fact.type in (
            "care.attendance.session-attended.v1",
            "care.attendance.session-missed.v1",
        ):
            rolls[(fact.subject, fact.data["session_id"])] += 1
        elif fact.type == "care.plans.clinical-review-requested.v1":
            reviews[(fact.subject, fact.data["trigger_event_id"])] += 1
        elif fact.type == "care.followup.check-in-scheduled.v1":
            check_ins[(fact.subject, fact.data["milestone"])] += 1
        elif fact.type == "care.plans.discharge-undone.v1":
            calendars[fact.subject] += 1
    for subject, milestone in check_ins:
        further = check_ins[subject, milestone] - 1
        check_ins[subject, milestone] -= min(further, calendars[subject])
    for what, counted in (("roll entry", rolls), ("review", reviews), ("check-in", check_ins)):
        for (subject, detail), count in counted.items():
            if count > 1:
                ledger.doubled.append(f"{subject}: {count} times the {what} of {detail}")


def _minutes(facts: Sequence[Heard], ledger: Ledger) -> None:
    """A person's credited minutes over all weeks are those of the sessions they attended and that count.

    A week may be evaluated again, when something about it was known late: then the latest evaluation holds, and says
    something that the one before did not. A correction puts other minutes in place of those that the roll gave.
    """
    counts = _countings(facts)
    attended: Counter[str] = Counter()
    weeks: dict[tuple[str, str], Mapping[str, Any]] = {}
    for fact in _that_stand(facts):
        session_id = str(fact.data.get("session_id"))
        if fact.type == "care.attendance.session-attended.v1" and counts[session_id]:
            attended[fact.subject] += fact.data["minutes_credited"]
        elif fact.type == "care.attendance.attendance-corrected.v1" and counts[session_id]:
            attended[fact.subject] += fact.data["minutes_after"] - fact.data["minutes_before"]
        elif fact.type == "care.attendance.weekly-hours-evaluated.v1":
            week = (fact.subject, fact.data["week_starts_on"])
            if weeks.get(week) == fact.data:
                ledger.doubled.append(f"{fact.subject}: the week of {week[1]} evaluated twice")
            weeks[week] = fact.data
    _each_minute_once(facts, counts, ledger)
    evaluated: Counter[str] = Counter()
    for (subject, _), data in weeks.items():
        evaluated[subject] += data["minutes_credited"]
    for subject in attended.keys() | evaluated.keys():
        if evaluated[subject] > attended[subject]:
            ledger.doubled.append(f"{subject}: {evaluated[subject]} minutes of {attended[subject]}")
        if evaluated[subject] < attended[subject]:
            ledger.lost.append(f"{subject}: {evaluated[subject]} minutes of {attended[subject]}")


def _each_minute_once(facts: Sequence[Heard], counts: Mapping[str, bool], ledger: Ledger) -> None:
    """Nobody is credited more time than the sessions that they attended cover together."""
    times: dict[str, tuple[datetime, datetime]] = {}
    credited: dict[str, dict[str, int]] = defaultdict(dict)
    for fact in facts:
        if fact.type in PUT_ON_THE_CALENDAR and "starts_at" in fact.data:
            begins_at = datetime.fromisoformat(fact.data["starts_at"])
            ends_at = begins_at + timedelta(minutes=fact.data["minutes_planned"])
            times[fact.subject.removeprefix("session/")] = (begins_at, ends_at)
    for fact in _that_stand(facts):
        if fact.type == "care.attendance.session-attended.v1":
            credited[fact.subject][fact.data["session_id"]] = fact.data["minutes_credited"]
        elif fact.type == "care.attendance.attendance-corrected.v1":
            credited[fact.subject][fact.data["session_id"]] = fact.data["minutes_after"]
    for subject, sessions in credited.items():
        counted = {key: m for key, m in sessions.items() if m and counts[key] and key in times}
        attended = sorted(times[key] for key in counted)
        covered, until = timedelta(), datetime.min.replace(tzinfo=UTC)
        for begins_at, ends_at in attended:
            covered += max(timedelta(), ends_at - max(begins_at, until))
            until = max(until, ends_at)
        total = sum(counted.values())
        if timedelta(minutes=total) > covered:
            ledger.doubled.append(f"{subject}: {total} minutes of sessions that cover {covered}")


def _countings(facts: Iterable[Heard]) -> Mapping[str, bool]:
    """Whether a session's minutes count, by its id: as it was scheduled, or else by its kind."""
    by_kind: dict[str, bool] = {}
    scheduled: dict[str, bool] = {}
    for fact in facts:
        if fact.type == "care.attendance.session-scheduled.v1":
            session_id = fact.subject.removeprefix("session/")
            scheduled[session_id] = fact.data["counts_toward_hours"]
        elif "session_id" in fact.data and "modality" in fact.data:
            by_kind[fact.data["session_id"]] = fact.data["modality"] not in UNCOUNTED
    return defaultdict(bool, by_kind | scheduled)


def _that_stand(facts: Iterable[Heard]) -> list[Heard]:
    """What attendance said and still holds, in its order.

    Nothing counts of an episode that was entered in error or merged into another, and nothing of one whose admission
    was undone that was said until then.
    """
    until: dict[str, datetime] = {}
    void: set[str] = set()
    ours: list[Heard] = []
    for fact in facts:
        if fact.type in VOIDING:
            void.add(fact.subject)
        elif fact.type in RESTORING:
            void.discard(fact.subject)
        elif fact.type == "care.intake.admission-undone.v1":
            until[fact.subject] = max(fact.time, until.get(fact.subject, fact.time))
        elif fact.topic == "care.attendance":
            ours.append(fact)
    stands = (
        fact
        for fact in ours
        if fact.subject not in void
        and (fact.subject not in until or fact.time > until[fact.subject])
    )
    return sorted(stands, key=lambda fact: fact.sequence)


def _stuck(evidence: Evidence, ledger: Ledger) -> None:
    """At the end nothing waits: no outbox, handoff, blocked stream, lag, or deadline past due."""
    for service, store in evidence.kept.items():
        for subject, record in store.records.items():
            for what in ("outbox", "handoffs", "blocked"):
                if record.get(what):
                    ledger.stuck.append(f"{service} {subject}: {what} is not empty")
            due = record.get("due")
            if due is not None and due <= evidence.now:
                ledger.stuck.append(
                    f"{service} {subject}: a deadline of {due.isoformat()} has not fired"
                )
    ledger.stuck += [f"{group}: {lag} records behind" for group, lag in evidence.lag.items() if lag]


def _name(record: Heard) -> str:
    return f"{record.type} {record.subject} #{record.sequence}"
