"""What goes with the plan: co-occurring needs, further services, medications and what a screen may show of them."""

from __future__ import annotations

from datetime import date

from services.plans import episode_state, tables
from services.plans.episode_state import Ancillary, EpisodeState, Need
from shared import loops
from shared.contracts import plans
from shared.contracts.codes import PlansLoop
from shared.contracts.plans import AncillaryKind, CoOccurringCategory, ExpectedAnalyte
from shared.decision import Cause, Decision
from shared.errors import Refused


def identify_need(
    state: EpisodeState, category: CoOccurringCategory, *, enhanced: bool, cause: Cause
) -> Decision[EpisodeState]:
    """Name something that is treated together with the addiction. Enhanced needs bring the next review closer.

    Dual diagnosis needs professionals who treat all of it together: docs/domain.md facts 3.3 and 3.11.
    """
    episode_state.in_treatment(state)
    need = Need(category=category, enhanced=enhanced)
    if need in state.needs:
        raise Refused(
            "need-known",
            "This need is identified already.",
            hint="Read the episode; identify it again only if its enhancement differs.",
        )
    others = tuple(item for item in state.needs if item.category is not category)
    state = state.replace(needs=(*others, need))
    plan = state.plan
    if enhanced and plan is not None and plan.active and plan.next_review_on is not None:
        nearer = episode_state.schedule_review(state, plan, cause)
        if nearer.plan is not None and _earlier(nearer.plan.next_review_on, plan.next_review_on):
            state = nearer
    event = plans.CoOccurringNeedIdentified(category=category, enhanced_program_needed=enhanced)
    return Decision(state, (event,))


def _earlier(one: date | None, other: date) -> bool:
    return one is not None and one < other


def add_service(
    state: EpisodeState, kind: AncillaryKind, *, on_site: bool, cause: Cause
) -> Decision[EpisodeState]:
    """Add a service alongside treatment, here or elsewhere: docs/domain.md facts 0.5, 3.5 and 4.7.

    Whether its minutes count is decided by the table, not by the caller.
    """
    episode_state.in_treatment(state)
    service = Ancillary(kind=kind, on_site=on_site)
    if service in state.ancillary:
        raise Refused(
            "service-known",
            "This service belongs to the plan already.",
            hint="There is nothing left to do.",
        )
    state = state.replace(ancillary=(*state.ancillary, service))
    counts = on_site and kind in tables.COUNTS_ON_SITE
    event = plans.AncillaryServiceAdded(kind=kind, on_site=on_site, counts_toward_hours=counts)
    state, cleared = loops.close(state, PlansLoop.CONTINUED_SERVICE, cause.subject_id)
    return Decision(state, (event, *cleared), answer={"counts_toward_hours": counts})


def prescribe(
    state: EpisodeState, medications: tuple[ExpectedAnalyte, ...], cause: Cause
) -> Decision[EpisodeState]:
    """Replace the list of medications; what screens may show follows from it (docs/domain.md fact 2.1)."""
    expected: list[ExpectedAnalyte] = []
    for item in medications:
        if item.code in tables.NOT_ON_PANELS:
            continue
        expected.append(item.replace(companion_of=None))
        expected += [
            item.replace(code=code, companion_of=item.code)
            for code in tables.COMPANIONS.get(item.code, ())
        ]
    prescribed = {item.code for item in medications}
    others = tuple(e for e in expected if e.companion_of is None or e.code not in prescribed)
    return set_expected_analytes(state.replace(medications=medications), others, cause)


def set_expected_analytes(
    state: EpisodeState, analytes: tuple[ExpectedAnalyte, ...], _cause: Cause
) -> Decision[EpisodeState]:
    """Replace the list of prescribed substances that a screen may show."""
    episode_state.in_treatment(state)
    event = plans.ExpectedAnalytesUpdated(analytes=analytes)
    return Decision(state.replace(expected=analytes), (event,))
