"""What a run says: `bench/results.json`, a picture, and its sections of `docs/performance.md`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from bench.field import ROOT

RESULTS: Final = ROOT / "bench" / "results.json"
BASELINE: Final = ROOT / "bench" / "quick.json"
"""A quick run, which later quick runs are compared with: `python -m bench --quick --baseline` makes it."""
PAGE: Final = ROOT / "docs" / "performance.md"
PICTURE: Final = ROOT / "docs" / "performance.svg"
BEGIN: Final = "<!-- made by `{command}`: {name} -->"
END: Final = "<!-- end of {name} -->"
COMMAND: Final = "make bench"
GUARD: Final = ("floor", "ours", "naive")
TARGETS: Final = {"ours_to_floor": 0.60, "ours_to_naive": 10.0}
"""The least that a ratio should be."""
DROP_MAX: Final = 0.20
"""A ratio may fall by so much against the committed one."""


def write(results: Mapping[str, Any]) -> None:
    """Write the results, the picture and the sections of the page."""
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    PICTURE.write_text(picture(results, GUARD), encoding="utf-8")
    write_sections(COMMAND, sections(results))


def sections(results: Mapping[str, Any]) -> dict[str, str]:
    """The sections that `make bench` writes, by name."""
    return {
        "the ground": ground(results),
        "the table": table(results, GUARD),
        "the targets": "\n".join([*targets(results, TARGETS), *_limits(results)]),
    }


def write_sections(command: str, texts: Mapping[str, str]) -> None:
    """Put each section in its place on the page. Raises `ValueError` when the page has no place for one."""
    page = PAGE.read_text(encoding="utf-8")
    for name, text in texts.items():
        begin, end = BEGIN.format(command=command, name=name), END.format(name=name)
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{PAGE.name} has no place for {name}")
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    PAGE.write_text(page, encoding="utf-8")


def table(results: Mapping[str, Any], names: Sequence[str]) -> str:
    """A line for each contestant."""
    head = "events/s", "events per CPU s", "CPU ms per event: own + store + broker", "store's share"
    waits = "p50 / p99 / p99.9 at 20 %", "at 50 %", "at 80 %", "MiB"
    lines = [f"| | {' | '.join((*head, *waits))} |", "|---" + "|---:" * 8 + "|"]
    for name in names:
        told = results[name]
        if told["events_per_second"] is None:
            lines.append(f"| {name} | not measured: {told['reason']} | | | | | | | |")
            continue
        loads = told["latency_seconds_by_load"]
        cells = [_latency(loads.get(load)) for load in ("20%", "50%", "80%")]
        cpu, share = _cpu(told)
        lines.append(
            f"| {name} | {told['events_per_second']:,.0f} | {told['events_per_cpu_second']:,.0f} | {cpu} | {share} |"
            f" {' | '.join(cells)} | {told['peak_memory_mib']:.0f} |"
        )
    factor = results.get("ours", {}).get("events_per_write")
    if factor is not None:
        lines += [
            "",
            f"Ours wrote a record once for every {factor:.1f} events. {_account(results)}",
        ]
    return "\n".join(lines)


def _account(results: Mapping[str, Any]) -> str:
    """What the ledger says of ours, after all of its turns."""
    account = dict(results["ours"]["ledger"])
    events = account.pop("events")
    found = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in account.items())
    return f"Our turns consumed and published {events:,} events, and their ledger shows: {found}."


def _cpu(told: Mapping[str, Any]) -> tuple[str, str]:
    """What an event costs, by who spends it, and how much of that is the store's."""
    own = f"{told['cpu_seconds_per_1000_events']:.3f}"
    whole = told.get("cpu_seconds_per_1000_events_with_servers")
    if whole is None:
        return own, "-"
    store, broker = (told[f"{name}_cpu_seconds_per_1000_events"] for name in ("store", "broker"))
    return f"{own} + {store:.3f} + {broker:.3f}", f"{store / whole:.0%}"


def _latency(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "-"
    return " / ".join(f"{1000 * found[name]:,.0f}" for name in ("p50", "p99", "p999")) + " ms"


def ground(results: Mapping[str, Any]) -> str:
    """The conditions of the run, as a sentence or two."""
    about, turns = results["about"], results["ours"]["turns"]
    more = f" (floor and ours: {turns} turns)" if turns != about["rounds"] else ""
    return (
        f"Broker: {about['broker']}. Store: {about['store']}. {about['cores']} cores, Python {about['python']}. "
        f"{about['rounds']} rounds, interleaved{more}; recording of {about['recorded_events']:,} events about "
        f"{about['recorded_subjects']:,} people (seed {about['seed']})."
    )


def targets(results: Mapping[str, Any], wanted_ratios: Mapping[str, float]) -> list[str]:
    """The head of a table of targets, and a line for each ratio."""
    lines = ["| target | wanted | seen | |", "|---|---:|---:|---|"]
    for name, wanted in wanted_ratios.items():
        seen = results["ratios"].get(name)
        verdict = "not measured" if seen is None else "holds" if seen >= wanted else "missed"
        lines.append(
            f"| {name} | ≥ {wanted:g} | {'-' if seen is None else f'{seen:.2f}'} | {verdict} |"
        )
    return lines


def _limits(results: Mapping[str, Any]) -> list[str]:
    ours = results["ours"]["latency_seconds"]["p99"]
    floor = results["floor"]["latency_seconds"]["p99"]
    lines: list[str] = []
    if ours and floor:
        lines.append(limit("p99 at 50 % to floor's", 3.0, ours / floor))
    return [*lines, limit("peak memory, MiB", 150, results["ours"]["peak_memory_mib"])]


def limit(name: str, most: float, seen: float) -> str:
    """A line of the table of targets for what should not be exceeded."""
    return f"| {name} | ≤ {most:g} | {seen:.2f} | {'holds' if seen <= most else 'missed'} |"


# --- the picture --------------------------------------------------------------------------------------


def picture(results: Mapping[str, Any], names: Sequence[str]) -> str:
    """Bars on a plain background: events per second of the contestant's own processor time."""
    bars = [(name, results[name]["events_per_cpu_second"]) for name in names]
    most = max(value for _, value in bars if value)
    step, left, width = 34, 200, 430
    high = step * len(bars) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {high}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="10" y="22" font-weight="bold">Events per second of the client\'s CPU time</text>',
    ]
    for number, (name, value) in enumerate(bars):
        y = 40 + number * step
        colour = "#1f6f5c" if name == "ours" else "#9aa5b1"
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        if value:
            long = max(1.0, width * value / most)
            parts.append(
                f'<rect x="{left}" y="{y}" width="{long:.0f}" height="20" fill="{colour}"/>'
            )
            parts.append(f'<text x="{left + long + 6:.0f}" y="{y + 15}">{value:,.0f}</text>')
        else:
            parts.append(f'<text x="{left}" y="{y + 15}" fill="#666666">not measured</text>')
    return "\n".join([*parts, "</svg>\n"])


# --- the guard ----------------------------------------------------------------------------------------


def write_baseline(results: Mapping[str, Any]) -> None:
    """Write the ratios of a quick run; a whole one has others, for naive is faster on a store without records."""
    kept = {name: results[name] for name in ("commit", "about", "ratios", "ratios_of_the_best")}
    BASELINE.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def baseline(path: Path = BASELINE) -> tuple[str, Mapping[str, float | None]]:
    """What later quick runs are compared with: the commit that was measured, and its ratios.

    Of each contestant's best turns: what else the machine does can only make a turn worse.
    """
    written = json.loads(path.read_text(encoding="utf-8"))
    return written["commit"], written["ratios_of_the_best"]


def fallen(seen: Mapping[str, float | None], before: Mapping[str, float | None]) -> list[str]:
    """The ratios that fell too far below those before, each as a sentence."""
    found: list[str] = []
    for name in TARGETS:
        now, then = seen.get(name), before.get(name)
        if now is not None and then is not None and now < (1 - DROP_MAX) * then:
            found.append(f"{name} is {now:.3f}; the committed one is {then:.3f}")
    return found
