"""What was recorded wrongly and is taken back: an end of each kind, and everybody goes on."""

from __future__ import annotations

from datetime import time
from typing import Any, Final

from demo.cast.company import Stage
from demo.cast.consents import PARTNER, consents
from demo.cast.levels import goes_elsewhere
from demo.cast.protagonist import Protagonist

BOSS: Final = "clinical_supervisor"
BY_MISTAKE: Final = {"reason": "not_intended"}


async def ended_by_mistake(stage: Stage) -> None:
    """18: Somebody is recorded as dead, graduated and seen elsewhere, and each time it was not so."""
    sam = stage.person("sam")
    await sam.on(0, time(13))
    await sam.is_in_treatment()
    ending = {"expires_on": None, "expires_with": "end_of_treatment"}
    stage.ids["sam's consent"] = await consents(sam, PARTNER, **ending)
    await sam.on(1)
    await sam.leaves("deceased")
    await sam.on(3)
    await taken_back(sam, "discharge", "discharge-undone")
    seen = await sam.sees("clinician", "intake", f"/episodes/{sam.episode_id}")
    stage.ids["sam is"] = seen["stage"]
    await sam.week(7)
    await sam.on(11)
    await all_reviewed(sam)
    await sam.graduates(12)
    await taken_back(sam, "graduation", "graduation-undone", "discharge-undone")
    await sam.on(13)
    await goes_elsewhere(sam, "mesa-residential", "residential", "3.5", 14)
    path = "transfer/first-contact"
    await taken_back(sam, path, "first-contact-undone", "discharge-undone")
    await sam.on(15)
    await sam.leaves()


async def all_reviewed(one: Protagonist) -> None:
    """A clinician has looked at everything that is open, what passed while the end stood among it."""
    seen = await one.sees("clinician", "plans", f"/episodes/{one.episode_id}")
    for review_id, review in seen["reviews"].items():
        if review["open"]:
            body: dict[str, Any] = {**one.of, "outcome": "none", "drivers": []}
            path = f"/reviews/{review_id}/complete"
            await one.does("clinician", "plans", path, body, "clinical-review-completed")


async def taken_back(one: Protagonist, what: str, *facts: str) -> None:
    """Someone who answers for the program takes an end back."""
    path = f"/episodes/{one.episode_id}/{what}/undo"
    await one.does(BOSS, "plans", path, BY_MISTAKE, *facts)
