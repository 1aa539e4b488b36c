"""Lists of referrals for the admission desk, by stage, with what is due next. They contain ids and codes, no names."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, Query

from services.intake.api import views
from services.intake.api.callers import Team
from services.intake.episode.episode_state import OUTBOUND_INDEX, REFERRAL_INDEX, EpisodeState
from services.intake.episode.values import Outbound, OutboundStage, Stage
from shared.contracts.codes import Timestamp
from shared.runtime.http.paging import After, Limit, states
from shared.runtime.http.shown import shows
from shared.runtime.http.task_lists import loop_views

router = APIRouter(tags=["intake"])


@router.get("/referrals")
@shows(views.ReferralsView)
async def list_referrals(
    call: Team,
    state: Stage | None = None,
    begin: Annotated[Timestamp | None, Query(alias="from")] = None,
    end: Annotated[Timestamp | None, Query(alias="to")] = None,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """The referrals of the caller's facility, the oldest first: of one state, received between two instants.

    Each has its state, which is the `stage` of its episode, and of its open loops the most urgent one, with its
    deadline and owner. Pages as `GET /loops` does.
    """
    now = call.runtime.clock.now()
    part = "" if state is None else state.value
    page = await call.page(REFERRAL_INDEX, after, limit, since=begin, until=end, part=part)
    found = states(page, EpisodeState)
    loops = await loop_views(call, found, now)
    rows = [
        _row(subject, episode, views)
        for (subject, episode), views in zip(found, loops, strict=True)
    ]
    return {"referrals": rows, "now": now.isoformat(), **page.next_field}


@router.get("/outbound-referrals")
@shows(views.OutboundView)
async def list_outbound_referrals(
    call: Team, state: OutboundStage | None = None, limit: Limit = 100, after: After = None
) -> dict[str, Any]:
    """Referrals to partners, of one state, each with its open loop: whoever was first referred comes first.

    A page holds the referrals of at most `limit` people. Pages as `GET /loops` does.
    """
    now = call.runtime.clock.now()
    page = await call.page(OUTBOUND_INDEX, after, limit, part="" if state is None else state.value)
    found = states(page, EpisodeState)
    loops = await loop_views(call, found, now)
    rows = [
        _outbound_row(subject, referral_id, outbound, views)
        for (subject, episode), views in zip(found, loops, strict=True)
        for referral_id, outbound in episode.outbound.items()
        if state in (None, outbound.stage)
    ]
    return {"referrals": rows, "now": now.isoformat(), **page.next_field}


def _outbound_row(
    subject: str, referral_id: str, outbound: Outbound, loops: list[dict[str, Any]]
) -> dict[str, Any]:
    shown = {"target_kind", "target_facility_id", "outcome"}
    return {
        "referral_id": referral_id,
        "episode_id": subject.partition("/")[2],
        "state": outbound.stage.value,
        "sent_at": outbound.sent_at.astimezone(UTC).isoformat(),
        **outbound.model_dump(mode="json", include=shown),
        "loop": next((view for view in loops if view["id"] == referral_id), None),
    }


def _row(subject: str, episode: EpisodeState, loops: list[dict[str, Any]]) -> dict[str, Any]:
    referral = episode.referral
    shown = {"urgency", "source_kind", "source_facility_id", "requested_level", "outcome"}
    return {
        "episode_id": subject.partition("/")[2],
        "person_id": episode.person_id,
        "state": episode.stage.value,
        "received_at": None
        if referral is None
        else referral.received_at.astimezone(UTC).isoformat(),
        **({} if referral is None else referral.model_dump(mode="json", include=shown)),
        "loop": loops[0] if loops else None,
    }
