"""The `care` command: every command explains itself, speaks to machines where it says so, and fails with a way out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from care import ops
from shared.contracts import CATALOGUE
from shared.contracts.attributes import SCHEMA
from shared.contracts.publish.subscribers import consumers, load
from shared.devtools.issuer import ALGORITHM, AUDIENCE, DEFAULT_ISSUER
from shared.runtime.http.auth import Authenticator
from shared.runtime.http.keys import FixedKeys
from shared.services import SERVICES
from tests.unit.care.terminal import COMMANDS, care

EPISODE = "1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44"


def test_these_are_the_commands() -> None:
    assert {" ".join(words) for words in COMMANDS} == {
        "up",
        "run",
        "token",
        "demo",
        "journey",
        "coverage",
        "audit list",
        "audit verify",
        "loops",
        "tasks",
        "profiles check",
        "profiles list",
        "profiles show",
        "contracts list",
        "contracts show",
        "contracts diff",
        "contracts generate",
        "contracts release",
        "contracts replay",
        "dead-letters approve",
        "dead-letters audit",
        "dead-letters discard",
        "dead-letters discards",
        "dead-letters groups",
        "dead-letters list",
        "dead-letters preview",
        "dead-letters redrive",
        "dead-letters resume",
        "dead-letters set-back",
        "dead-letters show",
        "rebuild",
        "subscribers check",
        "subscribers list",
        "subscribers new",
        "subscribers observe",
        "topics acl",
        "topics adopt",
        "topics check",
        "topics disown",
        "topics migrate",
        "topics repair",
        "erase",
        "events tail",
        "events scenario",
        "events snapshot",
        "events publish-examples",
    }


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(words: tuple[str, ...]) -> None:
    result = care(*words, "--help")
    assert result.exit_code == 0
    assert re.search(rf"Example: .*care {' '.join(words)}", result.stdout), result.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_word_of_the_help_is_swallowed(words: tuple[str, ...]) -> None:
    """Help is markdown, which takes `<name>` for a tag and leaves it out."""
    assert "__" not in care(*words, "--help").stdout


@pytest.mark.parametrize(
    "words", [("events", "publish-examples"), ("events", "scenario", "relapse")]
)
def test_made_up_events_are_refused_where_something_real_may_be(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARE_MODE")
    result = care(*words, "--kafka", "127.0.0.1:9")
    assert result.exit_code == 1
    assert "development-only" in result.output


def test_a_scenario_that_is_none_is_refused() -> None:
    result = care("events", "scenario", "lottery", "--kafka", "127.0.0.1:9")
    assert result.exit_code == 2
    assert "wrong-discharge" in result.output


def test_without_a_command_there_is_help() -> None:
    assert "Commands" in care().output


# --- contracts -----------------------------------------------------------------------------------------


def test_the_catalogue_for_machines() -> None:
    rows = json.loads(care("contracts", "list", "--json").stdout)
    assert [row["type"] for row in rows] == sorted(CATALOGUE)
    teams = load(Path(__file__).parents[3])
    assert [row["consumers"] for row in rows] == [consumers(row["type"], teams) for row in rows]
    assert {row["sensitivity"] for row in rows} <= {"operational", "part2"}


def test_the_catalogue_of_one_publisher_for_people_and_machines() -> None:
    rows = json.loads(care("contracts", "list", "--publisher", "plans", "--json").stdout)
    assert rows
    assert all(row["type"].startswith("care.plans.") for row in rows)
    shown = care("contracts", "list", "--publisher", "plans")
    assert (shown.exit_code, shown.stdout.count("care.plans.")) == (0, len(rows))
    assert "care.intake." not in shown.stdout


@pytest.mark.parametrize("event_type", sorted(CATALOGUE))
def test_one_event_is_valid_json_at_any_width(event_type: str) -> None:
    shown = care("contracts", "show", event_type, columns=40)
    assert shown.exit_code == 0
    told = json.loads(shown.stdout)
    assert (told["type"], told["schema"]["$id"]) == (event_type, f"{SCHEMA}{event_type}")
    assert told["meaning"]
    assert event_type in json.dumps(told["example"])
    assert care("contracts", "show", event_type, "--json").stdout == shown.stdout


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("care.attendance.session-attended.v2", None),
        ("screen-failed", "care.attendance.screen-failed.v1"),
        ("nonsense", None),
    ],
)
def test_an_unknown_event_is_refused_with_a_hint_where_there_is_one(
    asked: str, hint: str | None
) -> None:
    result = care("contracts", "show", asked)
    assert result.exit_code == 2
    assert "no such event" in result.output
    assert (hint or "no such event") in result.output
    assert "Traceback" not in result.output


def test_what_is_published_is_what_is_committed() -> None:
    result = care("contracts", "generate", "--check")
    assert result.exit_code == 0, result.output
    assert f"{len(CATALOGUE)} events" in result.stdout


# --- what has to be refused before anything is asked of a server ------------------------------------------


@pytest.mark.parametrize(
    "episode",
    [
        "nonsense",
        EPISODE.upper(),
        EPISODE[:3],
        f"{EPISODE}0",
        f"person/{EPISODE}",
        f"{EPISODE}/x",
        "",
    ],
)
def test_a_journey_needs_an_episode_id(episode: str) -> None:
    result = care("journey", episode, "--kafka", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "lower-case UUID" in result.output


def test_a_journey_needs_to_know_where_kafka_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    result = care("journey", EPISODE)
    assert result.exit_code == 2
    assert "--kafka" in result.output


@pytest.mark.parametrize("service", ["nonsense", "partners", "../intake"])
def test_an_unknown_service_is_not_run(service: str) -> None:
    result = care("run", service)
    assert result.exit_code == 2
    assert all(name in result.output for name in SERVICES)
    assert "Traceback" not in result.output


def test_an_unknown_service_is_not_killed() -> None:
    result = care("demo", "--kill", "nonsense")
    assert result.exit_code == 2
    assert all(name in result.output for name in SERVICES)


@pytest.mark.parametrize("episodes", ["0", "2001", "many"])
def test_a_demo_has_some_people_but_not_too_many(episodes: str) -> None:
    result = care("demo", "--episodes", episodes)
    assert result.exit_code == 2
    assert "--episodes" in result.output


# --- tokens --------------------------------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for the local issuer's key that is not this person's home."""
    path = tmp_path / "state" / "issuer.json"
    monkeypatch.setattr(ops, "KEY", path)
    return path


def test_a_token_is_verified_by_the_keys_that_are_given_out(key: Path) -> None:
    actor = "00000000-0000-4000-8000-0000000000aa"
    told = care("token", "harbor-iop", "clinician", "--actor", actor)
    jwks = care("token", "harbor-iop", "clinician", "--jwks")
    assert (told.exit_code, jwks.exit_code) == (0, 0)
    keys = KeySet.import_key_set(json.loads(jwks.stdout))
    claims = jwt.decode(told.stdout.strip(), keys, algorithms=[ALGORITHM]).claims
    assert (claims["iss"], claims["aud"]) == (DEFAULT_ISSUER, AUDIENCE)
    assert (claims["facility"], claims["role"], claims["sub"]) == ("harbor-iop", "clinician", actor)

    checks = Authenticator(FixedKeys(jwks.stdout.strip(), DEFAULT_ISSUER, development=True))
    who = checks.actor(f"Bearer {told.stdout.strip()}")
    assert (who.facility_id, who.role) == ("harbor-iop", "clinician")


def test_the_private_key_stays_where_it_is_and_is_made_once(key: Path) -> None:
    first = care("token", "harbor-iop", "clinician", "--jwks").stdout
    assert care("token", "mesa-iop", "nurse", "--jwks").stdout == first
    assert key.stat().st_mode & 0o077 == 0, "nobody else may read it"
    private = json.loads(key.read_text(encoding="utf-8"))["d"]
    assert private not in first
    assert private not in care("token", "harbor-iop", "clinician").output


def test_a_token_needs_facility_and_role(key: Path) -> None:
    assert care("token", "harbor-iop").exit_code == 2
    assert not key.exists()
