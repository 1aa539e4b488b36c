"""Every file of a facility that is TOML is refused in our words, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.attendance import settings
from services.intake.episode.levels import read_table
from shared.contracts.publish.subscribers import SubscriberError, parse
from shared.errors import ConfigurationError
from shared.programs.read import ProfileInvalid, read_profile
from shared.programs.registered import read_directory

NONE_AT_ALL = {
    "broken": "a = ",
    "a key twice": "a = 1\na = 2",
    "nested deeply": f"a = {'[' * 50_000}{']' * 50_000}",
    "a table of tables": f"a{'.a' * 2_000} = 1",
    "a huge number": f"a = {'9' * 50_000}",
    "a year of no calendar": "a = 2026-02-30",
}


@pytest.fixture
def laboratory(tmp_path: Path) -> Callable[[str], object]:
    def read(text: str) -> object:
        path = tmp_path / "laboratory.toml"
        path.write_text(text, encoding="utf-8")
        settings.read.cache_clear()
        return settings.read(path)

    return read


@pytest.mark.parametrize("text", NONE_AT_ALL.values(), ids=NONE_AT_ALL)
def test_what_is_no_toml_is_refused_and_breaks_nothing(
    text: str, laboratory: Callable[[str], object]
) -> None:
    with pytest.raises(ProfileInvalid):
        read_profile(text)
    with pytest.raises(ConfigurationError):
        read_directory(text, "directory.toml")
    with pytest.raises(ConfigurationError):
        read_table(text)
    with pytest.raises(ConfigurationError):
        laboratory(text)
    with pytest.raises(SubscriberError):
        parse(text, "billing.toml")
