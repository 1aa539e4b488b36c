"""The settings of intake beside those of every service."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from pydantic import Field, model_validator

from services.intake.episode.levels import RuleTable, read_table
from shared.errors import ConfigurationError
from shared.runtime.vault.settings import VaultSettings

DEMO_RULES: Final = Path(__file__).parent / "rules" / "demo.toml"
"""The table that ships. It is a demo, and not ASAM's."""


class IntakeSettings(VaultSettings):
    """The settings of intake."""

    level_rules: Path | None = None
    """The facility's own rules for levels of care, a TOML file; without it the demo table holds."""
    offer_hours: int = Field(default=24, ge=1, le=720)
    """How long an offer from a waiting list is open. House rule."""
    offer_chances: int = Field(default=2, ge=1, le=10)
    """How many offers may lapse; until the last one, a person goes to the end of the list. House rule."""

    @model_validator(mode="after")
    def _rules_can_be_read(self) -> Self:
        rules(self.level_rules)
        return self


@lru_cache(maxsize=8)
def rules(path: Path | None = None) -> RuleTable:
    """The table in a file, or the one that ships. Raises `ConfigurationError` when it is none."""
    file = DEMO_RULES if path is None else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "level-rules-unreadable",
            f"{file.name} can't be read ({type(error).__name__}).",
            hint="Correct the path in CARE_LEVEL_RULES, or the file's permissions.",
            setting="CARE_LEVEL_RULES",
        ) from error
    return read_table(text)
