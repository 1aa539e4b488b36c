"""The cast between levels, places and partners: docs/domain.md scenarios 5, 6, 9, 12, 13 and 14."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from tests.flows.played import Played
from tests.flows.scene import in_order, of

"""Whichever test comes first waits for the play."""


@pytest.mark.scenario(5)
async def test_story_5_step_up(cast: Played) -> None:
    stage = cast.stages[5]
    facts = cast.facts(5)
    assert in_order(
        facts,
        "seat-reserved",
        "screen-failed",
        "clinical-review-requested",
        "clinical-review-completed",
        "screen-failed",
        "clinical-review-requested",
        "assessment-completed",
        "level-recommended",
        "clinical-review-completed",
        "level-of-care-change-recommended",
        "referral-sent",
        "partner-referral-accepted",
        "transfer-initiated",
        "seat-released",
        "referral-loop-closed",
    )
    refusals = (stage.ids["unanswered"], stage.ids["here"])
    assert refusals == ("reassessment-missing", "level-needs-transfer")
    outcomes = [f.data["outcome"] for f in of(facts, "clinical-review-completed")]
    assert outcomes == ["intensify", "up"]
    [change] = of(facts, "level-of-care-change-recommended")
    assert (change.data["direction"], change.data["to_level"]["code"]) == ("up", "3.7")
    assert change.data["drivers"] == [{"edition": "3", "number": 1}]
    [sent] = of(facts, "referral-sent")
    assert sent.data["target_kind"] == "residential"
    closed = {f.data["referral_id"]: f.data["outcome"] for f in of(facts, "referral-loop-closed")}
    assert closed[sent.data["referral_id"]] == "admitted"
    [moved], [released] = of(facts, "transfer-completed"), of(facts, "seat-released")
    assert (released.data["group_id"], released.data["reason"]) == (stage.ids["group"], "moved")
    assert released.headers["ce_time"] == moved.headers["ce_time"], "not before somebody has them"
    assert not of(facts, "level-of-care-changed"), "no level of this program"


@pytest.mark.scenario(6)
async def test_story_6_step_down(cast: Played) -> None:
    stage = cast.stages[6]
    down = (
        "treatment-plan-reviewed",
        "level-of-care-change-recommended",
        "level-of-care-changed",
        "session-attended",
    )
    ida, hal = cast.facts(6, "ida"), cast.facts(6, "hal")
    assert in_order(ida, *down)
    assert in_order(hal, "level-of-care-changed", *down)
    assert stage.ids["no_appointment"] == "step-down-criteria-not-met"
    changes = [
        [
            (f.data["from_level"]["code"], f.data["to_level"]["code"])
            for f in of(facts, "level-of-care-changed")
        ]
        for facts in (ida, hal)
    ]
    assert changes == [[("2.1", "1.5")], [("2.1", "2.5"), ("2.5", "2.1")]]
    asked = [
        [f.data["minutes_threshold"] for f in of(facts, "weekly-hours-evaluated")][:4]
        for facts in (ida, hal)
    ]
    assert asked == [[540, 540, 540 // 3, 0], [540, 1200, 1200, 540]]
    for facts, session_id in ((ida, stage.ids["next"]), (hal, stage.ids["first"])):
        changed = of(facts, "level-of-care-changed")[-1]
        [seen] = [f for f in of(facts, "session-attended") if f.data["session_id"] == session_id]
        starts_at = datetime.fromisoformat(seen.data["starts_at"])
        effective_at = datetime.fromisoformat(changed.data["effective_at"])
        assert changed.headers["ce_time"] == changed.data["effective_at"]
        assert timedelta(0) <= starts_at - effective_at <= timedelta(days=7)
        assert not of(facts, "loop-escalated")


@pytest.mark.scenario(9)
@pytest.mark.fact("0.3")
async def test_story_9_group_full(cast: Played) -> None:
    stage = cast.stages[9]
    group, pair = f"group/{stage.ids['group']}", f"group/{stage.ids['pair']}"
    of_group = cast.facts(9, also={group, pair})
    [filled] = [f for f in of(of_group, "group-filled") if f.subject == group][:1]
    assert filled.data["seats_taken"] == filled.data["seats_max"] == 12
    reserved = [
        f for f in of(of_group, "seat-reserved") if f.data["group_id"] == stage.ids["group"]
    ]
    assert [f.data["seats_left"] for f in reserved[:12]] == list(range(11, -1, -1))
    assert len({f.subject for f in reserved[:12]}) == 12
    people = {label: stage.people[label] for label in ("fay", "gil", "hew")}
    for label, one in people.items():
        assert stage.ids[f"{one.label}/refused"] == "group-full", label
    joined = [of(cast.facts(9, label), "waitlist-joined")[0].data["position"] for label in people]
    assert joined == [1, 2, 3]

    fay, gil, hew = (cast.facts(9, label) for label in people)
    accepted = ("waitlist-joined", "waitlist-offered", "seat-reserved", "waitlist-left")
    assert in_order(fay, *accepted)
    assert in_order(hew, *accepted)
    assert in_order(gil, *accepted, "waitlist-joined")
    left = {
        label: of(facts, "waitlist-left")[0].data["reason"]
        for label, facts in zip(people, (fay, gil, hew), strict=True)
    }
    assert left == {"fay": "accepted", "gil": "expired", "hew": "accepted"}
    assert stage.ids["too_late"] == "unknown-waiting"
    for facts in (fay, hew):
        [offer] = of(facts, "waitlist-offered")
        held, taken = of(facts, "seat-reserved")
        assert held.data["hold_expires_at"] == offer.data["offer_expires_at"]
        assert "hold_expires_at" not in taken.data, "for good"
    given_back = of(cast.facts(9, "seat-1"), "seat-released") + of(gil, "seat-released")[:1]
    assert [f.data["reason"] for f in given_back] == ["withdrawn", "hold_expired"]
    offered = [of(facts, "waitlist-offered")[0] for facts in (fay, hew)]
    times = [[f.headers["ce_time"] for f in one] for one in (given_back, offered)]
    assert times[0] == times[1], "a seat that falls free is offered at once, to one"
    [below] = of(of_group, "group-below-minimum")
    assert (below.subject, below.data["seats_taken"]) == (pair, 1)


@pytest.mark.scenario(12)
async def test_story_12_transfer_to_a_partner(cast: Played) -> None:
    stage = cast.stages[12]
    facts = cast.facts(12)
    assert in_order(
        facts,
        "treatment-plan-reviewed",
        "referral-sent",
        "partner-referral-rejected",
        "referral-loop-closed",
        "referral-sent",
        "partner-referral-accepted",
        # At one instant, intake's facts are sorted before those of plans.
        *("disclosure-withheld", "transfer-requested", "transfer-not-begun"),
        *("disclosure-allowed", "transfer-requested", "transfer-initiated"),
        "session-attended",
        "transfer-completed",
        "episode-discharged",
        "referral-loop-closed",
    )
    assert stage.ids["withheld"] == "not_in_force", (
        "taken back in intake, a moment before plans asked"
    )
    assert len(of(facts, "transfer-initiated")) == 1
    [rejected] = of(facts, "partner-referral-rejected")
    assert (rejected.data["referral_id"], rejected.data["reason"]) == (stage.ids["first"], "no_bed")
    assert stage.ids["refused"] == "referral-not-accepted"
    closed = {f.data["referral_id"]: f.data["outcome"] for f in of(facts, "referral-loop-closed")}
    assert closed[stage.ids["first"]] == "declined"
    assert closed[stage.ids["second"]] == "admitted"
    [moved], [ended] = of(facts, "transfer-completed"), of(facts, "episode-discharged")
    assert ended.data["kind"] == "transferred"
    kept = [f.data for f in of(facts, "session-attended")][-1]
    assert kept["session_id"] == stage.ids["session"]
    assert kept["starts_at"] < moved.data["first_contact_at"]
    assert kept["minutes_credited"] == 180, "this program's until somebody else has seen them"


@pytest.mark.scenario(13)
async def test_story_13_withdrawal_care_first(cast: Played) -> None:
    stage = cast.stages[13]
    facts = cast.facts(13, "mia")
    assert in_order(
        facts,
        "assessment-completed",
        "eligibility-determined",
        "referral-sent",
        "partner-referral-accepted",
        "referral-loop-closed",
        "referral-loop-closed",
    )
    [found] = of(facts, "eligibility-determined")
    assert "withdrawal-management-needed" in found.data["unmet"]
    closed = {f.data["referral_id"]: f.data["outcome"] for f in of(facts, "referral-loop-closed")}
    assert closed[stage.ids["sent"]] == "admitted"
    assert not of(facts, "patient-admitted")
    back = cast.facts(13, "mia, back")
    assert in_order(
        back, "referral-received", "level-recommended", "patient-admitted", "session-attended"
    )
    assert stage.ids["seen"] == "within_7 within_30", "the day of leaving detox does not count"


@pytest.mark.scenario(14)
@pytest.mark.fact("3.3", "3.9", "3.11")
async def test_story_14_dual_diagnosis(cast: Played) -> None:
    dee, eli = cast.facts(14, "dee"), cast.facts(14, "eli")
    together = (
        "assessment-completed",
        "co-occurring-need-identified",
        "ancillary-service-added",
        "treatment-plan-activated",
    )
    assert in_order(dee, *together, "treatment-plan-review-due", "treatment-plan-reviewed")
    for facts in (dee, eli):
        assert of(facts, "assessment-completed")[0].data["co_occurring"] == "enhanced"
        assert of(facts, "co-occurring-need-identified")[0].data["enhanced_program_needed"] is True
        assert of(facts, "ancillary-service-added")[0].data["kind"] == "psychiatry"
    [active], [due] = of(dee, "treatment-plan-activated"), of(dee, "treatment-plan-review-due")
    signed_on = datetime.fromisoformat(active.data["clinician_signed_at"]).date()
    assert (date.fromisoformat(due.data["due_on"]) - signed_on).days == 14, "all of it, more often"

    assert in_order(
        eli,
        *together,
        "assessment-completed",
        "level-recommended",
        "treatment-plan-reviewed",
        "level-of-care-change-recommended",
        "referral-sent",
        "partner-referral-accepted",
        "transfer-completed",
        "referral-loop-closed",
    )
    again = of(eli, "level-recommended")[-1]
    assert again.data["level"]["code"] == "2.5"
    assert {"edition": "3", "number": 3} in again.data["drivers"]
    [ended] = of(eli, "episode-discharged")
    assert ended.data["kind"] == "transferred"
