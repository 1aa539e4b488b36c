"""Whether something is of a program: rules over a profile, for whoever opens a group, books a session or admits.

Source: the facility's own profile; the defaults are house rules of the domain reference, section 3. What a profile does
not limit is not limited.
"""

from __future__ import annotations

from shared.contracts.attendance import Fellowship
from shared.contracts.codes import Modality, Population
from shared.errors import Invalid
from shared.programs.profile import ProgramProfile

IN_GROUPS = frozenset({Modality.GROUP, Modality.PSYCHOEDUCATION})
"""What meets as a group: the program's session lengths and topics are about these."""


def group_fits(profile: ProgramProfile, members_min: int, members_max: int) -> None:
    """A group holds as many as the program's groups may. Raises `Invalid`."""
    allowed = profile.group
    if not allowed.members_min <= members_min <= members_max <= allowed.members_max:
        raise Invalid(
            "group-size-not-of-program",
            f"Groups of this program have {allowed.members_min} to {allowed.members_max} members.",
            way_out="Choose a size in between, or open a second group.",
        )


def session_fits(
    profile: ProgramProfile, modality: Modality, minutes: int, topic: str | None = None
) -> None:
    """A group session is as long as the program's are, and on one of its topics. Raises `Invalid`."""
    if modality not in IN_GROUPS:
        return
    least, most = profile.sessions.minutes_min, profile.sessions.minutes_max
    if (least is not None and minutes < least) or (most is not None and minutes > most):
        raise Invalid(
            "session-length-not-of-program",
            f"Groups of this program last {least or 15} to {most or 480} minutes.",
            way_out="Choose a length in between, or book two sessions.",
        )
    if topic is not None and profile.topics and topic not in profile.topics:
        raise Invalid(
            "topic-not-of-program",
            "The program has no such topic.",
            way_out="Choose one of the program's topics: GET /programs.",
        )


def stay_fits(profile: ProgramProfile, weeks: int, population: Population) -> None:
    """An admission is for as long as the program lasts, and of somebody it is for. Raises `Invalid`.

    The length is a plan, not a limit: a stay that becomes longer stays an admission.
    """
    least, most = profile.weeks_min, profile.weeks_max
    if (least is not None and weeks < least) or (most is not None and weeks > most):
        raise Invalid(
            "length-not-of-program",
            f"This program lasts {least or 1} to {most or 104} weeks.",
            way_out="Plan a length in between, or choose another program.",
        )
    if profile.population is not None and population is not profile.population:
        raise Invalid(
            "population-not-of-program",
            "This program is for another population.",
            way_out="Choose a program for this one: GET /programs.",
        )


def meetings_fit(profile: ProgramProfile, sessions_per_week: int) -> None:
    """Groups meet as often as the program says. Raises `Invalid`."""
    least, most = profile.sessions.per_week_min, profile.sessions.per_week_max
    if (least is not None and sessions_per_week < least) or (
        most is not None and sessions_per_week > most
    ):
        raise Invalid(
            "cadence-not-of-program",
            f"Groups of this program meet {least or 1} to {most or 21} times a week.",
            way_out="Choose a number in between.",
        )


def meeting_counts(profile: ProgramProfile, fellowship: Fellowship) -> bool:
    """Whether a support meeting counts toward what the program asks for; with no list, any does."""
    offered = profile.mutual_support.alternatives
    return not offered or fellowship in offered
