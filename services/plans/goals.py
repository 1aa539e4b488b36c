"""Goals: added while the plan runs, measured, reached, changed or given up.

A goal is reached when a measured value is at its target or beyond it, in the direction that leads from the baseline to
the target. The latest measurement holds: a goal that is lost again is open again.
"""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

from services.plans import episode_state, treatment_plan
from services.plans.episode_state import EpisodeState, Goal, Plan
from shared import loops
from shared.contracts import plans
from shared.contracts.codes import PlansLoop
from shared.contracts.event import Event
from shared.contracts.plans import WithdrawnReason
from shared.decision import Cause, Decision
from shared.errors import Refused, Unknown

GOALS_MAX: Final = 50


class Change(NamedTuple):
    """What is new about a goal; what is None stays."""

    value: float | None = None
    target: float | None = None
    due_on: date | None = None
    therapies: tuple[str, ...] | None = None
    interventions: tuple[str, ...] | None = None
    withdrawn: WithdrawnReason | None = None

    @property
    def amends(self) -> bool:
        """Whether the plan itself is changed, not only measured."""
        return any(item is not None for item in self[1:])


def add(
    state: EpisodeState,
    plan_id: str,
    goal: Goal,
    cause: Cause,
    *,
    therapies: treatment_plan.Therapies = None,
) -> Decision[EpisodeState]:
    """A further goal. While the plan is a draft, it is signed with the others."""
    episode_state.in_treatment(state)
    plan = episode_state.plan_of(state, plan_id)
    treatment_plan.smart(state, goal, cause, therapies=therapies)
    if len(plan.goals) >= GOALS_MAX:
        raise Refused(
            "too-many-goals",
            "A plan holds at most fifty goals.",
            hint="Change a goal that is there, or withdraw one when the plan is drafted anew.",
        )
    state = state.replace(plan=_unsigned(plan.replace(goals=(*plan.goals, goal))))
    answer = {"goal_id": goal.goal_id}
    if not plan.active:
        return Decision(state, answer=answer)
    added = plans.GoalAdded(goal=goal.published(), added_at=cause.now)
    state, cleared = loops.close(state, PlansLoop.CONTINUED_SERVICE, cause.subject_id)
    return Decision(state, (added, *cleared), answer=answer)


def change(
    state: EpisodeState,
    goal_id: str,
    new: Change,
    cause: Cause,
    *,
    therapies: treatment_plan.Therapies = None,
) -> Decision[EpisodeState]:
    """Measure a goal, or change it together with the patient."""
    episode_state.in_treatment(state)
    plan = state.plan
    goal = None if plan is None else next((g for g in plan.goals if g.goal_id == goal_id), None)
    if plan is None or goal is None:
        raise Unknown("goal")
    if goal.withdrawn is not None:
        raise Refused("goal-withdrawn", "This goal is no longer pursued.", hint="Add a new one.")
    fields = {name: item for name, item in new._asdict().items() if item is not None}
    after = goal.replace(**fields)
    if new.amends and after.withdrawn is None:
        treatment_plan.smart(state, after, cause, therapies=therapies)
    after = after.replace(achieved=after.value is not None and after.reached(after.value))
    plan = episode_state.changed(plan, after)
    state = state.replace(plan=_unsigned(plan) if new.amends else plan)
    if not plan.active:
        return Decision(state, answer={"achieved": after.achieved})
    events = _said(goal, after, new, cause)
    if new.amends:
        state, cleared = loops.close(state, PlansLoop.CONTINUED_SERVICE, cause.subject_id)
        events += cleared
    return Decision(state, tuple(events), answer={"achieved": after.achieved})


def _said(before: Goal, after: Goal, new: Change, cause: Cause) -> list[Event]:
    """What is published of a change: a withdrawal by itself, and whatever was measured or amended beside it."""
    goal_id, events = after.goal_id, list[Event]()
    if after.withdrawn is None or new.value is not None:
        amended = after.published() if new.amends and after.withdrawn is None else None
        updated = plans.GoalUpdated(
            goal_id=goal_id,
            goal=amended,
            value=after.value,
            achieved=None if after.value is None else after.achieved,
            updated_at=cause.now,
        )
        events.append(updated)
    if after.withdrawn is not None:
        withdrawn = plans.GoalWithdrawn(
            goal_id=goal_id, reason=after.withdrawn, withdrawn_at=cause.now
        )
        events.append(withdrawn)
    elif after.achieved and not before.achieved:
        events.append(plans.GoalAchieved(goal_id=goal_id, value=after.value, achieved_at=cause.now))
    return events


def _unsigned(plan: Plan) -> Plan:
    """A signature on a draft covers what the draft contained then."""
    if plan.active:
        return plan
    return plan.replace(patient_signed_at=None, clinician_signed_at=None)
