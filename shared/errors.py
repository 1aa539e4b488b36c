"""The tree of errors. Everything raised on purpose is a `CareError` with a machine-readable code.

Errors that a caller can act on carry the HTTP status and a way out; `shared.runtime.http.call` turns them
into problem+json. Messages never contain what the caller sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class CareError(Exception):
    """Root of the tree. `code` is stable and documented; `detail` is for people; `hint` says what to do."""

    status: ClassVar[int] = 500

    def __init__(self, code: str, detail: str, *, hint: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.hint = hint


class Refused(CareError):
    """The rules say no: the step is illegal in the present state. Nothing has changed."""

    status = 409


class Invalid(Refused):
    """The request itself makes no sense, whatever the state."""

    status = 422


class NotYetKnown(Refused):
    """A well-formed id that this service has not heard of, or not all it needs of it. Try again shortly."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "not-yet-known",
            f"This {what} is not known to this service yet.",
            hint="Retry after the time given; if it persists, check the id.",
        )


class Unknown(Refused):
    """An id of this service's own making that it never made."""

    status = 404

    def __init__(self, what: str) -> None:
        super().__init__(f"unknown-{what}", f"There is no such {what}.", hint="Check the id.")


class KeyReused(Refused):
    """The same Idempotency-Key came with another body."""

    status = 422

    def __init__(self) -> None:
        super().__init__(
            "idempotency-key-reused",
            "This Idempotency-Key was used with a different body.",
            hint="Use a new key for a new command; repeat a command with its body unchanged.",
        )


class Outdated(Refused):
    """The caller's If-Match names a revision that is no longer the current one."""

    status = 412

    def __init__(self) -> None:
        super().__init__(
            "revision-outdated",
            "The record has changed since you read it.",
            hint="Read it again and decide anew.",
        )


class IdentityErased(Refused):
    """Who this person was is erased, so that nothing more is written about it."""

    def __init__(self) -> None:
        super().__init__(
            "identity-erased",
            "Who this person was has been erased, and nothing more is written about it.",
            hint="If they come back, refer them anew: they are a new person here.",
        )


class Unauthenticated(CareError):
    """No token, or one that can't be trusted."""

    status = 401


class Forbidden(CareError):
    """A trusted caller who may not do this."""

    status = 403


class OtherFacility(Forbidden):
    """The record is another facility's."""

    def __init__(self) -> None:
        super().__init__(
            "other-facility",
            "This record belongs to another facility.",
            hint="Check the id, and that the token is of the facility that created the record.",
        )


class TooLarge(Refused):
    """A record or an event would outgrow its limit. Trying again will not help."""

    status = 422


class NotStorable(Refused):
    """The record would hold a value that the store can't keep. Trying again will not help."""

    status = 422


class Unavailable(CareError):
    """A dependency is away or a queue is full. Nothing is lost; the same call may be repeated."""

    status = 503


class AccessMissing(Unavailable):
    """Kafka does not let this user do what it has to. It may again, as soon as an administrator has given the rights.

    `rights` names each missing one, such as `read topic care.intake`.
    """

    def __init__(self, user: str, rights: Sequence[str], command: str) -> None:
        super().__init__(
            "broker-access-missing",
            f"Kafka does not let {user} {', '.join(rights)}.",
            hint=f"As the administrator: {command}",
        )
        self.rights = tuple(rights)


class RecordIsNewer(Unavailable):
    """A newer version of this service has written the record; only that version works with it."""

    def __init__(self) -> None:
        super().__init__(
            "record-is-newer",
            "A newer version of this service has written this record.",
            hint="Ask a replica of the newer version: try again, or wait until all are.",
        )


class RecordUnreadable(CareError):
    """The stored record can't be read: it was damaged, or a rule of ours about its form is wrong."""

    def __init__(self) -> None:
        super().__init__(
            "record-unreadable",
            "The stored record can't be read. It is set aside, and nothing has changed.",
            hint="Tell the operators: GET /ops/set-aside names the record.",
        )


class DeadLetterUnreadable(CareError):
    """A stored dead letter can't be read, so that nothing can be done about it or about what waits behind it."""

    def __init__(self) -> None:
        super().__init__(
            "dead-letter-unreadable",
            "A stored dead letter can't be read. It is set aside, and nothing has changed.",
            hint="GET /ops/set-aside names it: put its document right.",
        )


class ConfigurationError(CareError):
    """The service can't run as configured. It says so and stops. `setting` names the setting at fault, if it is one."""

    def __init__(self, code: str, detail: str, *, hint: str = "", setting: str = "") -> None:
        super().__init__(code, detail, hint=hint)
        self.setting = setting


class TopicMismatch(ConfigurationError):
    """A topic is not the one this service's positions were taken on. See the runbook: drain and migrate."""


class TopicSettingsDiffer(TopicMismatch):
    """A topic could lose what has to be kept. A replica goes on by itself once an operator has repaired it."""


class IdentityMismatch(ConfigurationError):
    """The store, the Kafka cluster and the consumer group do not belong together. See the runbook: identity."""


class SequenceConflict(ConfigurationError):
    """The store is behind the service's own topic: publishing would reuse sequence numbers."""
