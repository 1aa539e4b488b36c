"""A discharge that was a mistake: the episode is open again, and so is what the person had allowed until the end."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.handoffs import EpisodeEnded, EpisodeOpened, EpisodeReopened
from services.intake.person import consents
from shared.contracts import followup, intake, plans
from shared.contracts.codes import IntakeLoop
from tests.unit.intake.test_intake_consents import WITH_TREATMENT, Person
from tests.unit.intake.world import (
    DAY,
    STAGES,
    Intake,
    asked_back,
    at_stage,
    discharged,
    used_again,
)
from tests.unit.support import EPISODE_ID, START, fact, uid

ADMITTED = [stage for stage in STAGES if at_stage(stage).state.admission is not None]
UNDONE = fact(plans.DischargeUndone, discharged_at=START)
OPENED_AGAIN = EpisodeReopened(episode_id=EPISODE_ID, ended_at=START)
ENDED = EpisodeEnded(episode_id=EPISODE_ID, ended_at=START)


def shown(history: Any) -> Any:
    return history.state.replace(aside=None, reopened_from=None)


@pytest.mark.parametrize("stage", ADMITTED)
def test_it_is_as_if_it_had_not_been(stage: str) -> None:
    history = at_stage(stage)
    before = shown(history)
    history.hear(discharged(START))
    history.hear(UNDONE)
    assert shown(history) == before
    assert history.handing[-1].body == OPENED_AGAIN


@pytest.mark.parametrize("stage", ADMITTED)
@pytest.mark.parametrize("days", [1, 730])
def test_later_it_is_as_at_once(stage: str, days: int) -> None:
    mistaken, other = at_stage(stage), at_stage(stage)
    mistaken.hear(discharged(START))
    for one in (mistaken, other):
        one.after(days=days)
    mistaken.hear(UNDONE)
    mistaken.at(mistaken.now)
    assert shown(mistaken) == shown(other)


@pytest.mark.parametrize("said", [[], [asked_back()], [fact(followup.ReengagementStarted)]])
def test_in_any_order_with_what_followup_says(said: list[Any]) -> None:
    ends: list[list[Any]] = []
    for order in set(permutations(["plans", "plans", *["followup"] * len(said)])):
        lines = {"plans": iter([discharged(START), UNDONE]), "followup": iter(said)}
        history = at_stage("oriented")
        history.hear_all(next(lines[label]) for label in order)
        ends.append([shown(history)])
    assert all(one == ends[0] for one in ends)
    assert ends[0][0].closed_at is None


PREPARED = fact(followup.ReengagementStarted)
LED_BACK = fact(followup.ReengagementCompleted, outcome=followup.ReengagementOutcome.READMITTED)
LED_ELSEWHERE = fact(
    followup.ReengagementCompleted, outcome=followup.ReengagementOutcome.OUTPATIENT
)


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ([asked_back()], False),
        ([PREPARED, LED_BACK, asked_back()], False),
        ([PREPARED], True),
        ([PREPARED, LED_BACK, asked_back(), PREPARED], True),
        ([PREPARED, LED_BACK, asked_back(), PREPARED, LED_ELSEWHERE], False),
    ],
)
@pytest.mark.parametrize("died", [False, True])
def test_who_is_in_treatment_after_all_is_not_waited_for(
    said: list[Any], *, waits: bool, died: bool
) -> None:
    """Whichever of the two services is heard first, and however often; only a way that is being prepared goes on."""
    for at in range(len(said) + 1):
        for other in range(at, len(said) + 1):
            history = at_stage("oriented")
            history.hear_all([*said[:at], discharged(START), *said[at:other], UNDONE])
            history.hear_all(said[other:])
            if died:
                of_death = {"circumstance_id": uid("death")}
                kind = followup.CircumstanceKind.DECEASED
                history.hear(fact(followup.CircumstanceRecorded, **of_death, kind=kind))
                history.hear(fact(followup.CircumstanceUndone, **of_death))
            assert bool(history.state.loops_of(IntakeLoop.READMISSION)) is waits, (at, other)


@pytest.mark.parametrize("days", [0, 3])
def test_who_has_left_again_is_waited_for_when_it_is_asked_anew(days: int) -> None:
    history = at_stage("oriented")
    history.hear_all([discharged(START), asked_back(), UNDONE])
    again = history.after(days=days).now
    history.hear(discharged(again))
    assert history.state.loops_of(IntakeLoop.READMISSION) == ()
    history.hear(asked_back(at=again))
    assert len(history.state.loops_of(IntakeLoop.READMISSION)) == 1


DEATHS = ("discharged", "recorded")


@pytest.mark.parametrize(
    "order",
    sorted({*permutations(["prepared", *DEATHS]), *permutations(["prepared", "discharged"])}),
)
@pytest.mark.parametrize("days", [0, 10])
def test_nobody_is_waited_for_as_long_as_something_says_that_they_died(
    order: tuple[str, ...], days: int
) -> None:
    """The end of the episode says so as well as a circumstance; only when both are taken back somebody is."""
    died, kind = {"circumstance_id": uid("death")}, followup.CircumstanceKind.DECEASED
    ended = {"kind": plans.DischargeKind.DECEASED, "discharged_at": START}
    said: dict[str, Any] = {
        "prepared": PREPARED,
        "discharged": fact(plans.EpisodeDischarged, **ended),
        "recorded": fact(followup.CircumstanceRecorded, **died, kind=kind),
    }
    undone: dict[str, Any] = {
        "discharged": fact(plans.DischargeUndone, **ended),
        "recorded": fact(followup.CircumstanceUndone, **died),
    }
    back = [one for one in DEATHS if one in order]
    for undoing in permutations(back):
        history, never = at_stage("oriented"), at_stage("oriented")
        never.hear(PREPARED)
        history.hear_all(said[one] for one in order)
        for one in (history, never):
            one.after(days=days)
        for one in undoing:
            assert history.due(IntakeLoop.READMISSION) is None
            history.hear(undone[one])
        history.at(history.now)
        assert history.due(IntakeLoop.READMISSION) == never.due(IntakeLoop.READMISSION)


def test_it_is_not_undone_twice() -> None:
    history = at_stage("oriented")
    history.hear(discharged(START))
    history.hear(UNDONE)
    before, handed = history.state, len(history.handing)
    history.hear(UNDONE)
    assert (history.state, len(history.handing)) == (before, handed)


def test_an_orientation_that_waits_goes_on_and_escalates() -> None:
    history: Intake = at_stage("admitted")
    due = history.due(IntakeLoop.ORIENTATION)
    history.hear(discharged(START))
    assert history.due(IntakeLoop.ORIENTATION) is None
    history.hear(UNDONE)
    assert history.due(IntakeLoop.ORIENTATION) == due


# --- the person -----------------------------------------------------------------------------------------


def test_what_was_to_end_with_treatment_does_not() -> None:
    person = Person()
    person.grants(**WITH_TREATMENT)
    before = person.state
    person.handed(ENDED)
    person.handed(OPENED_AGAIN)
    assert person.state == before
    person.after(days=3)
    assert person.of(intake.ConsentExpired) == []


def test_what_has_ended_with_treatment_holds_again() -> None:
    person = Person()
    consent_id = person.grants(**WITH_TREATMENT)
    before = person.state
    person.handed(ENDED)
    person.after(days=20)
    assert person.state.consents[consent_id].ended
    person.handed(OPENED_AGAIN)
    assert person.state == before
    [undone] = person.of(intake.ConsentExpiryUndone)
    [granted] = person.of(intake.ConsentGranted)
    assert undone.model_dump() == granted.model_dump(include=set(undone.model_dump()))


def test_what_was_revoked_stays_revoked() -> None:
    person = Person()
    consent_id = person.grants(**WITH_TREATMENT)
    person.handed(ENDED)
    person.command(lambda s, c: consents.revoke(s, consent_id, c))
    person.handed(OPENED_AGAIN)
    person.after(days=3)
    assert person.state.consents[consent_id].revoked_at is not None
    assert person.of(intake.ConsentExpiryUndone) == []


def test_what_had_ended_before_stays_ended() -> None:
    person = Person()
    consent_id = person.grants(**WITH_TREATMENT)
    person.command(lambda s, c: consents.expire(s, consent_id, c))
    person.after(days=2)
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=person.now))
    person.handed(EpisodeReopened(episode_id=EPISODE_ID, ended_at=person.now))
    assert person.state.consents[consent_id].ended


@pytest.mark.parametrize("days", [1, 40])
def test_a_last_day_still_counts(days: int) -> None:
    """A form may name a day beside the end of treatment: it ends the consent, however late the end is taken back."""
    person = Person()
    last = (START + timedelta(days=10)).date().isoformat()
    consent_id = person.grants(expires_on=last, expires_with="end_of_treatment")
    person.handed(ENDED)
    person.after(days=days)
    person.handed(OPENED_AGAIN)
    person.at(person.now)
    assert person.state.consents[consent_id].ended is (days > 10)
    person.at(START + 12 * DAY if days == 1 else person.now)
    assert person.state.consents[consent_id].ended


@given(st.permutations(["first", "second"]), st.sampled_from(["first", "second"]))
def test_with_two_episodes_treatment_goes_on_with_either(order: list[str], undone: str) -> None:
    ids = {"first": EPISODE_ID, "second": uid("second")}
    person = Person()
    person.handed(EpisodeOpened(episode_id=ids["second"]))
    consent_id = person.grants(**WITH_TREATMENT)
    ends: dict[str, Any] = {}
    for name in order:
        ends[name] = person.now
        person.handed(EpisodeEnded(episode_id=ids[name], ended_at=person.now))
        person.after(days=2)
    assert person.state.consents[consent_id].ended
    person.handed(EpisodeReopened(episode_id=ids[undone], ended_at=ends[undone]))
    assert not person.state.consents[consent_id].ended


# --- who died -------------------------------------------------------------------------------------------


def died(name: str = "death") -> followup.CircumstanceRecorded:
    kind = followup.CircumstanceKind.DECEASED
    return fact(followup.CircumstanceRecorded, kind=kind, circumstance_id=uid(name))


def lives(name: str = "death") -> followup.CircumstanceUndone:
    return fact(followup.CircumstanceUndone, circumstance_id=uid(name))


@pytest.mark.parametrize("days", [0, 30])
def test_nobody_waits_for_who_died_until_it_is_taken_back(days: int) -> None:
    history, never = at_stage("oriented"), at_stage("oriented")
    for one in (history, never):
        one.hear(discharged(START))
        one.hear(asked_back())
        one.after(hours=73)
    history.hear(died())
    assert history.due(IntakeLoop.READMISSION) is None
    for one in (history, never):
        one.after(days=days)
    history.hear(lives())
    history.at(history.now)
    assert history.state == never.state


def test_who_died_is_not_waited_for_anew() -> None:
    history = at_stage("oriented")
    history.hear(died())
    history.hear(asked_back())
    assert history.due(IntakeLoop.READMISSION) is None
    history.hear(lives())
    assert history.due(IntakeLoop.READMISSION) is not None


def test_a_return_to_use_that_was_a_mistake_is_not_read() -> None:
    history = at_stage("oriented")
    before = history.state
    history.hear(used_again())
    history.hear(fact(followup.ReturnToUseUndone, report_id=uid("report")))
    assert history.state == before
