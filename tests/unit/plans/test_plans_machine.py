"""Whatever is done in whatever order: no illegal state, and nothing waited for that nobody owns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from services.plans.tables import LOOPS
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.codes import PlansLoop
from shared.contracts.event import CATALOGUE, Event
from shared.contracts.followup import RiskFlag
from shared.contracts.intake import ReferralOutcome
from shared.contracts.plans import CoOccurringCategory, DischargeKind, ReviewOutcome
from shared.errors import Refused
from tests.unit.plans.world import (
    BASIS,
    GOAL,
    HIGHER,
    LOWER,
    OTHER,
    PARTNER,
    RESIDENTIAL,
    SAME,
    SETTLED,
    Plans,
    admitted,
    attended,
    failed,
    short,
    week,
)
from tests.unit.support import START, fact, uid

REFERRALS = {uid("first"): OTHER, uid("second"): PARTNER}
screens = st.sampled_from(["one", "two", "three"])
mondays = st.integers(0, 3).map(lambda n: START.date() + timedelta(weeks=n))
outcomes = st.sampled_from([o for o in ReviewOutcome if o is not ReviewOutcome.UNKNOWN])
kinds = st.sampled_from([k for k in DischargeKind if k is not DischargeKind.UNKNOWN])


class Episode(RuleBasedStateMachine):
    """One episode, to which everything may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.history = Plans()
        self._said: list[Event] = []

    @property
    def said(self) -> list[Event]:
        """Everything that was published, each parsed once."""
        for entry in self.history.record.waiting_entries()[len(self._said) :]:
            self._said.append(CATALOGUE[entry["headers"]["ce_type"]].parse(entry["data"]))
        return self._said

    def of(self, event_type: type[Event]) -> list[Any]:
        return [event for event in self.said if isinstance(event, event_type)]

    def tries(self, command: Callable[[], Any]) -> None:
        """A command may be refused; then nothing has changed."""
        state, said = self.history.state, len(self.said)
        try:
            command()
        except Refused:
            assert self.history.state == state
            assert len(self.said) == said

    @property
    def state(self) -> Any:
        return self.history.state

    @initialize(begun=st.sampled_from(["nothing", "plan", "plan", "nearly done", "nearly done"]))
    def begins(self, begun: str) -> None:
        """Most of what may happen needs a plan, and few random walks would have one."""
        if begun == "nothing":
            return
        self.is_admitted()
        self.drafts()
        for by_patient in (True, False):
            self.signs(by_patient)
        if begun == "nearly done":
            self.measures(3)
            self.writes()

    # --- what others say -------------------------------------------------------------------------

    @precondition(lambda self: self.state.admission is None and not self.state.void)
    @rule()
    def is_admitted(self) -> None:
        self.history.hear(admitted(self.history.now))
        self.history.hear(fact(intake.OrientationCompleted))

    @rule(screen=screens, again=st.integers(0, 2))
    def screen_fails(self, screen: str, again: int) -> None:
        self.history.hear(failed(screen), again=again)

    @rule(validity=st.sampled_from(list(attendance.SpecimenValidity)), screen=screens)
    def screen_results(self, validity: attendance.SpecimenValidity, screen: str) -> None:
        said = {"validity": validity, "screen_id": uid(screen)}
        self.history.hear(fact(attendance.ScreenResulted, **said))

    @rule(monday=mondays, met=st.booleans(), offered=st.sampled_from([360, 540]))
    def week_ends(self, monday: Any, met: bool, offered: int) -> None:
        self.history.hear(week(monday, met=met, offered=max(offered, 540 * met)))
        if not met and offered == 540:
            self.history.hear(short(monday))

    @rule(days=st.integers(-3, 3))
    def comes(self, days: int) -> None:
        self.history.hear(attended(starts_at=self.history.now + timedelta(days=days)))

    @rule(overdose=st.booleans())
    def uses(self, overdose: bool) -> None:
        self.history.hear(fact(followup.ReturnToUseReported, overdose=overdose))

    @rule(flags=st.sampled_from([(), (RiskFlag.CRAVING,)]))
    def checks_in(self, flags: tuple[RiskFlag, ...]) -> None:
        self.history.hear(fact(followup.CheckInCompleted, risk_flags=flags))

    @rule(
        what=st.sampled_from([attendance.AbsenceThresholdReached, intake.ImminentDangerIdentified])
    )
    def trouble(self, what: Any) -> None:
        self.history.hear(fact(what))

    @rule(referral_id=st.sampled_from(sorted(REFERRALS)))
    def is_referred(self, referral_id: str) -> None:
        if referral_id not in self.state.outbound:
            self.history.hear(
                fact(
                    intake.ReferralSent,
                    referral_id=referral_id,
                    target_facility_id=REFERRALS[referral_id],
                    target_level=RESIDENTIAL,
                    consent_id=uid("consent"),
                )
            )

    @rule(
        referral_id=st.sampled_from(sorted(REFERRALS)),
        answer=st.sampled_from([intake.PartnerReferralAccepted, intake.PartnerReferralRejected]),
    )
    def partner_answers(self, referral_id: str, answer: Any) -> None:
        self.history.hear(fact(answer, referral_id=referral_id))

    @rule(
        referral_id=st.sampled_from(sorted(REFERRALS)),
        outcome=st.sampled_from(list(ReferralOutcome)),
    )
    def referral_closes(self, referral_id: str, outcome: ReferralOutcome) -> None:
        said = {"referral_id": referral_id, "outcome": outcome}
        self.history.hear(fact(intake.ReferralLoopClosed, **said))

    @rule(
        what=st.sampled_from(
            [intake.AdmissionUndone, intake.EpisodeEnteredInError, intake.ReferralMerged]
        ),
        chance=st.integers(0, 5),
    )
    def mistake(self, what: Any, chance: int) -> None:
        if chance == 0:
            self.history.hear(fact(what))

    # --- what staff do ---------------------------------------------------------------------------

    @rule()
    def drafts(self) -> None:
        self.tries(self.history.draft)

    @rule(by_patient=st.booleans())
    def signs(self, by_patient: bool) -> None:
        if self.state.plan is not None:
            self.tries(lambda: self.history.sign(by_patient=by_patient))

    @rule(decision=st.sampled_from(list(BASIS)))
    def reviews_the_plan(self, decision: Any) -> None:
        if self.state.plan is not None:
            self.tries(lambda: self.history.review(decision))

    @rule(outcome=outcomes, data=st.data())
    def completes_a_review(self, outcome: ReviewOutcome, data: st.DataObject) -> None:
        if self.state.reviews:
            review_id = data.draw(st.sampled_from(sorted(self.state.reviews)))
            drivers = data.draw(st.sampled_from([None, ()]))
            self.tries(lambda: self.history.complete(review_id, outcome, drivers))

    @rule(value=st.sampled_from([0, 1, 3, 5]))
    def measures(self, value: float) -> None:
        self.tries(lambda: self.history.measure(value))

    @rule()
    def writes(self) -> None:
        if self.state.plan is not None:
            self.tries(self.history.name_relapse_prevention)
        self.tries(lambda: self.history.aftercare(SETTLED))

    @rule()
    def adds(self) -> None:
        self.tries(self.history.add_service)
        self.tries(lambda: self.history.identify_need(CoOccurringCategory.MOOD))
        if self.state.plan is not None:
            new = GOAL.replace(goal_id=uid(str(self.history.now)))
            self.tries(lambda: self.history.add_goal(new))

    @rule(
        to_level=st.sampled_from([LOWER, SAME, HIGHER, RESIDENTIAL]),
        days=st.sampled_from([None, 0, 1, 9]),
        elsewhere=st.booleans(),
    )
    def changes_level(self, to_level: Any, days: int | None, elsewhere: bool) -> None:
        at = None if days is None else self.history.now + timedelta(days=days)
        self.tries(
            lambda: self.history.change_level(to_level, effective_at=at, elsewhere=elsewhere)
        )

    @rule(referral_id=st.sampled_from(sorted(REFERRALS)))
    def transfers(self, referral_id: str) -> None:
        self.is_referred(referral_id)
        if self.history.now.hour % 2:
            self.partner_answers(referral_id, intake.PartnerReferralAccepted)
        self.tries(
            lambda: self.history.transfer(
                referral_id=referral_id, to_facility_id=REFERRALS[referral_id]
            )
        )

    @rule()
    def arrives(self) -> None:
        self.tries(self.history.first_contact)

    @rule(ready=st.booleans(), positive=st.booleans())
    def graduates(self, ready: bool, positive: bool) -> None:
        if positive:
            self.history.hear(failed(str(self.history.now)))
        if ready and self.state.plan is not None:
            for goal in self.state.plan.goals:
                self.tries(lambda goal=goal: self.history.measure(3, goal.goal_id))
            self.writes()
        before = self.state.discharged
        waits = any(item.open for item in self.state.reviews.values()) or self.state.transfer
        self.tries(self.history.graduate)
        if waits:
            assert self.state.discharged is before

    @rule(kind=kinds, chance=st.integers(0, 5))
    def leaves(self, kind: DischargeKind, chance: int) -> None:
        if chance == 0:
            self.tries(lambda: self.history.discharge(kind))

    @rule(days=st.sampled_from([0.1, 1, 4, 15]))
    def time_passes(self, days: float) -> None:
        self.history.after(days=days)

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def every_loop_has_an_owner_and_a_deadline(self) -> None:
        for loop in self.state.loops.values():
            assert loop.owners == LOOPS[PlansLoop(loop.kind)].owners
            armed = f"loop:{loop.key}" in self.state.deadlines
            assert armed or loop.at_last_owner
        waiting = {name for name in self.state.deadlines if name.startswith("loop:")}
        assert waiting <= {f"loop:{key}" for key in self.state.loops}

    @invariant()
    def every_open_review_is_waited_for_and_no_other(self) -> None:
        open_reviews = {key for key, item in self.state.reviews.items() if item.open}
        assert open_reviews == {loop.id for loop in self.state.loops_of(PlansLoop.CLINICAL_REVIEW)}

    @invariant()
    def every_escalation_stands_or_is_taken_back(self) -> None:
        standing: dict[tuple[str, str], int] = {}
        for event in self.said:
            if isinstance(event, plans.LoopEscalated):
                assert event.step == standing.get((event.loop, event.loop_id), 0) + 1
                standing[(event.loop, event.loop_id)] = event.step
            elif isinstance(event, plans.EscalationCleared):
                assert standing.pop((event.loop, event.loop_id)) == event.step_reached
        assert standing == {
            (PlansLoop(loop.kind), loop.id): loop.step
            for loop in self.state.loops.values()
            if loop.step
        }

    @invariant()
    def an_end_is_an_end(self) -> None:
        ends = self.of(plans.EpisodeDischarged)
        undone = self.state.undone or self.state.void
        if self.state.discharged is not None and not self.state.void:
            assert ends[-1].kind is self.state.discharged
            assert self.state.transfer is None
            assert self.state.level_change is None
            assert set(self.history.open) <= {"clinical_review"}
        if undone:
            assert (self.state.loops, self.state.deadlines) == ({}, {})

    @invariant()
    def a_transfer_rests_on_an_accepted_referral(self) -> None:
        if self.state.transfer is not None:
            assert self.state.outbound[self.state.transfer.referral_id].accepted
            assert self.state.loops_of(PlansLoop.TRANSFER)
        completed = self.of(plans.TransferCompleted)
        assert len(completed) <= len(self.of(plans.TransferInitiated))

    @invariant()
    def a_plan_in_force_is_signed_by_both(self) -> None:
        plan = self.state.plan
        if plan is not None and plan.active:
            assert plan.patient_signed_at is not None
            assert plan.clinician_signed_at is not None
            assert not self.state.loops_of(PlansLoop.TREATMENT_PLAN)


Episode.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestEpisode = Episode.TestCase
