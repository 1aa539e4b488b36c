"""How commands print: tables that stay whole at 80 columns, JSON for machines, and errors as one clear message."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from shared.errors import CareError

if TYPE_CHECKING:
    from rich.text import Text

ROOT: Final = Path(__file__).resolve().parents[1]
"""The source tree; in an installed package, the directory of the packages."""
ADDRESSES: Final = {
    "broker-unavailable": "Check that Kafka runs, and its address in --kafka or KAFKA_BOOTSTRAP; then retry.",
    "store-unavailable": "Check that MongoDB runs, and its address in MONGO_URI; then retry.",
}
"""What to do at a terminal where something did not answer: most often it is the address that is wrong."""
GAP: Final = 2
"""Blanks between two columns."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def as_json(value: Any) -> None:
    """Print a value for machines."""
    typer.echo(json.dumps(value, indent=2))


def end_as_ctrl_c_does() -> None:
    """Let a supervisor's SIGTERM end this command as Ctrl-C does: it stops its servers and removes what is temporary.

    A second one is not heard, so that the end is not cut short.
    """
    import signal

    def interrupt(number: int, _frame: Any) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def said(answer: Mapping[str, Any], text: str, *, json: bool) -> None:
    """Print what a command has done: for people, or for machines."""
    if json:
        as_json(answer)
    else:
        typer.echo(text)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table without borders. A wide cell continues on the next line, and no word is ever broken.

    Where the longest words of all columns have no room side by side, each row is printed as an entry of its own.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    cells = [[_text(cell) for cell in row] for row in rows]
    columns = list(zip(map(Text, headers), *cells, strict=True))
    widths = _widths(
        [max(line.cell_len for text in column for line in text.split()) for column in columns],
        [max(_longest_word(text) for text in column) for column in columns],
        console.width - GAP * (len(columns) - 1),
    )
    if widths is None:
        entries(
            (row[0].plain.replace("\n", "  "), dict(zip(headers[1:], row[1:], strict=True)))
            for row in cells
        )
        return
    grid = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for header, width in zip(headers, widths, strict=True):
        grid.add_column(header, width=width)
    for row in cells:
        grid.add_row(*row)
    console.print(grid)


def _text(cell: Any) -> Text:
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text(str(cell))


def _longest_word(text: Text) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.plain.split()), default=0)


def _widths(natural: list[int], least: list[int], room: int) -> list[int] | None:
    """How wide each column is: as it wants to be, or the widest ones less. None when the words do not fit."""
    if sum(least) > room:
        return None
    widths = list(natural)
    while (excess := sum(widths) - room) > 0:
        slack = [width - word for width, word in zip(widths, least, strict=True)]
        place = slack.index(max(slack))
        widths[place] -= min(excess, slack[place])
    return widths


def entries(found: Iterable[tuple[str, Mapping[str, str | Text]]]) -> None:
    """Print what a table has no room for: a heading for each entry, and its fields below. Empty fields are left out."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for heading, fields in found:
        console.print(Text(heading, style="bold"), soft_wrap=True)
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for label, value in fields.items():
            if value:
                grid.add_row(label, _text(value))
        console.print(Padding(grid, (0, 0, 0, 2)))


def minutes(instant: str) -> str:
    """An instant in RFC 3339, to the minute."""
    return instant[:16].replace("T", " ")


def fail(message: str, hint: str = "", *, status: int = 1) -> NoReturn:
    """End the command with a message on standard error."""
    typer.echo(message, err=True)
    if hint:
        typer.echo(hint, err=True)
    raise typer.Exit(status)


@contextmanager
def failures() -> Generator[None]:
    """End the command with the message and the hint of what is raised on purpose."""
    try:
        yield
    except CareError as error:
        fail(str(error), ADDRESSES.get(error.code, error.hint))


def not_ignored(context: typer.Context, option: str, why: str) -> None:
    """Refuse an option that was given and would do nothing, such as one that belongs to another."""
    source = context.get_parameter_source(option.removeprefix("--").replace("-", "_"))
    if source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter(why, param_hint=option)


def need_source(directory: str) -> None:
    """End the command when it runs from an installed package, which does not have this directory."""
    if not (ROOT / directory).is_dir():
        fail(
            f"This command needs the source code: {directory}/ is not part of the package.",
            "Clone the repository and run the command there.",
        )
