"""An episode that was entered in error, or merged, by mistake: it goes on as it was, and nobody is forgotten."""

from __future__ import annotations

import pytest

from services.intake.app import SERVICE
from shared.contracts import intake
from tests.unit.intake.partners import register
from tests.unit.intake.test_intake_mistakes import STAGES, Path
from tests.unit.served import Served, refused

WHY = {"reason": "not_intended"}
DAYS = (0, 30)


@pytest.fixture
async def served() -> Served:
    return await register(Served(SERVICE))


@pytest.mark.parametrize("days", DAYS)
@pytest.mark.parametrize("stage", STAGES)
async def test_an_episode_that_was_no_error_goes_on_as_it_was(
    served: Served, stage: str, days: int
) -> None:
    path = await Path.until(served, stage)
    before, person = path.state, path.person
    served.acting_as("clinical_supervisor")
    await served.does(f"/episodes/{path.id}/entered-in-error", WHY)
    assert not path.state.loops
    assert not path.state.deadlines
    await served.after(days=days)
    served.acting_as("clinical_supervisor")
    await served.does(f"/episodes/{path.id}/entered-in-error/undo", WHY)
    assert len(path.of(intake.EpisodeEnteredInErrorUndone)) == 1
    assert (path.person.episodes, path.person.places) == (person.episodes, person.places)
    if not days:
        assert path.state == before
    await served.after(hours=1)
    assert path.state.loops.keys() == before.loops.keys()
    assert path.state.admission == before.admission
    if before.loops and days:
        assert all(loop.step for loop in path.state.loops.values()), "somebody is told at once"
    refused(
        await served.acting_as("clinical_supervisor").post(
            f"/episodes/{path.id}/entered-in-error/undo", WHY
        ),
        409,
        "not-entered-in-error",
    )


@pytest.mark.parametrize("days", DAYS)
async def test_a_merge_that_was_none_goes_on_beside_the_other(served: Served, days: int) -> None:
    first = await Path.until(served, "admitted")
    second = await Path.until(served, "placed", first.person_id)
    before = second.state
    assert (await second.merge(first.id)).status_code == 200
    await served.after(days=days)
    served.acting_as("clinical_supervisor")
    wrong = await served.post(f"/episodes/{second.id}/entered-in-error/undo", WHY)
    refused(wrong, 409, "not-entered-in-error")
    await served.does(f"/referrals/{second.id}/merge/undo", WHY)
    [event] = second.of(intake.ReferralMergedUndone)
    assert event.into_episode_id == first.id
    assert second.person.episodes == {first.id: True, second.id: True}
    await served.after(hours=1)
    assert second.state.loops.keys() == before.loops.keys()
    assert second.state.merged_into is None
    served.acting_as("clinical_supervisor")
    refused(await served.post(f"/referrals/{second.id}/merge/undo", WHY), 409, "not-merged")


async def test_a_mistake_can_be_made_and_taken_back_again(served: Served) -> None:
    path = await Path.until(served, "oriented")
    before = path.state
    for _ in range(2):
        for route in ("entered-in-error", "entered-in-error/undo"):
            served.acting_as("clinical_supervisor")
            await served.does(f"/episodes/{path.id}/{route}", WHY)
    assert path.state == before


async def test_who_answers_for_the_program_takes_it_back(served: Served) -> None:
    path = await Path.until(served, "oriented")
    served.acting_as("clinical_supervisor")
    await served.does(f"/episodes/{path.id}/entered-in-error", WHY)
    served.acting_as("clinician")
    refused(
        await served.post(f"/episodes/{path.id}/entered-in-error/undo", WHY),
        403,
        "role-not-allowed",
    )
