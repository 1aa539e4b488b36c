"""What was recorded wrongly and is taken back: an end of each kind, and everybody goes on."""

from __future__ import annotations

from datetime import time
from typing import Any, Final

from demo.cast.company import Stage
from demo.cast.consents import PARTNER, consents
from demo.cast.levels import changes_level, goes_elsewhere
from demo.cast.partners import answers, asam, asks, ends, is_handed_over
from demo.cast.protagonist import Protagonist
from demo.cast.screens import blows, rewarded
from shared.decision import derive_id

BOSS: Final = "clinical_supervisor"
MANAGER: Final = "case_manager"
BY_MISTAKE: Final = {"reason": "not_intended"}


async def ended_by_mistake(stage: Stage) -> None:
    """18: Somebody is recorded in error, as dead, stepped down, graduated and seen elsewhere, and it never was so."""
    sam = stage.person("sam")
    await sam.on(0, time(13))
    await sam.is_in_treatment()
    ending = {"expires_on": None, "expires_with": "end_of_treatment"}
    stage.ids["sam's consent"] = await consents(sam, PARTNER, **ending)
    for path, said in (
        ("entered-in-error", "episode-entered-in-error"),
        ("entered-in-error/undo", "episode-entered-in-error-undone"),
    ):
        await sam.does(BOSS, "intake", f"/episodes/{sam.episode_id}/{path}", BY_MISTAKE, said)
    await sam.on(1)
    await sam.leaves("deceased")
    await sam.on(3)
    await taken_back(sam, "discharge", "discharge-undone")
    seen = await sam.sees("clinician", "intake", f"/episodes/{sam.episode_id}")
    stage.ids["sam is"] = seen["stage"]
    await changes_level(sam, "1", "down", although="clinical_judgement")
    await taken_back(sam, "loc-changes", "level-of-care-change-undone")
    await sam.week(7)
    await sam.on(11)
    await all_reviewed(sam)
    await reviewed_by_mistake(sam)
    await sam.graduates(12)
    await taken_back(sam, "graduation", "graduation-undone", "discharge-undone")
    await sam.on(13)
    await goes_elsewhere(sam, "mesa-residential", "residential", "3.5", 14)
    path = "transfer/first-contact"
    await taken_back(sam, path, "first-contact-undone", "discharge-undone")
    await taken_back(sam, "transfer", "transfer-undone")
    await _falls_through(stage, sam, "mesa-residential", "3.5")
    await sam.on(15)
    await sam.leaves()


async def _falls_through(stage: Stage, sam: Protagonist, partner: str, code: str) -> None:
    """The partner that has accepted has no bed when the hand-over is under way: he is not on his way any more."""
    level = asam(code)
    sent = await asks(sam, partner, "residential", level)
    await sam.after(hours=1)
    await answers(sam, sent, "accepted", appointment_at=sam.when(15).isoformat())
    await is_handed_over(sam, sent, partner, level, in_hours=20)
    await sam.after(hours=1)
    await ends(sam, sent, "declined")
    seen = await sam.sees("clinician", "followup", f"/episodes/{sam.episode_id}/journey")
    stage.ids["sam waits for"] = str(seen["awaiting"])


async def all_reviewed(one: Protagonist) -> None:
    """A clinician has looked at everything that is open, what passed while the end stood among it."""
    seen = await one.sees("clinician", "plans", f"/episodes/{one.episode_id}")
    for review_id, review in seen["reviews"].items():
        if review["open"]:
            body: dict[str, Any] = {**one.of, "outcome": "none", "drivers": []}
            path = f"/reviews/{review_id}/complete"
            await one.does("clinician", "plans", path, body, "clinical-review-completed")


async def reviewed_by_mistake(one: Protagonist) -> None:
    """The review of somebody else was meant: this one is open again, and is done."""
    seen = await one.sees("clinician", "plans", f"/episodes/{one.episode_id}")
    review_id = next(key for key, review in seen["reviews"].items() if review["completion"])
    wrong = {**one.of, **BY_MISTAKE}
    path = f"/reviews/{review_id}/complete/undo"
    await one.does(BOSS, "plans", path, wrong, "clinical-review-undone")
    await all_reviewed(one)


async def taken_back(one: Protagonist, what: str, *facts: str) -> None:
    """Someone who answers for the program takes an end or a change of level back."""
    path = f"/episodes/{one.episode_id}/{what}/undo"
    await one.does(BOSS, "plans", path, BY_MISTAKE, *facts)


async def recorded_by_mistake(stage: Stage) -> None:
    """18: A positive that the laboratory overturns, a miss that was none, and what was another person's."""
    tia = stage.person("tia")
    await tia.on(0, time(14))
    await tia.is_in_treatment()
    await _missed_twice(tia)
    await rewarded(tia, await tia.is_screened())
    await tia.on(3)
    await _overturned(stage, tia)
    await tia.on(6)
    await _anothers(tia)
    await tia.leaves()


async def _missed_twice(tia: Protagonist) -> None:
    """Two evenings in a row; then it turns out that she was there on the second."""
    sessions = [await tia.has_session(day, time(18)) for day in (0, 1)]
    for day, session_id in enumerate(sessions):
        await tia.on(day, time(21))
        await tia.attends(session_id, 0, "no_show")
    path = f"/attendance/{sessions[1]}/corrections"
    was_there = {
        **tia.of,
        "status": "attended",
        "minutes_present": 180,
        "reason": "entered_in_error",
    }
    await tia.on(2)
    await tia.does("counselor", "attendance", path, was_there)


async def _overturned(stage: Stage, tia: Protagonist) -> None:
    """A presumptive positive sets her rewards back, and the definitive test finds nothing; then that goes too."""
    screen_id = await tia.is_screened(["amphetamine"], stage="presumptive")
    screen = f"/screens/{screen_id}"
    seen = await tia.sees("clinician", "followup", f"/episodes/{tia.episode_id}")
    stage.ids["tia's failed"] = str(seen["screens_failed"])
    result: dict[str, Any] = {**tia.of, "stage": "definitive", "validity": "valid", "positives": []}
    await tia.does("nurse", "attendance", f"{screen}/results", result)
    await tia.does("clinician", "attendance", f"{screen}/interpret", tia.of, "screen-interpreted")
    seen = await tia.sees("clinician", "followup", f"/episodes/{tia.episode_id}")
    stage.ids["tia's overturned"] = str(seen["screens_failed"])
    wrong = {**tia.of, **BY_MISTAKE}
    path = f"{screen}/interpretation/undo"
    await tia.does("clinician", "attendance", path, wrong, "interpretation-undone")
    await tia.does("clinician", "attendance", f"{screen}/interpret", tia.of, "screen-interpreted")


async def _anothers(tia: Protagonist) -> None:
    """A refusal, a breath test, a meeting and a visit were written down for the wrong person."""
    wrong = {**tia.of, "reason": "wrong_person"}
    order = {**tia.of, "panel": "urine-12"}
    told = await tia.does("nurse", "attendance", "/screens", order, "screen-ordered")
    path = f"/screens/{told['screen_id']}/not-provided"
    await tia.does("nurse", "attendance", path, {**tia.of, "kind": "refused"})
    await tia.does("nurse", "attendance", f"{path}/undo", wrong, "screen-not-provided-undone")
    await _anothers_specimen(tia, wrong, order)
    blown = await blows(tia, "0.000", "negative")
    path = f"/breath-tests/{blown}/undo"
    await tia.does("nurse", "attendance", path, wrong, "breath-test-undone")
    met = {"attended_on": tia.now.date().isoformat(), "fellowship": "smart"}
    body = {**tia.of, **met, "verification": "self"}
    told = await tia.does("counselor", "attendance", "/mutual-support", body)
    path = f"/mutual-support/{told['meeting_id']}/undo"
    await tia.does("counselor", "attendance", path, wrong, "mutual-support-undone")
    mother = {"attendee_id": derive_id("demo", "story-18", "tia's mother")}
    visit = {**tia.of, **mother, "minutes_attended": 60, "patient_present": False}
    told = await tia.does("counselor", "attendance", "/family-sessions", visit)
    path = f"/family-sessions/{told['session_id']}/undo"
    await tia.does("counselor", "attendance", path, {**wrong, **mother}, "family-session-undone")


async def _anothers_specimen(
    tia: Protagonist, wrong: dict[str, Any], order: dict[str, Any]
) -> None:
    """A specimen, its result and the order itself, from the last to the first."""
    told = await tia.does("nurse", "attendance", "/screens", order)
    screen = f"/screens/{told['screen_id']}"
    of_it = {"screen_id": told["screen_id"]}
    await tia.does(
        "nurse", "attendance", f"{screen}/collect", tia.of, "specimen-collected", **of_it
    )
    result: dict[str, Any] = {**tia.of, "stage": "presumptive", "validity": "valid"}
    await tia.does("nurse", "attendance", f"{screen}/results", result, "screen-resulted", **of_it)
    of_stage = {**wrong, "stage": "presumptive"}
    path = f"{screen}/results/undo"
    await tia.does("clinician", "attendance", path, of_stage, "result-undone")
    path = f"{screen}/collect/undo"
    await tia.does("clinician", "attendance", path, wrong, "specimen-undone")
    await tia.does("clinician", "attendance", f"{screen}/undo", wrong, "screen-order-undone")


async def called_no_more(stage: Stage) -> None:
    """18: In the year after, the family says that somebody died; it was a namesake. Nobody calls meanwhile."""
    ugo = stage.person("ugo")
    await ugo.on(0, time(15))
    await ugo.is_in_treatment()
    await ugo.on(1)
    await ugo.leaves("against_advice")
    await ugo.on(2)
    path = "/circumstances"
    died = {**ugo.of, "kind": "deceased", "occurred_on": ugo.now.date().isoformat()}
    told = await ugo.does(MANAGER, "followup", path, died, "circumstance-recorded")
    reached = {"channel": "call", "result": "no_answer"}
    outreach = f"/episodes/{ugo.episode_id}/outreach"
    stage.ids["ugo called"] = await ugo.is_refused("counselor", "followup", outreach, reached)
    await ugo.on(3)
    wrong = {**ugo.of, "reason": "wrong_person"}
    undo = f"{path}/{told['circumstance_id']}/undo"
    await ugo.does(MANAGER, "followup", undo, wrong, "circumstance-undone")
    await _reported_by_mistake(ugo)
    await ugo.on(8)
    away = {**ugo.of, "kind": "hospitalized", "occurred_on": ugo.now.date().isoformat()}
    told = await ugo.does(MANAGER, "followup", path, away, "circumstance-recorded")
    await ugo.on(18)
    end = f"{path}/{told['circumstance_id']}/end"
    await ugo.does(MANAGER, "followup", end, ugo.of, "circumstance-ended")
    jailed = {**ugo.of, "kind": "incarcerated", "occurred_on": ugo.now.date().isoformat()}
    await ugo.does(MANAGER, "followup", path, jailed, "circumstance-recorded")


async def _reported_by_mistake(ugo: Protagonist) -> None:
    """The first check-in, a return to use and an emergency visit were another person's."""
    wrong = {**ugo.of, "reason": "wrong_person"}
    [first, *_] = await ugo.check_ins()
    await ugo.checks_in(first)
    path = f"/checkins/{first['check_in_id']}/undo"
    await ugo.does(MANAGER, "followup", path, wrong, "check-in-undone", "check-in-attempt-undone")
    used: dict[str, Any] = {"reported_by": "partner", "substance_class": "alcohol"}
    told = await ugo.does(
        MANAGER, "followup", "/return-to-use", {**ugo.of, **used, "overdose": False}
    )
    path = f"/return-to-use/{told['report_id']}/undo"
    await ugo.does(MANAGER, "followup", path, wrong, "return-to-use-undone")
    visit = {"kind": "ed_visit", "on": ugo.now.date().isoformat()}
    await ugo.does(MANAGER, "followup", "/transitions", {**ugo.of, **visit})
    await ugo.does(
        MANAGER, "followup", "/transitions/undo", {**wrong, **visit}, "transition-undone"
    )
