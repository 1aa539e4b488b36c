"""How ours grows: `python -m bench.study.growth`, one series of points after another; nothing is asserted.

Each point is one turn of `services.plans.app` on fresh topics and a fresh store, as in `measure`: a few events to warm
up, then a backlog as fast as it goes. What is seen goes to `bench/study/growth.json`, `docs/growth.svg` and the table
of `docs/performance.md`, rewritten after each series; the series that did not run now stay as they were.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from itertools import islice
from math import ceil, log10
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import structlog

from bench.field import ROOT, BenchError, Contestant, Field, clear, running, seed
from bench.people import copy_of
from bench.recording import Recording, Sent, record
from bench.report import write_sections
from bench.stage import stage
from services.plans.app import SERVICE
from services.plans.episode_state import Review
from shared.contracts.attendance import SessionAttended
from shared.contracts.plans import ReviewTrigger
from shared.contracts.topics import PARTITIONS
from shared.decision import derive_id
from shared.devtools.backends import start
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.record import Record

RESULTS: Final = ROOT / "bench" / "study" / "growth.json"
PICTURE: Final = ROOT / "docs" / "growth.svg"
COMMAND: Final = "make study-growth"
EVENTS: Final = 16_000
WARM_EVENTS: Final = 1_500
SPREAD: Final = 1_000
STRIDE: Final = 7_919
"""A prime, so that steps of it come to every one of a round number of people before they come back."""
SERIES: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "replicas": ("replicas", (1, 2, 4)),
    "partitions": ("partitions used, of 12", (1, 3, 6, 12)),
    "subjects": ("people kept", (10**3, 10**4, 10**5, 10**6)),
    "hot": ("people told of", (1, SPREAD)),
    "batch": ("CARE_BATCH_RECORDS", (50, 200, 500, 2000)),
    "state": ("KiB of state", (1, 10, 50, 200)),
    "records": ("CARE_RECORD_CACHE_MAX", (0, 100, 1000)),
    "memory": ("events heard in one run", (10**6,)),
}
"""By name: what is on the axis, and the points on it."""
SHORT: Final = {"subjects": (10**3, 10**4, 10**5), "memory": (200_000,)}
"""With `--short`: without the point that takes a quarter of an hour to fill the store, and a fifth of the long run."""
HEAD: Final = "| | | events/s | events per CPU s | peak MiB |"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """One turn: where it stands on its axis, and in what it differs from an ordinary one."""

    x: float
    heard: Recording
    kept: Iterable[Record]
    events: int = EVENTS
    replicas: int = 1
    partitions: int = PARTITIONS
    settings: dict[str, str] = field(default_factory=dict[str, str])


def _again(told: Sent, subject: str, sequence: int) -> Sent:
    """The same fact about somebody else."""
    event_id = derive_id("bench", "growth", subject, str(sequence))
    new = {"ce_subject": subject, "ce_sequence": str(sequence)}
    new |= dict.fromkeys(("ce_id", "ce_correlationid", "ce_causationid"), event_id)
    headers = [(name, new[name].encode() if name in new else was) for name, was in told.headers]
    partition = partition_of(subject, PARTITIONS)
    return Sent(event_id, subject, partition, told.value, headers, told.effects)


def _subject(*parts: str) -> str:
    return f"episode/{derive_id('bench', 'growth', *parts)}"


def _generation(base: Recording, number: int) -> tuple[list[Sent], list[Record]]:
    """The whole recording once more, about other people."""
    others = {kept.subject: _subject(str(number), kept.subject) for kept in base.kept}
    records = [
        _again(sent, others[sent.subject], int(dict(sent.headers)["ce_sequence"]))
        for sent in base.records
    ]
    return records, [replace(copy_of(kept), subject=others[kept.subject]) for kept in base.kept]


def _sessions(base: Recording, people: int, told_of: int) -> tuple[Recording, Iterator[Record]]:
    """Sessions attended, which lead to nothing, in turn about `told_of` of so many people."""
    kind = ("ce_type", SessionAttended.TYPE.encode())
    attended = next(sent for sent in base.records if kind in sent.headers)
    records = [
        _again(attended, _subject(str(n * STRIDE % told_of)), n // told_of + 1)
        for n in range(EVENTS + WARM_EVENTS)
    ]
    one = base.kept[0]
    kept = (replace(copy_of(one), subject=_subject(str(n))) for n in range(people))
    return Recording(records, []), kept


def _padded(base: Recording, kib: int) -> tuple[float, list[Record]]:
    """Everybody with closed reviews, so many that the state has about this size; and what it has.

    Days of meetings and weeks are kept up to a number, so that they can't fill this much.
    """
    padding: dict[str, Review] = {}
    size, now = len(base.kept[0].state.model_dump_json()), datetime.now(UTC)
    while size < kib * 1024:
        about = derive_id("bench", "closed", str(len(padding)))
        closed = Review(trigger=ReviewTrigger.RISK, due_at=now, open=False, about=about)
        padding[about] = closed
        size += len(closed.model_dump_json()) + len(f'"{about}":,')
    kept = [replace(copy_of(k), state=k.state.replace(reviews=padding)) for k in base.kept]
    return round(size / 1024, 1), kept


# --- the series ---------------------------------------------------------------------------------------


def _point(name: str, x: int, base: Recording) -> Point:
    """One point of a series; all else is as usual."""
    usual = Point(x, base, base.kept)
    if name in ("replicas", "partitions"):
        return replace(usual, **{name: x})
    if name in ("subjects", "hot"):
        return Point(x, *_sessions(base, max(x, SPREAD), x))
    if name == "state":
        size, kept = _padded(base, x)
        return replace(usual, x=size, kept=kept, events=min(EVENTS, 800_000 // x))
    return replace(usual, settings={SERIES[name][0]: str(x)})


async def _begun(ground: Field, kept: Iterable[Record]) -> None:
    """Fresh topics and this store, filled a part at a time: a million people are too many to hold."""
    await clear(ground.backend)
    people = iter(kept)
    while part := list(islice(people, 5_000)):
        await seed(ground.backend, SERVICE, part)


async def _turn(ground: Field, point: Point) -> Row:
    point.heard.rewind()
    await _begun(ground, point.kept)
    processes = running(ground, point.replicas, point.settings)
    async with processes as ours, stage(ground.backend.kafka) as on:
        for count in (WARM_EVENTS, point.events):
            taken = point.heard.take(count)
            sent = [replace(s, partition=s.partition % point.partitions) for s in taken]
            before = sum(r.cpu_seconds() for r in ours)
            began = await on.at_once(sent)
            took = await on.all_seen() - began
        cpu = sum(r.cpu_seconds() for r in ours) - before
        return _row(point.x, len(sent), took, cpu, sum(r.peak_memory_mib() for r in ours))


def _row(x: float, events: int, seconds: float, cpu: float, peak: float) -> Row:
    return {
        "x": x,
        "events": events,
        "events_per_second": round(events / seconds, 2),
        "events_per_cpu_second": round(events / cpu, 2),
        "peak_memory_mib": round(peak, 2),
    }


async def _series(ground: Field, name: str, base: Recording, at: Sequence[int]) -> list[Row]:
    rows: list[Row] = []
    for x in at:
        point = _point(name, x, base)
        try:
            rows.append(await _turn(ground, point))
        except BenchError as error:
            rows.append({"x": point.x, "reason": str(error).strip().splitlines()[-1][:300]})
        print(_said(name, rows[-1]), flush=True)
    return rows


async def _memory(ground: Field, base: Recording, total: int) -> list[Row]:
    """One process for the whole run, the recording over and over about other people; its size every second."""
    await _begun(ground, ())
    samples: list[tuple[float, float]] = []
    done, took, cpu = 0, 0.0, 0.0
    async with running(ground) as [ours], stage(ground.backend.kafka) as on:
        for number in range(ceil(total / len(base.records))):
            records, kept = _generation(base, number)
            await seed(ground.backend, SERVICE, kept)
            seen: list[tuple[float, float]] = []
            watching = asyncio.create_task(_watch(ours, seen))
            before = ours.cpu_seconds()
            began = await on.at_once(records)
            ended = await on.all_seen()
            cpu, took = cpu + ours.cpu_seconds() - before, took + ended - began
            watching.cancel()
            pace = len(records) / (ended - began)
            samples += [(done + pace * (t - began), m) for t, m in seen if began <= t <= ended]
            done += len(records)
            print(f"memory: {done:,} events, {ours.memory_mib():.2f} MiB", flush=True)
        row = _row(done, done, took, cpu, ours.peak_memory_mib())
    late = [(x, y) for x, y in samples if x >= done / 5]
    slope, begin = statistics.linear_regression([x for x, _ in late], [y for _, y in late])
    row["slope_mib_per_100000_events"] = round(1e5 * slope, 2)
    row["noise_mib"] = round(statistics.pstdev(y - begin - slope * x for x, y in late), 2)
    row["samples"] = [(round(x), round(y, 2)) for x, y in samples]
    print(_said("memory", row), _slope(row), sep="\n", flush=True)
    return [row]


async def _watch(ours: Contestant, seen: list[tuple[float, float]]) -> None:
    while True:
        seen.append((perf_counter(), ours.memory_mib()))
        await asyncio.sleep(1.0)


# --- what is said of it -------------------------------------------------------------------------------


def _said(name: str, row: Row) -> str:
    """A line of the table."""
    if "reason" in row:
        return f"| {SERIES[name][0]} | {row['x']:,} | not measured: {row['reason']} | | |"
    return (
        f"| {SERIES[name][0]} | {row['x']:,} | {row['events_per_second']:,.0f} |"
        f" {row['events_per_cpu_second']:,.0f} | {row['peak_memory_mib']:.1f} |"
    )


def _slope(row: Row) -> str:
    slope, noise = row["slope_mib_per_100000_events"], row["noise_mib"]
    return f"After the first fifth: {slope:+.2f} MiB per 100,000 events, noise {noise:.2f} MiB."


def _write(results: Row) -> None:
    """The results, the picture, and the table in its place."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(_picture(results), encoding="utf-8")
    write_sections(COMMAND, sections(results))


def sections(results: Row) -> dict[str, str]:
    """The section that `make study-growth` writes, by name."""
    shown = f"![How it grows, a panel for each series]({PICTURE.name})"
    return {"growth": f"{shown}\n\n{_table(results)}"}


def _table(results: Row) -> str:
    lines = [HEAD, "|---|---:|---:|---:|---:|"]
    for name in (name for name in SERIES if name in results):
        lines += [_said(name, row) for row in results[name]["points"]]
    if "memory" in results:
        lines += ["", _slope(results["memory"]["points"][0])]
    return "\n".join(lines)


def _picture(results: Row) -> str:
    """Two panels in a row."""
    names = [name for name in SERIES if name in results]
    size = f"0 0 720 {26 + 230 * ceil(len(names) / 2)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="12" y="18" fill="#1f6f5c">events per CPU s (memory: MiB)</text>',
        '<text x="212" y="18" fill="#9a6a1b">events/s</text>',
    ]
    for n, name in enumerate(names):
        parts.append(f'<g transform="translate({360 * (n % 2)},{26 + 230 * (n // 2)})">')
        parts.append(f'<text x="58" y="14" font-weight="bold">{escape(SERIES[name][0])}</text>')
        parts += [*_panel([r for r in results[name]["points"] if "reason" not in r]), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _panel(rows: Sequence[Row]) -> Iterator[str]:
    """Lines from zero up; where the points are decades apart, so is the axis."""
    if not rows:
        return
    ticks: list[float] = [row["x"] for row in rows]
    values = ("events_per_cpu_second", "events_per_second")
    lines: list[list[tuple[float, float]]] = [[(r["x"], r[v]) for r in rows] for v in values]
    if "samples" in rows[0]:
        lines, ticks = [rows[0]["samples"]], [0, rows[0]["x"] / 2, rows[0]["x"]]
    decades = min(ticks) > 0 and max(ticks) / min(ticks) >= 30
    first, last = (log10(x) if decades else x for x in (min(ticks), max(ticks)))
    most = 1.1 * max(y for line in lines for _, y in line)

    def place(x: float, y: float) -> tuple[float, float]:
        along = ((log10(x) if decades else x) - first) / (last - first or 1)
        return round(58 + 270 * along, 1), round(176 - 150 * y / most, 1)

    yield '<path d="M58 26V176H328" fill="none" stroke="#888888"/>'
    for y in (0, most / 2, most):
        yield f'<text x="52" y="{180 - 150 * y / most:.0f}" text-anchor="end">{y:,.0f}</text>'
    for x in ticks:
        yield f'<text x="{place(x, 0)[0]}" y="192" text-anchor="middle">{x:,.7g}</text>'
    for colour, line in zip(("#1f6f5c", "#9a6a1b"), lines, strict=False):
        drawn = " ".join(f"{x},{y}" for x, y in (place(*point) for point in line))
        yield f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>'


def main() -> None:
    """Run the series asked for, and write each down as soon as it is measured."""
    parser = argparse.ArgumentParser(prog="bench.study.growth")
    parser.add_argument("--only", nargs="+", choices=tuple(SERIES), default=tuple(SERIES))
    parser.add_argument("--short", action="store_true", help="nothing goes to a million")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    base = record(EVENTS + WARM_EVENTS)
    with start() as backend, tempfile.TemporaryDirectory(prefix="growth-") as directory:
        ground = Field(backend, Path(directory))
        print(HEAD, flush=True)
        for name in (name for name in SERIES if name in options.only):
            at = SHORT.get(name, SERIES[name][1]) if options.short else SERIES[name][1]
            rows = asyncio.run(
                _memory(ground, base, at[-1])
                if name == "memory"
                else _series(ground, name, base, at)
            )
            about = {
                "broker": backend.kafka_name,
                "store": backend.mongo_name,
                "cores": os.cpu_count(),
                "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            earlier = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "{}"
            _write({**json.loads(earlier), name: {"about": about, "points": rows}})


if __name__ == "__main__":
    main()
