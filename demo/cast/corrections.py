"""Stories of what comes late, twice or wrong: results, rolls and retries; people on duty, and mistakes taken back."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any, Final

from demo.cast.company import Stage, Story
from demo.cast.consents import PARTNER, consents, may_tell
from demo.cast.partners import is_closed
from demo.cast.protagonist import Protagonist
from demo.cast.screens import rewarded
from demo.cast.undone import called_no_more, ended_by_mistake, recorded_by_mistake
from shared.decision import derive_id

EVENING: Final = time(18)
NIGHT: Final = time(21)


# --- 17 -------------------------------------------------------------------------------------------------


async def late_and_twice(stage: Stage) -> None:
    """17: Results come twice and in the wrong order, a roll comes late, a correction reopens a week that was closed."""
    nia = stage.person("nia")
    await nia.on(0)
    await nia.is_in_treatment()
    missed = await _first_week(nia)
    stage.ids["missed"] = missed
    stage.ids["screen"] = await _results_out_of_order(nia)
    await nia.on(9)
    told = {
        **nia.of,
        "status": "attended",
        "minutes_present": 180,
        "reason": "late_documentation",
    }
    await nia.does("counselor", "attendance", f"/attendance/{missed}/corrections", told)
    stage.ids["late"] = await _roll_called_late(nia)
    await _retried(stage, nia)
    await nia.on(21)
    await nia.leaves()


async def _first_week(nia: Protagonist) -> str:
    """A week that ends too short, because the roll does not know that the person was there on Wednesday."""
    await nia.week(0, (180,))
    missed = await nia.has_session(2, EVENING)
    await nia.on(2, NIGHT)
    await nia.attends(missed, 0, "no_show")
    thursday = await nia.has_session(3, EVENING)
    await nia.on(3, NIGHT)
    await nia.attends(thursday)
    return missed


async def _results_out_of_order(nia: Protagonist) -> str:
    """The definitive result is here before the presumptive one, and then once more."""
    await nia.on(7)
    told = await nia.does("nurse", "attendance", "/screens", {**nia.of, "panel": "urine-12"})
    screen = f"/screens/{told['screen_id']}"
    await nia.does("nurse", "attendance", f"{screen}/collect", {**nia.of, "observed": True})
    await nia.does(
        "nurse",
        "attendance",
        f"{screen}/custody",
        {**nia.of, "holder": "laboratory", "custody_sequence": 2},
        "custody-transferred",
    )
    await nia.after(hours=2)
    reported = nia.now
    await nia.after(hours=20)
    first = {"stage": "presumptive", "validity": "valid", "positives": ["cocaine"]}
    second: dict[str, Any] = {"stage": "definitive", "validity": "valid", "positives": []}
    for result, hours in ((second, 10), (first, 0), (second, 10)):
        told_at = (reported + timedelta(hours=hours)).isoformat()
        body = {**nia.of, **result, "reported_at": told_at}
        await nia.does("nurse", "attendance", f"{screen}/results", body)
    await nia.does("clinician", "attendance", f"{screen}/interpret", nia.of, "screen-interpreted")
    return str(told["screen_id"])


async def _roll_called_late(nia: Protagonist) -> str:
    """The second week: one roll is called only when the week is over and a supervisor has asked for it."""
    late = await nia.has_session(10, EVENING)
    await nia.on(15)
    await nia.attends(late)
    return late


async def _retried(stage: Stage, nia: Protagonist) -> None:
    """An answer got lost on the way, and the client sends the command again with its key."""
    await nia.after(minutes=1)
    body = {**nia.of, "attended_on": nia.now.date().isoformat(), "fellowship": "smart"}
    answers = [
        await stage.staff.does(
            "counselor",
            "attendance",
            "/mutual-support",
            {**body, "verification": "self"},
            who=f"{nia.label}/retried",
        )
        for _ in range(2)
    ]
    assert answers[0] == answers[1]


# --- 18 -------------------------------------------------------------------------------------------------


async def the_house(stage: Stage) -> None:
    """18: Who holds what, who stands in, and the mistakes that every service takes back."""
    stage.beside(never_existed(stage))
    stage.beside(somebody_elses(stage))
    stage.beside(admitted_by_mistake(stage))
    stage.beside(given_back(stage))
    stage.beside(ended_by_mistake(stage))
    stage.beside(recorded_by_mistake(stage))
    stage.beside(called_no_more(stage))
    await on_duty(stage)


def staff_id(name: str) -> str:
    """A member of the staff."""
    return derive_id("demo", "story-18", name)


async def on_duty(stage: Stage) -> None:
    """18: A counselor is away; the deputy has the work meanwhile, and a colleague after the hand-over."""
    uma = stage.person("uma")
    ada, ben, cleo = staff_id("ada"), staff_id("ben"), staff_id("cleo")
    await uma.on(0)
    await uma.is_in_treatment()
    team = f"/episodes/{uma.episode_id}/team"
    given = {"role": "counselor", "staff_id": ada}
    boss = "clinical_supervisor"
    await uma.does(boss, "intake", team, given, "care-team-assigned", method="PUT", staff_id=ada)
    await uma.on(1)
    away = await uma.does(
        boss,
        "intake",
        f"/staff/{ada}/absences",
        {
            "from_at": uma.when(2).isoformat(),
            "until_at": uma.when(12).isoformat(),
            "deputy_id": ben,
        },
        "staff-absence-planned",
    )
    session_id = await uma.has_session(2, EVENING)
    await uma.on(2, NIGHT)
    await uma.attends(session_id, 0, "no_show")
    await uma.on(3)
    stage.ids["deputy"] = " ".join(await _work_of(uma, ben))
    stage.ids["away"] = " ".join(await _work_of(uma, ada))
    back = f"/staff/{ada}/absences/{away['absence_id']}/end"
    await uma.does(boss, "intake", back, {}, "staff-absence-ended")
    stage.ids["back"] = " ".join(await _work_of(uma, ada))
    await uma.does(boss, "intake", f"/staff/{ada}/hand-over", {"to_id": cleo})
    stage.ids["colleague"] = " ".join(await _work_of(uma, cleo))
    answered = {"channel": "call", "result": "reached"}
    await uma.does("counselor", "followup", f"/episodes/{uma.episode_id}/outreach", answered)
    nobody = {"role": "counselor", "staff_id": None}
    await uma.does(boss, "intake", team, nobody, "care-team-role-vacated", method="PUT")
    await uma.on(7)
    await uma.leaves()


async def _work_of(one: Protagonist, staff: str) -> list[str]:
    """What somebody has to do about this person, as followup's work list has it."""
    seen = await one.sees("clinical_supervisor", "followup", f"/tasks?staff_id={staff}")
    return [item["kind"] for item in seen["tasks"] if item["subject"] == one.subject]


async def never_existed(stage: Stage) -> None:
    """18: An episode was entered in error: no service does anything more about it."""
    ola = stage.person("ola")
    await ola.on(0, time(10))
    await ola.is_in_treatment()
    session_id = await ola.has_session(0, EVENING)
    await ola.on(0, NIGHT)
    await ola.attends(session_id)
    await ola.has_session(2, EVENING)
    await ola.on(1)
    path = f"/episodes/{ola.episode_id}/entered-in-error"
    await ola.does(
        "program_director", "intake", path, {"reason": "test_entry"}, "episode-entered-in-error"
    )
    refused = [
        await ola.is_refused(role, service, where, body)
        for role, service, where, body in _one_of_each(ola)
    ]
    stage.ids["void"] = " ".join(refused)


def _one_of_each(one: Protagonist) -> list[tuple[str, str, str, dict[str, Any]]]:
    """A command to every service."""
    episode = f"/episodes/{one.episode_id}"
    reached = {"channel": "call", "result": "reached"}
    return [
        ("intake_coordinator", "intake", f"/referrals/{one.episode_id}/ack", {}),
        ("clinician", "plans", f"{episode}/discharge", {"kind": "administrative"}),
        ("nurse", "attendance", "/screens", {**one.of, "panel": "urine-12"}),
        ("counselor", "followup", f"{episode}/outreach", reached),
    ]


async def somebody_elses(stage: Stage) -> None:
    """18: An episode was written down as another's; once it is corrected, a second referral is merged into it."""
    pia, quin = stage.person("pia"), stage.person("quin")
    await pia.on(0, time(11))
    await pia.is_in_treatment()
    await pia.week(0)
    await quin.on(7, time(11))
    await quin.is_referred()
    boss = "clinical_supervisor"
    stage.ids["different"] = await pia.is_refused(
        boss, "intake", f"/referrals/{quin.episode_id}/merge", {"into_episode_id": pia.episode_id}
    )
    stage.ids["was"] = pia.person_id
    path = f"/episodes/{pia.episode_id}/person"
    whose = {"person_id": quin.person_id}
    await pia.does(boss, "intake", path, whose, "episode-person-corrected")
    path = f"/referrals/{quin.episode_id}/merge"
    into = {"into_episode_id": pia.episode_id}
    wrong = {"reason": "not_intended"}
    await quin.does(boss, "intake", path, into, "referral-merged")
    await quin.does(boss, "intake", f"{path}/undo", wrong, "referral-merged-undone")
    await quin.does(boss, "intake", path, into, "referral-merged")
    await pia.on(8)
    await pia.leaves()


async def given_back(stage: Stage) -> None:
    """18: An episode is given to the wrong person and, days later, back: what had ended with treatment holds again."""
    tia, sol = stage.person("tia"), stage.person("sol")
    await tia.on(0, time(13))
    await tia.is_in_treatment()
    form = {"expires_on": None, "expires_with": "end_of_treatment"}
    stage.ids["lives"] = await consents(tia, PARTNER, **form)
    await sol.on(1, time(13))
    await sol.is_referred()
    path = f"/episodes/{tia.episode_id}/person"
    boss, corrected = "clinical_supervisor", "episode-person-corrected"
    await tia.does(boss, "intake", path, {"person_id": sol.person_id}, corrected)
    await tia.on(4)
    assert not await may_tell(tia, PARTNER)
    await tia.does(boss, "intake", path, {"person_id": tia.person_id}, corrected)
    assert await may_tell(tia, PARTNER)
    await is_closed(sol)
    await tia.on(7)
    await tia.leaves()


async def admitted_by_mistake(stage: Stage) -> None:
    """18: An admission is undone, and the person admitted to the program that was meant."""
    rob = stage.person("rob")
    await rob.on(0, time(12))
    await rob.is_referred()
    assert await rob.is_assessed()
    await rob.is_admitted(weeks=8)
    await rewarded(rob, await rob.is_screened())
    path = f"/episodes/{rob.episode_id}/admission/undo"
    why = {"reason": "wrong_program"}
    await rob.does("program_director", "intake", path, why, "admission-undone")
    seen = await rob.sees("clinician", "intake", f"/episodes/{rob.episode_id}")
    stage.ids["before"] = seen["stage"]
    await rob.on(1)
    await rob.is_admitted(weeks=6)
    await rob.has_a_plan()
    await rob.on(7)
    await rob.leaves()


STORIES = (
    Story(17, "Late, twice and corrected", late_and_twice),
    Story(18, "People on duty and mistakes", the_house),
)
