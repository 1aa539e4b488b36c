"""What a run of the demo shows at its end: the ledger, what each service said, and the rates of the sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.ledger import EXAMPLES_MAX, Ledger
from demo.rates import Rate

BAR_WIDTH: Final = 28


def table(ledger: Ledger, seconds: float) -> Table:
    """The ledger for people."""
    shown = Table(title="Ledger", show_header=False, title_justify="left")
    shown.add_column(justify="left")
    shown.add_column(justify="right")
    rows: list[tuple[str, int, bool]] = [
        ("events", ledger.events, False),
        ("accepted commands", ledger.commands, False),
        ("delivered again (harmless)", ledger.redelivered, False),
        ("lost", len(ledger.lost), True),
        ("doubled", len(ledger.doubled), True),
        ("stuck", len(ledger.stuck), True),
        ("out of order", len(ledger.out_of_order), True),
        ("not allowed", len(ledger.not_allowed), True),
        ("dead letters", ledger.dead_letters, True),
    ]
    for name, count, bad in rows:
        style = ("bold red" if count else "bold green") if bad else ""
        shown.add_row(name, Text(f"{count:,}", style=style))
    shown.add_row("wall seconds", f"{seconds:,.0f}")
    shown.add_row("outcomes", ledger.outcomes[:16])
    return shown


def services(ledger: Ledger) -> Table:
    """How much each service said, and how many of its types of event."""
    shown = Table(title="Events by service", show_header=False, title_justify="left")
    shown.add_column()
    shown.add_column(justify="right")
    shown.add_column()
    shown.add_column(justify="right")
    counts: dict[str, list[int]] = {}
    for name, count in ledger.events_by_type.items():
        counts.setdefault(name.split(".")[1], []).append(count)
    most = max((sum(said) for said in counts.values()), default=0) or 1
    for service, said in counts.items():
        heard, bar = sum(map(bool, said)), "█" * round(BAR_WIDTH * sum(said) / most)
        style = "green" if heard == len(said) else "yellow"
        kinds = Text(f"{heard} of {len(said)} types", style=style)
        shown.add_row(service, f"{sum(said):,}", bar, kinds)
    return shown


def sample(rates: Iterable[Rate]) -> Table:
    """What became of the sampled population, beside the odds that it was drawn with."""
    shown = Table("", "people", "came", "drawn", title="The sample alone", title_justify="left")
    for column in shown.columns[1:]:
        column.justify = "right"
    for rate in rates:
        came = "-" if rate.value is None else _figure(rate, rate.value)
        shown.add_row(
            rate.name.replace("_", " "), str(rate.people), came, _figure(rate, rate.drawn)
        )
    return shown


def _figure(rate: Rate, value: float) -> str:
    return f"{value:.1%}" if rate.unit == "share" else f"{value:.1f} {rate.unit}"


def say_what_is_wrong(console: Console, ledger: Ledger, *, all_types: bool) -> bool:
    """Print some evidence of each finding, and with `all_types` the types nobody said. Whether anything is wrong."""
    for name, found in ledger.findings().items():
        for sentence in found[:EXAMPLES_MAX]:
            console.print(f"[red]{name}[/red]  {sentence}", soft_wrap=True)
    unheard = ledger.unheard if all_types else []
    for name in unheard:
        console.print(f"[red]not one event of[/red]  {name}", soft_wrap=True)
    return bool(unheard) or not ledger.clean
