"""Stories of screens: an unexpected positive, a prescribed substance, a dilute specimen and a refusal."""

from __future__ import annotations

from demo.cast.company import Stage, Story


async def unexpected_positive(stage: Stage) -> None:
    """2: Reviewed within a working day, the plan is intensified, and nobody is sent away."""
    ana = stage.person("ana")
    await ana.on(0)
    await ana.is_in_treatment()
    await ana.on(7)
    stage.ids["screen"] = await ana.is_screened(["cocaine"])
    review_id = stage.ids["review"] = await ana.open_review("screen")
    await ana.does(
        "clinician",
        "plans",
        f"/reviews/{review_id}/complete",
        {**ana.of, "outcome": "intensify"},
        "clinical-review-completed",
        review_id=review_id,
    )
    await ana.leaves()


STORIES = (Story(2, "Unexpected positive", unexpected_positive),)
