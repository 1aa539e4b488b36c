"""Who publishes events: each module of this package that is not part of the language itself."""

from __future__ import annotations

from pathlib import Path
from pkgutil import iter_modules
from typing import Final

LANGUAGE: Final = frozenset(
    {
        "attributes",
        "codes",
        "event",
        "names",
        "outlets",
        "publish",
        "publishers",
        "terms",
        "times",
        "topics",
    }
)
PUBLISHERS: Final = tuple(
    sorted(
        module.name
        for module in iter_modules([str(Path(__file__).parent)])
        if module.name not in LANGUAGE
    )
)
"""The publishing services, one module and one topic each."""
