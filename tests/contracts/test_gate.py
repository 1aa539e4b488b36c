"""The gate before a change of the contract: what readers would meet is refused and names them, what adds passes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from care.interfaces import documents
from shared.contracts.event import CATALOGUE
from shared.contracts.outlets import outlet_topic
from shared.contracts.publish import files, releases
from shared.contracts.publish.contract import Contract, contract, problems
from shared.contracts.publish.differ import differences, readers
from shared.contracts.publish.difference import Difference, Kind
from shared.contracts.publish.schemas import schema_of
from shared.contracts.publish.subscribers import load
from shared.contracts.topics import TOPICS

ROOT: Final = Path(__file__).parents[2]
TODAY: Final = date(2026, 12, 1)
WHOLE: Final = contract(load(ROOT), documents(), files.examples(ROOT))
ATTENDED: Final = "care.attendance.session-attended.v1"
RESERVED: Final = "care.attendance.seat-reserved.v1"
ADMITTED: Final = "care.intake.patient-admitted.v1"
ACTIVATED: Final = "care.plans.treatment-plan-activated.v1"
Mutation = Callable[[Contract], None]


def field(whole: Contract, name: str, of: str = ATTENDED) -> dict[str, Any]:
    """A field's schema, by its dotted path; `[]` leads into a list."""
    node = whole["events"][of]["schema"]
    for step in name.split("."):
        node = node["items"] if step == "[]" else node["properties"][step]
    return node


def schema(whole: Contract, of: str = ATTENDED) -> dict[str, Any]:
    return whole["events"][of]["schema"]


def put(key: str, value: object, name: str = "", of: str = ATTENDED) -> Mutation:
    """Set, or with None remove, a keyword of a field or of the schema."""

    def mutate(whole: Contract) -> None:
        node = field(whole, name, of) if name else schema(whole, of)
        node.pop(key, None)
        if value is not None:
            node[key] = value

    return mutate


def of_event(key: str, value: object, of: str = ATTENDED) -> Mutation:
    return lambda whole: whole["events"][of].update({key: value})


def at(*path: str, value: object = None) -> Mutation:
    """Set, or with None remove, what stands at this place of the whole contract."""

    def mutate(whole: Contract) -> None:
        node: Any = whole
        for step in path[:-1]:
            node = node[step]
        node.pop(path[-1], None)
        if value is not None:
            node[path[-1]] = value

    return mutate


def renamed(whole: Contract) -> None:
    fields = schema(whole)["properties"]
    fields["minutes"] = fields.pop("minutes_credited")


def moved(*path: str) -> Mutation:
    """Give what stands at this place another name."""

    def mutate(whole: Contract) -> None:
        node: Any = whole
        for step in path[:-1]:
            node = node[step]
        node["renamed"] = node.pop(path[-1])

    return mutate


def required_now(whole: Contract) -> None:
    schema(whole)["properties"]["room"] = {"type": "string", "pattern": "^[a-z]{1,9}$"}
    schema(whole)["required"].append("room")


def no_longer_required(whole: Contract) -> None:
    schema(whole)["required"].remove("minutes_credited")


def without_code(whole: Contract) -> None:
    field(whole, "arrival")["x-open-enum"].remove("left_early")


def retyped(whole: Contract) -> None:
    whole["events"]["care.attendance.session-joined.v1"] = whole["events"].pop(ATTENDED)


def optional_header(whole: Contract) -> None:
    whole["envelope"]["required"].remove("ce_correlationid")


def header_renamed(whole: Contract) -> None:
    headers = whole["envelope"]["properties"]
    headers["ce_facility"] = headers.pop("ce_facilityid")


def optional_required(whole: Contract) -> None:
    schema(whole, RESERVED)["required"].append("hold_expires_at")


BREAKING: Final[dict[str, Mutation]] = {
    "a field removed": at("events", ATTENDED, "schema", "properties", "participation"),
    "a field renamed": renamed,
    "a code removed": without_code,
    "a required field added": required_now,
    "an optional field made required": optional_required,
    "a type changed": put("type", "string", "minutes_credited"),
    "a maximum widened": put("maximum", 2_880, "minutes_credited"),
    "a minimum narrowed": put("minimum", 1, "minutes_credited"),
    "a pattern changed": put("pattern", "^[0-9]+$", "session_id"),
    "a format dropped": put("format", None, "starts_at"),
    "a required field made optional": no_longer_required,
    "a type name changed": retyped,
    "a type removed": at("events", ATTENDED),
    "another subject": of_event("subject", "session"),
    "another topic": of_event("topic", "care.plans"),
    "less sensitive": of_event("sensitivity", "operational"),
    "more partitions": at("topics", "care.attendance", "partitions", value=24),
    "another incarnation": at("topics", "care.attendance", "incarnation", value=2),
    "compacted": at("topics", "care.attendance", "cleanup.policy", value="compact"),
    "retention cut": at("topics", "care.attendance", "retention.ms", value="604800000"),
    "another key": at("topics", "care.attendance", "key", value="id"),
    "a topic removed": at("topics", "care.attendance"),
    "a header removed": at("envelope", "properties", "ce_facilityid"),
    "a header renamed": header_renamed,
    "a header made optional": optional_header,
    "a header of another form": at(
        "envelope", "properties", "ce_id", "pattern", value="^[0-9A-Z]{26}$"
    ),
    "a default changed": put("default", 20, "terms.plan_within_days", ADMITTED),
    "a default dropped": put("default", None, "terms.plan_within_days", ADMITTED),
    "a larger event": at("limits", "event_bytes", value=600_000),
    "a code list closed": lambda whole: field(whole, "arrival").update(
        {"enum": field(whole, "arrival").pop("x-open-enum")}
    ),
    "a closed list widened": put("enum", ["3", "4", "5"], "level.edition", ADMITTED),
    "a longer list": put("maxItems", 500, "goals", ACTIVATED),
    "a shorter list": put("maxItems", 1, "goals", ACTIVATED),
    "a field of a list's item removed": at(
        *("events", ACTIVATED, "schema", "properties", "goals", "items", "properties", "metric")
    ),
    "an unknown keyword": put("patternProperties", {"^x": {}}),
    "an unknown keyword in a new field": at(
        *("events", ATTENDED, "schema", "properties", "room"), value={"type": "string", "if": {}}
    ),
    "a list made a value": put("items", None, "goals", ACTIVATED),
    "another name of the class": of_event("title", "SessionVisited"),
    "another name of a code list": put("x-definition", "Coming", "arrival"),
    "another name of a value": put("x-definition", "Level", "level", ADMITTED),
    "another name of a list's value": put("x-definition", "Aim", "goals.[]", ACTIVATED),
    "a definition put in its place": put("x-definition", None, "arrival"),
    "an example removed": at("events", ATTENDED, "example_sha256"),
    "an example rewritten": of_event("example_sha256", "0" * 64),
    **{
        f"another {name}": at("topics", "care.attendance", name, value="other")
        for name in TOPICS["care.attendance"].promised()
    },
    "a closed list of kinds of subjects": at(
        *("envelope", "properties", "ce_subject", "pattern"), value="^(episode|group)/.*$"
    ),
    "headers of another form": at("envelope", "type", value="array"),
}
OF_OUTLETS: Final[dict[str, Mutation]] = {
    "another name of the topics": at("outlets", "name", value="care[.]for[.][a-z]+"),
    "more partitions": at("outlets", "topic", "partitions", value=24),
    **{
        f"another {name}": at("outlets", "topic", name, value="other")
        for name in TOPICS["care.attendance"].promised()
    },
    "the count renamed": moved("outlets", "envelope", "properties", "ce_outsequence"),
    "the count without zeros": at(
        *("outlets", "envelope", "properties", "ce_outsequence", "pattern"), value="^[0-9]+$"
    ),
    "the count optional": lambda whole: whole["outlets"]["envelope"]["required"].remove(
        "ce_outsequence"
    ),
    "the earlier topics gone": at("outlets", "envelope", "properties", "ce_outearlier"),
    "the earlier topics in words": at(
        *("outlets", "envelope", "properties", "ce_outearlier", "pattern"), value="^[a-z,]+$"
    ),
    "another last record": at(
        *("outlets", "last_headers", "properties", "ce_type", "const"),
        value="care.outlet.topic-closed.v1",
    ),
    "another subject of the last record": at(
        *("outlets", "last_headers", "properties", "ce_subject", "pattern"), value="^end/[0-9]+$"
    ),
    "the successor renamed": moved("outlets", "last_data", "properties", "successor"),
    "the successor of another form": at(
        *("outlets", "last_data", "properties", "successor", "pattern"), value="^[a-z]+$"
    ),
}
ASKED: Final[dict[str, Mutation]] = {
    "another meaning of a code list": at("events", ATTENDED, "definitions", "Arrival", value="x"),
    "another meaning of a value": at("events", ADMITTED, "definitions", "LevelOfCare", value="x"),
    "another meaning of the count": at(
        *("outlets", "envelope", "properties", "ce_outsequence", "description"), value="Counts."
    ),
    "another order on outlets": at("outlets", "envelope", "description", value="None."),
    "another meaning of the headers": at("envelope", "description", value="Headers."),
    "another unit in words": put("description", "Tenths of an hour credited.", "minutes_credited"),
    "another meaning in words": put("description", "When the session was booked.", "starts_at"),
    "another meaning of the event": put("description", "The person was expected."),
    "another registry": put("x-registered", "rules", "program", ADMITTED),
    "a service dropped": of_event("consumers", ["plans"]),
    "a subscriber dropped": at("subscribers", "reporting"),
    "a subscriber reads a type no more": at("subscribers", "reporting", "reads", ATTENDED),
    "a subscriber reads a field no more": at(
        "subscribers", "reporting", "reads", ATTENDED, value=["starts_at"]
    ),
}


TWICE: Final[tuple[tuple[str, Any, Any, Kind | None], ...]] = (
    ("true became 1", {"const": True}, {"const": 1}, Kind.BREAKING),
    ("0 became false", {"default": 0}, {"default": False}, Kind.BREAKING),
    ("1 became 1.0", {"enum": [1]}, {"enum": [1.0]}, Kind.BREAKING),
    ("true within a list", {"enum": [[True]]}, {"enum": [[1]]}, Kind.BREAKING),
    ("null by default", {}, {"default": None}, Kind.BREAKING),
    ("no longer null by default", {"default": None}, {}, Kind.BREAKING),
    ("anything became a text", True, {"type": "string"}, Kind.BREAKING),
    ("a text became anything", {"type": "string"}, True, Kind.BREAKING),
    ("a text became nothing", {"type": "string"}, False, Kind.BREAKING),
    ("anything stays", True, True, None),
    ("nothing stays", False, False, None),
    ("items of a form", {"items": True}, {"items": {"type": "string"}}, Kind.BREAKING),
    ("items came", {}, {"items": True}, Kind.BREAKING),
    ("items became nothing", {"items": {"type": "string"}}, {"items": False}, Kind.BREAKING),
    ("items of anything stay", {"items": True}, {"items": True}, None),
    ("a branch became nothing", {"anyOf": [{}, True]}, {"anyOf": [{}, False]}, Kind.BREAKING),
    ("asked for without a schema", {}, {"required": ["x"]}, Kind.BREAKING),
    ("no longer asked for", {"required": ["x"]}, {}, Kind.BREAKING),
    ("asked for in another order", {"required": ["x", "y"]}, {"required": ["y", "x"]}, None),
    ("codes in another order", {"enum": ["a", "b"]}, {"enum": ["b", "a"]}, None),
    ("the same bound", {"maximum": 4}, {"maximum": 4.0}, None),
    ("another bound", {"maximum": 4}, {"maximum": 5}, Kind.BREAKING),
    ("a new field of anything", {"properties": {}}, {"properties": {"x": True}}, Kind.ADDITIVE),
    ("a new branch", {"oneOf": [{}]}, {"oneOf": [{}, True]}, Kind.BREAKING),
)
"""A schema of a field, another one, and what it is for readers."""


@pytest.mark.parametrize(("name", "before", "after", "kind"), TWICE, ids=[one[0] for one in TWICE])
def test_two_schemas_of_one_field(name: str, before: Any, after: Any, kind: Kind | None) -> None:
    wholes = [deepcopy(WHOLE), deepcopy(WHOLE)]
    for whole, one in zip(wholes, (before, after), strict=True):
        schema(whole)["properties"]["place"] = one
    assert worst(differences(wholes[0], wholes[1], TODAY)) is kind, name


def new_field(kind: dict[str, Any], of: str = ATTENDED, within: str = "") -> Mutation:
    def mutate(whole: Contract) -> None:
        node = field(whole, within, of) if within else schema(whole, of)
        node["properties"]["added_later"] = {"description": "New.", **kind}

    return mutate


def code(name: str, of: str = ATTENDED) -> Mutation:
    return lambda whole: field(whole, name, of)["x-open-enum"].append("added_later")


ADDITIVE: Final[dict[str, Mutation]] = {
    "nothing": lambda _: None,
    "an optional text": new_field({"type": "string", "pattern": "^[a-z]{1,9}$"}),
    "an optional number": new_field({"type": "integer", "minimum": 0, "maximum": 9}),
    "an optional truth value": new_field({"type": "boolean", "default": False}),
    "an optional list": new_field({"type": "array", "items": {"type": "boolean"}, "maxItems": 5}),
    "an optional code list": new_field({"type": "string", "x-open-enum": ["a", "b"]}),
    "an optional object": new_field({"type": "object", "properties": {}, "required": []}),
    "an optional time": new_field({"type": "string", "format": "date-time"}),
    "an optional field of another event": new_field({"type": "boolean"}, ADMITTED),
    "an optional field inside a list": new_field({"type": "boolean"}, ACTIVATED, "goals.[]"),
    "an optional field inside an object": new_field({"type": "boolean"}, ADMITTED, "level"),
    "a code of arrival": code("arrival"),
    "a code of modality": code("modality"),
    "a code of another event": code("population", ADMITTED),
    "an event type": lambda whole: whole["events"].update(
        {"care.plans.goal-paused.v1": deepcopy(whole["events"][ATTENDED])}
    ),
    "a second major version": lambda whole: whole["events"].update(
        {ATTENDED.replace(".v1", ".v2"): deepcopy(whole["events"][ATTENDED])}
    ),
    "a last day": of_event("until", "2027-06-30"),
    "a topic": at("topics", "care.partners", value=WHOLE["topics"]["care.plans"]),
    "an optional header": at(
        "envelope", "properties", "ce_room", value={"type": "string", "description": "New."}
    ),
    "a consumer": of_event("consumers", ["plans", "followup", "console"]),
    "a subscriber": at("subscribers", "billing", value=WHOLE["subscribers"]["reporting"]),
    "other examples": put("examples", [45], "minutes_credited"),
}


def mutated(mutation: Mutation) -> list[Difference]:
    after = deepcopy(WHOLE)
    mutation(after)
    return differences(WHOLE, after, TODAY)


def worst(found: list[Difference]) -> Kind | None:
    return found[0].kind if found else None


@pytest.mark.parametrize("mutation", BREAKING.values(), ids=list(BREAKING))
def test_what_readers_would_meet_is_breaking_and_names_them(mutation: Mutation) -> None:
    breaking = [one for one in mutated(mutation) if one.kind is Kind.BREAKING]
    assert breaking
    for one in breaking:
        assert readers(WHOLE, one), str(one)


@pytest.mark.parametrize("mutation", OF_OUTLETS.values(), ids=list(OF_OUTLETS))
def test_what_is_on_outlets_concerns_who_reads_one(mutation: Mutation) -> None:
    restricted = deepcopy(WHOLE)
    reporting = restricted["subscribers"]["reporting"]
    restricted["subscribers"]["billing"] = {**reporting, "facilities": ["lakeside-iop"]}
    breaking = [one for one in mutated(mutation) if one.kind is Kind.BREAKING]
    assert breaking
    for one in breaking:
        assert [reader.name for reader in readers(restricted, one)] == ["billing"], str(one)


def test_every_setting_that_no_deployment_chooses_is_kept() -> None:
    for name, topic in TOPICS.items():
        chosen = topic.settings().items() - topic.settings(replicas=3).items()
        assert {key for key, _ in chosen} == {"min.insync.replicas"}
        assert topic.settings().items() - chosen <= WHOLE["topics"][name].items()


@pytest.mark.parametrize(("team", "number"), [("billing", 1), ("b2-x", 2), ("billing", 10)])
def test_the_names_of_outlets_are_of_the_form_that_is_kept(team: str, number: int) -> None:
    assert re.fullmatch(WHOLE["outlets"]["name"], outlet_topic(team, number))
    for other in ("care.out.b", "care.out.billing.1", "care.out.billing.02", "care.plans"):
        assert not re.fullmatch(WHOLE["outlets"]["name"], other)


def test_every_published_example_is_kept() -> None:
    assert all("example_sha256" in event for event in WHOLE["events"].values())


def test_the_words_of_every_definition_are_kept() -> None:
    for name, event in WHOLE["events"].items():
        published = schema_of(CATALOGUE[name]).get("$defs", {})
        assert event["definitions"] == {
            one: definition["description"] for one, definition in published.items()
        }


@pytest.mark.parametrize("mutation", ASKED.values(), ids=list(ASKED))
def test_words_and_readers_are_asked_for(mutation: Mutation) -> None:
    assert worst(mutated(mutation)) is Kind.WORDS


@pytest.mark.parametrize("mutation", ADDITIVE.values(), ids=list(ADDITIVE))
def test_what_is_added_passes(mutation: Mutation) -> None:
    assert worst(mutated(mutation)) in {None, Kind.ADDITIVE}


def test_at_least_forty_mutations_break_or_ask_and_twenty_add() -> None:
    assert len(BREAKING) + len(ASKED) >= 40
    assert len(ADDITIVE) >= 20


def test_a_reader_is_named_with_its_owner_only_where_it_reads() -> None:
    [minutes] = mutated(BREAKING["a maximum widened"])
    assert [str(one) for one in readers(WHOLE, minutes)] == [
        "followup (this repository)",
        "plans (this repository)",
        "reporting (Quality and reporting, reporting@throughcare.example)",
    ]
    [participation] = mutated(BREAKING["a field removed"])
    assert [one.name for one in readers(WHOLE, participation)] == ["followup", "plans"]


class TestLastDay:
    """A type that has a successor gets a last day; its readers have to move until then."""

    @pytest.mark.parametrize(
        ("until", "late"), [("2026-11-30", True), ("2026-12-01", False), ("2027-06-30", False)]
    )
    def test_who_reads_it_after_that_is_named(self, until: str, late: bool) -> None:
        whole = deepcopy(WHOLE)
        whole["events"][ATTENDED]["until"] = until
        found = problems(whole, TODAY)
        assert bool(found) is late
        assert all("plans, followup, reporting read it still" in one for one in found)

    @pytest.mark.parametrize(
        ("was", "now", "kind"),
        [
            ("2027-06-30", "2027-07-01", Kind.ADDITIVE),
            ("2027-06-30", "2027-06-29", Kind.BREAKING),
            ("2027-06-30", None, Kind.ADDITIVE),
        ],
    )
    def test_it_never_comes_nearer(self, was: str, now: str | None, kind: Kind) -> None:
        before, after = deepcopy(WHOLE), deepcopy(WHOLE)
        before["events"][ATTENDED]["until"] = was
        after["events"][ATTENDED]["until"] = now
        assert worst(differences(before, after, TODAY)) is kind


def test_an_event_larger_than_its_topic_takes_contradicts_itself() -> None:
    after = deepcopy(WHOLE)
    after["limits"]["event_bytes"] = 4 * 1024 * 1024
    assert len(problems(after, TODAY)) == len(WHOLE["topics"])
    assert problems(WHOLE, TODAY) == []


class TestReleases:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        (tmp_path / releases.RELEASES).parent.mkdir(parents=True)
        releases.release(tmp_path, "1.0.0", WHOLE, TODAY)
        return tmp_path

    def test_what_is_released_is_read_again(self, tree: Path) -> None:
        [one] = releases.load(tree)
        assert (one.version, one.day, one.contract) == ("1.0.0", TODAY, WHOLE)
        assert releases.version([one]) == "1.0.0"
        assert releases.version([]) == "1.0.0-unreleased"

    def test_before_the_first_release_there_is_none(self, tmp_path: Path) -> None:
        assert releases.load(tmp_path) == []

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            ("the file is missing", "missing"),
            ("the file is edited", "edited"),
            ("its line is gone", "no line"),
            ("the list is gone", "no line"),
            ("its line is no line", "line 1 is not"),
            ("its day is none", "no such day"),
            ("a version comes back", "stands after"),
        ],
    )
    def test_a_baseline_that_was_touched_is_refused(
        self, tree: Path, spoil: str, told: str
    ) -> None:
        listed, file = tree / releases.RELEASES, tree / releases.FOLDER / "1.0.0.json"
        match spoil:
            case "the file is missing":
                file.unlink()
            case "the file is edited":
                file.write_text(file.read_text().replace("1440", "2880"))
            case "its line is gone":
                listed.write_text("")
            case "the list is gone":
                listed.unlink()
            case "its day is none":
                listed.write_text(listed.read_text().replace("2026-12-01", "2026-12-41"))
            case "its line is no line":
                listed.write_text("1.0.0 today\n")
            case _:
                listed.write_text(listed.read_text() * 2)
        with pytest.raises(releases.ReleaseError, match=told):
            releases.load(tree)

    def test_a_list_begins_with_every_line_that_was_committed(self, tree: Path) -> None:
        committed = (tree / releases.RELEASES).read_text()
        releases.check_history(tree, ["", committed])
        releases.release(tree, "1.1.0", WHOLE, TODAY)
        releases.check_history(tree, [committed])
        (tree / releases.RELEASES).write_text(committed.replace("1.0.0", "1.0.1"))
        with pytest.raises(releases.ReleaseError, match="gone or changed"):
            releases.check_history(tree, [committed])
        (tree / releases.RELEASES).unlink()
        with pytest.raises(releases.ReleaseError, match="gone or changed"):
            releases.check_history(tree, [committed])

    @pytest.mark.parametrize(
        ("mutation", "version"),
        [
            (ADDITIVE["an optional text"], "1.1.0"),
            (ASKED["another unit in words"], "1.0.1"),
            (ADDITIVE["nothing"], None),
        ],
    )
    def test_the_version_follows_from_what_changed(
        self, tree: Path, mutation: Mutation, version: str | None
    ) -> None:
        after = deepcopy(WHOLE)
        mutation(after)
        answers = [{"what": str(one), "why": "clearer"} for one in differences(WHOLE, after, TODAY)]
        verdict = releases.judge(WHOLE, after, answers, TODAY)
        assert verdict.passes
        assert releases.next_version(releases.load(tree), verdict) == version

    def test_words_pass_once_somebody_answered_for_them(self, tree: Path) -> None:
        after = deepcopy(WHOLE)
        ASKED["another unit in words"](after)
        asked = releases.judge(WHOLE, after, releases.reworded(tree), TODAY)
        assert not asked.passes
        releases.reword(tree, asked.asked, "A clearer sentence.")
        assert releases.judge(WHOLE, after, releases.reworded(tree), TODAY).passes
        ASKED["another meaning in words"](after)
        assert not releases.judge(WHOLE, after, releases.reworded(tree), TODAY).passes

    @pytest.mark.parametrize("line", ["no JSON", "[]", '{"what": "x"}', "null"])
    def test_answers_that_are_none_are_refused(self, tree: Path, line: str) -> None:
        (tree / releases.REWORDED).write_text(line + "\n")
        with pytest.raises(releases.ReleaseError, match="REWORDED"):
            releases.reworded(tree)

    @pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"contract": {}, "reworded": []}'])
    def test_a_file_that_is_no_release_is_refused(self, text: str) -> None:
        with pytest.raises(releases.ReleaseError, match="no release"):
            releases.read_release(text, "some.json")

    def test_the_changelog_is_made_of_the_releases(self, tree: Path) -> None:
        after = deepcopy(WHOLE)
        ADDITIVE["a code of arrival"](after)
        ASKED["another unit in words"](after)
        asked = releases.judge(WHOLE, after, [], TODAY).asked
        releases.reword(tree, asked, "A clearer sentence.")
        releases.release(tree, "1.1.0", after, TODAY)
        page = releases.changelog(releases.load(tree))
        assert "## 1.0.0 (2026-12-01)" in page
        assert f"- {ATTENDED}: arrival: code added_later added" in page
        assert "(A clearer sentence.)" in page
        assert releases.reworded(tree) == []

    def test_a_release_is_json_of_the_whole_contract(self, tree: Path) -> None:
        body = json.loads((tree / releases.FOLDER / "1.0.0.json").read_text())
        assert body["contract"].keys() == WHOLE.keys()
