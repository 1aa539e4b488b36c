"""An episode of intake under any commands, news, handoffs and passing time: no illegal state can be reached."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.intake import mistakes
from services.intake.episode import inbound_referrals, outbound_referrals, waitlist
from services.intake.episode.episode_state import OFFER, EpisodeState
from services.intake.handoffs import Lined, PlaceOffered, Readmitted
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.codes import IntakeLoop, MistakeReason
from shared.contracts.event import Event
from shared.contracts.followup import ReengagementOutcome
from shared.contracts.intake import GapReason, ReferralOutcome, WaitlistExit
from shared.errors import CareError
from shared.loops import DEADLINE
from shared.runtime.core.work import OutcomeStatus
from tests.unit.intake.world import (
    DAY,
    FOR_DETOX,
    FOR_IOP,
    STAGES,
    Intake,
    Rule,
    admit,
    asked_back,
    close,
    complete,
    decline,
    discharged,
    ended_with,
    findings,
    in_danger,
    level,
    orient,
    place,
    recommend,
    schedule,
    send,
    used_again,
)
from tests.unit.support import EPISODE_ID, START, fact, uid

GROUP_ID = uid("group")
WAITING = waitlist.NewWaiting(
    line_id=GROUP_ID,
    group_id=GROUP_ID,
    track="evening-adult",
    interim=(),
    offer_lasts=DAY,
    chances=2,
)


def ticket(state: EpisodeState) -> str:
    return uid("none") if state.waiting is None else state.waiting.ticket


def outbound(state: EpisodeState) -> str:
    """The latest referral sent out."""
    return next(reversed(state.outbound), uid("none"))


def leave(reason: WaitlistExit) -> Rule:
    return lambda s, c: waitlist.leave(s, ticket(s), reason, c)


def closed(outcome: ReferralOutcome) -> Rule:
    return lambda s, c: outbound_referrals.close(s, outbound(s), outcome, c)


COMMANDS: dict[str, Rule] = {
    "acknowledge": inbound_referrals.acknowledge,
    "decline": decline,
    "close": close(),
    "schedule": schedule,
    "complete": complete(),
    "complete for detox": complete(findings(FOR_DETOX)),
    "complete for residential": complete(findings({**FOR_IOP, 5: 4})),
    "complete in danger": complete(in_danger()),
    "recommend": recommend,
    "place": place(),
    "place elsewhere": place("3.5", GapReason.PATIENT_CHOICE),
    "admit": admit(),
    "admit again": admit(uid("prior")),
    "orient": orient,
    "send": send(),
    "accepted": lambda s, c: outbound_referrals.accepted(s, outbound(s), c.now + 2 * DAY, c),
    "rejected": lambda s, c: outbound_referrals.rejected(s, outbound(s), None, c),
    "arrived elsewhere": closed(ReferralOutcome.ADMITTED),
    "did not arrive": closed(ReferralOutcome.NO_SHOW),
    "join": lambda s, c: waitlist.join(s, WAITING, c),
    "offer": lambda s, c: waitlist.offer(s, ticket(s), None, None, c),
    "accept": lambda s, c: waitlist.accept(s, ticket(s), c),
    "decline the place": leave(WaitlistExit.DECLINED),
    "withdraw": leave(WaitlistExit.WITHDRAWN),
    "elsewhere": leave(WaitlistExit.REFERRED_ELSEWHERE),
    "undo the admission": lambda s, c: mistakes.undo_admission(s, MistakeReason.NOT_INTENDED, c),
}
EVENTS: dict[str, Event] = {
    "discharged": discharged(),
    "asked back": asked_back(),
    "reengagement started": fact(
        followup.ReengagementStarted, reassessment_due_at=START + timedelta(hours=48)
    ),
    "used again": used_again(),
    **{
        f"ended {outcome}": ended_with(outcome)
        for outcome in ReengagementOutcome
        if outcome.name != "UNKNOWN"
    },
    "step up": fact(plans.LevelOfCareChangeRecommended, to_level=level("3.7"), effective_at=None),
    "level changed": fact(plans.LevelOfCareChanged, to_level=level("1")),
    "same level": fact(
        plans.LevelOfCareChangeRecommended, to_level=level("2.1"), effective_at=None
    ),
    "seat held": fact(
        attendance.SeatReserved, group_id=GROUP_ID, hold_expires_at=START + timedelta(hours=24)
    ),
    "seat taken": fact(attendance.SeatReserved, group_id=GROUP_ID, hold_expires_at=None),
    "seat released": fact(attendance.SeatReleased, group_id=GROUP_ID),
}
BEGINNINGS: dict[str, tuple[Rule, ...]] = {
    **{name: rules for name, rules in STAGES.items() if name != "unknown"},
    "sent on": (*STAGES["ineligible"], send()),
    "waiting": (*STAGES["placed"], COMMANDS["join"]),
    "offered": (*STAGES["placed"], COMMANDS["join"], COMMANDS["offer"]),
}


class Episode(RuleBasedStateMachine):
    """What may happen to one episode."""

    def __init__(self) -> None:
        super().__init__()
        self.history = Intake()
        self.handed = 0

    @property
    def state(self) -> EpisodeState:
        state = self.history.state
        assert isinstance(state, EpisodeState)
        return state

    # --- what may happen ----------------------------------------------------------------------------------

    @initialize(stage=st.sampled_from([*BEGINNINGS]))
    def comes_some_way(self, stage: str) -> None:
        self.history.does(*BEGINNINGS[stage])

    @rule(name=st.sampled_from([*COMMANDS]))
    def is_told(self, name: str) -> None:
        self._try(COMMANDS[name])

    @precondition(lambda self: self.state.closed_at is not None)
    @rule()
    def is_entered_in_error(self) -> None:
        self._try(lambda s, c: mistakes.entered_in_error(s, MistakeReason.TEST_ENTRY, c))

    @rule(name=st.sampled_from([*EVENTS]), again=st.integers(0, 1))
    def hears(self, name: str, again: int) -> None:
        outcome = self.history.hear(EVENTS[name], again=again)
        assert outcome.status is (OutcomeStatus.DUPLICATE if again else OutcomeStatus.APPLIED)

    @rule(stale=st.booleans(), position=st.integers(1, 30))
    def line_says_the_place(self, *, stale: bool, position: int) -> None:
        fresh = self.state.waiting is not None and self.state.waiting.position is None
        if fresh or stale:
            name = uid("stale") if stale else ticket(self.state)
            self._hand(Lined(ticket=name, position=position))

    @rule(stale=st.booleans(), days=st.integers(1, 3))
    def line_offers(self, *, stale: bool, days: int) -> None:
        waiting = self.state.waiting
        if stale or waiting is not None:
            offer = PlaceOffered(
                ticket=uid("stale") if stale else ticket(self.state),
                offer_id=uid("offer"),
                group_id=GROUP_ID,
                expires_at=self.history.now + timedelta(days=days),
            )
            self._hand(offer)

    @rule()
    def is_back_in_another_episode(self) -> None:
        self._hand(Readmitted(episode_id=uid("next")))

    @rule(hours=st.sampled_from([1, 12, 24, 72, 24 * 8, 24 * 20]))
    def time_passes(self, hours: int) -> None:
        self.history.after(hours=hours)

    def _try(self, told: Callable[..., Any]) -> None:
        before, said = self.state, len(self.history.names)
        try:
            self.history.command(told)
        except CareError as error:
            refusal = error
        else:
            return
        assert (bool(refusal.code), bool(refusal.hint)) == (True, True)
        assert (self.state, len(self.history.names)) == (before, said)

    def _hand(self, body: Any) -> None:
        self.handed += 1
        assert self.history.hand(body, self.handed).status is OutcomeStatus.APPLIED

    # --- what always holds --------------------------------------------------------------------------------

    @invariant()
    def nobody_is_admitted_who_was_not_assessed_recommended_and_placed(self) -> None:
        needed = ("assessment-completed", "level-recommended", "placement-decided")
        seen: set[str] = set()
        for name in self.history.names:
            if name == "assessment-scheduled":
                seen = set()
            seen.add(name)
            assert name != "patient-admitted" or seen.issuperset(needed)

    @invariant()
    def there_is_at_most_one_offer_and_one_place_in_a_line(self) -> None:
        waiting = offered = False
        for event in self.history.said:
            if isinstance(event, intake.WaitlistJoined):
                assert not waiting
                waiting = True
            elif isinstance(event, intake.WaitlistOffered):
                assert not offered
                offered = True
            elif isinstance(event, intake.WaitlistLeft):
                assert waiting or offered
                waiting = offered = False
        now = self.state.waiting
        assert offered is (now is not None and now.offer is not None)
        assert not waiting or now is not None
        assert (now is not None) is bool(self.state.loops_of(IntakeLoop.WAITLIST))
        armed = {name for name in self.state.deadlines if name.startswith(f"{OFFER}:")}
        expected = (
            {f"{OFFER}:{now.ticket}"} if now is not None and now.offer is not None else set[str]()
        )
        assert armed == expected

    @invariant()
    def what_was_escalated_is_open_or_retracted(self) -> None:
        said: dict[str, int] = {}
        for event in self.history.said:
            if isinstance(event, intake.LoopEscalated):
                key = f"{event.loop.value}:{event.loop_id}"
                assert event.step == said.get(key, 0) + 1
                said[key] = event.step
            elif isinstance(event, intake.EscalationCleared):
                assert said.pop(f"{event.loop.value}:{event.loop_id}") == event.step_reached
        assert said == {key: loop.step for key, loop in self.state.loops.items() if loop.step}

    @invariant()
    def every_open_loop_has_an_owner_and_a_deadline(self) -> None:
        for key, loop in self.state.loops.items():
            assert loop.owner_role
            assert loop.at_last_owner or self.state.deadlines[DEADLINE + key] == loop.deadline_at
        loops = {name for name in self.state.deadlines if name.startswith(DEADLINE)}
        assert {name.removeprefix(DEADLINE) for name in loops} <= set(self.state.loops)

    @invariant()
    def nobody_is_lost_between_two_steps(self) -> None:
        """Until the first day is done, or the episode has ended, somebody has to do something by some time."""
        state = self.state
        oriented = state.admission is not None and state.admission.oriented_at is not None
        if state.referral is None or state.closed_at is not None or oriented:
            return
        assert state.loops, self.history.names

    @invariant()
    def nothing_is_waited_for_after_the_end_but_the_way_back_and_who_was_sent_out(self) -> None:
        state = self.state
        if state.void:
            assert (state.loops, state.deadlines, state.waiting) == ({}, {}, None)
        if state.closed_at is None:
            return
        kinds = {(loop.kind, loop.id == EPISODE_ID) for loop in state.loops.values()}
        assert kinds <= {("readmission", True), ("outbound_referral", False)}

    @invariant()
    def a_referral_sent_out_is_a_loop_until_its_outcome_is_known(self) -> None:
        state = self.state
        loops = {loop.id for loop in state.loops_of(IntakeLoop.OUTBOUND_REFERRAL)} - {EPISODE_ID}
        sent = {key for key, one in state.outbound.items() if one.outcome is None}
        assert loops == (set[str]() if state.void else sent)

    @invariant()
    def it_survives_the_store(self) -> None:
        state = self.state
        assert EpisodeState.model_validate(state.model_dump(mode="json")) == state


Episode.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestEpisode = Episode.TestCase
