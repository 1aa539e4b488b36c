"""Maintains a replica's chain: adds links for stored entries, copies links to the journal, and verifies all chains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from shared.errors import Refused, Unavailable
from shared.runtime.audit.chain import (
    ENTRIES_MAX,
    Break,
    Head,
    check_follows,
    check_link,
    follows_of,
    head_of,
    ids_of,
    link_id,
    make_link,
    stored_head,
)
from shared.runtime.audit.store import LAST, WAITING, AuditLog
from shared.runtime.audit.writer import AuditWriter
from shared.runtime.core import audit
from shared.runtime.core.audit import UNCHAINED, Document
from shared.runtime.logs import log
from shared.runtime.retry import Backoff
from shared.runtime.set_aside import UNPUBLISHED, SetAside

LINK_SECONDS: Final = 1.0
ORPHANED: Final = timedelta(seconds=30)
"""An entry that has had no link for so long was stored by a replica that is no more: any other takes it."""
LOOK_EVERY: Final = 30
"""Every so many rounds a replica looks for the entries of others, and writes who was refused without a name."""
COPIES_PER_ROUND: Final = 20
UNDATED_MAX: Final = 100
"""How many damaged entries one look names."""
LINK_BYTES_MAX: Final = 256 * 1024
"""How much the entries of one link have together: its copy has to fit into a message of the journal."""
JOURNAL_PREFIX: Final = "audit/"
"""Begins the name of a copy on the journal that is a link and not a record."""


class Journal(Protocol):
    """Where copies go. Raises `Unavailable`."""

    async def append(self, documents: Iterable[Document]) -> None: ...


class Keeper:
    """The one task that makes links."""

    def __init__(
        self,
        audit_log: AuditLog,
        writer: AuditWriter,
        replica_id: str,
        journal: Journal | None = None,
        set_aside: SetAside | None = None,
    ) -> None:
        self._set_aside = SetAside() if set_aside is None else set_aside
        self._refused: set[str] = set()
        """The ids of links that the journal refuses. They are tried again now and then."""
        self._log = audit_log
        self._writer = writer
        self._replica_id = replica_id
        self._journal = journal
        self._head: Head | None = None
        self._rounds = 0

    async def run(self) -> None:
        """Once a second, for ever; while the store is away, it waits and tries again."""
        backoff = Backoff()
        while True:
            try:
                await self.round()
            except Unavailable as error:
                log.warning("audit.waiting", error_code=error.code)
                await backoff.pause()
            else:
                backoff.reset()
                await asyncio.sleep(LINK_SECONDS)

    async def round(self) -> None:
        """Link what this replica has stored, now and then also what others have left, and copy it. Repeatable."""
        look = self._rounds % LOOK_EVERY == 0
        self._rounds += 1
        if look:
            await self._writer.write_anonymous()
        await self.link_all()
        if look:
            await self._link(None)
            for entry_id in await self._log.undated(UNDATED_MAX):
                self._set_aside.add_document("audit", entry_id)
            self._refused.clear()
        if self._journal is not None:
            await self._copy(self._journal)

    async def link_all(self) -> None:
        """Link everything that this replica has stored."""
        while await self._link(self._replica_id):
            pass

    async def _link(self, replica_id: str | None) -> bool:
        """Make one link. True when there was something to link."""
        stored = await self._log.unchained(replica_id, audit.now() - ORPHANED, ENTRIES_MAX)
        found = [entry for entry in stored if isinstance(entry["_id"], str)]  # all of ours are
        if not found:
            return False
        head, self._head = self._head, None  # when this fails, what was stored is looked up
        follows: list[Head] = []
        if head is None:
            heads = await self._log.heads()
            head = heads.pop(self._replica_id, Head(self._replica_id))
            follows = list(heads.values()) if not head.number else []
        link = make_link(head, _within(found, LINK_BYTES_MAX), audit.now(), follows)
        if await self._log.add_link(link, waiting=self._journal is not None):
            self._head = head_of(link)
        return True

    async def _copy(self, journal: Journal) -> None:
        for link in await self._log.waiting_links(COPIES_PER_ROUND + len(self._refused)):
            if link["_id"] in self._refused:
                continue
            try:
                await journal.append([await copy_of(self._log, link)])
            except Refused:
                self._refused.add(link["_id"])
                self._set_aside.add(f"audit_links/{link['_id']}", UNPUBLISHED)
            else:
                await self._log.copied([link["_id"]])
                self._set_aside.published(f"audit_links/{link['_id']}")


def _within(entries: Sequence[Document], bytes_max: int) -> list[Document]:
    """The first entries that have no more bytes together; at least one."""
    kept: list[Document] = []
    length = 0
    for entry in entries:
        length += len(audit.canonical(entry))
        if kept and length > bytes_max:
            break
        kept.append(entry)
    return kept


async def copy_of(audit_log: AuditLog, link: Document) -> Document:
    """A link with its entries, as the journal takes it."""
    entries = await audit_log.entries(ids_of(link))
    kept = {name: value for name, value in link.items() if name not in ("_id", WAITING, LAST)}
    return {
        "_id": f"{JOURNAL_PREFIX}{link['_id']}",
        "version": 1,
        "link": kept,
        "entries": [
            {name: value for name, value in entry.items() if name != UNCHAINED}
            for entry in entries.values()
        ],
    }


async def restore(audit_log: AuditLog, copy: Mapping[str, Any]) -> None:
    """Put back what a copy on the journal holds, where it is not there."""
    link = {"_id": copy["_id"].removeprefix(JOURNAL_PREFIX), **copy["link"]}
    await audit_log.restore(link, copy["entries"])


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a check of all chains."""

    chains: int
    links: int
    entries: int
    unchained: int
    """Entries that no link holds yet: what is changed or removed of them is not seen."""
    breaks: list[Break]


async def verify(audit_log: AuditLog) -> Verified:
    """Check every link of every chain, and every entry that they hold. Raises `Unavailable`."""
    heads: dict[str, Head] = {}
    hashes: dict[str, str] = {}
    named: list[Mapping[str, Any]] = []
    breaks: list[Break] = []
    links = entries = 0
    async for link in audit_log.links():
        head, ids = stored_head(link), ids_of(link)
        before = Head("") if head is None else heads.get(head.chain, Head(head.chain))
        breaks += check_link(before, link, await audit_log.entries(ids))
        if head is not None:
            heads[head.chain] = head
            hashes[link_id(head.chain, head.number)] = head.hash
        named += follows_of(link)
        links += 1
        entries += len(ids)
    breaks += check_follows(heads, hashes, named)
    return Verified(len(heads), links, entries, await audit_log.count_unchained(), breaks)
