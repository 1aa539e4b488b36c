"""The gate on what HTTP interfaces answer: what goes, or may be absent or null, is refused; what adds passes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import pytest

from care.interfaces import documents
from shared.contracts.publish.difference import Difference, Kind
from shared.contracts.publish.http_differ import http_differences, kept

WHOLE: Final = {name: kept(document) for name, document in documents().items()}
Mutation = Callable[[dict[str, Any]], object]
TEXT: Final = {"type": "string"}
NULL: Final = {"type": "null"}


def answer(whole: dict[str, Any], service: str, route: str, status: str = "200") -> dict[str, Any]:
    return whole[service][route]["responses"][status]["content"]["application/json"]


def check(whole: dict[str, Any]) -> dict[str, Any]:
    return answer(whole, "intake", "GET /consents/check")


def loops(whole: dict[str, Any]) -> dict[str, Any]:
    """One row of a list."""
    return answer(whole, "plans", "GET /loops")["properties"]["loops"]["items"]


def command(whole: dict[str, Any]) -> dict[str, Any]:
    return answer(whole, "attendance", "POST /groups/{group_id}/seats", "201")


def consent(whole: dict[str, Any]) -> dict[str, Any]:
    """A value of a mapping."""
    consents = answer(whole, "intake", "GET /people/{person_id}/consents")["properties"]["consents"]
    return consents["additionalProperties"]


def field(at: Mutation, name: str, schema: object) -> Mutation:
    """Put this schema in the place of a field; None: the field goes."""

    def mutate(whole: dict[str, Any]) -> None:
        node: Any = at(whole)
        if schema is None:
            del node["properties"][name]
            node["required"] = [one for one in node["required"] if one != name]
        else:
            node["properties"][name] = schema

    return mutate


def with_key(at: Mutation, name: str, **keys: object) -> Mutation:
    def mutate(whole: dict[str, Any]) -> None:
        node: Any = at(whole)
        node["properties"][name].update(keys)

    return mutate


def maybe_absent(at: Mutation, name: str) -> Mutation:
    def mutate(whole: dict[str, Any]) -> None:
        node: Any = at(whole)
        node["required"] = [one for one in node["required"] if one != name]

    return mutate


def maybe_null(at: Mutation, name: str) -> Mutation:
    def mutate(whole: dict[str, Any]) -> None:
        node: Any = at(whole)
        node["properties"][name] = {"anyOf": [node["properties"][name], NULL]}

    return mutate


def never_null(at: Mutation, name: str) -> Mutation:
    def mutate(whole: dict[str, Any]) -> None:
        node: Any = at(whole)
        forms = node["properties"][name]["anyOf"]
        node["properties"][name] = next(one for one in forms if one != NULL)

    return mutate


def of_codes(at: Mutation, name: str, change: Callable[[list[Any]], object]) -> Mutation:
    """Change an open list of codes."""

    def mutate(whole: dict[str, Any]) -> None:
        node: Any = at(whole)
        listed = next(one for one in node["properties"][name]["anyOf"] if "enum" in one)
        change(listed["enum"])

    return mutate


def undescribed(whole: dict[str, Any]) -> None:
    content = whole["intake"]["GET /consents/check"]["responses"]["200"]["content"]
    content["application/json"] = {}


BREAKING: Final[dict[str, Mutation]] = {
    "a field is gone": field(check, "as_of", None),
    "a field may be absent": maybe_absent(check, "allowed"),
    "a field may be null": maybe_null(check, "allowed"),
    "a field has another type": field(check, "allowed", TEXT),
    "a field of a nested object is gone": lambda whole: check(whole)["properties"]["obligations"][
        "anyOf"
    ][0]["properties"].pop("notice"),
    "one more value of a closed list": with_key(
        check, "code", enum=["consent-holds", "consent-missing", "consent-withdrawn"]
    ),
    "a field of a row is gone": field(loops, "owner", None),
    "a field of a row may be null": maybe_null(loops, "deadline_at"),
    "a field of a command's answer is gone": field(command, "hold_until", None),
    "the number of the last event is gone": field(command, "sequence", None),
    "a field of a mapping's value is gone": field(consent, "signed_on", None),
    "a field of a mapping's value may be null": maybe_null(consent, "kind"),
    "a list of codes has other codes to come": with_key(
        consent, "kind", anyOf=[{"type": "string", "enum": ["tpo"]}, TEXT]
    ),
    "a list became an object": field(
        lambda whole: answer(whole, "plans", "GET /loops"), "loops", {"type": "object"}
    ),
    "the description is gone": undescribed,
}
ADDITIVE: Final[dict[str, Mutation]] = {
    "a field": field(check, "until", TEXT),
    "a field of a row": field(loops, "until", TEXT),
    "a field of a command's answer": field(command, "until", TEXT),
    "a field of a mapping's value": field(consent, "until", TEXT),
    "a field is never null": never_null(check, "consent_id"),
    "a field is always there": lambda whole: loops(whole)["required"].append("episode_id"),
    "a code fewer": with_key(check, "code", enum=["consent-holds"]),
    "one more code of an open list": of_codes(
        consent, "kind", lambda codes: codes.append("of-the-future")
    ),
    "one code of an open list fewer": of_codes(consent, "kind", lambda codes: codes.pop()),
    "a narrower bound": with_key(loops, "age_seconds", minimum=0),
    "no field beside those": lambda whole: check(whole).update({"additionalProperties": False}),
}


def judged(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    return list(http_differences(before, after))


@pytest.mark.fault("F58")
@pytest.mark.parametrize("name", BREAKING)
def test_what_a_reader_would_miss_is_breaking(name: str) -> None:
    after = deepcopy(WHOLE)
    BREAKING[name](after)
    assert Kind.BREAKING in {one.kind for one in judged(WHOLE, after)}


@pytest.mark.parametrize("name", ADDITIVE)
def test_what_says_more_passes(name: str) -> None:
    after = deepcopy(WHOLE)
    ADDITIVE[name](after)
    found = judged(WHOLE, after)
    assert {one.kind for one in found} == {Kind.ADDITIVE}, found


@pytest.mark.parametrize("name", ADDITIVE)
def test_what_says_more_is_breaking_when_it_is_taken_back(name: str) -> None:
    """The two directions are one comparison, except for what was never certain to be there."""
    after = deepcopy(WHOLE)
    ADDITIVE[name](after)
    found = {one.kind for one in judged(after, WHOLE)}
    assert found == {Kind.ADDITIVE} if "open list" in name else Kind.BREAKING in found


def test_an_answer_may_be_described_for_the_first_time() -> None:
    before = deepcopy(WHOLE)
    undescribed(before)
    [found] = judged(before, WHOLE)
    assert (found.kind, found.what) == (Kind.ADDITIVE, "what it answers is described")


def test_an_object_may_be_described_for_the_first_time() -> None:
    before = deepcopy(WHOLE)
    content = before["plans"]["GET /loops"]["responses"]["200"]["content"]
    content["application/json"] = {"type": "object", "additionalProperties": True}
    assert {one.kind for one in judged(before, WHOLE)} == {Kind.ADDITIVE}
