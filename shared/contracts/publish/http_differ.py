"""What a changed HTTP interface would do to those who call it. Pure.

An interface is a service's OpenAPI document. What a caller sends has to be taken as before: nothing that was accepted
may be refused. What a caller reads has to be there as before. Routes, optional parameters and fields, and codes that
are accepted may be added. A keyword that is not known here is breaking, so that nothing passes because nobody looked
at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from .accepted import narrowed, newly_required
from .answered import answered
from .difference import Difference, Kind

Schema = dict[str, Any]
Documents = Mapping[str, Schema]
"""The OpenAPI documents, by service."""

PLACE: Final = "http "
"""How the place of such a difference begins: `http SERVICE METHOD PATH`, and then where in it."""
_METHODS: Final = ("get", "put", "post", "patch", "delete")
_ANYBODY: Final = "anybody"
"""Who calls a route that asks for no role."""
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
    route = documents.get(service, {}).get(name)
    return [] if route is None else route["roles"] or [_ANYBODY]


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
            status: _answer(answer, components) for status, answer in operation["responses"].items()
        },
    }


def _body(body: Schema, components: Schema) -> Schema:
    return {
        "required": body.get("required", False),
        "content": _by_media(body, components),
    }


def _answer(answer: Schema, components: Schema) -> Schema:
    answer = _followed(answer, components)
    return {
        "content": _by_media(answer, components),
        "headers": {
            name: {"required": one.get("required", False), "schema": one.get("schema", {})}
            for name, one in answer.get("headers", {}).items()
        },
    }


def _by_media(of: Schema, components: Schema) -> Schema:
    """The schema of a body or an answer, by its media type."""
    return {
        media: _followed(one.get("schema", {}), components)
        for media, one in of.get("content", {}).items()
    }


_OF_NO_WEIGHT: Final = frozenset({"title", "description", "examples"})


def _followed(
    value: Any, components: Schema, *, names: bool = False, within: tuple[str, ...] = ()
) -> Any:
    """The value with what its references name in their place, without words.

    `names`: the keys are names of fields, each of which may be the name of a keyword. `within`: the references that
    were followed to come here; one that leads back to itself stays a reference.
    """
    if isinstance(value, list):
        return [_followed(one, components, within=within) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    known = cast("Schema", value)
    if not names and isinstance(name := known.get("$ref"), str):
        if name in within:
            return {"$ref": name}
        at: Any = components
        for part in name.removeprefix(_REFERENCE).split("/"):
            at = at[part]
        beside = {key: one for key, one in known.items() if key != "$ref"}
        return _followed({**at, **beside}, components, within=(*within, name))
    return {
        key: _followed(one, components, names=key == "properties" and not names, within=within)
        for key, one in known.items()
        if names or key not in _OF_NO_WEIGHT
    }


# --- calls --------------------------------------------------------------------------------------


def _call(before: Schema, after: Schema) -> Iterator[Difference]:
    yield from _roles(before["roles"], after["roles"])
    yield from _parameters(before["parameters"], after["parameters"])
    yield from _bodies(before["body"], after["body"])
    for status in sorted(before["responses"].keys() | after["responses"].keys()):
        old, new = before["responses"].get(status), after["responses"].get(status)
        if old is None or new is None:
            what = "is no longer answered" if new is None else "is a new answer"
            yield Difference(Kind.BREAKING, "", status, what)
        else:
            yield from _contents(old["content"], new["content"], status)
            yield from _headers(old["headers"], new["headers"], status)


def _roles(before: list[str], after: list[str]) -> Iterator[Difference]:
    """A route that asks for no role is called by anybody: also by those whom no list names, who can't be asked."""
    if bool(before) is not bool(after):
        kind = Kind.BREAKING if after else Kind.ADDITIVE
        what = f"only {', '.join(after)} may call it now" if after else "anybody may call it"
        yield Difference(kind, "", "", what)
        return
    for role in sorted(set(before) - set(after)):
        yield Difference(Kind.WORDS, "", "", f"{role} may no longer call it")
    for role in sorted(set(after) - set(before)):
        yield Difference(Kind.ADDITIVE, "", "", f"{role} may call it")


# --- what is answered ---------------------------------------------------------------------------


def _contents(before: Schema, after: Schema, status: str) -> Iterator[Difference]:
    for media in sorted(before.keys() | after.keys()):
        if media in before and media in after:
            yield from answered(before[media], after[media], status)
        else:
            what = f"{media} {'came' if media in after else 'went'}"
            yield Difference(Kind.BREAKING, "", status, what)


def _headers(before: Schema, after: Schema, status: str) -> Iterator[Difference]:
    was, now = ({name.lower(): name for name in one} for one in (before, after))
    for key in sorted(was.keys() | now.keys()):
        at = f"{status}.{was.get(key) or now[key]}"
        if key not in was:
            yield Difference(Kind.ADDITIVE, "", at, "new")
        elif key not in now:
            yield Difference(Kind.BREAKING, "", at, "no longer answered")
        else:
            old, new = before[was[key]], after[now[key]]
            if old["required"] and not new["required"]:
                yield Difference(Kind.BREAKING, "", at, "no longer certain to be there")
            yield from answered(old["schema"], new["schema"], at)


# --- what is sent -------------------------------------------------------------------------------


def _parameters(before: Schema, after: Schema) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if new is None:
            yield Difference(Kind.BREAKING, "", name, "removed")
        elif old is None:
            yield _added(name, required=new["required"])
        else:
            yield from newly_required(name, old["required"], new["required"])
            yield from narrowed(old["schema"], new["schema"], name, always_sent=old["required"])


def _bodies(before: Schema | None, after: Schema | None) -> Iterator[Difference]:
    if before is None and after is not None:
        yield _added("body", required=after["required"])
    elif before is not None and after is None:
        yield Difference(Kind.BREAKING, "", "body", "removed")
    elif before is not None and after is not None:
        yield from newly_required("body", before["required"], after["required"])
        yield from _media_taken(before["content"], after["content"])


def _media_taken(before: Schema, after: Schema) -> Iterator[Difference]:
    for media in sorted(before.keys() | after.keys()):
        if media not in before:
            yield Difference(Kind.ADDITIVE, "", "body", f"{media} is taken")
        elif media not in after:
            yield Difference(Kind.BREAKING, "", "body", f"{media} is no longer taken")
        else:
            yield from narrowed(before[media], after[media], "body")


def _added(place: str, *, required: bool) -> Difference:
    kind = Kind.BREAKING if required else Kind.ADDITIVE
    return Difference(kind, "", place, "new and required" if required else "new")
