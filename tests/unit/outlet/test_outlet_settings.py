"""Files that can't be used stop outlet at its start: nothing is passed on by half of them."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.outlet.reactions import Outlets, ending_subject
from services.outlet.settings import OutletSettings, read_subscribers
from shared.contracts.publish.subscribers import template
from shared.contracts.topics import PARTITIONS
from shared.errors import ConfigurationError
from shared.runtime.core.partitions import partition_of
from shared.testing.fakes import MemoryStore

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ONE = template("billing").replace('facilities = "all"', 'facilities = ["lakeside-iop"]')


def settings(folder: Path, text: str, name: str = "billing") -> OutletSettings:
    (folder / f"{name}.toml").write_text(text)
    directory = folder / "directory"
    directory.write_text("[facilities.lakeside-iop]\n")
    return OutletSettings(subscribers=str(folder), directory=str(directory))


def test_the_files_that_ship_can_be_used() -> None:
    assert set(read_subscribers(OutletSettings())) == {"reporting"}


def test_a_file_of_one_facility_is_read(tmp_path: Path) -> None:
    found = read_subscribers(settings(tmp_path, ONE))
    assert found["billing"].topics == ("care.out.billing",)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("lakeside-iop", "lakeside-uop", "lakeside-uop is not in the directory"),
        ("session-attended.v1", "session-atended.v1", "is no event type"),
        ('"starts_at", ', '"began_at", ', "no field began_at"),
        ('"billing"', '"other"', "the file is billing.toml"),
        ('agreement = "same-entity"', "", "agreement"),
        ('name = "billing"', "name = billing", "no TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, before: str, after: str, told: str) -> None:
    assert before in ONE
    with pytest.raises(ConfigurationError) as caught:
        read_subscribers(settings(tmp_path, ONE.replace(before, after)))
    assert (caught.value.code, caught.value.setting) == ("subscribers-unusable", "CARE_SUBSCRIBERS")
    assert told in caught.value.detail


def test_a_name_of_a_service_is_taken(tmp_path: Path) -> None:
    text = ONE.replace('"billing"', '"outlet"')
    with pytest.raises(ConfigurationError, match="can't be the name of a subscriber"):
        read_subscribers(settings(tmp_path, text, "outlet"))


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        read_subscribers(OutletSettings(subscribers=str(tmp_path / "missing")))


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the outlets on a bus that is not there."""
    names = set[str]()

    async def topics(*_given: object) -> set[str]:
        return names

    async def first(*_given: object) -> dict[str, list[int]]:
        return {}

    monkeypatch.setattr("services.outlet.reactions.topics_with_prefix", topics)
    monkeypatch.setattr("services.outlet.reactions.first_offsets", first)
    return names


async def test_a_directory_without_files_ends_nothing(tmp_path: Path, bus: set[str]) -> None:
    """An empty mount ended every outlet for good."""
    store, files = MemoryStore({}), settings(tmp_path, ONE)
    await Outlets(files).establish(files, store)
    bus.add("care.out.billing")
    (tmp_path / "billing.toml").unlink()
    for restored in (store, MemoryStore({})):
        before = deepcopy(restored.disk.metadata)
        with pytest.raises(ConfigurationError, match="billing") as caught:
            await Outlets(files).establish(files, restored)
        assert (caught.value.code, caught.value.setting) == (
            "subscribers-missing",
            "CARE_SUBSCRIBERS",
        )
        assert restored.disk.metadata == before
    settings(tmp_path, ONE.replace("# until = 2027-12-31", "until = 2020-12-31"))
    gone = Outlets(files)
    await gone.establish(files, store)
    assert (gone.topics, len(gone.last_works(NOW))) == ([], PARTITIONS)
    settings(tmp_path, ONE)
    back = Outlets(files)
    await back.establish(files, store)
    assert [topic.name for topic in back.topics] == ["care.out.billing.2"]
    causes = [{work.cause_id for work in one.last_works(NOW)} for one in (gone, back)]
    assert causes[0].isdisjoint(causes[1])  # else the second would be taken for a repeat


def test_each_partition_has_a_record_that_ends_it() -> None:
    subjects = [ending_subject("care.out.billing", number) for number in range(PARTITIONS)]
    assert [partition_of(one, PARTITIONS) for one in subjects] == list(range(PARTITIONS))
