"""Who a person is: name, birth date, how and where they may safely be reached. Pure: no clock, no ids, no I/O.

A record of its own, which says nothing to anybody: no event, no handoff and no log line is made of it, and the person's
other records know only the opaque id. The record itself has everything sealed with a key of the person's, which is
destroyed when the person is erased; rules see what is sealed and never open it. Each access is in the
audit, which the privacy officer reads. See docs/decisions/0007-identity.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.codes import Value
from shared.decision import Cause, Decision, State
from shared.errors import Forbidden, IdentityErased, Invalid, Refused
from shared.roles import StaffRole

IDENTITY_FIELD: Final = "identity"
"""What a sealed identity is bound to, beside its record."""
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

    def age_on(self, day: date) -> int:
        """Whole years on a day."""
        before = (day.month, day.day) < (self.born_on.month, self.born_on.day)
        return day.year - self.born_on.year - before

    @property
    def safe_channel(self) -> Contact | None:
        """The first contact on which anything may be revealed; None: the person is not to be contacted."""
        return next((c for c in self.contacts if c.may_say is not MaySay.NOTHING), None)


class IdentityState(State):
    """One person's identity, and the names of medical personnel to whom they were disclosed in an emergency: sealed."""

    sealed: str | None = None
    """An `Identity`, sealed with the person's key."""
    personnel: dict[str, str] = Field(default_factory=dict[str, str])
    """Names by id, each sealed with the person's key."""
    erased_at: AwareDatetime | None = None
    """When the person was erased: from then on nothing is written any more."""


def personnel_field(personnel_id: str) -> str:
    """What the sealed name of somebody who was told is bound to, beside its record."""
    return f"personnel.{personnel_id}"


# --- who may see it, and why ----------------------------------------------------------------------------


class AccessPurpose(StrEnum):
    """Why somebody looks at an identity. A closed list of this service; it stands in the audit."""

    REGISTRATION = "registration"
    TREATMENT = "treatment"
    CONTACT = "contact"
    EMERGENCY = "emergency"
    CORRECTION = "correction"
    PRIVACY_REVIEW = "privacy_review"
    ERASURE = "erasure"


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
    AccessPurpose.ERASURE: ("privacy_officer",),
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


def write(
    state: IdentityState, identity: Identity, sealed: str, today: date, _cause: Cause
) -> Decision[IdentityState]:
    """Write down who the person is, or correct it: what is stored is `sealed`, which is `identity`.

    Raises `Refused` when the person was erased. `today` is the facility's.
    """
    _standing(state)
    check_birth_date(identity, today)
    return Decision(state.replace(sealed=sealed))


def check_birth_date(identity: Identity, today: date) -> None:
    """Raise `Invalid` for a day of birth that nobody living has."""
    if not _years_before(today, OLDEST_YEARS) <= identity.born_on <= today:
        raise Invalid(
            "birth-date-implausible",
            "The birth date is in the future or more than a lifetime ago.",
            hint="Check the day of birth.",
        )


def name_personnel(
    state: IdentityState, personnel_id: str, sealed: str, _cause: Cause
) -> Decision[IdentityState]:
    """Store the name of a recipient in an emergency (42 CFR 2.51 asks for it), so that it travels nowhere."""
    _standing(state)
    if len(state.personnel) >= PERSONNEL_MAX and personnel_id not in state.personnel:
        raise Refused(
            "personnel-full",
            "More names than this record keeps.",
            hint="Ask the privacy officer to look at this person's emergency disclosures.",
        )
    return Decision(state.replace(personnel={**state.personnel, personnel_id: sealed}))


def erase(
    state: IdentityState, erased_at: datetime, last_copy_gone_on: date, _cause: Cause
) -> Decision[IdentityState]:
    """Forget who the person is, for good; their key is destroyed already. Repeatable.

    Nothing else of the person changes: states and events have ids, codes, numbers and times.
    """
    answer = {
        "erased_at": erased_at.isoformat(),
        "last_copy_gone_on": last_copy_gone_on.isoformat(),
    }
    if state.erased_at is not None:
        return Decision(state, answer=answer)
    return Decision(IdentityState(erased_at=erased_at), answer=answer)


def _standing(state: IdentityState) -> None:
    if state.erased_at is not None:
        raise IdentityErased


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


def index_words(known: Identity) -> tuple[str, ...]:
    """By which words a person is found in the blind index."""
    return (*sought_words(known), f"year:{known.born_on.year}")


def sought_words(sought: Identity | Sought) -> tuple[str, ...]:
    """Which words who is looked for must have, so that `matches` can hold."""
    return (
        f"given:{_folded(sought.given_name)}",
        f"family:{_folded(sought.family_name)}",
        f"day:{sought.born_on.isoformat()}",
    )
