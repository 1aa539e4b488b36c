"""`care subscribers` and the files it reads: each mistake is named with its file and key."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from care.cli import app
from shared.contracts.publish import subscribers
from shared.contracts.publish.asyncapi import received_by
from shared.contracts.publish.subscribers import Subscriber, SubscriberError, load, parse, template
from shared.errors import Invalid
from shared.runtime.kafka.access import RESERVED, check_subscriber

GOOD = template("billing")


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "80", **environment})


def test_the_template_can_be_used() -> None:
    assert parse(GOOD, "billing.toml").topics == ("care.attendance",)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('name = "billing"', "name = billing", "no TOML"),
        ('name = "billing"', 'name = "Billing Team"', "name"),
        ('agreement = "same-entity"', "", "agreement"),
        ('agreement = "same-entity"', 'agreement = "qsoa"', "agreement"),
        ('facilities = "all"', "facilities = []", "facilities: it is empty"),
        ('facilities = "all"', 'facilities = ["Lakeside IOP"]', 'facilities: "Lakeside IOP" can'),
        ('facilities = "all"', 'facilities = ["all"]', 'write facilities = "all", without'),
        ('facilities = "all"', 'facilities = ["lakeside-iop", "all"]', "is no facility"),
        ('facilities = "all"', 'facilities = "lakeside-iop"', 'such as ["lakeside-iop"]'),
        ('sensitivity = "part2"', 'sensitivity = "notes"', "sensitivity"),
        ('sensitivity = "part2"', 'sensitivity = "operational"', "above the ceiling"),
        ("session-attended.v1", "session-atended.v1", "did you mean care.attendance"),
        ('"starts_at", ', '"began_at", ', "no field began_at"),
        ('owner = "The', 'colour = "red"\nowner = "The', "colour: there is no such key"),
        ('owner = "The', 'untill = 2027-12-31\nowner = "The', "did you mean until?"),
        ("# until = 2027-12-31", 'until = "next year"', "write a day such as 2027-12-31"),
        ("# until = 2027-12-31", "until = 2027-12-31T00:00:00", "write a day such as 2027-12-31"),
        ("# until = 2027-12-31", "until = 0", "until: 0 can't stand there"),
        ('["starts_at", "minutes_credited"]', '"starts_at"', 'reads: "starts_at" can\'t'),
        ('["starts_at", "minutes_credited"]', "[5]", "reads: 5 can't"),
        ('name = "billing"', f'name = "{"b" * 41}"', "2 to 40 of a-z"),
        ('name = "billing"', f"name = {'[' * 5_000}", "no TOML"),
        ('name = "billing"', f"name = {'9' * 5_000}", "no TOML"),
    ],
)
def test_a_mistake_is_named(before: str, after: str, told: str) -> None:
    assert before in GOOD
    with pytest.raises(SubscriberError, match=r"billing\.toml") as caught:
        parse(GOOD.replace(before, after), "billing.toml")
    assert told in str(caught.value)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.datetimes()
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Subscriber.model_fields)), values)
def test_whatever_stands_there_is_told_in_our_words(key: str, value: object) -> None:
    """pydantic's own words say neither what is meant by a key nor what may stand there."""
    given_, told = {**tomllib.loads(GOOD), key: value}, ""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(subscribers.tomllib, "loads", lambda _text: given_)
        try:
            parse("", "billing.toml")
        except SubscriberError as error:
            told = str(error)
    assert not told or f"billing.toml: {key}: " in told or "group_prefix is " in told
    assert not any(word in told for word in ("should", "Input", "Value error"))


@pytest.mark.parametrize("made", ["directory", "text", "link"])
def test_what_is_no_file_of_text_is_told(files: Path, made: str) -> None:
    path = files / subscribers.FOLDER / "billing.toml"
    path.parent.mkdir(parents=True)
    if made == "directory":
        path.mkdir()
    elif made == "link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(GOOD.replace("The team", "L'équipe").encode("latin-1"))
    for words in (("check",), ("list",)):
        done = run("subscribers", *words)
        assert (done.exit_code, type(done.exception)) == (1, SystemExit)
        assert "billing.toml: it " in done.output


@given(st.from_regex("[a-z0-9-]{0,70}", fullmatch=True))
def test_a_name_that_has_a_right_can_have_a_file(name: str) -> None:
    """There were two rules: 3 to 61 characters for a right, and 2 to 40 for a file."""
    try:
        check_subscriber(name)
    except Invalid:
        legal = name in RESERVED
    else:
        legal = True
    try:
        parse(GOOD.replace("billing", name), f"{name}.toml")
    except SubscriberError:
        assert not legal
    else:
        assert legal


def of(**changes: object) -> Subscriber:
    known = parse(GOOD, "billing.toml").model_dump()
    return Subscriber.model_validate({**known, **changes})


@pytest.mark.parametrize(
    ("changes", "topics"),
    [
        ({}, ("care.attendance",)),
        ({"facilities": ["lakeside-iop"]}, ("care.out.billing",)),
        (
            {"sensitivity": "operational", "reads": {"care.attendance.group-opened.v1": []}},
            ("care.out.billing",),
        ),
    ],
)
def test_whoever_may_not_see_all_reads_a_topic_of_its_own(
    changes: dict[str, object], topics: tuple[str, ...]
) -> None:
    one = of(**changes)
    assert one.topics == topics
    document = received_by(one, "1.0.0")
    assert {channel["address"] for channel in document["channels"].values()} == set(topics)
    assert {message for channel in document["channels"].values() for message in channel["messages"]}
    for operation in document["operations"].values():
        assert operation["action"] == "receive"


def write(root: Path, name: str, text: str) -> None:
    (root / subscribers.FOLDER).mkdir(parents=True, exist_ok=True)
    (root / subscribers.FOLDER / f"{name}.toml").write_text(text)


def test_a_file_is_named_after_its_team(tmp_path: Path) -> None:
    write(tmp_path, "payroll", GOOD)
    with pytest.raises(SubscriberError, match=r"payroll\.toml"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("prefix", "good"),
    [
        ("billing", True),
        ("billing.nightly", True),
        ("intake", False),
        ("billing-audit", False),
        ("billingx", False),
        ("plans.billing", False),
    ],
)
def test_a_team_has_groups_of_its_own_name_alone(prefix: str, *, good: bool) -> None:
    """A prefix that was a service's name gave the right to join the service's own consumer group."""
    text = GOOD.replace('group_prefix = "billing"', f'group_prefix = "{prefix}"')
    if good:
        assert parse(text, "billing.toml").group_prefix == prefix
    else:
        with pytest.raises(SubscriberError, match="group_prefix"):
            parse(text, "billing.toml")


def test_the_shipped_files_are_listed_and_can_be_used() -> None:
    listed = run("subscribers", "list")
    assert listed.exit_code == 0
    assert all(len(line) <= 80 for line in listed.output.splitlines())
    rows = json.loads(run("subscribers", "list", "--json").output)
    assert "reporting" in {row["name"] for row in rows}
    assert run("subscribers", "check").exit_code == 0


def test_the_rights_on_the_bus_follow_from_the_file() -> None:
    done = run("topics", "acl", "--subscriber", "reporting", "--json")
    rules = json.loads(done.output)
    topics = {rule["name"] for rule in rules if rule["resource"] == "topic"}
    assert topics == {"care.attendance", "care.followup", "care.intake", "care.plans"}
    assert {rule["operation"] for rule in rules} == {"read"}


def test_who_has_no_file_is_told_how_to_get_one() -> None:
    done = run("topics", "acl", "--subscriber", "nobody-yet")
    assert done.exit_code == 1
    assert "care subscribers new nobody-yet" in done.output


def test_a_name_of_a_service_is_taken() -> None:
    assert run("subscribers", "new", "intake").exit_code == 1
    assert run("subscribers", "new", "reporting").exit_code == 1


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree of subscribers' files alone."""
    monkeypatch.setattr("care.subscribers.ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    return tmp_path


ONE_FACILITY = GOOD.replace('facilities = "all"', 'facilities = ["lakeside-iop"]')
OVER = GOOD.replace("# until = 2027-12-31", "until = 2020-12-31")


@pytest.mark.parametrize("topic", [(), ("--topic", "care.attendance")])
@pytest.mark.parametrize(("text", "told"), [(OVER, "ended on 2020-12-31")])
def test_a_file_that_allows_no_topic_gives_no_right(
    files: Path, text: str, told: str, topic: tuple[str, ...]
) -> None:
    write(files, "billing", text)
    done = run("topics", "acl", "--subscriber", "billing", *topic)
    assert done.exit_code == 1
    assert told in done.output


@pytest.mark.parametrize("text", [OVER, OVER.replace('"all"', '["lakeside-iop"]')])
def test_nothing_is_written_for_a_team_whose_agreement_is_over(files: Path, text: str) -> None:
    write(files, "billing", text)
    words = ("--subscriber", "billing", "--file", str(files / "all.gz"), "--kafka", "nowhere:1")
    done = run("events", "snapshot", *words)
    assert done.exit_code == 1
    assert "ended on 2020-12-31" in done.output
    assert not list(files.glob("all.gz*"))


def test_who_may_read_one_facility_reads_its_outlet_and_what_follows_it(files: Path) -> None:
    write(files, "billing", ONE_FACILITY)
    done = run("topics", "acl", "--subscriber", "billing", "--json")
    assert done.exit_code == 0
    rules: list[dict[str, str]] = json.loads(done.output)
    topics = {(r["name"], r["pattern"], r["operation"]) for r in rules if r["resource"] == "topic"}
    assert topics == {
        ("care.out.billing", "literal", "read"),
        ("care.out.billing.", "prefixed", "read"),
    }
    beyond = run("topics", "acl", "--subscriber", "billing", "--topic", "care.attendance")
    assert beyond.exit_code == 1
    assert "reads nothing on care.attendance" in beyond.output


def test_its_rights_can_be_taken_back(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(files, "billing", OVER)
    asked: list[object] = []

    async def change(*given: object) -> list[str]:
        asked.append(given[1:5])
        return []

    monkeypatch.setattr("care.acl._change", change)
    done = run("topics", "acl", "--subscriber", "billing", "--prune", KAFKA_BOOTSTRAP="nowhere:1")
    assert (done.exit_code, asked) == (0, [(["billing"], [], False, True)])


def test_a_topic_that_the_file_does_not_read_is_refused(files: Path) -> None:
    write(files, "billing", GOOD)
    done = run("topics", "acl", "--subscriber", "billing", "--topic", "care.intake")
    assert done.exit_code == 1
    assert "reads nothing on care.intake" in done.output


def test_a_new_file_can_be_used_as_it_is(files: Path) -> None:
    (files / subscribers.FOLDER).mkdir(parents=True)
    assert run("subscribers", "new", "billing").exit_code == 0
    assert run("subscribers", "check").exit_code == 0


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("billing", OVER, "its agreement ended on 2020-12-31"),
        ("billing", ONE_FACILITY, "not in the directory: facility lakeside-iop"),
        ("intake", GOOD.replace("billing", "intake"), "This can't be the name of a subscriber"),
    ],
)
def test_the_check_names_what_can_not_be_used(files: Path, name: str, text: str, told: str) -> None:
    write(files, name, text)
    directory = files / "directory.toml"
    directory.write_text("[facilities.harbor-iop]\n")
    done = run("subscribers", "check", CARE_DIRECTORY=str(directory))
    assert done.exit_code == 1
    assert told in done.output


def test_a_directory_that_is_none_is_told(files: Path) -> None:
    write(files, "billing", ONE_FACILITY)
    done = run("subscribers", "check", CARE_DIRECTORY=str(files / "missing.toml"))
    assert done.exit_code == 1
    assert "CARE_DIRECTORY can't be read" in done.output
