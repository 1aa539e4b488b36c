"""All stories, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from demo.cast import (
    consents,
    corrections,
    graduation,
    levels,
    overdue,
    partners,
    places,
    returns,
    screens,
    weeks,
)
from demo.cast.company import Story

STORIES: Final[Mapping[int, Story]] = {
    story.number: story
    for story in sorted(
        (
            *screens.STORIES,
            *consents.STORIES,
            *corrections.STORIES,
            *returns.STORIES,
            *levels.STORIES,
            *overdue.STORIES,
            *partners.STORIES,
            *places.STORIES,
            *graduation.STORIES,
            *weeks.STORIES,
        ),
        key=lambda story: story.number,
    )
}
"""The cast, by the number of the scenario in docs/domain.md 8 (Scenarios)."""
