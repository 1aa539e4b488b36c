"""The fixed cast, played once on the real services; each scenario's test then says what must have followed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from demo.cast.company import Stage
from demo.cast.protagonist import FACILITY, Protagonist
from demo.cast.stories import STORIES
from demo.ledger import Ledger, judge
from demo.partners import registered_by
from demo.witnesses import Heard, read_topics
from shared.devtools.backends import Backend
from tests.flows.scene import TELLING_ORDER, Flow, flowing


@dataclass
class Played:
    """What the stories left."""

    flow: Flow
    stages: dict[int, Stage]
    heard: list[Heard]
    ledger: Ledger

    def person(self, number: int, label: str) -> Protagonist:
        """Somebody of a story."""
        return self.stages[number].people[label]

    def facts(self, number: int, *labels: str, also: Collection[str] = ()) -> list[Heard]:
        """All that was said about some people of a story (all of them, when none is named), in order.

        `also` names further subjects, such as `group/…` or `person/…`.
        """
        people = self.stages[number].people
        wanted = {people[label].subject for label in labels or people} | set(also)
        return sorted(
            (fact for fact in self.heard if fact.subject in wanted),
            key=lambda f: (f.headers["ce_time"], TELLING_ORDER.index(f.topic), f.sequence),
        )


@asynccontextmanager
async def played(
    backend: Backend, prefix: str, numbers: Collection[int] = tuple(STORIES)
) -> AsyncIterator[Played]:
    """Play stories beside one another, to the end of the last."""
    async with flowing(backend, prefix) as flow:
        stages = {number: Stage(number, flow.world) for number in numbers}
        begin = Protagonist("first", flow.world, flow.staff).when(0) - timedelta(hours=1)
        lives = [flow.world.live(registered_by(flow.world, begin, FACILITY))]
        lives += [flow.world.live(STORIES[n].play(stage)) for n, stage in stages.items()]
        try:
            await flow.world.run(begin)
        finally:
            for life in lives:
                life.cancel()
        heard = await read_topics(backend.kafka)
        yield Played(flow, stages, heard, judge(await flow.evidence()))
