"""Chains of digests: nobody can change or remove an audit entry unnoticed. Pure.

Each replica has a chain of its own. Once a second it adds a link: the digests of the entries that it stored since the
last link, and a hash over these digests and the previous link (SHA-256). The first link of a chain names the last links
of the chains that already existed. So nobody can remove a whole chain unnoticed either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, cast

from shared.decision import join_parts
from shared.runtime.core.audit import Document, digest
from shared.runtime.set_aside import MISREAD

NOTHING_BEFORE: Final = ""
ENTRIES_MAX: Final = 250
"""How many entries one link holds."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last link of a chain; number 0 before the first."""

    chain: str
    number: int = 0
    hash: str = NOTHING_BEFORE


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is not what it was. `entry` is empty when the link itself is at fault."""

    chain: str
    link: int
    what: str
    entry: str = ""

    def view(self) -> dict[str, Any]:
        return asdict(self)


WHAT: Final[Mapping[str, str]] = {
    "chain-missing": "A chain that a later one names is not there, or ends too early.",
    "link-missing": "A link is not there.",
    "link-altered": "A link is not what its hash says.",
    "entry-missing": "An entry is not there.",
    "entry-altered": "An entry is not what its digest says.",
}


def link_id(chain: str, number: int) -> str:
    """The stored id of a link."""
    return f"{chain}#{number}"


def make_link(
    head: Head, entries: Sequence[Document], at: datetime, follows: Iterable[Head] = ()
) -> Document:
    """The stored form of the next link."""
    link: Document = {
        "_id": link_id(head.chain, head.number + 1),
        "chain": head.chain,
        "number": head.number + 1,
        "before": head.hash,
        "at": at,
        "follows": [asdict(one) for one in follows],
        "ids": [entry["_id"] for entry in entries],
        "digests": b"".join(digest(entry) for entry in entries),
    }
    return {**link, "hash": hash_of(link)}


def hash_of(link: Mapping[str, Any]) -> str:
    """The hash over a link and, by `before`, over all earlier ones of its chain."""
    follows = [join_parts(one["chain"], str(one["number"]), one["hash"]) for one in link["follows"]]
    parts = join_parts(
        link["chain"],
        str(link["number"]),
        link["before"],
        str(round(link["at"].timestamp() * 1000)),
        *follows,
        *link["ids"],
    )
    return sha256(parts.encode() + bytes(link["digests"])).hexdigest()


def place_of(link: Mapping[str, Any]) -> tuple[str, int] | None:
    """The chain and number of a link. They follow from its id, which can't be changed; None where that is no link's."""
    chain, _, number = str(link["_id"]).rpartition("#")
    return (chain, int(number)) if chain and number.isdecimal() else None


def stored_head(link: Mapping[str, Any]) -> Head | None:
    """`head_of` a stored link, which may be damaged: the next link then follows it without a hash, which a check finds.

    None for a document that is no link.
    """
    place = place_of(link)
    if place is None:
        return None
    found = link.get("hash")
    return Head(*place, found if isinstance(found, str) else NOTHING_BEFORE)


def head_of(link: Mapping[str, Any]) -> Head:
    """A link as the one that the next one follows."""
    return Head(link["chain"], link["number"], link["hash"])


def followed_by(link: Mapping[str, Any]) -> list[str]:
    """The ids of the links that a link follows: the one before it, and of a first link those of the other chains."""
    before = [link_id(link["chain"], link["number"] - 1)] if link["number"] > 1 else []
    return before + [link_id(one["chain"], one["number"]) for one in link["follows"]]


def ids_of(link: Mapping[str, Any]) -> list[str]:
    """The ids of a stored link's entries; none where they can't be read."""
    found = link.get("ids")
    ids = cast("list[Any]", found) if isinstance(found, list) else []
    return [one for one in ids if isinstance(one, str)]


def follows_of(link: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a stored link names of the other chains, as far as it can be read."""
    found = link.get("follows")
    heads = cast("list[Any]", found) if isinstance(found, list) else []
    return [one for one in heads if _is_head(one)]


def _is_head(one: Any) -> bool:
    if not isinstance(one, Mapping):
        return False
    named = cast("Mapping[str, Any]", one)
    return (
        isinstance(named.get("chain"), str)
        and isinstance(named.get("number"), int)
        and isinstance(named.get("hash"), str)
    )


def check_link(
    before: Head, link: Mapping[str, Any], entries: Mapping[str, Document]
) -> list[Break]:
    """What is wrong with a link that should follow `before`. `entries` are those that are there, by id."""
    try:
        return _check_link(before, link, entries)
    except MISREAD:
        return [Break(*(place_of(link) or (str(link["_id"]), 0)), "link-altered")]


def _check_link(
    before: Head, link: Mapping[str, Any], entries: Mapping[str, Document]
) -> list[Break]:
    chain, number = link["chain"], link["number"]
    if (chain, number) != place_of(link):
        raise ValueError("number")
    found: list[Break] = [
        Break(chain, missing, "link-missing") for missing in range(before.number + 1, number)
    ]
    if hash_of(link) != link["hash"] or (not found and link["before"] != before.hash):
        found.append(Break(chain, number, "link-altered"))
    digests = bytes(link["digests"])
    for index, entry_id in enumerate(link["ids"]):
        entry = entries.get(entry_id)
        if entry is None:
            found.append(Break(chain, number, "entry-missing", entry_id))
        elif digest(entry) != digests[32 * index : 32 * (index + 1)]:
            found.append(Break(chain, number, "entry-altered", entry_id))
    return found


def check_follows(
    heads: Mapping[str, Head], hashes: Mapping[str, str], named: Iterable[Mapping[str, Any]]
) -> list[Break]:
    """Chains that later ones name and that are not there, or end before the link that was named.

    `heads` are the last links by chain, `hashes` those of the links that were named, by id.
    """
    return [
        Break(one["chain"], one["number"], "chain-missing")
        for one in named
        if heads.get(one["chain"], Head("")).number < one["number"]
        or hashes.get(link_id(one["chain"], one["number"])) != one["hash"]
    ]
