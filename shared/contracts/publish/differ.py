"""What a changed contract would do to those who read it; `http_differ` has those who call. Pure.

Within a major version only optional fields, members of code lists, optional headers and whole event types may be
added. All else that a validator or a program could meet is breaking. Words are neither: they are asked for
(`--reword --why`), because a unit or a meaning changes in words first. The schemas use a small closed set of keywords;
one that is not known here is breaking, so that nothing passes because nobody looked at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final, NamedTuple

from .contract import OURS, Contract
from .difference import Difference, Kind, differing, text_of
from .http_differ import callers, http_differences, is_of_a_route
from .subscribers import is_direct

Schema = dict[str, Any]
OUTLETS: Final = "outlets"


def differences(before: Contract, after: Contract, today: date) -> list[Difference]:
    """Every difference between two contracts, the breaking ones first."""
    found = [
        *_values("limits", before["limits"], after["limits"]),
        *_schema("headers", before["envelope"], after["envelope"]),
        *_topics(before["topics"], after["topics"]),
        *_outlets(before["outlets"], after["outlets"]),
        *_events(before["events"], after["events"]),
        *_readers(before, after, today),
        *http_differences(before["http"], after["http"]),
    ]
    order = list(Kind)
    return sorted(found, key=lambda one: (order.index(one.kind), one.event, one.place, one.what))


# --- the whole ----------------------------------------------------------------------------------


def _values(place: str, before: Schema, after: Schema) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield Difference(Kind.BREAKING, "", f"{place}.{name}", f"{old} became {new}")


def _topics(before: Contract, after: Contract) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield Difference(Kind.ADDITIVE, "", name, "new topic")
        elif name not in after:
            yield Difference(Kind.BREAKING, "", name, "the topic is gone")
        else:
            yield from _values(name, before[name], after[name])


def _schema(place: str, before: Schema, after: Schema) -> Iterator[Difference]:
    for one in (*_words(before, after, ""), *_node(before, after, "")):
        yield one._replace(place=f"{place}.{one.place}" if one.place else place)


def _outlets(before: Contract, after: Contract) -> Iterator[Difference]:
    """What restricted subscribers rely on: their topics, the headers there, and the record that ends a topic."""
    yield from _values(OUTLETS, {"name": before["name"]}, {"name": after["name"]})
    yield from _values(f"{OUTLETS}.topic", before["topic"], after["topic"])
    for part in ("envelope", "last_headers", "last_data"):
        yield from _schema(f"{OUTLETS}.{part}", before[part], after[part])


def _events(before: Contract, after: Contract) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield Difference(Kind.ADDITIVE, name, "", "new event type")
        elif name not in after:
            yield Difference(Kind.BREAKING, name, "", "the type is gone, and its records are not")
        else:
            yield from _event(name, before[name], after[name])


def _event(name: str, before: Contract, after: Contract) -> Iterator[Difference]:
    for key in ("title", "topic", "subject", "sensitivity"):
        if before[key] != after[key]:
            what = f"{key} {before[key]} became {after[key]}"
            yield Difference(Kind.BREAKING, name, "", what)
    yield from _until(name, before.get("until"), after.get("until"))
    yield from _definitions(name, before["definitions"], after["definitions"])
    yield from _example(name, before.get("example_sha256"), after.get("example_sha256"))
    for one in (
        *_words(before["schema"], after["schema"], ""),
        *_node(before["schema"], after["schema"], ""),
    ):
        yield one._replace(event=name)


def _until(name: str, before: str | None, after: str | None) -> Iterator[Difference]:
    """A last day may be announced and put off; it never comes nearer."""
    if before == after:
        return
    nearer = before is not None and after is not None and after < before
    kind = Kind.BREAKING if nearer else Kind.ADDITIVE
    yield Difference(kind, name, "", f"last day {before or 'none'} became {after or 'none'}")


def _definitions(name: str, before: Schema, after: Schema) -> Iterator[Difference]:
    """The words of what stays. One that is gone, or has another name, is met where it stood."""
    for one in sorted(before.keys() & after.keys()):
        if before[one] != after[one]:
            yield Difference(Kind.WORDS, name, "", f"description of {one} became: {after[one]}")


def _example(name: str, before: str | None, after: str | None) -> Iterator[Difference]:
    """An example stands for every record since the day on which it was published: it stays as it is."""
    if before != after:
        kind = Kind.ADDITIVE if before is None else Kind.BREAKING
        word = "is new" if before is None else "is gone" if after is None else "was rewritten"
        yield Difference(kind, name, "", f"its published example {word}")


def _readers(before: Contract, after: Contract, today: date) -> Iterator[Difference]:
    """Who reads may only be dropped knowingly: whoever is not named is not warned of the next change."""
    for name, event in before["events"].items():
        for gone in sorted(
            set(event["consumers"]) - set(after["events"].get(name, event)["consumers"])
        ):
            yield Difference(Kind.WORDS, name, "", f"{gone} no longer reads it")
    for team, old in before["subscribers"].items():
        new = after["subscribers"].get(team)
        until = old.get("until")
        if new is None:
            ended = until is not None and date.fromisoformat(until) < today
            kind = Kind.ADDITIVE if ended else Kind.WORDS
            yield Difference(kind, "", f"subscribers.{team}", "the subscriber is gone")
            continue
        for name, fields in old["reads"].items():
            if name not in new["reads"]:
                yield Difference(Kind.WORDS, name, "", f"{team} no longer reads it")
            elif missing := _narrowed(fields, new["reads"][name]):
                yield Difference(Kind.WORDS, name, "", f"{team} no longer reads {missing}")


def _narrowed(before: list[str], after: list[str]) -> str:
    if not after:  # all of them
        return ""
    return ", ".join(sorted(set(before) - set(after))) if before else "all but some fields"


# --- schemas ------------------------------------------------------------------------------------

_FIXED: Final = frozenset(
    {
        *("type", "format", "pattern", "const", "enum", "default", "x-definition"),
        *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
    }
)
"""Keywords that may not change at all: readers store, size and validate by them."""
_LOOKED_INTO: Final = frozenset(
    {"properties", "required", "items", "oneOf", "anyOf", "x-open-enum"}
)
_IN_WORDS: Final = frozenset({"description", "x-registered"})
_OF_NO_WEIGHT: Final = frozenset({"examples", "title"})
KNOWN: Final = _FIXED | _LOOKED_INTO | _IN_WORDS | _OF_NO_WEIGHT


def _node(before: Any, after: Any, place: str) -> Iterator[Difference]:
    """A schema is an object, or `true` for anything, or `false` for nothing; from or to these it is another one."""
    if isinstance(before, bool) or isinstance(after, bool):
        if before is not after:
            yield Difference(Kind.BREAKING, "", place, f"{before} became {after}")
        return
    for key in sorted((before.keys() | after.keys()) - KNOWN):
        yield Difference(Kind.BREAKING, "", place, f"the gate does not know the keyword {key}")
    for key in differing(sorted(_FIXED), before, after):
        yield Difference(Kind.BREAKING, "", place, _changed(key, before, after))
    yield from _open(before.get("x-open-enum"), after.get("x-open-enum"), place)
    if any(key in one for key in ("properties", "required") for one in (before, after)):
        yield from _object(before, after, place)
    yield from _items(before.get("items"), after.get("items"), place)
    for key in ("oneOf", "anyOf"):
        yield from _branches(key, before.get(key, []), after.get(key, []), place)


def _changed(key: str, before: Schema, after: Schema) -> str:
    was, now = (text_of(one.get(key)) for one in (before, after))
    if key not in before:
        return f"{key} {now} is new"
    if key not in after:
        return f"{key} {was} is gone"
    return f"{key} {was} became {now}"


def _object(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    old: dict[str, Schema] = before.get("properties", {})
    new: dict[str, Schema] = after.get("properties", {})
    was, now = set(before.get("required", ())), set(after.get("required", ()))
    for name in sorted(old.keys() | new.keys() | was | now):
        at = f"{place}.{name}" if place else name
        if name not in old and name not in new:  # asked for, and of any form
            if (name in was) is not (name in now):
                yield Difference(Kind.BREAKING, "", at, "is asked for otherwise than before")
        elif name not in new:
            yield Difference(Kind.BREAKING, "", at, "removed")
        elif name not in old:
            kind = Kind.BREAKING if name in now else Kind.ADDITIVE
            what = (
                "new and required, which the records of the past are not" if name in now else "new"
            )
            yield Difference(kind, "", at, what)
            yield from _unknown(new[name], at)
        else:
            if name in was - now:
                yield Difference(Kind.BREAKING, "", at, "no longer certain to be there")
            if name in now - was:
                what = "newly required, which the records of the past are not"
                yield Difference(Kind.BREAKING, "", at, what)
            yield from _words(old[name], new[name], at)
            yield from _node(old[name], new[name], at)


def _unknown(schema: Any, place: str) -> Iterator[Difference]:
    """The keywords of a new field that the gate would not be able to keep from now on."""
    yield from (one for one in _node(schema, schema, place) if one.kind is Kind.BREAKING)


def _items(before: Any, after: Any, place: str) -> Iterator[Difference]:
    if before is not None and after is not None:
        yield from _words(before, after, f"{place}.[]")
        yield from _node(before, after, f"{place}.[]")
    elif before is not after:
        yield Difference(Kind.BREAKING, "", place, "what its items are changed")


def _branches(
    key: str, before: list[Schema], after: list[Schema], place: str
) -> Iterator[Difference]:
    if len(before) != len(after):
        what = f"{key} had {len(before)} branches and has {len(after)}"
        yield Difference(Kind.BREAKING, "", place, what)
        return
    for old, new in zip(before, after, strict=True):
        yield from _words(old, new, place)
        yield from _node(old, new, place)


def _open(before: list[str] | None, after: list[str] | None, place: str) -> Iterator[Difference]:
    if before is None and after is None:
        return
    if before is None or after is None:
        what = "an open code list became closed" if after is None else "became an open code list"
        yield Difference(Kind.BREAKING, "", place, what)
        return
    for gone in sorted(set(before) - set(after)):
        yield Difference(Kind.BREAKING, "", place, f"code {gone} removed")
    for new in sorted(set(after) - set(before)):
        yield Difference(Kind.ADDITIVE, "", place, f"code {new} added")


def _words(before: Any, after: Any, place: str) -> Iterator[Difference]:
    if isinstance(before, bool) or isinstance(after, bool):  # says nothing in words
        return
    for key in sorted(_IN_WORDS):
        if before.get(key) != after.get(key):
            yield Difference(Kind.WORDS, "", place, f"{key} became: {after.get(key, 'nothing')}")


# --- who would meet it --------------------------------------------------------------------------


class Reader(NamedTuple):
    """Somebody who reads an event, and who answers for them."""

    name: str
    owner: str = ""
    """Nobody for a role that calls a route."""
    contact: str = ""

    def __str__(self) -> str:
        known = ", ".join(part for part in (self.owner, self.contact) if part)
        return f"{self.name} ({known})" if known else self.name


def readers(contract: Contract, difference: Difference) -> list[Reader]:
    """Who would meet a difference, as far as the contract knows: services and subscribers; a route's callers."""
    if is_of_a_route(difference):
        return [Reader(role) for role in callers(contract["http"], difference.place)]
    concerned = [
        name
        for name, event in contract["events"].items()
        if difference.event == name
        or (not difference.event and _is_about(difference.place, event["topic"], contract))
    ]
    if not difference.event and _is_below(difference.place, [OUTLETS]):
        return [
            Reader(name, team["owner"], team["contact"])
            for name, team in contract["subscribers"].items()
            if not is_direct(team["facilities"], team["sensitivity"])
        ]
    services = sorted({one for name in concerned for one in contract["events"][name]["consumers"]})
    found = [Reader(name, OURS) for name in services]
    place = difference.place if difference.event else ""
    for name, team in contract["subscribers"].items():
        if any(_reads(team["reads"].get(one), place) for one in concerned):
            found.append(Reader(name, team["owner"], team["contact"]))
    return found


def _is_about(place: str, topic: str, contract: Contract) -> bool:
    """A difference at a topic concerns who reads that topic; one of the limits or the headers concerns everybody."""
    named = _is_below(place, contract["topics"])
    return not named or topic in named


def _is_below(place: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if place == name or place.startswith(f"{name}.")]


def _reads(fields: list[str] | None, place: str) -> bool:
    """Whether who reads these fields (none named: all of them) would meet what is different at this place."""
    if fields is None:
        return False
    at = place.replace(".[]", "")
    return not fields or not at or any(_overlap(field, at) for field in fields)


def _overlap(field: str, place: str) -> bool:
    return field == place or field.startswith(f"{place}.") or place.startswith(f"{field}.")
