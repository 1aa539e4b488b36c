"""The ledger of one simulated history: reads the log and the disk alone, and trusts no replica."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from chaos.simulation import toy
from chaos.simulation.replica import START, TOLERANCE_SECONDS
from chaos.simulation.world import FACILITY, World
from shared.contracts.event import read_envelope
from shared.testing.fakes import MemoryStore, decoded


def findings(world: World) -> list[str]:
    """What is lost, doubled, stuck or out of order; empty when the promise was kept."""
    found = [*world.disagreements]
    if world.stuck:
        found.append("stuck: not everything came to rest")
    documents = {document["_id"]: document for document in world.disk.documents()}
    for subject, causes in world.expected.items():
        found += _effects(world, subject, causes, documents.get(subject))
    found += _dead_letters(world)
    found += _said(documents, world)
    found += _listed(documents, world)
    found += _audited(documents, world)
    return found


def _effects(
    world: World, subject: str, wanted: set[str], document: dict[str, Any] | None
) -> list[str]:
    short = subject[:16]
    if document is None:
        return [f"lost: {short} has no record"] if wanted else []
    causes: list[str] = document["state"]["causes"]
    counts = Counter(causes)
    found = [f"doubled: {short} {cause[:8]} {n} times" for cause, n in counts.items() if n > 1]
    found += [f"lost: {short} {cause[:17]}" for cause in sorted(wanted - counts.keys())]
    found += [f"invented: {short} {cause[:17]}" for cause in sorted(counts.keys() - wanted)]
    for (source, about), order in world.order.items():
        if about == subject and [c for c in causes if c in order] != order:
            found.append(f"out of order: {short} from {source}")
    return found


def _dead_letters(world: World) -> list[str]:
    kept: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for row in world.disk.dead_letter_documents():
        headers = {name: bytes(value).decode() for name, value in row["headers"]}
        stream = (headers["ce_source"], headers["ce_subject"])
        kept[stream].append((int(headers["ce_sequence"]), headers["ce_id"]))
    found: list[str] = []
    for stream in sorted({*kept, *world.blocked}):
        # A record told twice lies there twice, at its two positions.
        ids = [event_id for _, event_id in sorted(set(kept.get(stream, [])))]
        wanted = world.blocked.get(stream, [])
        if ids != wanted:
            found.append(f"dead letters of {stream[0]}: {len(ids)} instead of {len(wanted)}")
    return found


def _too_early(cause_id: str, due: datetime, said_ms: int) -> list[str]:
    """A deadline fires at its instant by the true time, however wrong a replica's clock was."""
    early = due - START - timedelta(milliseconds=said_ms)
    if not cause_id.startswith("deadline/") or early.total_seconds() <= TOLERANCE_SECONDS:
        return []
    return [f"too early: a deadline fired {early.total_seconds():.0f} s before its time"]


def _listed(documents: dict[str, dict[str, Any]], world: World) -> list[str]:
    """The index, walked page by page, has every record that belongs to it once, in the order of its instants."""
    wanted = sorted(
        (datetime.fromisoformat(latest), subject)
        for subject, document in documents.items()
        if (latest := document["state"].get("latest")) is not None
    )
    store = MemoryStore(toy.KINDS, world.disk)
    listed: list[str] = []
    after: str | None = None
    with asyncio.Runner() as runner:
        while True:
            page = runner.run(store.by_index("latest", FACILITY, after, 2))
            listed += [record.subject for record in page.records]
            if (after := page.next) is None:
                break
    if listed == [subject for _, subject in wanted]:
        return []
    return [f"the index lists {len(listed)} records, and {len(wanted)} belong to it"]


def _audited(documents: dict[str, dict[str, Any]], world: World) -> list[str]:
    """Each command that had its effect has one entry in the audit, and none waits in a record any more."""
    found = [f"stuck: audit of {s[:16]}" for s, d in documents.items() if d.get("audit")]
    entries: dict[str, list[list[str]]] = defaultdict(list)
    for raw in world.disk.audit.values():
        entry = decoded(raw)
        entries[entry["cause_id"]].append(entry["subjects"])
    for key, subjects in world.audited.items():
        if entries[key] != [subjects]:
            found.append(f"audit: command {key[:8]} has {len(entries[key])} entries")
    return found


def _said(documents: dict[str, dict[str, Any]], world: World) -> list[str]:
    """What was published: each number once, in order as it first appears, with one id, one effect for each cause."""
    found: list[str] = []
    first: dict[str, dict[int, str]] = defaultdict(dict)
    said: dict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    for record in world.log.records(toy.OWN):
        envelope = read_envelope(record.headers, record.key)
        numbers = first[envelope.subject]
        known = numbers.get(envelope.sequence)
        if known is None:
            if envelope.sequence != len(numbers) + 1:
                found.append(f"out of order: {envelope.sequence} after {len(numbers)} was said")
            numbers[envelope.sequence] = envelope.id
            event = (toy.Written if "written" in envelope.type else toy.Gathered).parse(
                record.value or b""
            )
            said[envelope.subject][event.cause_id, getattr(event, "nth", 0)] += 1
            found += _too_early(event.cause_id, envelope.time, record.timestamp)
        elif known != envelope.id:
            found.append(f"conflict: number {envelope.sequence} was said with two ids")
    for subject, document in documents.items():
        if document["next_sequence"] != len(first[subject]) + 1:
            found.append(
                f"lost: {subject[:16]} has said {len(first[subject])} events of "
                f"{document['next_sequence'] - 1}"
            )
        found += [
            f"{cause[:17]} was said {said[subject][cause, 0]} times"
            for cause in document["state"]["causes"]
            if said[subject][cause, 0] != 1
        ]
    return found
