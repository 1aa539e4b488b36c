"""What the routes of plans answer, beside what every answer about a record has."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import TypedDict

from services.plans.available_sessions import GroupState
from services.plans.episode_state import EpisodeState
from shared.contracts.codes import DeliveryId, GoalId, PlanId
from shared.loops import KEPT_BACK
from shared.runtime.http.shown import Fields, with_words


@with_words
class Drafted(TypedDict):
    """A plan that was drafted."""

    plan_id: PlanId
    goal_ids: list[GoalId]
    """Its goals, in the order of the request."""


class GoalAdded(TypedDict):
    """A goal that was added."""

    goal_id: GoalId


@with_words
class GoalChanged(TypedDict):
    """A goal that was measured or changed."""

    achieved: bool
    """Whether its target is reached."""


@with_words
class Amended(TypedDict):
    """An amendment that was drafted."""

    amendment_id: str
    version: int
    """The version of the plan that it will be."""


@with_words
class RelapsePreventionNamed(TypedDict):
    """Whether a relapse-prevention plan is complete."""

    complete: bool
    """Whether it names everything that it should."""


@with_words
class ServiceAdded(TypedDict):
    """A service alongside treatment."""

    counts_toward_hours: bool
    """Whether its sessions count toward the hours of a week."""


@with_words
class AftercareWritten(TypedDict):
    """A version of the plan for the time after."""

    version: int
    """The number of the version."""
    complete: bool
    """Whether everything is settled."""


class TransferAsked(TypedDict):
    """A hand-over that was asked for."""

    delivery_id: DeliveryId


EPISODE = Fields(
    EpisodeState,
    without=(*KEPT_BACK, "expected", "early_sessions", "sessions", "first_session"),
)


@with_words
class EpisodeView(TypedDict):
    """What is made of the sessions of an episode."""

    sessions_attended: int
    """How many sessions the person attended."""
    sessions_missed: int
    """How many sessions the person missed."""
    last_session_at: datetime | None


GROUP = Fields(GroupState, without=KEPT_BACK)


@with_words
class GroupView(TypedDict):
    """What is made of a group's seats."""

    full: bool
    """Whether the last seat is taken."""
