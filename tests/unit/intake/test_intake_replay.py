"""Told twice or in another order, the same facts lead to the same state, and nothing is said twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.handoffs import (
    DeliveryReported,
    EpisodeEnded,
    EpisodeOpened,
    Readmitted,
    ReferralAllowed,
    ReportHeard,
)
from services.intake.person.may_disclose import Allowed, Obligations
from services.intake.person.requests import Answered, AskPerson, Request
from shared.contracts import attendance, followup, plans
from shared.contracts.event import Event
from shared.contracts.followup import ReengagementOutcome
from shared.contracts.intake import (
    ConsentPurpose,
    InformationCategory,
    PartnerKind,
    WithheldReason,
)
from shared.runtime.core.work import OutcomeStatus
from tests.unit.intake.partners import known
from tests.unit.intake.world import (
    DAY,
    PARTNER,
    PERSON_ID,
    STAGES,
    Intake,
    asked_back,
    at_stage,
    discharged,
    ended_with,
    grant,
    level,
    person,
    send,
    used_again,
)
from tests.unit.support import EPISODE_ID, START, fact, uid

EVENTS: list[Event] = [
    discharged(),
    fact(plans.DischargeUndone, discharged_at=START),
    asked_back(),
    fact(followup.ReengagementStarted, reassessment_due_at=START + DAY),
    fact(plans.LevelOfCareChangeRecommended, to_level=level("2.1"), effective_at=None),
    fact(plans.LevelOfCareChangeRecommended, to_level=level("3.5"), effective_at=None),
    fact(plans.LevelOfCareChanged, to_level=level("2.5")),
    fact(plans.LevelOfCareChangeUndone, to_level=level("2.5")),
    fact(plans.TransferRequested),
    fact(plans.TransferInitiated),
    fact(plans.TransferNotBegun),
    fact(attendance.SeatReserved),
    fact(attendance.SeatReleased),
    used_again(),
    used_again(overdose=True),
    fact(followup.ReturnToUseUndone, report_id=uid("report")),
    fact(followup.CircumstanceRecorded, kind=followup.CircumstanceKind.DECEASED),
    fact(followup.CircumstanceRecorded, kind=followup.CircumstanceKind.MOVED_AWAY),
    fact(followup.CircumstanceEnded),
    fact(followup.CircumstanceUndone),
    *(ended_with(outcome) for outcome in ReengagementOutcome if outcome.name != "UNKNOWN"),
]
STAGE = st.sampled_from([*STAGES])


def everything(history: Intake) -> tuple[Any, ...]:
    record = history.record
    return (
        record.state,
        record.revision,
        record.next_sequence,
        [*record.waiting_entries()],
        [*record.new_handoffs],
        dict(record.inbox),
    )


def test_every_fact_that_is_heard_is_among_the_events_here() -> None:
    rows = [row for row in Intake().reactions if row.event.SUBJECT == "episode"]
    assert {type(event) for event in EVENTS} == {row.event for row in rows}


@given(stage=STAGE, events=st.lists(st.sampled_from(EVENTS), max_size=8), data=st.data())
def test_a_redelivered_event_changes_nothing(
    stage: str, events: list[Event], data: st.DataObject
) -> None:
    once, again = at_stage(stage), at_stage(stage)
    for event in events:
        once.hear(event)
        times = data.draw(st.integers(0, 2))
        outcome = again.hear(event, again=times)
        assert outcome.status is (OutcomeStatus.DUPLICATE if times else OutcomeStatus.APPLIED)
        days = data.draw(st.sampled_from([0, 1, 4]))
        once.after(days=days)
        again.after(days=days)
        assert everything(once) == everything(again)


REQUEST = Request(
    delivery_id=uid("delivery"),
    person_id=PERSON_ID,
    episode_id=EPISODE_ID,
    recipient_id=PARTNER,
    categories=(InformationCategory.REFERRAL_STATUS,),
    purpose=ConsentPurpose.CARE_COORDINATION,
    discloser_id=uid("actor"),
)
ALLOWED = Allowed(
    consent_id=uid("consent"),
    obligations=Obligations(
        categories=REQUEST.categories,
        purpose=REQUEST.purpose,
        document_sha256="9f" * 32,
        may_redisclose=False,
    ),
)
HANDED = {
    "episode": [
        Readmitted(episode_id=uid("next")),
        Answered(request=REQUEST, allowed=ALLOWED, report_due=True),
        Answered(request=REQUEST, withheld=WithheldReason.NOT_IN_FORCE),
        ReportHeard(delivery_id=uid("delivery")),
        ReferralAllowed(
            referral_id=uid("referral"),
            person_id=PERSON_ID,
            target_kind=PartnerKind.WITHDRAWAL_MANAGEMENT,
            target_facility_id=PARTNER,
            target_level=None,
            purpose=ConsentPurpose.CARE_COORDINATION,
            consent_id=uid("consent"),
            respond_within=DAY,
        ),
    ],
    "person": [
        EpisodeOpened(episode_id=uid("second")),
        AskPerson(request=REQUEST, partner=known(PARTNER)[PARTNER]),
        DeliveryReported(delivery_id=uid("delivery"), made_at=START),
        EpisodeEnded(episode_id=EPISODE_ID, ended_at=START),
        EpisodeEnded(episode_id=uid("second"), ended_at=START),
    ],
}


@pytest.mark.parametrize("kind", ["episode", "person"])
def test_what_is_handed_over_twice_is_applied_once(kind: str) -> None:
    history = at_stage("oriented") if kind == "episode" else person()
    if kind == "person":
        history.command(grant())
    else:
        history.hear(asked_back())
    numbers = count(1)
    for body in HANDED[kind]:
        number = next(numbers)
        assert history.hand(body, number).status is OutcomeStatus.APPLIED
        before = everything(history)
        assert history.hand(body, number).status is OutcomeStatus.DUPLICATE
        assert everything(history) == before


SAID_BY_FOLLOWUP = [
    fact(followup.ReengagementStarted, reassessment_due_at=START + DAY),
    asked_back(),
    used_again(),
    ended_with(ReengagementOutcome.READMITTED),
    ended_with(ReengagementOutcome.DECLINED),
]


@pytest.mark.parametrize("stage", ["admitted", "oriented"])
@pytest.mark.parametrize("handed_over", [True, False])
def test_the_order_of_sources_does_not_matter(stage: str, *, handed_over: bool) -> None:
    """A discharge by plans, a readmission handed over, what followup says: every order between them."""
    others: list[Any] = [discharged()]
    if handed_over:
        others.append(Readmitted(episode_id=uid("next")))
    for length in range(3):
        for line in product(SAID_BY_FOLLOWUP, repeat=length):
            told = [_told(stage, order) for order in _orders(line, others)]
            assert all(one == told[0] for one in told), [event.NAME for event in line]


def _orders(line: Sequence[Any], others: Sequence[Any]) -> Iterator[list[Any]]:
    """Every order of all of these in which the line keeps its own."""
    labels = ["line"] * len(line) + [str(index) for index in range(len(others))]
    for order in sorted(set(permutations(labels))):
        waiting = iter(line)
        yield [next(waiting) if label == "line" else others[int(label)] for label in order]


def _told(stage: str, items: Sequence[Any]) -> tuple[Any, list[str]]:
    history = at_stage(stage)
    for item in items:
        if isinstance(item, Event):
            history.hear(item)
        else:
            history.hand(item)
    return history.state, sorted(history.names)


@given(stage=STAGE)
def test_the_same_history_is_decided_the_same(stage: str) -> None:
    assert everything(at_stage(stage)) == everything(at_stage(stage))


def test_a_command_repeated_with_its_key_is_answered_as_before() -> None:
    history = at_stage("ineligible")
    first = history.command(send(), key="one")
    before = everything(history)
    second = history.command(send(within=DAY / 2), key="one")
    assert (first.answer, second.status) == (second.answer, OutcomeStatus.REPLAYED)
    assert everything(history) == before
