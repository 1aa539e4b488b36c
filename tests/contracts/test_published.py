"""The published contract holds: files are current, examples are forever, nothing leaks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, ValidationError, create_model

import shared.contracts
from shared.contracts import codes, intake, plans
from shared.contracts.event import CATALOGUE, Event, OpenEnum, read_envelope
from shared.contracts.intake import PatientAdmitted
from shared.contracts.names import ADDITIONS, NAMES, REASONS
from shared.contracts.publish import files
from shared.contracts.publish.examples import check_example
from shared.contracts.publish.schemas import OPEN_CODE, expanded, schema_of
from shared.contracts.terms import ProgramTerms
from shared.contracts.topics import TOPICS
from shared.services import SERVICES

ROOT = Path(shared.contracts.__file__).parents[2]
EVENTS = sorted(CATALOGUE.values(), key=lambda event: event.TYPE)

OPAQUE = {
    codes.UUID_PATTERN,
    "^[0-9a-f]{64}$",
    # Levels of care, whose letters and digits say nothing else.
    r"^[0-4](\.[0-9])?(-WM)?$",
    r"^[0-4](\.[0-9])?$",
}
"""Patterns that no word fits."""
every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.TYPE)

# The clinical names, docs/domain.md 6 (Event names), by publisher.
REFERENCE = """
ReferralReceived ReferralAcknowledged ReferralDeclined ConsentGranted ConsentRevoked ConsentExpired
DisclosureRecorded EmergencyDisclosureMade AssessmentScheduled AssessmentCompleted
ImminentDangerIdentified LevelOfCareRecommended EligibilityDetermined PlacementDecided
WaitlistJoined WaitlistOffered WaitlistLeft PatientAdmitted OrientationCompleted ReferralSent
PartnerReferralAccepted PartnerReferralRejected ReferralLoopOverdue ReferralLoopClosed

TreatmentPlanActivated GoalAdded GoalUpdated GoalAchieved TreatmentPlanReviewDue
TreatmentPlanReviewOverdue TreatmentPlanReviewed ExpectedAnalytesUpdated CoOccurringNeedIdentified
AncillaryServiceAdded ClinicalReviewRequested ClinicalReviewCompleted LevelOfCareChangeRecommended
LevelOfCareChanged TransferInitiated TransferCompleted GraduationApproved PatientGraduated
EpisodeDischarged

GroupOpened GroupFilled GroupBelowMinimum SeatReserved SeatReleased SessionScheduled
SessionCancelled AttendanceRecorded AttendanceCorrected AbsenceThresholdReached WeeklyHoursEvaluated
WeeklyHoursShortfallDetected ScreenOrdered SpecimenCollected CustodyTransferred ScreenNotProvided
ScreenResulted BreathTestRecorded ScreenInterpreted MutualSupportLogged FamilySessionAttended
IncentiveEarned IncentiveReset

AftercarePlanActivated CheckInScheduled CheckInAttempted CheckInCompleted CheckInMissed ContactLost
OutreachEscalated ReturnToUseReported ReengagementStarted ReengagementCompleted ReadmissionRequested
AftercareCompleted
"""


def example(event: type[Event]) -> dict[str, Any]:
    path = ROOT / files.EXAMPLES / f"{event.TYPE}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def schema(event: type[Event]) -> dict[str, Any]:
    path = ROOT / files.SCHEMAS / f"{event.TYPE}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, by the way that leads to it."""
    yield path, node
    for keyword in ("properties", "$defs"):
        for name, one in node.get(keyword, {}).items():
            yield from nodes(one, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")


def without_what_may_be_none(value: Any) -> Any:
    """A value of the contract with None in every field that may be None, in nested values too."""
    if isinstance(value, tuple):
        return tuple(map(without_what_may_be_none, value))
    if not isinstance(value, BaseModel):
        return value
    fields = type(value).model_fields
    changed = {
        name: without_what_may_be_none(getattr(value, name))
        for name, field in fields.items()
        if type(None) not in get_args(field.annotation)
    }
    absent = {name: None for name in fields if name not in changed}
    return value.model_copy(update={**changed, **absent})


def leaves(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of a schema that is not an object or a list, by its dotted path."""
    if node.get("type") == "object":
        for name, field in node["properties"].items():
            yield from leaves(field, f"{path}.{name}")
    elif node.get("type") == "array":
        yield from leaves(node["items"], f"{path}[]")
    else:
        yield path, node


class TestWorkingTree:
    def test_published_files_are_current(self) -> None:
        assert files.drift(ROOT) == []

    def test_generation_is_deterministic(self) -> None:
        assert files.render(ROOT) == files.render(ROOT)

    def test_services_do_not_need_yaml(self) -> None:
        code = "import shared.contracts, sys; sys.exit('yaml' in sys.modules)"
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
        assert run.returncode == 0


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("generated")
    files.generate(made)
    assert files.drift(made) == []
    return made


class TestDrift:
    @pytest.fixture
    def tree(self, generated: Path, tmp_path: Path) -> Path:
        shutil.copytree(generated, tmp_path, dirs_exist_ok=True)
        return tmp_path

    @pytest.mark.parametrize(
        "path",
        [
            files.ASYNCAPI,
            files.VOCABULARY,
            f"{files.SCHEMAS}/care.plans.goal-added.v1.json",
            f"{files.EXAMPLES}/care.plans.goal-added.v1.json",
        ],
    )
    def test_a_missing_file_is_seen_and_made_again(self, tree: Path, path: str) -> None:
        (tree / path).unlink()
        assert files.drift(tree) == [f"{path}: missing"]
        assert files.generate(tree) == [path]
        assert files.drift(tree) == []

    @pytest.mark.parametrize("path", [files.ASYNCAPI, files.VOCABULARY])
    def test_a_changed_file_is_seen_and_made_again(self, tree: Path, path: str) -> None:
        with (tree / path).open("a") as file:
            file.write("# by hand\n")
        assert files.drift(tree) == [f"{path}: changed"]
        assert files.generate(tree) == [path]

    def test_files_of_a_type_that_is_gone_are_seen(self, tree: Path) -> None:
        old, new = "care.plans.goal-added.v1", "care.plans.goal-lost.v1"
        for folder in (files.SCHEMAS, files.EXAMPLES):
            text = (tree / folder / f"{old}.json").read_text()
            (tree / folder / f"{new}.json").write_text(text.replace(old, new))
        assert files.drift(tree) == [
            f"{files.EXAMPLES}/{new}.json: {new} is no longer in the catalogue",
            f"{files.SCHEMAS}/{new}.json: its type is gone",
        ]

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"goal": None}, "no longer parses (ValidationError)"),
            ({"removed_field": 1}, "no longer understood: removed_field"),
        ],
    )
    def test_an_example_that_no_longer_holds_is_seen(
        self, tree: Path, change: dict[str, Any], problem: str
    ) -> None:
        path = f"{files.EXAMPLES}/care.plans.goal-added.v1.json"
        record = json.loads((tree / path).read_text())
        record["data"] |= change
        (tree / path).write_text(json.dumps(record))
        assert files.drift(tree) == [f"{path}: {problem}"]

    def test_a_code_that_is_no_longer_known_is_seen(self) -> None:
        record = example(CATALOGUE["care.plans.treatment-plan-activated.v1"])
        record["data"]["services"][0]["modality"] = "retired_modality"
        assert check_example(record) == "no longer understood: services.[].modality"

    def test_an_example_with_a_broken_envelope_is_seen(self) -> None:
        record = example(CATALOGUE["care.plans.goal-added.v1"])
        assert check_example(record | {"key": "other"}) is not None

    def test_a_published_example_is_never_rewritten(self, tree: Path) -> None:
        path = tree / files.EXAMPLES / "care.plans.goal-added.v1.json"
        record = json.loads(path.read_text())
        record["data"]["added_at"] = "2020-01-01T00:00:00Z"
        path.write_text(json.dumps(record))
        assert files.generate(tree) == []
        assert json.loads(path.read_text()) == record


@every_event
class TestExamples:
    def test_parses_and_comes_back_the_same(self, event: type[Event]) -> None:
        record = example(event)
        parsed = event.parse(json.dumps(record["data"]))
        assert json.loads(parsed.data()) == record["data"]
        assert event.parse(parsed.data()) == parsed

    def test_comes_back_the_same_with_everything_that_may_be_missing_left_out(
        self, event: type[Event]
    ) -> None:
        bare = without_what_may_be_none(event.example())
        assert event.parse(bare.data()) == bare

    def test_has_a_readable_envelope(self, event: type[Event]) -> None:
        record = example(event)
        headers = [(name, value.encode()) for name, value in record["headers"].items()]
        envelope = read_envelope(headers, record["key"].encode())
        assert (envelope.type, envelope.source) == (event.TYPE, event.SOURCE)
        assert envelope.subject.startswith(f"{event.SUBJECT}/")
        assert envelope.sensitivity == event.SENSITIVITY
        assert envelope.headers() == record["headers"]

    def test_is_valid_by_its_schema(self, event: type[Event]) -> None:
        Draft202012Validator.check_schema(schema(event))
        Draft202012Validator(schema(event)).validate(example(event)["data"])  # pyright: ignore[reportUnknownMemberType]

    def test_every_default_and_every_example_is_valid_where_it_stands(
        self, event: type[Event]
    ) -> None:
        whole = schema(event)
        for path, node in nodes(whole):
            for value in [
                *node.get("examples", ()),
                *([node["default"]] if "default" in node else []),
            ]:
                field = {**node, "$defs": whole.get("$defs", {})}
                errors = [*Draft202012Validator(field).iter_errors(value)]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                assert not errors, path

    def test_every_code_list_takes_the_codes_of_the_future(self, event: type[Event]) -> None:
        for path, node in nodes(schema(event)):
            if {"type": "string", "pattern": OPEN_CODE} in node.get("anyOf", ()):
                for code in ("code_added_later", "code-added-later", "2nd", "known"):
                    assert Draft202012Validator(node).is_valid(code), path
                for code in ("Code", "", "a code", "-code", "c" * 41):
                    assert not Draft202012Validator(node).is_valid(code), path
                for code in node["anyOf"][0]["enum"]:
                    assert re.fullmatch(OPEN_CODE, code), path

    def test_the_schema_asks_for_every_required_field(self, event: type[Event]) -> None:
        validator = Draft202012Validator(schema(event))
        for name in schema(event)["required"]:
            data = example(event)["data"]
            del data[name]
            assert not validator.is_valid(data), name
            with pytest.raises(ValidationError):
                event.parse(json.dumps(data))

    def test_readers_accept_fields_and_codes_of_the_future(self, event: type[Event]) -> None:
        data = example(event)["data"] | {"added_later": {"deep": [1]}}
        opened = [
            name for name, field in expanded(event)["properties"].items() if "x-open-enum" in field
        ]
        for code in ("code_added_later", "code-added-later"):
            data |= dict.fromkeys(opened, code)
            Draft202012Validator(schema(event)).validate(data)  # pyright: ignore[reportUnknownMemberType]
            parsed = event.parse(json.dumps(data))
            assert {str(getattr(parsed, name)) for name in opened} <= {"unknown"}


@every_event
class TestConventions:
    def test_is_described_and_exemplified(self, event: type[Event]) -> None:
        words = (event.__doc__ or "").strip().splitlines()
        assert words[2:], "the fact; then when it is published, and what retracts or ends it"
        assert words[0].rstrip().endswith(".")
        for name, info in event.model_fields.items():
            assert info.description, name
            assert info.examples, name
        for path, leaf in leaves(expanded(event)):
            assert leaf.get("description") or path.endswith("[]"), path

    def test_the_type_is_the_class_name(self, event: type[Event]) -> None:
        suffix = f"V{event.MAJOR}" if event.MAJOR > 1 else ""
        words = re.findall(r"[A-Z][a-z0-9]*", event.__name__.removesuffix(suffix))
        expected = f"{event.SOURCE}.{'-'.join(words).lower()}.v{event.MAJOR}"
        assert expected == event.TYPE
        assert event.SOURCE in TOPICS

    def test_consumers_are_known_and_never_the_publisher(self, event: type[Event]) -> None:
        assert set(event.CONSUMERS) <= set(SERVICES) - {event.SOURCE.removeprefix("care.")}
        assert len(set(event.CONSUMERS)) == len(event.CONSUMERS)

    def test_times_are_named_at_and_days_on(self, event: type[Event]) -> None:
        for path, leaf in leaves(expanded(event)):
            assert (leaf.get("format") == "date-time") == path.endswith("_at"), path
            assert (leaf.get("format") == "date") == path.endswith("_on"), path

    def test_lists_and_numbers_are_bounded(self, event: type[Event]) -> None:
        for name, field in expanded(event)["properties"].items():
            assert field["type"] != "array" or "maxItems" in field, name
        for path, leaf in leaves(expanded(event)):
            if leaf["type"] in {"integer", "number"}:
                assert leaf.keys() >= {"minimum", "maximum"}, path

    def test_the_subject_is_not_repeated(self, event: type[Event]) -> None:
        # The subjects of staff and partners stand for a facility's own view, and are no ids of theirs.
        derived = event.SUBJECT in {"staff", "partner"}
        assert derived or f"{event.SUBJECT}_id" not in event.model_fields


class TestWhatIsNone:
    """None is left out when an event is written, so a reader has to take what is missing for None."""

    def test_terms_without_individual_sessions_and_screens_travel_as_they_are(self) -> None:
        asked = ("individual_every_days", "screen_every_days", "screen_every_days_stable")
        terms = ProgramTerms.model_validate(dict.fromkeys(asked))
        written = PatientAdmitted.example().model_copy(update={"terms": terms}).data()
        assert not json.loads(written)["terms"].keys() & set(asked)
        assert PatientAdmitted.parse(written).terms == terms

    @pytest.mark.parametrize("default", [{}, {"default": 7}, {"default_factory": int}])
    def test_a_field_that_may_be_none_has_no_other_default(self, default: dict[str, Any]) -> None:
        days: Any = (int | None, Field(**default))
        nested: Any = create_model("Nested", days=days)
        fields: Any
        for fields in ({"days": days}, {"all_of_them": (tuple[nested, ...], ())}):
            with pytest.raises(TypeError, match="days may be None, so None has to be its default"):
                create_model("NeverPublished", __base__=plans.PlansEvent, **fields)
            del CATALOGUE["care.plans.never-published.v1"]


# Words of a field's name that would carry, or invite, what must not be on the bus.
PERSONAL = {
    *("name", "names", "first", "surname", "initials", "birth", "dob", "born", "age", "gender"),
    *("phone", "telephone", "mobile", "fax", "email", "mail", "address", "street", "city", "zip"),
    *("ssn", "mrn", "insurance", "photo", "contact"),
}
FREE_TEXT = {"note", "notes", "comment", "comments", "text", "message", "remark", "detail"}
RAW_CLINICAL = {
    *("rating", "ratings", "score", "concentration", "creatinine", "cutoff", "ph", "gravity"),
    *("bac", "results", "temperature_f", "diagnosis", "icd"),
}
FIELDS_WITH_SUCH_A_WORD = {"first_contact_at"}  # a time, not a way to reach anyone


@every_event
class TestPrivacy:
    def test_no_field_is_named_like_personal_data(self, event: type[Event]) -> None:
        for path, _ in leaves(expanded(event)):
            name = re.split(r"[.\[\]]+", path.rstrip("[]"))[-1]
            if name not in FIELDS_WITH_SUCH_A_WORD:
                words = {name, *name.split("_")}
                assert not words & (PERSONAL | FREE_TEXT | RAW_CLINICAL), path

    def test_no_free_text(self, event: type[Event]) -> None:
        for path, leaf in leaves(expanded(event)):
            assert leaf.get("type") in {"string", "integer", "number", "boolean"}, path
            if leaf["type"] == "string":
                bounded = {"pattern", "enum", "const", "x-open-enum"} & leaf.keys()
                assert bounded or leaf.get("format") in {"date", "date-time"}, path
            if "pattern" in leaf:
                assert re.fullmatch(r"\^.*\$", leaf["pattern"]), path
                assert not re.search(leaf["pattern"], "Jane Q. Doe, born 1990"), path

    def test_every_string_is_opaque_listed_or_registered(self, event: type[Event]) -> None:
        """Whatever a caller chooses: an id, a code of a list, a digest, or a code that is registered beforehand."""
        for path, leaf in leaves(expanded(event)):
            if leaf["type"] != "string":
                continue
            listed = leaf.get("x-open-enum") or {"enum", "const"} & leaf.keys()
            opaque = leaf.get("pattern") in OPAQUE
            time = leaf.get("format") in {"date", "date-time"}
            registered = leaf.get("x-registered") in codes.REGISTRIES
            assert listed or opaque or time or registered, f"{event.TYPE}{path}"

    def test_operational_says_nothing_about_a_person(self, event: type[Event]) -> None:
        if event.SENSITIVITY == "operational":
            assert event.SUBJECT in {"group", "session", "staff", "partner"}
            assert not {"person_id", "episode_id", "attendee_id"} & event.model_fields.keys()
        else:
            assert event.SENSITIVITY == "part2"
            assert event.SUBJECT in {"episode", "person"}


class TestNames:
    def test_every_reference_name_is_mapped(self) -> None:
        assert list(NAMES) == REFERENCE.split()

    def test_every_type_is_reached_or_explained(self) -> None:
        mapped = {name for types in NAMES.values() for name in types}
        assert mapped | ADDITIONS.keys() == CATALOGUE.keys()
        assert not mapped & ADDITIONS.keys()
        assert all(ADDITIONS.values())

    def test_every_difference_has_a_reason(self) -> None:
        differing = {
            name
            for name, types in NAMES.items()
            if [CATALOGUE[one].__name__ for one in types] != [name]
        }
        assert differing == REASONS.keys()
        assert all(REASONS.values())


def subclasses(of: type[OpenEnum]) -> Iterator[type[OpenEnum]]:
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)


@pytest.mark.parametrize("codes_of", [*subclasses(OpenEnum)], ids=lambda one: one.__name__)
def test_a_code_list_is_open(codes_of: type[OpenEnum]) -> None:
    for code in ("code_added_later", "code-added-later"):
        assert codes_of(code) is codes_of["UNKNOWN"]
    assert codes_of["UNKNOWN"].value == "unknown"
    for member in codes_of:
        # A class of recipients stands in the place of a partner's code, and is written as one.
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", member.value)
    assert codes_of.__doc__
    with pytest.raises(ValueError, match="5"):
        codes_of(5)  # pyright: ignore[reportArgumentType]


class TestLevelOfCare:
    @pytest.mark.parametrize(("edition", "code"), [("3", "3.3"), ("3", "2-WM"), ("4", "1.7")])
    def test_accepts_a_code_of_its_edition(self, edition: codes.AsamEdition, code: str) -> None:
        assert codes.LevelOfCare(system="asam", edition=edition, code=code).code == code

    @pytest.mark.parametrize(
        ("edition", "code"), [("4", "3.3"), ("4", "2-WM"), ("3", "1.7"), ("3", "1.0"), ("4", "3")]
    )
    def test_refuses_a_code_of_the_other_edition(
        self, edition: codes.AsamEdition, code: str
    ) -> None:
        with pytest.raises(ValidationError):
            codes.LevelOfCare(system="asam", edition=edition, code=code)
        data = example(intake.LevelRecommended)["data"]
        data["level"] |= {"edition": edition, "code": code}
        assert not Draft202012Validator(schema(intake.LevelRecommended)).is_valid(data)

    @pytest.mark.parametrize("bare", [3, "3", 2.1, "2.1", [3], {"code": "2.1"}])
    def test_refuses_a_bare_number(self, bare: object) -> None:
        with pytest.raises(ValidationError):
            codes.LevelOfCare.model_validate(bare)

    def test_every_code_matches_the_pattern(self) -> None:
        for edition, known in codes.LEVEL_CODES.items():
            for code in known:
                codes.LevelOfCare(system="asam", edition=edition, code=code)

    @pytest.mark.parametrize(
        ("edition", "code", "tier"),
        [
            ("3", "0.5", "tier 1"),
            ("3", "1", "tier 2"),
            ("4", "1.7", "tier 2"),
            ("4", "2.1", "tier 3"),
            ("4", "2.7", "tier 3, slightly higher"),
            ("3", "3.3", "tier 4"),
            ("4", "4.0", "tier 5"),
            ("3", "3.7-WM", "withdrawal management"),
        ],
    )
    def test_the_five_step_scale_is_a_label(
        self, edition: codes.AsamEdition, code: str, tier: str
    ) -> None:
        level = codes.LevelOfCare(system="asam", edition=edition, code=code)
        assert level.seed_tier() == tier


class TestEventClass:
    def test_times_travel_in_utc_with_a_z(self) -> None:
        data = example(intake.ReferralAcknowledged)["data"]
        data["acknowledged_at"] = "2026-03-02T10:00:00-05:00"
        event = intake.ReferralAcknowledged.parse(json.dumps(data))
        assert json.loads(event.data())["acknowledged_at"] == "2026-03-02T15:00:00Z"

    def test_a_time_without_an_offset_is_refused(self) -> None:
        data = example(intake.ReferralAcknowledged)["data"]
        data["acknowledged_at"] = "2026-03-02T10:00:00"
        with pytest.raises(ValidationError):
            intake.ReferralAcknowledged.parse(json.dumps(data))

    def test_an_error_never_shows_the_input(self) -> None:
        with pytest.raises(ValidationError) as caught:
            intake.ReferralAcknowledged.parse(b'{"referral_id": "Jane Doe", "x": "Jane Doe"}')
        assert "Jane" not in str(caught.value)

    def test_a_type_is_defined_once(self) -> None:
        with pytest.raises(TypeError, match="defined twice"):
            type("ReferralReceived", (intake.IntakeEvent,), {"__module__": __name__})

    def test_a_new_major_stands_beside_the_old(self) -> None:
        class GoalAddedV2(plans.PlansEvent, major=2, until=date(2027, 6, 30)):
            """Never published: it lives for this test."""

        try:
            assert schema_of(GoalAddedV2)["deprecated"] is True
            assert schema_of(GoalAddedV2)["description"].endswith("Published until 2027-06-30.")
            assert GoalAddedV2.TYPE == "care.plans.goal-added.v2"
            assert GoalAddedV2.NAME == plans.GoalAdded.NAME
            assert CATALOGUE["care.plans.goal-added.v1"] is plans.GoalAdded
        finally:
            del CATALOGUE["care.plans.goal-added.v2"]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return yaml.safe_load((ROOT / files.ASYNCAPI).read_text(encoding="utf-8"))


class TestAsyncApi:
    def test_every_event_is_a_message_of_its_channel(self, document: dict[str, Any]) -> None:
        assert document["asyncapi"] == "3.0.0"
        listed = {
            message["$ref"].removeprefix("#/components/messages/"): channel["address"]
            for channel in document["channels"].values()
            for message in channel["messages"].values()
        }
        assert listed == {event.TYPE: event.SOURCE for event in EVENTS}

    def test_topics_are_as_the_code_makes_them(self, document: dict[str, Any]) -> None:
        for channel in document["channels"].values():
            topic = TOPICS[channel["address"]]
            assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
            assert channel["x-incarnation"] == topic.incarnation

    @every_event
    def test_message_examples_are_valid(self, document: dict[str, Any], event: type[Event]) -> None:
        message = document["components"]["messages"][event.TYPE]
        assert message["payload"]["schema"] == {"$ref": f"./schemas/{event.TYPE}.json"}
        headers = {**message["headers"], "components": document["components"]}
        for one in message["examples"]:
            Draft202012Validator(schema(event)).validate(one["payload"])  # pyright: ignore[reportUnknownMemberType]
            Draft202012Validator(headers).validate(one["headers"])  # pyright: ignore[reportUnknownMemberType]
            for name in document["components"]["schemas"]["envelope"]["required"]:
                fewer = {key: value for key, value in one["headers"].items() if key != name}
                assert not Draft202012Validator(headers).is_valid(fewer), name
