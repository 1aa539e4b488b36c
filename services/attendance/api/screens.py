"""Routes for toxicology screens and breath tests."""

from __future__ import annotations

import asyncio
import json
import secrets
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import AwareDatetime, Field, model_validator

from services.attendance.api import screen_views
from services.attendance.api.callers import Drawer, Interpreter, ScreenAmender, Staff
from services.attendance.api.subjects import EPISODE
from services.attendance.episode.values import Transport, WithdrawalSigns
from services.attendance.laboratory.interpretation import (
    DefinitiveReason,
    Report,
    Screen,
    UnableReason,
)
from services.attendance.laboratory.panels import (
    AnalyteOutcome,
    AnalyteResult,
    Measurements,
    temperature_in_range,
)
from services.attendance.screening import breath_tests, random_draw, screen_mistakes, screens
from services.attendance.settings import laboratory
from shared.contracts.attendance import (
    CustodyHolder,
    Matrix,
    NotProvidedKind,
    ScreenReason,
    ScreenStage,
    SpecimenValidity,
)
from shared.contracts.codes import AnalyteCode, Code, EpisodeId, PanelCode, ScreenId, StaffId
from shared.errors import Invalid, NotYetKnown
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId
from shared.runtime.http.json_answer import JsonAnswer, RecordAnswer
from shared.runtime.http.paging import left_out_field
from shared.runtime.http.retractions import TakeBackOf
from shared.runtime.http.shown import shows

router = APIRouter(tags=["screens"])

Amount = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]

DRAW_MAX: Final = 500
"""Read as the service starts, so that a wrong table stops it then and not at a result."""


class DrawScreens(Body):
    episode_ids: Annotated[list[EpisodeId], Field(min_length=1, max_length=DRAW_MAX)]
    panel: PanelCode = "urine-12"


class OrderScreen(Body):
    episode_id: EpisodeId
    matrix: Matrix = Matrix.URINE
    panel: PanelCode
    reason: ScreenReason = ScreenReason.RANDOM
    retest_of: ScreenId | None = None


class CollectSpecimen(OfEpisode):
    observed: bool = False
    observer_id: StaffId | None = None
    temperature_in_range: bool | None = None
    temperature_f: Annotated[float, Field(ge=30, le=150, allow_inf_nan=False)] | None = None
    temperature_read_after_minutes: Annotated[int, Field(ge=0, le=120)] = 0


class HandOn(OfEpisode):
    holder: CustodyHolder
    custody_sequence: Annotated[int, Field(ge=1, le=screens.CUSTODY_MAX)]


class AnalyteLine(Body):
    analyte: AnalyteCode
    outcome: AnalyteOutcome | None = None
    concentration_ng_ml: Amount | None = None
    cutoff_ng_ml: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> AnalyteLine:
        if self.outcome is None and self.concentration_ng_ml is None:
            raise ValueError("an outcome or a concentration")
        return self


class MeasuredLine(Body):
    creatinine_mg_dl: Amount | None = None
    specific_gravity: Annotated[float, Field(ge=0.9, le=1.2, allow_inf_nan=False)] | None = None
    ph: Annotated[float, Field(ge=0, le=14, allow_inf_nan=False)] | None = None
    nitrite_ug_ml: Amount | None = None
    foreign_substance: bool = False


class RecordResult(OfEpisode):
    stage: ScreenStage
    validity: SpecimenValidity | None = None
    positives: Annotated[tuple[AnalyteCode, ...], Field(max_length=50)] = ()
    analytes: Annotated[tuple[AnalyteLine, ...], Field(max_length=50)] = ()
    measured: MeasuredLine | None = None
    reported_at: AwareDatetime | None = None


class UndoResult(TakeBackOf):
    """Which of the results of a screen is another specimen's, and why it is here."""

    stage: ScreenStage


class AskDefinitive(OfEpisode):
    reason: DefinitiveReason


class NotProvided(OfEpisode):
    kind: NotProvidedKind
    unable_reason: UnableReason | None = None


class RecordBreathTest(OfEpisode):
    value_g_per_210l: Annotated[
        Decimal, Field(ge=0, le=Decimal("0.6"), max_digits=4, decimal_places=3)
    ]
    device_id: Code
    observed_minutes: Annotated[int, Field(ge=0, le=240)]
    retest_of: ScreenId | None = None


class RecordDeparture(OfEpisode):
    transport: Transport
    withdrawal_signs: WithdrawalSigns


@router.post("/screens/draw")
@shows(screen_views.DrawView)
async def draw_screens(call: Drawer, body: DrawScreens) -> JsonAnswer:
    """Draw who is screened today, once a day for the people of a roster: each by a lot of a cryptographic generator.

    Whoever is drawn is notified by that. Nothing is decided, kept or told about any other day. Repeated with the same
    key, the command answers as before. Whose record can't be read is not drawn, and stands in `left_out`.
    """
    if len(set(body.episode_ids)) != len(body.episode_ids):
        raise Invalid(
            "roster-repeats",
            "Someone stands on the roster twice.",
            hint="Name each person once.",
        )
    left_out: set[str] = set()
    known = await call.readable_states([EPISODE(one) for one in body.episode_ids], left_out)
    if any(state.admission is None for state in known.values()):
        raise NotYetKnown("episode")
    episodes = [one for one in body.episode_ids if EPISODE(one).name in known]
    answers = await asyncio.gather(*(_drawn(call, one, body.panel) for one in episodes))
    drawn = [
        {"episode_id": episode, "screen_id": answer["screen_id"]}
        for episode, answer in zip(episodes, answers, strict=True)
        if answer["drawn"]
    ]
    answer = {"drawn": drawn, "not_drawn": len(answers) - len(drawn)}
    return JsonAnswer({**answer, **left_out_field(left_out)})


async def _drawn(call: Call, episode_id: str, panel: str) -> dict[str, Any]:
    lot = secrets.randbelow(random_draw.LOTS)
    response = await call.execute(
        EPISODE(episode_id), lambda state, cause: random_draw.draw(state, panel, lot, cause)
    )
    return json.loads(bytes(response.body))


@router.post("/screens", status_code=201)
@shows(screen_views.Ordered)
async def order_screen(call: Staff, body: OrderScreen) -> RecordAnswer:
    """Notify a person of a screen. Who orders it again while it is waited for is answered with the same screen."""
    new = screens.NewScreen(
        matrix=body.matrix, panel=body.panel, reason=body.reason, retest_of=body.retest_of
    )
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screens.order(state, new, cause),
        status=201,
    )


@router.post("/screens/{screen_id}/collect")
async def collect_specimen(
    call: Staff, screen_id: SubjectId, body: CollectSpecimen
) -> RecordAnswer:
    """Record that the specimen was taken and sealed. A temperature is kept here only as in range or not."""
    in_range = body.temperature_in_range
    if body.temperature_f is not None:
        in_range = temperature_in_range(body.temperature_f, body.temperature_read_after_minutes)
    collection = screens.Collection(
        observed=body.observed, observer_id=body.observer_id, temperature_in_range=in_range
    )
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screens.collect(state, screen_id, collection, cause),
    )


@router.post("/screens/{screen_id}/undo")
async def undo_order(call: ScreenAmender, screen_id: SubjectId, body: TakeBackOf) -> RecordAnswer:
    """Take back an order, such as one for another person. Nobody is expected for it any more."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screen_mistakes.undo_order(state, screen_id, body.reason, cause),
    )


@router.post("/screens/{screen_id}/collect/undo")
async def undo_specimen(
    call: ScreenAmender, screen_id: SubjectId, body: TakeBackOf
) -> RecordAnswer:
    """Take back a specimen that is none of this person's, with its results and what was made of them."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screen_mistakes.undo_specimen(state, screen_id, body.reason, cause),
        wait_for_handoffs=True,
    )


@router.post("/screens/{screen_id}/custody")
@shows(screen_views.HandedOn)
async def hand_on(call: Staff, screen_id: SubjectId, body: HandOn) -> RecordAnswer:
    """Record the next link of the chain of custody. The collection is link 1; a gap is refused."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screens.hand_on(
            state, screen_id, body.holder, body.custody_sequence, cause
        ),
    )


@router.post("/screens/{screen_id}/not-provided")
async def not_provided(call: Staff, screen_id: SubjectId, body: NotProvided) -> RecordAnswer:
    """Record why there is no specimen; with `unable`, what was found when the person was asked."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screens.not_provided(
            state, screen_id, body.kind, body.unable_reason, cause
        ),
    )


@router.post("/screens/{screen_id}/not-provided/undo")
async def undo_not_provided(
    call: ScreenAmender, screen_id: SubjectId, body: TakeBackOf
) -> RecordAnswer:
    """Take back that there is no specimen, such as a refusal that was another person's."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screen_mistakes.undo_not_provided(
            state, screen_id, body.reason, cause
        ),
    )


@router.post("/screens/{screen_id}/results")
async def record_result(call: Staff, screen_id: SubjectId, body: RecordResult) -> RecordAnswer:
    """Record a result. It is interpreted by a clinician before anyone else hears what it means.

    `reported_at` is when the laboratory reported it: of one stage the latest report holds, whichever arrives last.
    """
    if body.validity is None and body.measured is None:
        raise Invalid(
            "validity-missing",
            "A result says whether the specimen can be judged.",
            hint="Send `validity`, or what was `measured`.",
        )
    measured = None if body.measured is None else Measurements(**body.measured.model_dump())
    report = Report(
        stage=body.stage,
        validity=body.validity,
        positives=tuple(sorted(set(body.positives))),
        analytes=tuple(AnalyteResult(**line.model_dump()) for line in body.analytes),
        measured=measured,
        reported_at=body.reported_at,
    )
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screens.record_result(state, screen_id, report, laboratory(), cause),
    )


@router.post("/screens/{screen_id}/results/undo")
async def undo_result(call: ScreenAmender, screen_id: SubjectId, body: UndoResult) -> RecordAnswer:
    """Take back a result that is of another specimen, and what was made of it."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screen_mistakes.undo_result(
            state, screen_id, body.stage, body.reason, cause
        ),
        wait_for_handoffs=True,
    )


@router.post("/screens/{screen_id}/definitive")
async def ask_definitive(
    call: Interpreter, screen_id: SubjectId, body: AskDefinitive
) -> RecordAnswer:
    """Send a specimen for a definitive test, because its result is contested or consequential."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screens.ask_definitive(state, screen_id, body.reason, cause),
    )


@router.post("/screens/{screen_id}/interpret")
@shows(screen_views.Interpreted)
async def interpret_screen(
    call: Interpreter, screen_id: SubjectId, body: OfEpisode
) -> RecordAnswer:
    """Interpret a result against what is prescribed."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screens.interpret(state, screen_id, cause),
        wait_for_handoffs=True,
    )


@router.post("/screens/{screen_id}/interpretation/undo")
async def undo_interpretation(
    call: ScreenAmender, screen_id: SubjectId, body: TakeBackOf
) -> RecordAnswer:
    """Take back what was made of a result; it waits to be interpreted again."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: screen_mistakes.undo_interpretation(
            state, screen_id, body.reason, cause
        ),
        wait_for_handoffs=True,
    )


@router.get("/screens/{screen_id}")
@shows(screen_views.SCREEN, screen_views.ScreenView)
async def read_screen(
    call: Interpreter, screen_id: SubjectId, episode_id: EpisodeId
) -> RecordAnswer:
    """One screen for those who interpret it: its chain, its results and what was made of them."""
    return await call.read(
        EPISODE(episode_id), lambda state: _screen_view(screens.of(state, screen_id))
    )


@router.post("/breath-tests", status_code=201)
@shows(screen_views.BreathTested)
async def record_breath_test(call: Staff, body: RecordBreathTest) -> RecordAnswer:
    """Record a breath test. A first positive is to be repeated after 15 minutes, and only the second one says so.

    The same reading of the same device within 15 minutes is the test on file.
    """
    reading = breath_tests.Reading(
        mg_per_210l=int(body.value_g_per_210l * 1000),
        device_id=body.device_id,
        observed_minutes=body.observed_minutes,
        retest_of=body.retest_of,
    )
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: breath_tests.record(state, reading, cause),
        status=201,
        wait_for_handoffs=True,
    )


@router.post("/breath-tests/{screen_id}/departure")
async def record_departure(
    call: Staff, screen_id: SubjectId, body: RecordDeparture
) -> RecordAnswer:
    """Record how a person with a confirmed positive test got home, and what the look for withdrawal found."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: breath_tests.departed(
            state, screen_id, body.transport, body.withdrawal_signs, cause
        ),
    )


@router.post("/breath-tests/{screen_id}/undo")
async def undo_breath_test(
    call: ScreenAmender, screen_id: SubjectId, body: TakeBackOf
) -> RecordAnswer:
    """Take back a breath test that was recorded by mistake."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: breath_tests.undo(state, screen_id, body.reason, cause),
        wait_for_handoffs=True,
    )


def _screen_view(screen: Screen) -> dict[str, Any]:
    view = screen.model_dump(mode="json")
    return {**view, "stage": screen.stage, "closed": screen.closed}
