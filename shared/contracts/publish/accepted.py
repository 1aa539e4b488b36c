"""Whether a schema still accepts everything that it accepted: what callers send. Pure.

What can't be shown to be accepted is breaking, as is a change of a keyword that is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from .alternatives import TYPES, Schema, disjoint, forms_of, types_of, values_of
from .difference import Difference, Kind, differing, same, text_of

_SAME: Final = ("default", "patternProperties")
"""Keywords that may not change at all: without a default, a call that leaves the field out means something else."""
_RELAXED: Final = ("format", "pattern", "x-registered")
"""Keywords that may go, and may not come or change."""
_FLOORS: Final = ("minimum", "minLength", "minItems", "minProperties")
_CEILINGS: Final = ("maximum", "maxLength", "maxItems", "maxProperties")
_BEYOND: Final = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}
"""The keyword of the same bound that leaves out the bound itself."""
_LOOKED_INTO: Final = (
    *("type", "const", "enum", "anyOf", "oneOf"),
    *("properties", "required", "items", "additionalProperties", "propertyNames"),
)
_LEFT_ALONE: Final = ("x-open-enum",)
KNOWN: Final = frozenset(
    (*_SAME, *_RELAXED, *_FLOORS, *_CEILINGS, *_BEYOND.values(), *_LOOKED_INTO, *_LEFT_ALONE)
)
_NUMBERS: Final = frozenset({"number", "integer"})
_OBJECT: Final = frozenset({"object"})
_CONCERNS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("minimum", "maximum", *_BEYOND.values()), _NUMBERS),
    **dict.fromkeys(("minLength", "maxLength", "pattern"), frozenset({"string"})),
    **dict.fromkeys(("minItems", "maxItems", "items"), frozenset({"array"})),
    **dict.fromkeys(("minProperties", "maxProperties", "properties", "required"), _OBJECT),
    **dict.fromkeys(("additionalProperties", "propertyNames", "patternProperties"), _OBJECT),
}
"""What a keyword says nothing of, it does not refuse: `minLength` says nothing of a number."""


def narrowed(
    before: Any, after: Any, place: str, *, always_sent: bool = False
) -> Iterator[Difference]:
    """What is different between two schemas of what is sent: breaking where something is no longer accepted.

    A schema is an object, or `true` for anything, or `false` for nothing. `always_sent`: a call had to send it, so that
    its default says nothing.
    """
    if same(before, after):
        return
    if before is False:
        yield Difference(Kind.ADDITIVE, "", place, "is accepted")
        return
    if after is False:
        yield Difference(Kind.BREAKING, "", place, "is no longer accepted")
        return
    old, new = ({} if one is True else cast("Schema", one) for one in (before, after))
    if always_sent:
        old, new = (_without(one, "default") for one in (old, new))
    if differing(("anyOf", "oneOf"), old, new):
        yield from _exact("default", old, new, place)
        yield from _united(_without(old, "default"), _without(new, "default"), place)
    else:
        yield from _plain(_without(old, "anyOf", "oneOf"), _without(new, "anyOf", "oneOf"), place)


def newly_required(place: str, before: bool, after: bool) -> Iterator[Difference]:  # noqa: FBT001 - of a pair
    """What is different when something had to be sent or not, and now has to be or not."""
    if before is not after:
        kind = Kind.BREAKING if after else Kind.ADDITIVE
        yield Difference(kind, "", place, "newly required" if after else "no longer required")


def _without(schema: Schema, *keys: str) -> Schema:
    return {key: one for key, one in schema.items() if key not in keys}


# --- alternatives -------------------------------------------------------------------------------


def _united(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """Each form that was accepted is accepted by one form of now; of `oneOf`, by no second one."""
    olds, news = forms_of(before), forms_of(after)
    if olds is None or news is None:
        yield Difference(Kind.BREAKING, "", place, "alternatives changed beyond what is compared")
        return
    for number, old in enumerate(olds):
        partner = next((index for index, new in enumerate(news) if _fits(old, new)), None)
        if partner is None:
            yield from _refused(old, news[number] if number < len(news) else None, place)
            continue
        yield from narrowed(old, news[partner], place)
        if "oneOf" in after:
            others = [one for one in olds if one is not old] if "oneOf" in before else []
            for index, new in enumerate(news):
                if index != partner and not disjoint(old, new) and not _fits_any(new, others):
                    what = f"{_name(old)} may match two alternatives, and is refused then"
                    yield Difference(Kind.BREAKING, "", place, what)
    for new in news:
        if not _fits_any(new, olds):
            yield Difference(Kind.ADDITIVE, "", place, f"{_name(new)} is taken")


def _fits(old: Any, new: Any) -> bool:
    return all(one.kind is not Kind.BREAKING for one in narrowed(old, new, ""))


def _fits_any(one: Any, among: list[Any]) -> bool:
    return any(_fits(one, other) for other in among)


def _refused(old: Any, at_its_place: Any, place: str) -> Iterator[Difference]:
    """Why a form is not accepted: what changed in the form at its place, if that is of the same types."""
    if at_its_place is not None and types_of(old) == types_of(at_its_place):
        yield from narrowed(old, at_its_place, place)
    else:
        yield Difference(Kind.BREAKING, "", place, f"{_name(old)} is no longer taken")


def _name(form: Any) -> str:
    kinds = types_of(form)
    return "a form" if kinds == TYPES else " or ".join(sorted(kinds))


# --- one form -----------------------------------------------------------------------------------


def _plain(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    kinds = types_of(before)
    old, new = (
        {key: one for key, one in schema.items() if _CONCERNS.get(key, TYPES) & kinds}
        for schema in (before, after)
    )
    for key in differing(sorted((old.keys() | new.keys()) - KNOWN), old, new):
        what = f"the gate does not know the keyword {key}, which is changed"
        yield Difference(Kind.BREAKING, "", place, what)
    yield from _types(before, after, place)
    for key in (*_SAME, *_RELAXED):
        yield from _exact(key, old, new, place)
    for keys, sign in ((_FLOORS, 1), (_CEILINGS, -1)):
        for key in keys:
            yield from _bound(key, old, new, sign, place)
    yield from _codes(values_of(old), values_of(new), place)
    yield from _properties(old, new, place)
    yield from narrowed(old.get("items", True), new.get("items", True), f"{place}.[]")
    for key in ("propertyNames", "additionalProperties"):
        yield from narrowed(old.get(key, True), new.get(key, True), f"{place}.*")


def _types(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    wider = types_of(before) <= types_of(after)
    was, now = before.get("type", "none"), after.get("type", "none")
    if was != now or not wider:
        kind = Kind.ADDITIVE if wider else Kind.BREAKING
        yield Difference(kind, "", place, f"type {was} became {now}")


def _exact(key: str, before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    if differing((key,), before, after):
        was, now = (text_of(one[key]) if key in one else "none" for one in (before, after))
        loosened = key not in after and key in _RELAXED
        kind = Kind.ADDITIVE if loosened else Kind.BREAKING
        yield Difference(kind, "", place, f"{key} {was} became {now}")


def _bound(key: str, before: Schema, after: Schema, sign: int, place: str) -> Iterator[Difference]:
    old, new = _limit(key, before, sign), _limit(key, after, sign)
    if old != new:
        breaks = new is not None and (old is None or new > old)
        was, now = ("none" if one is None else sign * one[0] for one in (old, new))
        kind = Kind.BREAKING if breaks else Kind.ADDITIVE
        yield Difference(kind, "", place, f"{key} {was} became {now}")


def _limit(key: str, schema: Schema, sign: int) -> tuple[float, bool] | None:
    """How far a bound reaches, and whether it is left out itself; the greater, the less is accepted."""
    beyond = _BEYOND.get(key, "")
    limits = [(sign * schema[name], name == beyond) for name in (key, beyond) if name in schema]
    return max(limits, default=None)


def _codes(old: list[Any] | None, new: list[Any] | None, place: str) -> Iterator[Difference]:
    if old is None and new is not None:
        yield Difference(Kind.BREAKING, "", place, "became a closed list")
    elif old is not None and new is None:
        yield Difference(Kind.ADDITIVE, "", place, "no longer a closed list")
    elif old is not None and new is not None:
        was, now = ({text_of(one): one for one in codes} for codes in (old, new))
        for text in sorted(was.keys() - now.keys()):
            yield Difference(Kind.BREAKING, "", place, f"{was[text]} is no longer accepted")
        for text in sorted(now.keys() - was.keys()):
            yield Difference(Kind.ADDITIVE, "", place, f"{now[text]} is accepted")


def _properties(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    old: Schema = before.get("properties", {})
    new: Schema = after.get("properties", {})
    was, now = set(before.get("required", ())), set(after.get("required", ()))
    unnamed = before.get("additionalProperties", True)
    for name in sorted(old.keys() | new.keys() | was | now):
        at = f"{place}.{name}"
        if name in old and name not in new and old[name] is not False:
            yield Difference(Kind.BREAKING, "", at, "removed")
            continue
        if name not in old and name in now - was:
            yield Difference(Kind.BREAKING, "", at, "new and required")
            continue
        yield from newly_required(at, name in was, name in now)
        if name in old and name in new:
            yield from narrowed(old[name], new[name], at, always_sent=name in was)
        elif name in new:
            yield Difference(Kind.ADDITIVE, "", at, "new")
            if unnamed is not False:
                yield from narrowed(unnamed, _without_default(new[name]), at)


def _without_default(schema: Any) -> Any:
    """Of a field that nobody could leave out knowingly: its default is what it always meant."""
    return _without(cast("Schema", schema), "default") if isinstance(schema, dict) else schema
