"""Reaching out during the program: a miss, a tier a day, and what ends it."""

from __future__ import annotations

import pytest

from services.followup import journey
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.attendance import Absence
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.followup import AttemptResult, Channel, OutreachCause
from shared.contracts.plans import DischargeKind
from shared.errors import NotYetKnown, Refused
from tests.unit.followup.world import (
    DAY,
    HOUR,
    Followup,
    admitted,
    attended,
    cleared,
    discharged,
    in_program,
    missed,
    threshold,
)
from tests.unit.support import START, fact, uid

MISSED, THRESHOLD = OutreachCause.SESSION_MISSED, OutreachCause.ABSENCE_THRESHOLD


def tiers(history: Followup) -> list[tuple[OutreachCause, int]]:
    return [(event.cause, event.tier) for event in history.of(followup.OutreachEscalated)]


class TestMiss:
    def test_opens_an_outreach_quietly(self) -> None:
        history = in_program()
        history.hear(missed(START + HOUR))
        assert history.state.tier == 0
        assert history.names == []

    @pytest.mark.parametrize("absence", [Absence.EXCUSED, Absence.UNKNOWN])
    def test_what_is_not_unexcused_opens_none(self, absence: Absence) -> None:
        history = in_program()
        history.hear(missed(START + HOUR, absence))
        assert history.state.outreach is None
        assert history.loops(FollowupLoop.OUTREACH) == []

    @pytest.mark.parametrize(
        ("hours", "expected"),
        [
            (23, []),
            (24, [(MISSED, 1)]),
            (47, [(MISSED, 1)]),
            (48, [(MISSED, 1), (MISSED, 2)]),
            (72, [(MISSED, 1), (MISSED, 2), (MISSED, 3)]),
            (240, [(MISSED, 1), (MISSED, 2), (MISSED, 3)]),
        ],
    )
    def test_a_tier_a_day_up_to_three(
        self, hours: int, expected: list[tuple[OutreachCause, int]]
    ) -> None:
        history = in_program()
        history.hear(missed(START))
        assert tiers(history.after(hours=hours)) == expected

    def test_a_second_miss_does_not_postpone_the_deadline(self) -> None:
        history = in_program()
        history.hear(missed(START))
        history.after(hours=20).hear(missed(START + 20 * HOUR))
        assert tiers(history.after(hours=4)) == [(MISSED, 1)]

    def test_before_the_last_contact_opens_none(self) -> None:
        history = in_program()
        history.hear_all([attended(START + 2 * HOUR), missed(START + HOUR)])
        assert history.state.outreach is None

    def test_after_discharge_opens_none(self) -> None:
        history = in_program()
        history.hear_all([discharged(START + HOUR), missed(START)])
        assert history.state.outreach is None


class TestThreshold:
    @pytest.mark.parametrize(
        ("consecutive", "silent", "expected"),
        [
            (1, 0, []),
            (2, 0, [(THRESHOLD, 2)]),
            (2, 6, [(THRESHOLD, 2)]),
            (3, 0, [(THRESHOLD, 3)]),
            (4, 0, [(THRESHOLD, 3)]),
            (0, 7, [(THRESHOLD, 3)]),
            (2, 9, [(THRESHOLD, 3)]),
        ],
    )
    def test_raises_an_open_outreach(
        self, consecutive: int, silent: int, expected: list[tuple[OutreachCause, int]]
    ) -> None:
        history = in_program()
        history.hear_all([missed(START), threshold(consecutive, silent)])
        assert tiers(history) == expected

    def test_never_lowers_a_tier(self) -> None:
        history = in_program()
        history.hear(missed(START))
        history.after(hours=72).hear(threshold(2))
        assert [tier for _, tier in tiers(history)] == [1, 2, 3]

    def test_each_tier_gets_its_own_day(self) -> None:
        history = in_program()
        history.hear(missed(START))
        history.after(hours=20).hear(threshold(2))
        assert tiers(history.after(hours=23)) == [(THRESHOLD, 2)]
        assert tiers(history.after(hours=1)) == [(THRESHOLD, 2), (MISSED, 3)]

    def test_a_week_of_silence_opens_one_without_a_miss(self) -> None:
        history = in_program()
        history.after(days=7).hear(threshold(0, 7, at=history.now))
        assert tiers(history) == [(THRESHOLD, 3)]
        [loop] = history.loops(FollowupLoop.OUTREACH)
        assert f"loop:{loop.key}" not in history.state.deadlines, "the last owner keeps it"

    def test_who_was_reached_by_telephone_is_not_silent(self) -> None:
        history = in_program()
        history.after(days=5).outreach()
        history.after(days=2).hear(threshold(0, 7, at=history.now))
        assert history.state.outreach is None

    @pytest.mark.parametrize("back_after", [7, 8, 90])
    def test_what_is_said_long_after_chases_nobody_who_was_there_since(
        self, back_after: int
    ) -> None:
        """A circumstance is taken back: what had added up in its time is looked at, and nobody is called for it."""
        history = in_program()
        history.hear(attended(START + back_after * DAY))
        history.after(days=100).hear(threshold(2, 7, at=START + 7 * DAY))
        assert history.state.outreach is None
        history.hear(missed(history.now))
        history.hear(threshold(3, 7, at=START + 7 * DAY))
        assert history.state.tier == 0

    def test_absences_before_the_last_contact_raise_nothing(self) -> None:
        history = in_program()
        history.hear_all([attended(START + 3 * HOUR), missed(START + HOUR), threshold(3)])
        assert tiers(history) == []

    def test_after_discharge_nothing_is_raised(self) -> None:
        history = in_program()
        history.hear_all([discharged(), threshold(3, 30)])
        assert tiers(history) == []
        assert history.state.outreach is None


class TestContact:
    @pytest.mark.parametrize(("hours", "tier"), [(1, 0), (24, 1), (48, 2), (72, 3)])
    def test_attending_ends_it_at_any_tier(self, hours: int, tier: int) -> None:
        history = in_program()
        history.hear(missed(START))
        history.after(hours=hours).hear(attended(history.now))
        assert history.state.outreach is None
        expected = [(FollowupLoop.OUTREACH, tier, ClearedReason.RESOLVED)] if tier else []
        assert cleared(history) == expected
        assert tiers(history.after(days=5)) == tiers(history)

    def test_a_late_roll_of_an_earlier_session_does_not_end_it(self) -> None:
        history = in_program()
        history.hear_all([missed(START + DAY), attended(START + HOUR)])
        assert history.state.outreach is not None
        assert history.state.contact_at == START + HOUR

    def test_being_reached_ends_it(self) -> None:
        history = in_program()
        history.hear(missed(START))
        outcome = history.after(hours=30).outreach()
        assert outcome.answer.items() >= {"tier": 0, "open": False}.items()
        assert cleared(history) == [(FollowupLoop.OUTREACH, 1, ClearedReason.RESOLVED)]

    @pytest.mark.parametrize(
        "result", [result for result in AttemptResult if result is not AttemptResult.REACHED]
    )
    def test_any_other_result_leaves_it_open(self, result: AttemptResult) -> None:
        history = in_program()
        history.hear(missed(START))
        outcome = history.after(hours=30).outreach(result)
        assert outcome.answer.items() >= {"tier": 1, "open": True}.items()
        assert history.state.outreach.attempts == 1

    def test_attempts_and_channels_are_counted(self) -> None:
        history = in_program()
        history.hear(missed(START))
        for channel in (Channel.CALL, Channel.SMS, Channel.CALL):
            history.outreach(AttemptResult.NO_ANSWER, channel)
        assert history.state.outreach.attempts == 3
        assert history.state.outreach.channels == (Channel.CALL, Channel.SMS)

    def test_discharge_ends_it(self) -> None:
        history = in_program()
        history.hear(missed(START))
        history.after(hours=24).hear(discharged(history.now))
        assert cleared(history) == [(FollowupLoop.OUTREACH, 1, ClearedReason.EPISODE_CLOSED)]


class TestSilence:
    @pytest.mark.parametrize(("days", "lost"), [(29, False), (30, True), (90, True)])
    def test_thirty_days_without_contact(self, days: int, lost: bool) -> None:
        history = in_program().after(days=days)
        assert (history.state.lost_at is not None) is lost
        assert [event.days_silent for event in history.of(followup.ContactLost)] == [30] * lost

    def test_counts_from_the_last_contact(self) -> None:
        history = in_program()
        history.after(days=20).outreach()
        assert history.after(days=29).of(followup.ContactLost) == []
        assert len(history.after(days=1).of(followup.ContactLost)) == 1

    def test_contact_reopens_and_the_count_begins_anew(self) -> None:
        history = in_program().after(days=40)
        history.hear(attended(history.now))
        assert history.state.lost_at is None
        assert cleared(history) == [(FollowupLoop.LOST_CONTACT, 1, ClearedReason.RESOLVED)]
        assert len(history.after(days=30).of(followup.ContactLost)) == 2

    def test_a_late_roll_from_before_the_silence_reopens_nothing(self) -> None:
        history = in_program(START)
        history.hear(attended(START + DAY))
        history.after(days=31).hear(attended(START + HOUR))
        assert history.state.lost_at is not None

    def test_a_late_roll_from_within_the_silence_shows_that_there_was_none(self) -> None:
        history = in_program(START)
        history.after(days=30).hear(attended(START + 20 * DAY))
        assert history.state.lost_at is None
        assert history.after(days=19).of(followup.ContactLost)[1:] == []
        assert len(history.after(days=1).of(followup.ContactLost)) == 2

    def test_ends_with_the_program(self) -> None:
        history = in_program()
        history.hear(discharged())
        assert "silence" not in history.state.deadlines


class TestRemembered:
    def test_outbound_referrals(self) -> None:
        history = in_program()
        history.hear(fact(intake.ReferralSent, referral_id=uid("out")))
        history.hear(fact(intake.ReferralLoopClosed, referral_id=uid("in")))
        assert list(history.state.referrals) == [uid("out")]
        history.hear(fact(intake.ReferralLoopClosed, referral_id=uid("out")))
        assert history.state.referrals == {}

    def test_reviews_until_they_are_done_or_the_episode_ends(self) -> None:
        history = in_program()
        for name in ("a", "b"):
            history.hear(fact(plans.ClinicalReviewRequested, review_id=uid(name)))
        history.hear(fact(plans.ClinicalReviewCompleted, review_id=uid("a")))
        assert history.state.reviews == {uid("b"): False}
        history.hear(discharged())
        assert history.state.reviews == {}

    @pytest.mark.fault("F18")
    def test_failed_screens_are_those_that_the_latest_interpretation_says(self) -> None:
        history = in_program()

        def said(screen: str, found: attendance.ScreenClass) -> None:
            more = {"screen_id": uid(screen), "classification": found}
            history.hear(fact(attendance.ScreenInterpreted, **more))

        for screen in ("one", "two", "three", "one"):
            said(screen, attendance.ScreenClass.UNEXPECTED_POSITIVE)
        assert len(history.state.failed) == 3
        said("one", attendance.ScreenClass.NEGATIVE)
        history.hear(fact(attendance.InterpretationUndone, screen_id=uid("two")))
        assert history.state.failed == (uid("three"),)
        assert history.names == []


class TestIllegal:
    def test_before_the_admission_is_heard(self) -> None:
        history = Followup()
        history.hear(missed(START))
        with pytest.raises(NotYetKnown):
            history.outreach()

    @pytest.mark.parametrize("kind", [DischargeKind.DECEASED, DischargeKind.INCARCERATED])
    def test_nobody_is_called_after_these(self, kind: DischargeKind) -> None:
        history = in_program()
        history.hear(discharged(START, kind))
        with pytest.raises(Refused) as refused:
            history.outreach()
        assert refused.value.code == "no-contact"

    def test_reaching_someone_nobody_was_looking_for_is_contact(self) -> None:
        history = Followup()
        history.hear(admitted())
        assert history.after(days=3).outreach().answer.items() >= {"tier": 0, "open": False}.items()
        assert history.state.contact_at == history.now


class TestPause:
    """A program that keeps somebody out of groups tells them in person."""

    PAUSED = fact(
        attendance.ParticipationPaused, paused_at=START + HOUR, resumes_at=START + 14 * DAY
    )
    RESUMED = fact(attendance.ParticipationResumed, resumed_at=START + 14 * DAY)

    def test_somebody_reaches_out_within_a_day(self) -> None:
        history = in_program(START - DAY).after(hours=1)
        history.hear(self.PAUSED)
        assert [loop.kind for loop in history.loops(FollowupLoop.OUTREACH)] == ["outreach"]
        history.after(days=1)
        assert tiers(history) == [(MISSED, 1)]
        history.outreach(AttemptResult.REACHED)
        assert history.loops(FollowupLoop.OUTREACH) == []

    def test_an_outreach_that_is_open_goes_on_and_contact_since_needs_none(self) -> None:
        chased = in_program(START - DAY)
        chased.hear(missed(START))
        [loop] = chased.loops(FollowupLoop.OUTREACH)
        chased.hear(self.PAUSED)
        assert chased.loops(FollowupLoop.OUTREACH) == [loop]
        reached = in_program(START - DAY)
        reached.hear_all([attended(START + 2 * HOUR), self.PAUSED])
        assert reached.loops(FollowupLoop.OUTREACH) == []

    def test_where_the_person_is_meanwhile(self) -> None:
        history = in_program(START - DAY)
        history.hear_all([attended(START + 2 * HOUR), self.PAUSED])
        place = journey.place(history.state)
        assert (place.stage, place.service, place.due_at) == (
            "paused",
            "attendance",
            START + 14 * DAY,
        )
        history.hear(self.RESUMED)
        assert journey.place(history.state).stage != "paused"

    @pytest.mark.parametrize("paused_first", [True, False])
    def test_an_end_or_an_undone_admission_leaves_nothing_in_either_order(
        self, *, paused_first: bool
    ) -> None:
        for end in (discharged(START + 2 * HOUR), fact(intake.AdmissionUndone)):
            history = in_program(START - DAY)
            facts = [self.PAUSED, end] if paused_first else [end, self.PAUSED]
            history.hear_all(facts)
            assert history.loops(FollowupLoop.OUTREACH) == []
            assert journey.place(history.state).stage != "paused"
