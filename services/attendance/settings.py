"""Settings of attendance: the laboratory's table in place of the house's, from the file that CARE_LABORATORY names.

The file is TOML: `[validity]`, `[cutoffs.<analyte>]` and `[panels]`, each with what differs; none of it travels.
Without the setting, the tables of `panels.py` hold. It is read once, at start; the rules get it as an argument.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator

from services.attendance.laboratory.panels import Laboratory
from shared.errors import ConfigurationError
from shared.programs.toml_text import read_toml
from shared.runtime.settings import ServiceSettings


class AttendanceSettings(ServiceSettings):
    """The settings of attendance."""

    @model_validator(mode="after")
    def _laboratory_can_be_read(self) -> Self:
        laboratory()
        return self


def laboratory() -> Laboratory:
    """The laboratory's table. Raises `ConfigurationError` for a file that is missing or wrong."""
    path = os.environ.get("CARE_LABORATORY")
    return read(Path(path)) if path else Laboratory()


@lru_cache(maxsize=8)
def read(path: Path) -> Laboratory:
    """A laboratory's file. Raises `ConfigurationError` and says where it is wrong."""
    try:
        return Laboratory.model_validate(read_toml(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        places = ", ".join(".".join(str(part) for part in e["loc"]) for e in error.errors())
        raise ConfigurationError(
            "laboratory-invalid",
            f"The laboratory's table is wrong at: {places}.",
            hint="Correct the file that CARE_LABORATORY names; the runbook has an example.",
            setting="CARE_LABORATORY",
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "laboratory-unreadable",
            f"The laboratory's table can't be read: {type(error).__name__}.",
            hint="Correct the path in CARE_LABORATORY, or the file.",
            setting="CARE_LABORATORY",
        ) from error
