"""How commands print: tables that stay whole at 80 columns, JSON for machines, and errors as one clear message."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from shared.errors import CareError

ROOT: Final = Path(__file__).resolve().parents[1]
"""The source tree; in an installed package, the directory of the packages."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def as_json(value: Any) -> None:
    """Print a value for machines."""
    typer.echo(json.dumps(value, indent=2))


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table without borders. A wide cell continues on the next line; the first column never does."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for place, header in enumerate(headers):
        grid.add_column(header, overflow="fold", no_wrap=place == 0)
    for row in rows:
        grid.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    Console().print(grid)


def entries(found: Iterable[tuple[str, Mapping[str, str]]]) -> None:
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
                grid.add_row(label, Text(value))
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
        fail(str(error), error.hint)


def need_source(directory: str) -> None:
    """End the command when it runs from an installed package, which does not have this directory."""
    if not (ROOT / directory).is_dir():
        fail(
            f"This command needs the source code: {directory}/ is not part of the package.",
            "Clone the repository and run the command there.",
        )
