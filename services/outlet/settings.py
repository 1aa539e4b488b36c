"""The settings of outlet beside those of every service, and the files that they name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.contracts.publish.subscribers import FOLDER, Subscriber, SubscriberError, load_folder
from shared.errors import CareError, ConfigurationError
from shared.programs.registered import read_directory
from shared.runtime.kafka.access import check_subscriber
from shared.runtime.settings import ServiceSettings

SHIPPED: Final = Path(__file__).resolve().parents[2] / FOLDER
SETTING: Final = "CARE_SUBSCRIBERS"


class OutletSettings(ServiceSettings):
    """The settings of outlet."""

    subscribers: str = ""
    """A directory with the subscribers' files (`*.toml`), read at start by outlet; empty: those that ship."""


def read_subscribers(settings: ServiceSettings) -> Mapping[str, Subscriber]:
    """The subscribers by name.

    Raises `ConfigurationError` for a file that can't be used, or that names a facility which the deployment does not
    have: nothing is passed on by half of the files.
    """
    named = settings.subscribers if isinstance(settings, OutletSettings) else ""
    folder = Path(named) if named else SHIPPED
    if not folder.is_dir():
        raise ConfigurationError(
            "subscribers-unusable",
            "The directory of the subscribers' files does not exist.",
            hint="Correct CARE_SUBSCRIBERS, or leave it empty.",
            setting=SETTING,
        )
    try:
        found = load_folder(folder, folder.name)
        for name in found:
            check_subscriber(name)
    except (SubscriberError, CareError, OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "subscribers-unusable",
            f"{error}.",
            hint="Correct the file; `care subscribers check` says the same.",
            setting=SETTING,
        ) from error
    _check_facilities(settings, found)
    return found


def _check_facilities(settings: ServiceSettings, found: Mapping[str, Subscriber]) -> None:
    """Raises `ConfigurationError` for a facility that is not in the deployment's directory, where it has one."""
    if settings.directory_file is None:
        return
    text = settings.directory_file.read_text(encoding="utf-8")
    known = read_directory(text, settings.directory).facilities
    for team in found.values():
        unknown = set(() if team.facilities == "all" else team.facilities) - set(known)
        if unknown:
            raise ConfigurationError(
                "subscribers-unusable",
                f"{team.name}.toml: facilities: {min(unknown)} is not in the directory.",
                hint="Correct the file, or register the facility in CARE_DIRECTORY.",
                setting=SETTING,
            )
