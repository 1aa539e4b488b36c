"""Who a person is: name, birth date, how and where they may safely be reached. Pure: no clock, no ids, no I/O.

A record of its own, which says nothing to anybody: no event, no handoff and no log line is made of it, and the person's
other records know only the opaque id. Each access is in the audit, which the privacy officer reads. See
docs/decisions/0007-identity.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.codes import Value
from shared.decision import Cause, Decision, State
from shared.errors import Forbidden, Invalid, Refused
from shared.roles import StaffRole

BORN_INDEX: Final = "born"
"""Identities are found by the day of birth, which leads to few; the name decides among them."""
OLDEST_YEARS: Final = 130
CONTACTS_MAX: Final = 10
PERSONNEL_MAX: Final = 500

# --- what is known of a person --------------------------------------------------------------------------


_NOT_PRINTED: Final = frozenset({"Cc", "Cn", "Co", "Cs"})


def _one_line(text: str) -> str:
    """A name as people write it: one line, no control characters, in one of the ways to write each letter."""
    tidy = " ".join(unicodedata.normalize("NFC", text).split())
    if not tidy or any(unicodedata.category(letter) in _NOT_PRINTED for letter in tidy):
        raise PydanticCustomError("not_one_line", "a name is one line of printable characters")
    return tidy


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]


class Channel(StrEnum):
    """A way to reach someone."""

    VOICE = "voice"
    VOICEMAIL = "voicemail"
    SMS = "sms"
    EMAIL = "email"
    LETTER = "letter"


class MaySay(StrEnum):
    """What may be revealed on a channel, whoever else may hear or read it."""

    NOTHING = "nothing"
    """Not a safe channel: it is stored so that nobody uses it by mistake."""
    CALL_BACK_ONLY = "call_back_only"
    """A name and a number to call back; never the program, its field or its address."""
    PROGRAM_NAMED = "program_named"
    """The person agreed that the program is named there."""


SILENT: Final = (Channel.VOICEMAIL, Channel.SMS)
"""Where the program is never named, whatever was agreed: anyone may hear or read it later."""
_VALUE: Final[Mapping[Channel, re.Pattern[str]]] = {
    Channel.VOICE: re.compile(r"\+[1-9][0-9]{6,14}"),
    Channel.VOICEMAIL: re.compile(r"\+[1-9][0-9]{6,14}"),
    Channel.SMS: re.compile(r"\+[1-9][0-9]{6,14}"),
    Channel.EMAIL: re.compile(r"[^@\s]{1,64}@[^@\s]{1,180}\.[^@\s.]{2,20}"),
    Channel.LETTER: re.compile(r"[^\x00-\x1f\x7f]{5,200}"),
}


class Contact(Value):
    """One way to reach the person, and what may be revealed there."""

    channel: Channel
    value: str = Field(min_length=1, max_length=200)
    """A number in E.164 for voice, voicemail and sms; an address for email and letter."""
    may_say: MaySay = MaySay.CALL_BACK_ONLY

    @model_validator(mode="after")
    def _is_of_its_channel(self) -> Self:
        if _VALUE[self.channel].fullmatch(self.value) is None:
            raise PydanticCustomError("contact_invalid", "this is not an address of the channel")
        if self.channel in SILENT and self.may_say is MaySay.PROGRAM_NAMED:
            raise PydanticCustomError(
                "channel_never_names_the_program", "what is left there never names the program"
            )
        return self


class Identity(Value):
    """Who a person is. Stored here and nowhere else."""

    given_name: Name
    family_name: Name
    born_on: date
    contacts: tuple[Contact, ...] = Field(default=(), max_length=CONTACTS_MAX)
    """In the order in which the person prefers them."""
    language: Language = "en"
    """The language they prefer, as an IETF tag."""

    @property
    def safe_channel(self) -> Contact | None:
        """The first contact on which anything may be revealed; None: the person is not to be contacted."""
        return next((c for c in self.contacts if c.may_say is not MaySay.NOTHING), None)


class IdentityState(State):
    """One person's identity, and the names of medical personnel to whom they were disclosed in an emergency."""

    INDEXES: ClassVar[tuple[str, ...]] = (BORN_INDEX,)
    identity: Identity | None = None
    personnel: dict[str, str] = Field(default_factory=dict[str, str])

    def index_entries(self) -> Mapping[str, datetime]:
        """An identity is found by its day of birth."""
        return {} if self.identity is None else {BORN_INDEX: born_at(self.identity.born_on)}


def born_at(day: date) -> datetime:
    """A day of birth as the instant that the store orders by."""
    return datetime.combine(day, time(0, 0), UTC)


# --- who may see it, and why ----------------------------------------------------------------------------


class AccessPurpose(StrEnum):
    """Why somebody looks at an identity. A closed list of this service; it stands in the audit."""

    REGISTRATION = "registration"
    TREATMENT = "treatment"
    CONTACT = "contact"
    EMERGENCY = "emergency"
    CORRECTION = "correction"
    PRIVACY_REVIEW = "privacy_review"


_CARE: Final[tuple[StaffRole, ...]] = (
    "clinician",
    "counselor",
    "nurse",
    "case_manager",
    "peer_specialist",
)
_DESK: Final[tuple[StaffRole, ...]] = ("intake_coordinator", "case_manager")
_LEAD: Final[tuple[StaffRole, ...]] = ("clinical_supervisor", "program_director")
ALLOWED: Final[Mapping[AccessPurpose, tuple[StaffRole, ...]]] = {
    AccessPurpose.REGISTRATION: (*_DESK, "clinician", *_LEAD),
    AccessPurpose.TREATMENT: (*_CARE, "clinical_supervisor"),
    AccessPurpose.CONTACT: ("intake_coordinator", *_CARE, *_LEAD),
    AccessPurpose.EMERGENCY: ("intake_coordinator", *_CARE, *_LEAD),
    AccessPurpose.CORRECTION: (*_DESK, *_LEAD, "privacy_officer"),
    AccessPurpose.PRIVACY_REVIEW: ("privacy_officer",),
}
"""Which roles may look for which purpose: the minimum necessary, as a house rule. Operators never may."""
WRITING: Final = (AccessPurpose.REGISTRATION, AccessPurpose.CONTACT, AccessPurpose.CORRECTION)


def permit(purpose: AccessPurpose, role: str, *, writing: bool = False) -> None:
    """Raise unless this role may look, or write, for this purpose."""
    if role not in ALLOWED[purpose] or (writing and purpose not in WRITING):
        raise Forbidden(
            "purpose-not-allowed",
            "Your role has no access to identities for this purpose.",
            hint="State the purpose that you have, or ask a colleague whose task it is.",
        )


# --- commands -------------------------------------------------------------------------------------------


def write(state: IdentityState, identity: Identity, cause: Cause) -> Decision[IdentityState]:
    """Write down who the person is, or correct it."""
    youngest = cause.now.date()
    if not _years_before(youngest, OLDEST_YEARS) <= identity.born_on <= youngest:
        raise Invalid(
            "birth-date-implausible",
            "The birth date is in the future or more than a lifetime ago.",
            hint="Check the day of birth.",
        )
    return Decision(state.replace(identity=identity))


def name_personnel(
    state: IdentityState, personnel_id: str, name: str, _cause: Cause
) -> Decision[IdentityState]:
    """Store the name of a recipient in an emergency (42 CFR 2.51 asks for it), so that it travels nowhere."""
    if len(state.personnel) >= PERSONNEL_MAX and personnel_id not in state.personnel:
        raise Refused(
            "personnel-full",
            "More names than this record keeps.",
            hint="Ask the privacy officer to look at this person's emergency disclosures.",
        )
    return Decision(state.replace(personnel={**state.personnel, personnel_id: name}))


def _years_before(day: date, years: int) -> date:
    return date(day.year - years, 1, 1)


# --- finding a person again -----------------------------------------------------------------------------


class Sought(Value):
    """Whom somebody looks for."""

    given_name: Name
    family_name: Name
    born_on: date


def same_name(one: Identity | Sought, other: Identity | Sought) -> bool:
    """Both names are the same, whatever the case, the accents and the spaces."""
    return (_folded(one.given_name), _folded(one.family_name)) == (
        _folded(other.given_name),
        _folded(other.family_name),
    )


def _folded(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if not _is_trimming(letter))


def _is_trimming(letter: str) -> bool:
    """An accent, a space or a hyphen. The signs of other scripts are letters."""
    return "\u0300" <= letter <= "\u036f" or unicodedata.category(letter)[0] in "PZ"


def matches(sought: Sought, known: Identity) -> bool:
    """This may be the person who is looked for."""
    return known.born_on == sought.born_on and same_name(sought, known)
