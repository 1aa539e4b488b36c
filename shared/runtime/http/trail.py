"""Collects what one request leaves in the audit: who asked for what, which records it touched, and the outcome.

Routes need no code for it: authentication, every read of a record and every command add their part here. The middleware
in `answers` has the entry written before the response is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from shared.contracts.attributes import legal
from shared.runtime.core import audit
from shared.runtime.core.audit import SUBJECTS_MAX, Document
from shared.runtime.http.claims import Actor

Scope = MutableMapping[str, Any]
SAFE: Final = ("GET", "HEAD")
REFUSED: Final = (401, 403)
NOTHING_DONE: Final = (429, 503)
"""Answers to requests that had no effect, saw nothing, and may come very often."""
SHOWN: Final = "shown"
REPEATED: Final = "repeated"


def _request_id() -> str:
    return str(uuid4())


@dataclass(slots=True)
class Trail:
    """One request."""

    request_id: str = field(default_factory=_request_id)
    at: datetime = field(default_factory=audit.now)
    actor: Actor | None = None
    subjects: dict[str, None] = field(default_factory=dict[str, None])
    """The records that it looked at, in order."""
    facilities: dict[str, None] = field(default_factory=dict[str, None])
    """The facilities whose records it asked for, beside the caller's own."""
    touched: bool = False
    """It looked at something about people, even where it found nothing."""
    saved: bool = False
    """The entry was saved with the record that it is about."""
    exempt: bool = False
    """It is a machine's, and about nobody's record."""
    code: str = ""
    """The problem that it was refused with, or how a command ended."""
    purpose: str | None = None

    def look_at(self, subjects: Iterable[str]) -> None:
        """Note that the answer is made of these records."""
        self.touched = True
        self.subjects.update(dict.fromkeys(subjects))

    def show(self, subjects: Iterable[str]) -> None:
        """Note that the answer is made of these records alone, whatever others were looked at to find them."""
        self.subjects.clear()
        self.look_at(subjects)

    def decided(self, subject: str, *, saved: bool) -> None:
        """Note that a command was applied to this record, its entry with it; or that it had been before."""
        if saved:
            self.saved = True
        else:
            self.look_at([subject])
            self.code = REPEATED

    def begun(self, what: str) -> Document:
        """The entry as far as it is known before a command is decided. `what` is the route's template."""
        assert self.actor is not None
        return {
            **({} if self.purpose is None else {"purpose": str(self.purpose)}),
            "request_id": self.request_id,
            "at": self.at,
            "actor_id": self.actor.id,
            "role": self.actor.role,
            "facilities": [*dict.fromkeys((self.actor.facility_id, *self.facilities))],
            "what": what,
        }

    def entries(self, scope: Scope, status: int, what: str) -> list[Document]:
        """What has to be written before the answer with this status goes out; nothing, where nothing has to be."""
        if not self._counts(scope["method"], status):
            return []
        subjects = [*self.subjects] or _named(scope.get("path_params", {}))
        refused = status in REFUSED
        entry = self.begun(what) | {
            "kind": "refusal" if refused else "read" if scope["method"] in SAFE else "command",
            "outcome": self.code or (SHOWN if status < 400 else f"http-{status}"),  # noqa: PLR2004
        }
        return [
            entry
            | {
                "_id": self.request_id if not start else f"{self.request_id}#{start}",
                "subjects": subjects[start : start + SUBJECTS_MAX],
            }
            for start in range(0, max(1, len(subjects)), SUBJECTS_MAX)
        ]

    def _counts(self, method: str, status: int) -> bool:
        if self.actor is None or self.saved or status in NOTHING_DONE:
            return False
        if status in REFUSED:
            return True
        return not self.exempt and (self.touched or method not in SAFE)


def trail_of(scope: Scope) -> Trail:
    """The trail of a request."""
    return scope.setdefault("trail", Trail())


def _named(parameters: dict[str, Any]) -> list[str]:
    """What a path names, where nothing was looked up: only ids, as everything else may be the caller's words."""
    return [
        f"{name.removesuffix('_id')}/{value}"
        for name, value in parameters.items()
        if name.endswith("_id") and isinstance(value, str) and legal("id", value)
    ]
