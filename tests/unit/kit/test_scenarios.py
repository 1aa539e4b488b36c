"""The scenarios are whole and consistent: what a subscriber may rely on holds for every event of them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import pytest

from shared.contracts.event import CATALOGUE, read_envelope
from shared.kit.history import History, partition_of
from shared.kit.scenarios import SCENARIOS, every_example, play

MADE_BY = {
    "referral_id": "care.intake.referral-received.v1",
    "assessment_id": "care.intake.assessment-scheduled.v1",
    "plan_id": "care.plans.treatment-plan-activated.v1",
    "screen_id": "care.attendance.screen-ordered.v1",
    "check_in_id": "care.followup.check-in-scheduled.v1",
    "review_id": "care.plans.clinical-review-requested.v1",
    "aftercare_plan_id": "care.plans.aftercare-plan-drafted.v1",
    "circumstance_id": "care.followup.circumstance-recorded.v1",
}
"""Which event says an id first."""


@pytest.mark.parametrize("name", [*SCENARIOS, "examples"])
def test_every_event_is_well_formed_numbered_and_in_time(name: str) -> None:
    history = History()
    messages = every_example(history) if name == "examples" else play(name, history)
    numbers, times = defaultdict[tuple[str, str], int](int), list[datetime]()
    first: dict[str, str] = {}
    for message in messages:
        envelope = read_envelope(message.headers, message.key)
        event = CATALOGUE[envelope.type].parse(message.value or b"")
        assert message.partition == partition_of(envelope.subject)
        assert envelope.subject.startswith(f"{event.SUBJECT}/")
        numbers[envelope.source, envelope.subject] += 1
        assert envelope.sequence == numbers[envelope.source, envelope.subject]
        times.append(envelope.time)
        for field, value in event.model_dump(mode="json").items():
            if field in MADE_BY:
                assert (
                    first.setdefault(str(value), envelope.type) == MADE_BY[field]
                    or name == "examples"
                )
    assert times == sorted(times)
    if name == "examples":
        assert len(messages) == len(CATALOGUE)


def test_each_path_tells_its_story() -> None:
    told = {name: _types(name) for name in SCENARIOS}
    assert told["graduation"][-1] == "aftercare-completed"
    assert "screen-failed" in told["relapse"]
    wrong = told["wrong-discharge"]
    assert wrong.index("episode-discharged") < wrong.index("discharge-undone")
    assert "session-attended" in wrong[wrong.index("discharge-undone") :]


def _types(name: str) -> list[str]:
    found = [read_envelope(one.headers, one.key).fact for one in play(name, History())]
    return [fact.rpartition(".")[2] for fact in found]


def test_the_same_words_say_the_same_bytes_and_others_another_person() -> None:
    assert play("relapse", History()) == play("relapse", History())
    one, other = (play("relapse", History(), which) for which in "ab")
    assert not {message.key for message in one} & {message.key for message in other}
