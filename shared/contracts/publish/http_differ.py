"""What a changed HTTP interface would do to those who call it. Pure.

An interface is a service's OpenAPI document. What a caller sends has to be taken as before: nothing that was accepted
may be refused. What a caller reads has to be there as before. Routes, optional parameters and fields, and codes that
are accepted may be added. A keyword that is not known here is breaking, so that nothing passes because nobody looked
at it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from .difference import Difference, Kind

Schema = dict[str, Any]
Documents = Mapping[str, Schema]
"""The OpenAPI documents, by service."""

PLACE: Final = "http "
"""How the place of such a difference begins: `http SERVICE METHOD PATH`, and then where in it."""
_METHODS: Final = ("get", "put", "post", "patch", "delete")
_PARTS: Final = ("properties", "required", "items")
_REFERENCE: Final = "#/components/"


def kept(document: Schema) -> Schema:
    """What a release keeps of a document: what callers rely on, with all references followed."""
    return {
        f"{method.upper()} {path}": _operation(operation, document["components"])
        for path, operations in sorted(document["paths"].items())
        for method, operation in operations.items()
        if method in _METHODS
    }


def http_differences(before: Documents, after: Documents) -> Iterator[Difference]:
    """Every difference between the interfaces, by service."""
    for service in sorted(before.keys() | after.keys()):
        old, new = before.get(service, {}), after.get(service, {})
        for name in sorted(old.keys() | new.keys()):
            place = f"{PLACE}{service} {name}"
            if name not in old:
                yield Difference(Kind.ADDITIVE, "", place, "new route")
            elif name not in new:
                yield Difference(Kind.BREAKING, "", place, "the route is gone")
            else:
                for one in _call(old[name], new[name]):
                    yield one._replace(place=": ".join(filter(None, (place, one.place))))


def is_of_a_route(difference: Difference) -> bool:
    """Whether callers would meet it, and not readers of events."""
    return difference.place.startswith(PLACE)


def callers(documents: Documents, place: str) -> list[str]:
    """The roles that may call what a difference is at."""
    service, _, name = place.removeprefix(PLACE).partition(":")[0].partition(" ")
    return documents.get(service, {}).get(name, {}).get("roles", [])


# --- what is kept -------------------------------------------------------------------------------


def _operation(operation: Schema, components: Schema) -> Schema:
    body = operation.get("requestBody")
    return {
        "roles": operation.get("x-roles", []),
        "parameters": {
            f"{one['in']} {one['name']}": {
                "required": one.get("required", False),
                "schema": _followed(one["schema"], components),
            }
            for one in operation.get("parameters", ())
        },
        "body": None if body is None else _body(body, components),
        "responses": {
            status: _answer(_followed(answer, components))
            for status, answer in operation["responses"].items()
        },
    }


def _body(body: Schema, components: Schema) -> Schema:
    [content] = body["content"].values()
    return {
        "required": body.get("required", False),
        "schema": _followed(content["schema"], components),
    }


def _answer(answer: Schema) -> Schema:
    """The schema of an answer, by its media type."""
    return {media: one.get("schema", {}) for media, one in answer.get("content", {}).items()}


_OF_NO_WEIGHT: Final = frozenset({"title", "description", "examples"})


def _followed(value: Any, components: Schema, *, names: bool = False) -> Any:
    """The value with what its references name in their place, without words. Requests are trees: none names itself.

    `names`: the keys are names of fields, each of which may be the name of a keyword.
    """
    if isinstance(value, list):
        return [_followed(one, components) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    known = cast("Schema", value)
    if "$ref" in known:
        at: Any = components
        for part in str(known["$ref"]).removeprefix(_REFERENCE).split("/"):
            at = at[part]
        return _followed({**at, **{k: v for k, v in known.items() if k != "$ref"}}, components)
    return {
        key: _followed(one, components, names=key == "properties" and not names)
        for key, one in known.items()
        if names or key not in _OF_NO_WEIGHT
    }


# --- calls --------------------------------------------------------------------------------------


def _call(before: Schema, after: Schema) -> Iterator[Difference]:
    for role in sorted(set(before["roles"]) - set(after["roles"])):
        yield Difference(Kind.WORDS, "", "", f"{role} may no longer call it")
    yield from _parameters(before["parameters"], after["parameters"])
    yield from _bodies(before["body"], after["body"])
    for status in sorted(before["responses"].keys() | after["responses"].keys()):
        old, new = before["responses"].get(status), after["responses"].get(status)
        if old is None or new is None:
            what = "is no longer answered" if new is None else "is a new answer"
            yield Difference(Kind.BREAKING, "", status, what)
        else:
            yield from _answers(old, new, status)


def _answers(before: Schema, after: Schema, status: str) -> Iterator[Difference]:
    for media in sorted(before.keys() | after.keys()):
        if media in before and media in after:
            yield from _answered(before[media], after[media], status)
        else:
            what = f"{media} {'came' if media in after else 'went'}"
            yield Difference(Kind.BREAKING, "", status, what)


def _answered(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """Whether everything that was answered here still is: more may be, and what is there is as it was."""
    if before == after:
        return
    old: Schema = before.get("properties", {})
    new: Schema = after.get("properties", {})
    sure = set(before.get("required", ()))
    for name in sorted(old.keys() | new.keys()):
        at = f"{place}.{name}"
        if name not in old:
            yield Difference(Kind.ADDITIVE, "", at, "new")
        elif name not in new:
            yield Difference(Kind.BREAKING, "", at, "no longer answered")
        else:
            if name in sure - set(after.get("required", ())):
                yield Difference(Kind.BREAKING, "", at, "no longer certain to be there")
            yield from _answered(old[name], new[name], at)
    if "items" in before and "items" in after:
        yield from _answered(before["items"], after["items"], f"{place}.[]")
    rest = [{k: v for k, v in one.items() if k not in _PARTS} for one in (before, after)]
    if rest[0] != rest[1] or ("items" in before) != ("items" in after):
        yield Difference(Kind.BREAKING, "", place, "what it answers is changed")


def _parameters(before: Schema, after: Schema) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if new is None:
            yield Difference(Kind.BREAKING, "", name, "removed")
        elif old is None:
            yield _added(name, required=new["required"])
        else:
            yield from _newly_required(name, old["required"], new["required"])
            yield from _sent(old["schema"], new["schema"], name)


def _bodies(before: Schema | None, after: Schema | None) -> Iterator[Difference]:
    if before is None and after is not None:
        yield _added("body", required=after["required"])
    elif before is not None and after is None:
        yield Difference(Kind.BREAKING, "", "body", "removed")
    elif before is not None and after is not None:
        yield from _newly_required("body", before["required"], after["required"])
        yield from _sent(before["schema"], after["schema"], "body")


def _added(place: str, *, required: bool) -> Difference:
    kind = Kind.BREAKING if required else Kind.ADDITIVE
    return Difference(kind, "", place, "new and required" if required else "new")


def _newly_required(place: str, before: bool, after: bool) -> Iterator[Difference]:  # noqa: FBT001 - of a pair
    if before is not after:
        kind = Kind.BREAKING if after else Kind.ADDITIVE
        yield Difference(kind, "", place, "newly required" if after else "no longer required")


# --- what is sent -------------------------------------------------------------------------------

_SAME: Final = ("default", "patternProperties")
"""Keywords that may not change at all: without a default, a call that leaves the field out means something else."""
_RELAXED: Final = ("type", "const", "format", "pattern")
"""Keywords that may go, and may not come or change."""
_FLOORS: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_CEILINGS: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOOKED_INTO: Final = (
    *("properties", "required", "items", "anyOf", "oneOf", "enum", "additionalProperties"),
    "propertyNames",
)
_LEFT_ALONE: Final = ("x-registered", "x-open-enum")
KNOWN: Final = frozenset((*_SAME, *_RELAXED, *_FLOORS, *_CEILINGS, *_LOOKED_INTO, *_LEFT_ALONE))


def _sent(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """Whether everything that was accepted here still is."""
    for key in sorted((before.keys() | after.keys()) - KNOWN):
        yield Difference(Kind.BREAKING, "", place, f"the gate does not know the keyword {key}")
    for key in (*_SAME, *_RELAXED):
        yield from _exact(key, before, after, place)
    for keys, tighter in ((_FLOORS, operator.gt), (_CEILINGS, operator.lt)):
        for key in keys:
            yield from _bound(key, before.get(key), after.get(key), tighter, place)
    yield from _codes(before.get("enum"), after.get("enum"), place)
    yield from _properties(before, after, place)
    for key in ("items", "propertyNames"):
        yield from _within(before.get(key), after.get(key), f"{place}.[]")
    yield from _others(before, after, place)
    for key in ("anyOf", "oneOf"):
        yield from _branches(before.get(key), after.get(key), place)


def _exact(key: str, before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    old, new = before.get(key), after.get(key)
    if (key in before, old) == (key in after, new):
        return
    loosened = key not in after and key in _RELAXED
    what = f"{key} {old if key in before else 'none'} became {new if key in after else 'none'}"
    yield Difference(Kind.ADDITIVE if loosened else Kind.BREAKING, "", place, what)


def _bound(
    key: str, old: Any, new: Any, tighter: Callable[[Any, Any], bool], place: str
) -> Iterator[Difference]:
    if old == new:
        return
    breaks = new is not None and (old is None or tighter(new, old))
    kind = Kind.BREAKING if breaks else Kind.ADDITIVE
    yield Difference(kind, "", place, f"{key} {old} became {new}")


def _codes(old: list[Any] | None, new: list[Any] | None, place: str) -> Iterator[Difference]:
    if old is None and new is not None:
        yield Difference(Kind.BREAKING, "", place, "became a closed list")
    elif old is not None and new is None:
        yield Difference(Kind.ADDITIVE, "", place, "no longer a closed list")
    elif old is not None and new is not None:
        for code in (one for one in old if one not in new):
            yield Difference(Kind.BREAKING, "", place, f"{code} is no longer accepted")
        for code in (one for one in new if one not in old):
            yield Difference(Kind.ADDITIVE, "", place, f"{code} is accepted")


def _properties(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    old: Schema = before.get("properties", {})
    new: Schema = after.get("properties", {})
    was, now = set(before.get("required", ())), set(after.get("required", ()))
    for name in sorted(old.keys() | new.keys()):
        at = f"{place}.{name}"
        if name not in new:
            yield Difference(Kind.BREAKING, "", at, "removed")
        elif name not in old:
            yield _added(at, required=name in now)
        else:
            yield from _newly_required(at, name in was, name in now)
            yield from _sent(old[name], new[name], at)


def _within(old: Schema | None, new: Schema | None, place: str) -> Iterator[Difference]:
    if old is not None and new is not None:
        yield from _sent(old, new, place)
    elif new is not None:
        yield Difference(Kind.BREAKING, "", place, "what it holds is bounded")
    elif old is not None:
        yield Difference(Kind.ADDITIVE, "", place, "what it holds is free")


def _others(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """Properties that are not named: allowed without a word, refused, or of one form."""
    old, new = before.get("additionalProperties", True), after.get("additionalProperties", True)
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _sent(cast("Schema", old), cast("Schema", new), f"{place}.*")
        return
    loosened = new is True or old is False
    what = "other properties are accepted" if loosened else "other properties are refused"
    yield Difference(Kind.ADDITIVE if loosened else Kind.BREAKING, "", place, what)


def _branches(
    old: list[Schema] | None, new: list[Schema] | None, place: str
) -> Iterator[Difference]:
    """Branches that stand in both are the same; of the rest, each has to be taken by the one at its place."""
    if old is None and new is None:
        return
    if old is None or new is None:
        kind = Kind.ADDITIVE if new is None else Kind.BREAKING
        yield Difference(
            kind, "", place, "alternatives came" if old is None else "alternatives went"
        )
        return
    gone = [one for one in old if one not in new]
    came = [one for one in new if one not in old]
    for was, now in zip(gone, came, strict=False):
        yield from _sent(was, now, place)
    for one in gone[len(came) :]:
        yield Difference(
            Kind.BREAKING, "", place, f"{one.get('type', 'a form')} is no longer taken"
        )
    for one in came[len(gone) :]:
        yield Difference(Kind.ADDITIVE, "", place, f"{one.get('type', 'a form')} is taken")
