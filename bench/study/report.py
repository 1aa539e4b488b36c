"""What the studies say: `bench/study/results.json`, a picture, and their sections of `docs/performance.md`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bench.field import ROOT
from bench.report import ground, limit, picture, table, targets, write_sections

RESULTS: Final = ROOT / "bench" / "study" / "results.json"
PICTURE: Final = ROOT / "docs" / "peers.svg"
COMMAND: Final = "make study"
CONTESTANTS: Final = (
    "ours",
    "faust_streaming",
    "quix_streams",
    "quix_streams_without_store",
    "inbox_outbox",
)
TARGETS: Final = {
    "ours_to_faust_streaming": 1.0,
    "ours_to_quix_streams": 1.0,
    "ours_to_inbox_outbox": 1.0,
}
CHAIN_P99_MS: Final = 100


def write(results: Mapping[str, Any]) -> None:
    """Write the results, the picture and the sections of the page."""
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if "about" in results:
        PICTURE.write_text(picture(results, CONTESTANTS), encoding="utf-8")
    write_sections(COMMAND, sections(results))


def sections(results: Mapping[str, Any]) -> dict[str, str]:
    """The sections that `make study` writes, by name; of what was not measured yet, none."""
    found: dict[str, str] = {}
    if "about" in results:
        found["the peers' ground"] = ground(results)
        found["the peers"] = table(results, CONTESTANTS)
        found["the peers' targets"] = "\n".join(targets(results, TARGETS))
    rows = [*_chain(results.get("chain")), *_rebuild(results.get("rebuild"))]
    if rows:
        found["chain and rebuild"] = "\n".join(
            ["| study | wanted | seen | |", "|---|---:|---:|---|", *rows]
        )
    return found


def _chain(chain: Mapping[str, Any] | None) -> Iterator[str]:
    if chain is None:
        return
    yield limit("three services at 300 events/s, p99 ms", CHAIN_P99_MS, 1000 * chain["p99"])
    for slower in chain["slower"]:
        at = f"the same at {slower['events_per_second']} events/s, p99 ms"
        yield f"| {at} | - | {1000 * slower['p99']:.0f} | |"
    alone = f"{chain['store_alone_per_second']:,.0f} events/s"
    yield f"| the same writes by the store alone | - | {alone} | |"


def _rebuild(rebuilt: Mapping[str, Any] | None) -> Iterator[str]:
    if rebuilt is None:
        return
    same = "state hash equal" if rebuilt["state_hash_equal"] else "state hash differs"
    seen = f"{rebuilt['events_per_second']:,.0f} events/s"
    yield f"| rebuild from the journal | - | {seen} | {same} |"
