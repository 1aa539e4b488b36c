"""Whether everything that was answered still is, as callers read it. Pure.

Of answers more may be said, and less may be possible: a field may be added, a bound may be narrower, and what was only
an object may be described. A field that goes, may be absent or may be null is breaking, and so is a value that was
never answered before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from .accepted import narrowed
from .alternatives import Schema, forms_of
from .difference import Difference, Kind, differing, same

_PARTS: Final = ("properties", "required", "items", "additionalProperties", "anyOf", "oneOf")
"""What is compared part by part."""
_LESS: Final = "is no longer answered"


def answered(before: Any, after: Any, place: str) -> Iterator[Difference]:
    """What is different between two schemas of what is answered.

    A schema is an object, or `true` for anything, or `false` for nothing. One that says nothing may be described.
    """
    if same(before, after):
        return
    if before is False or after is False:
        yield Difference(Kind.BREAKING, "", place, "what it answers is changed")
        return
    old, new = ({} if one is True else cast("Schema", one) for one in (before, after))
    if not old:
        yield Difference(Kind.ADDITIVE, "", place, "what it answers is described")
    elif differing(("anyOf", "oneOf"), old, new):
        yield from _forms(old, new, place)
    else:
        yield from _plain(old, new, place)


# --- alternatives -------------------------------------------------------------------------------


def _forms(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """Each form that may be answered now is one that could be answered before."""
    olds, news = forms_of(before), forms_of(after)
    if olds is None or news is None:
        yield Difference(Kind.BREAKING, "", place, "alternatives changed beyond what is compared")
        return
    left = list(olds)
    for new in news:
        partner = next((old for old in left if _fits(old, new)), None)
        if partner is not None:
            left.remove(partner)
            yield from answered(partner, new, place)
        elif any(_fits(old, new) for old in olds):
            continue
        elif any(_is_open_to(old, new) for old in olds):
            yield Difference(Kind.ADDITIVE, "", place, "a code of the future is a code of now")
        else:
            yield from _not_answered_before(olds, new, place)
    for _ in left:
        yield Difference(Kind.ADDITIVE, "", place, f"one of its forms {_LESS}")


def _fits(old: Any, new: Any) -> bool:
    """Whether what may be answered now could be answered before."""
    return all(one.kind is not Kind.BREAKING for one in answered(old, new, ""))


def _is_open_to(old: Any, new: Any) -> bool:
    """Whether the codes that are listed now have the form of the codes to come that were announced before."""
    pattern = cast("Schema", old).get("pattern") if isinstance(old, dict) else None
    return isinstance(pattern, str) and all(
        isinstance(code, str) and re.search(pattern, code) for code in _codes(new)
    )


def _codes(schema: Any) -> list[Any]:
    """The codes of a list; where there is none, one that no pattern has."""
    known = cast("Schema", schema) if isinstance(schema, dict) else {}
    return known.get("enum", [None])


def _not_answered_before(olds: list[Any], new: Any, place: str) -> Iterator[Difference]:
    """Why a form is new: what changed in the only one of its type, where there is one."""
    alike = [old for old in olds if _type(old) == _type(new)]
    if len(alike) == 1 and _type(new) is not None:
        yield from answered(alike[0], new, place)
    else:
        yield Difference(Kind.BREAKING, "", place, f"may be {_type(new) or 'something else'} now")


def _type(schema: Any) -> str | None:
    found = cast("Schema", schema).get("type") if isinstance(schema, dict) else None
    return found if isinstance(found, str) else None


# --- one form -----------------------------------------------------------------------------------


def _plain(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    old: Schema = before.get("properties", {})
    new: Schema = after.get("properties", {})
    unnamed = before.get("additionalProperties", True)
    was, now = (set(one.get("required", ())) for one in (before, after))
    lost, gained = was - now, now - was
    for name in sorted(old.keys() | new.keys() | lost):
        at = f"{place}.{name}"
        if name in old and name not in new:
            yield Difference(Kind.BREAKING, "", at, "no longer answered")
        elif name in lost:
            yield Difference(Kind.BREAKING, "", at, "no longer certain to be there")
        elif name not in old:
            yield Difference(Kind.ADDITIVE, "", at, "new")
            if isinstance(unnamed, dict):
                yield from answered(unnamed, new[name], at)
        elif name in gained:
            yield Difference(Kind.ADDITIVE, "", at, "always there")
        if name in old and name in new:
            yield from answered(old[name], new[name], at)
    yield from answered(before.get("items", True), after.get("items", True), f"{place}.[]")
    others = after.get("additionalProperties", True)
    if others is not False:
        yield from answered(unnamed, others, f"{place}.*")
    elif unnamed is not False:
        yield Difference(Kind.ADDITIVE, "", f"{place}.*", "nothing but what is named is there")
    yield from _rest(before, after, place)


def _rest(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """Of all other keywords: what is possible now has to be what a caller of before takes."""
    was, now = (
        {key: one for key, one in schema.items() if key not in _PARTS} for schema in (before, after)
    )
    kinds = {one.kind for one in narrowed(now, was, place)}
    if Kind.BREAKING in kinds:
        yield Difference(Kind.BREAKING, "", place, "what it answers is changed")
    elif kinds:
        yield Difference(Kind.ADDITIVE, "", place, "less of what was possible is answered")
