"""Stories of weeks: sessions missed and somebody reaching out, hours that fall short, and hours never offered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any, Final

from demo.cast.company import Stage, Story
from demo.cast.protagonist import BEGINS_ON, Protagonist
from demo.cast.screens import reviewed
from demo.journal import Expects

MON, TUE, WED, THU, FRI, SAT = range(7, 13)
"""The days of the second week, which is whole for everybody."""
BACK: Final = 18
"""The day after a pause of a week that begins on the second Thursday."""
EVENING: Final = time(18)
END: Final = time(21)
BEGINS: Final = {MON: EVENING, WED: time(17, 30), THU: time(17, 10), FRI: time(10)}
ROLLS: Final = {MON: END, WED: time(20, 30), THU: time(20, 10), FRI: time(13)}
"""When three hours end and rolls are called: each before the day that outreach has since the last one is over."""
WEEK: Final = (BEGINS_ON + timedelta(days=7)).isoformat()


# --- 7 ---------------------------------------------------------------------------------------------------


async def no_show(stage: Stage) -> None:
    """7: A miss is followed up within a day; two, a review; three, a conference; coming back ends it at any stage."""
    stage.beside(reached_the_next_day(stage))
    stage.beside(back_after_two(stage))
    stage.beside(silent_for_a_week(stage))
    stage.beside(paused_for_a_week(stage))
    await back_after_three(stage)


async def reached_the_next_day(stage: Stage) -> None:
    """7: Called in the morning, reached at noon: nothing escalates."""
    uma = stage.person("uma")
    groups = await _begins(uma, 0)
    await _roll(uma, groups, MON, 0)
    await uma.on(TUE, time(10))
    await _reaches_out(uma, "call", "no_answer")
    await uma.on(TUE, time(12))
    await _reaches_out(uma, "sms", "reached")
    for day in (WED, THU):
        await _roll(uma, groups, day, 180)
    await _leaves_on_friday(uma)


async def back_after_two(stage: Stage) -> None:
    """7: Nobody calls in time; after two in a row a clinician does, and a review asks what keeps the person away."""
    vic = stage.person("vic")
    groups = await _begins(vic, 1)
    for day in (MON, WED):
        await _roll(vic, groups, day, 0)
    await vic.on(THU, time(10))
    await reviewed(vic, "absence", "intensify")
    await _roll(vic, groups, THU, 180)
    await _leaves_on_friday(vic)


async def back_after_three(stage: Stage) -> None:
    """7: Three in a row: a retention conference, and the person comes back on the day after."""
    wes = stage.person("wes")
    groups = await _begins(wes, 2)
    for day in (MON, WED):
        await _roll(wes, groups, day, 0)
    await wes.on(THU, time(10))
    await reviewed(wes, "absence", "intensify")
    await _roll(wes, groups, THU, 0)
    seen = await wes.sees("case_manager", "followup", f"/episodes/{wes.episode_id}")
    stage.ids["conference"] = seen["outreach"]["owner_role"]
    await wes.on(FRI)
    groups[FRI] = await wes.has_session(FRI, time(10))
    await _roll(wes, groups, FRI, 180)
    await reviewed(wes, "absence", "intensify")
    await _leaves_on_friday(wes)


async def silent_for_a_week(stage: Stage) -> None:
    """7: Every absence is excused, and still nobody saw the person for seven days: a welfare contact."""
    xia = stage.person("xia")
    groups = await _begins(xia, 3)
    for day in groups:
        await xia.on(day, ROLLS[day])
        await xia.attends(groups[day], status="excused")
    await xia.on(SAT, time(10))
    await _reaches_out(xia, "call", "reached")
    await reviewed(xia, "absence", "none")
    await xia.leaves()
    await xia.on(14)


async def paused_for_a_week(stage: Stage) -> None:
    """7: In a program that pauses after three misses: no group for a week, a call, and the return is somebody's."""
    pia = stage.person("pia")
    groups = await _begins(pia, 4, program="structured-evenings")
    for day in (MON, WED, THU):
        await _roll(pia, groups, day, 0)
    await pia.on(FRI, time(10))
    asked = {
        "modality": "family",
        "starts_at": pia.when(14, EVENING).isoformat(),
        "minutes_planned": 180,
        "roster": [pia.episode_id],
    }
    stage.ids["refused"] = await pia.is_refused("counselor", "attendance", "/sessions", asked)
    await _reaches_out(pia, "call", "reached")
    groups[BACK] = await pia.has_session(BACK, EVENING)
    seen = await pia.sees("clinician", "attendance", f"/episodes/{pia.episode_id}")
    stage.ids["waits"] = ", ".join(sorted(loop["kind"] for loop in seen["loops"].values()))
    await pia.on(BACK, END)
    await pia.attends(groups[BACK])
    await pia.leaves()
    await pia.on(21)


async def _begins(one: Protagonist, minutes: int, **admission: Any) -> dict[int, str]:
    """In treatment, there all week and on Friday too, and booked for the next. People begin minutes apart."""
    await one.on(0, time(9, minutes))
    await one.is_in_treatment(**admission)
    await one.week(0)
    alone = await one.has_session(4, EVENING, 60, modality="individual")
    await one.on(4, time(19))
    await one.attends(alone, 60)
    await one.on(MON)
    return {day: await one.has_session(day, BEGINS[day]) for day in (MON, WED, THU)}


async def _roll(one: Protagonist, groups: Mapping[int, str], day: int, minutes: int) -> None:
    """The roll of one day's group: there, or nobody knows where."""
    await one.on(day, ROLLS[day])
    await one.attends(groups[day], minutes, "attended" if minutes else "no_show")


async def _reaches_out(one: Protagonist, channel: str, result: str) -> None:
    path, body = f"/episodes/{one.episode_id}/outreach", {"channel": channel, "result": result}
    await one.does("counselor", "followup", path, body)


async def _leaves_on_friday(one: Protagonist) -> None:
    await one.on(FRI)
    await one.leaves()
    await one.on(14)


# --- 8 ---------------------------------------------------------------------------------------------------


async def below_nine_hours(stage: Stage) -> None:
    """8: Foreseen on Wednesday and mended on Friday; not mended, and reviewed; never offered, and nobody's fault."""
    stage.beside(not_mended(stage))
    stage.beside(never_offered(stage))
    await mended(stage)


async def mended(stage: Stage) -> None:
    """8: 420 minutes are foreseen on Wednesday; a make-up is booked, and the week ends with 540."""
    yul = stage.person("yul")
    await _short_on_monday(yul, 0)
    make_up = await yul.has_session(FRI, time(17), 120)
    await _is_moved(yul, make_up, FRI, EVENING)
    await yul.on(FRI, time(20))
    await yul.attends(make_up, 120)
    await yul.on(14)
    await yul.leaves()


async def not_mended(stage: Stage) -> None:
    """8: Half of the make-up: 480 minutes, 60 short, a review, and no discharge."""
    zoe = stage.person("zoe")
    await _short_on_monday(zoe, 1)
    make_up = await zoe.has_session(FRI, EVENING, 120)
    await zoe.on(FRI, time(20))
    await zoe.attends(make_up, 60, "late")
    await zoe.on(14)
    stage.ids["review"] = await reviewed(zoe, "hours", "intensify")
    await zoe.leaves()


async def never_offered(stage: Stage) -> None:
    """8: The program cancels Thursday: 360 are offered and credited, which is the program's matter."""
    abe = stage.person("abe")
    await abe.on(0, time(9, 2))
    await abe.is_in_treatment()
    await abe.week(0)
    await abe.on(MON)
    sessions = [await abe.has_session(day, EVENING) for day in (MON, WED, THU)]
    for day, session_id in zip((MON, WED), sessions, strict=False):
        await abe.on(day, END)
        await abe.attends(session_id)
    await abe.on(THU, time(12))
    path = f"/sessions/{sessions[-1]}/cancel"
    await abe.does("counselor", "attendance", path, {"cancelled_by": "clinician"})
    await abe.does(
        "counselor",
        "attendance",
        f"{path}/undo",
        expects=_of(sessions[-1], "session-cancellation-undone"),
    )
    await abe.does("counselor", "attendance", path, {"cancelled_by": "program"})
    await abe.on(14)
    stage.ids["before"] = await _waits_for_hours(abe)
    path = f"/episodes/{abe.episode_id}/weeks/{WEEK}/hours-restored"
    await abe.does("program_director", "plans", path)
    stage.ids["after"] = await _waits_for_hours(abe)
    await abe.leaves()


async def _is_moved(one: Protagonist, session_id: str, day: int, hour: time) -> None:
    """A session takes place an hour later than was thought."""
    path, body = (
        f"/sessions/{session_id}/reschedule",
        {"starts_at": one.when(day, hour).isoformat()},
    )
    expects = _of(session_id, "session-rescheduled")
    await one.does("counselor", "attendance", path, body, expects=expects)


def _of(session_id: str, name: str) -> Expects:
    """A fact that must follow about a session, whichever record its calendar is."""
    return lambda _answer: ((f"care.attendance.{name}.v1", f"session/{session_id}", {}),)


async def _waits_for_hours(one: Protagonist) -> str:
    """Whose the loop of hours not offered is; empty when there is none."""
    seen = await one.sees("clinician", "plans", f"/episodes/{one.episode_id}")
    loops = [loop for loop in seen["loops"].values() if loop["kind"] == "program_hours"]
    return loops[0]["owners"][loops[0]["step"]] if loops else ""


async def _short_on_monday(one: Protagonist, minutes: int) -> None:
    """An hour of three on Monday, all of Wednesday; the Thursday to come. Thursday is attended too."""
    await one.on(0, time(9, minutes))
    await one.is_in_treatment()
    await one.week(0)
    await one.on(MON)
    sessions = [await one.has_session(day, EVENING) for day in (MON, WED, THU)]
    for day, session_id, present in zip((MON, WED, THU), sessions, (60, 180, 180), strict=True):
        await one.on(day, END)
        await one.attends(session_id, present, "attended" if present == 180 else "left_early")


STORIES = (
    Story(7, "No-show", no_show),
    Story(8, "Hours below nine", below_nine_hours),
)
