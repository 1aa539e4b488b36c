"""The account is itself accounted for: each fault, planted alone in a clean run, is found and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest

from demo.journal import Accepted
from demo.ledger import Ledger, judge, outcomes
from demo.witnesses import Evidence, Heard, Kept
from shared.contracts import CATALOGUE

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EPISODE = "episode/1"
OTHER = "episode/2"
SESSION = "session-1"
WALK = "session-3"
"""A session that gives no hours."""
WANTED = {
    "plans": frozenset({"care.attendance.session-attended.v1"}),
    "followup": frozenset(
        {"care.plans.clinical-review-requested.v1", "care.attendance.session-attended.v1"}
    ),
}


@dataclass
class Run:
    """A small run without a fault, whose parts a test may spoil."""

    accepted: list[Accepted]
    heard: list[Heard]
    kept: dict[str, Kept]
    lag: dict[str, int]

    def judged(self) -> Ledger:
        return judge(Evidence(self.accepted, self.heard, self.kept, self.lag, NOW))

    def fact(self, name: str, nth: int = 0) -> Heard:
        return [fact for fact in self.heard if fact.type.split(".")[2] == name][nth]

    def say(self, source: str, name: str, subject: str = EPISODE, /, **data: Any) -> Heard:
        """Publish a fact the way a service does: numbered, kept, and applied by whoever wants it."""
        records = self.kept[source].records
        record = records.setdefault(subject, _record())
        number = record["next_sequence"]
        record["next_sequence"] = number + 1
        topic = f"care.{source}"
        headers = {
            "ce_type": f"{topic}.{name}.v1",
            "ce_subject": subject,
            "ce_sequence": str(number),
            "ce_id": f"{topic}/{subject}/{number}",
            "ce_time": NOW.isoformat(),
        }
        fact = Heard(topic, 0, len(self.heard), headers, data)
        self.heard.append(fact)
        for hearer, wanted in WANTED.items():
            if fact.type in wanted:
                record = self.kept[hearer].records.setdefault(subject, _record())
                record["inbox"][source] = _inbox(number, fact.id)
        return fact

    def retold(
        self, fact: Heard, *, data: Mapping[str, Any] | None = None, **changes: str
    ) -> Heard:
        headers = {**fact.headers, **{f"ce_{key}": value for key, value in changes.items()}}
        return replace(fact, headers=headers, data=fact.data if data is None else data)


def week(starts_on: str, minutes: int) -> dict[str, Any]:
    return {"week_starts_on": starts_on, "minutes_credited": minutes}


def correct(run: Run, before: int, after: int, session_id: str = SESSION) -> None:
    run.say(
        "attendance",
        "attendance-corrected",
        session_id=session_id,
        minutes_before=before,
        minutes_after=after,
    )


def attend(
    run: Run,
    session_id: str,
    modality: str,
    minutes: int,
    *,
    counts: bool | None = None,
    subject: str = EPISODE,
    hours: int = 0,
) -> None:
    """A session attended; with `counts` it was scheduled by hand and says whether it counts."""
    if counts is not None:
        scheduled = {"modality": modality, "counts_toward_hours": counts}
        run.say("attendance", "session-scheduled", f"session/{session_id}", **scheduled)
    told = {"session_id": session_id, "modality": modality, "minutes_credited": minutes}
    later(run, "session-attended", subject, hours=hours, **told)


def later(run: Run, name: str, subject: str = EPISODE, /, *, hours: int, **data: Any) -> None:
    """A fact of attendance, some hours after the others."""
    fact = run.say("attendance", name, subject, **data)
    run.heard[-1] = run.retold(fact, time=(NOW + timedelta(hours=hours)).isoformat())


def undo(run: Run) -> None:
    """The admission is undone an hour after everything else."""
    fact = run.say("intake", "admission-undone")
    run.heard[-1] = run.retold(fact, time=(NOW + timedelta(hours=1)).isoformat())


def _record() -> dict[str, Any]:
    return {"next_sequence": 1, "inbox": {}, "outbox": [], "handoffs": [], "due": None}


def _inbox(number: int, event_id: str) -> tuple[int, bytes, bytes]:
    digest = blake2b(event_id.encode(), digest_size=8).digest()
    return number, number.to_bytes(8) + digest, b""


@pytest.fixture
def run() -> Run:
    services = ("intake", "plans", "attendance", "followup")
    made = Run([], [], {name: Kept(wanted=WANTED.get(name, frozenset())) for name in services}, {})
    made.lag = dict.fromkeys(services, 0)
    made.say("intake", "referral-received", referral_id="1")
    made.say("attendance", "screen-ordered", screen_id="a")
    made.say(
        "attendance",
        "session-attended",
        session_id=SESSION,
        modality="group",
        minutes_credited=180,
    )
    made.say("attendance", "session-missed", session_id="session-2", modality="group")
    made.say(
        "attendance",
        "session-attended",
        OTHER,
        session_id=WALK,
        modality="wellness",
        minutes_credited=60,
    )
    for minutes in (60, 180):  # evaluated again when a roll was called late: the latest holds
        made.say("attendance", "weekly-hours-evaluated", **week("2026-05-04", minutes))
    made.say("plans", "clinical-review-requested", review_id="r", trigger_event_id="t")
    made.say("followup", "check-in-scheduled", check_in_id="c", milestone="d7")
    made.accepted += [
        Accepted(
            "intake",
            "/referrals",
            EPISODE,
            1,
            (("care.intake.referral-received.v1", EPISODE, {"referral_id": "1"}),),
        ),
        Accepted(
            "attendance",
            f"/sessions/{SESSION}/attendance",
            f"session/{SESSION}",
            1,
            tuple(
                ("care.attendance.session-attended.v1", subject, {"session_id": session_id})
                for subject, session_id in ((EPISODE, SESSION), (OTHER, WALK))
            ),
        ),
    ]
    return made


def test_a_run_without_a_fault_is_clean(run: Run) -> None:
    ledger = run.judged()
    assert ledger.clean
    kinds = ("lost", "doubled", "stuck", "out_of_order", "not_allowed")
    assert ledger.findings() == {kind: [] for kind in kinds}
    assert (ledger.events, ledger.commands, ledger.redelivered) == (9, 2, 0)
    assert ledger.events_by_type["care.attendance.session-attended.v1"] == 2
    assert sum(ledger.events_by_type.values()) == 9
    assert ledger.events_by_type.keys() == CATALOGUE.keys(), "a count for every type"
    assert len(ledger.unheard) == len(CATALOGUE) - 7
    assert ledger.report()["unheard"] == ledger.unheard


def test_delivery_at_least_once_is_no_finding(run: Run) -> None:
    calm = run.judged()
    for fact in list(run.heard)[-3:]:
        run.heard.append(replace(fact, offset=len(run.heard)))
    run.heard.insert(4, replace(run.heard[1], offset=99))  # an old one, told again in between
    ledger = run.judged()
    assert ledger.clean, ledger.findings()
    assert ledger.redelivered == 4
    assert (ledger.events, ledger.outcomes) == (calm.events, calm.outcomes)


# --- each fault alone ----------------------------------------------------------------------------------

Fault = Callable[[Run], None]
FAULTS: dict[str, tuple[Fault, Mapping[str, list[str]]]] = {}


def fault(kind: str, *sentences: str) -> Callable[[Fault], Fault]:
    """A way to spoil the run, and every sentence that the ledger is to say of it."""

    def kept(spoil: Fault) -> Fault:
        FAULTS[spoil.__name__] = (spoil, {kind: list(sentences)})
        return spoil

    return kept


@fault("lost", f"care.plans.treatment-plan-activated.v1 {EPISODE}: accepted 1, published 0")
def accepted_command_without_its_event(run: Run) -> None:
    expects = (("care.plans.treatment-plan-activated.v1", EPISODE, {}),)
    run.accepted.append(Accepted("plans", "/plans/1/sign", EPISODE, 1, expects))


@fault("lost", f"care.intake.referral-received.v1 {EPISODE}: accepted 1, published 0")
def accepted_command_whose_event_says_something_else(run: Run) -> None:
    expects = (("care.intake.referral-received.v1", EPISODE, {"referral_id": "2"}),)
    run.accepted.append(Accepted("intake", "/referrals", EPISODE, 1, expects))


@fault("lost", f"care.intake.referral-received.v1 {EPISODE}: accepted 2, published 1")
def two_accepted_commands_and_one_event(run: Run) -> None:
    run.accepted.append(run.accepted[0])


@fault("doubled", f"care.intake.referral-received.v1 {EPISODE}: accepted 1, published 2")
def one_accepted_command_and_two_events(run: Run) -> None:
    run.say("intake", "referral-received", referral_id="1")


@fault("lost", f"care.attendance {EPISODE} #1: not on the topic")
def number_below_the_next_one_absent_from_the_topic(run: Run) -> None:
    run.heard.remove(run.fact("screen-ordered"))


@fault(
    "lost",
    f"care.followup {EPISODE} #2: not on the topic",
    f"care.followup {EPISODE} #3: not on the topic",
)
def numbers_at_the_end_absent_from_the_topic(run: Run) -> None:
    run.kept["followup"].records[EPISODE]["next_sequence"] += 2


@fault("lost", "care.intake episode/9 #1: not on the topic")
def everything_of_a_subject_absent_from_the_topic(run: Run) -> None:
    run.kept["intake"].records["episode/9"] = {**_record(), "next_sequence": 2}


@fault("lost", f"care.intake {EPISODE}: 1 facts without a record")
def fact_without_a_record(run: Run) -> None:
    del run.kept["intake"].records[EPISODE]


@fault("lost", f"care.intake {EPISODE} #1: not in its record")
def fact_beyond_the_next_number(run: Run) -> None:
    """The store is older than its topic: a number that it will give away again."""
    run.kept["intake"].records[EPISODE]["next_sequence"] = 1


@fault("lost", f"care.attendance.session-attended.v1 {OTHER} #1: plans has applied up to 0")
def wanted_event_not_applied_at_all(run: Run) -> None:
    run.kept["plans"].records[OTHER]["inbox"] = {}


@fault("lost", f"care.attendance.session-attended.v1 {EPISODE} #2: followup has applied up to 1")
def wanted_event_applied_too_low(run: Run) -> None:
    run.kept["followup"].records[EPISODE]["inbox"]["attendance"] = _inbox(1, "before")


@fault("lost", f"care.attendance.session-attended.v1 {EPISODE} #2: plans has applied up to 2")
def wanted_event_applied_by_another_id(run: Run) -> None:
    run.kept["plans"].records[EPISODE]["inbox"]["attendance"] = _inbox(2, "another")


@fault("doubled", f"{EPISODE}: 360 minutes of 180")
def minutes_of_a_week_counted_twice(run: Run) -> None:
    run.say("attendance", "weekly-hours-evaluated", **week("2026-05-11", 180))


@fault("doubled", f"{EPISODE}: the week of 2026-05-04 evaluated twice")
def week_evaluated_twice_alike(run: Run) -> None:
    run.say("attendance", "weekly-hours-evaluated", **week("2026-05-04", 180))


@fault("doubled", f"{EPISODE}: 360 minutes of sessions that cover 4:00:00")
def minutes_of_two_sessions_at_one_time(run: Run) -> None:
    for session_id, hour in (("session-8", 18), ("session-9", 19)):
        attend(run, session_id, "group", 180)
        run.say(
            "attendance",
            "session-scheduled",
            f"session/{session_id}",
            modality="group",
            counts_toward_hours=True,
            starts_at=f"2026-05-12T{hour}:00:00Z",
            minutes_planned=180,
        )
    run.say("attendance", "weekly-hours-evaluated", **week("2026-05-11", 360))


@fault("lost", f"{EPISODE}: 120 minutes of 180")
def minutes_lost_by_a_later_evaluation(run: Run) -> None:
    run.say("attendance", "weekly-hours-evaluated", **week("2026-05-04", 120))


@fault("lost", f"{EPISODE}: 180 minutes of 300")
def minutes_in_no_week(run: Run) -> None:
    run.say(
        "attendance",
        "session-attended",
        session_id="session-4",
        modality="individual",
        minutes_credited=120,
    )


@fault("lost", f"{EPISODE}: 180 minutes of 240")
def minutes_corrected_in_no_week(run: Run) -> None:
    correct(run, 180, 240)


@fault("doubled", f"{EPISODE}: 180 minutes of 90")
def minutes_taken_back_in_no_week(run: Run) -> None:
    correct(run, 180, 90)


@fault("lost", f"{EPISODE}: 180 minutes of 300")
def minutes_of_a_miss_that_was_none_in_no_week(run: Run) -> None:
    correct(run, 0, 120, session_id="session-2")


@fault("doubled", f"{EPISODE}: 240 minutes of 180")
def minutes_of_a_family_session_without_the_person(run: Run) -> None:
    """A kind of session that counts, but this one was not for the patient."""
    attend(run, "session-5", "family", 60, counts=False)
    run.say("attendance", "weekly-hours-evaluated", **week("2026-05-11", 60))


@fault("doubled", f"{EPISODE}: 300 minutes of 180")
def minutes_from_before_an_admission_was_undone(run: Run) -> None:
    """What was attended before is forgotten; here a week after still counts it."""
    undo(run)
    attend(run, "session-6", "group", 180, hours=2)
    later(run, "weekly-hours-evaluated", hours=3, **week("2026-05-11", 300))


@fault("doubled", f"{EPISODE}: 2 times the roll entry of session-2")
def roll_entry_twice(run: Run) -> None:
    run.say("attendance", "session-missed", session_id="session-2", modality="group")


@fault("doubled", f"{EPISODE}: 2 times the review of t")
def review_requested_twice_by_one_trigger(run: Run) -> None:
    run.say("plans", "clinical-review-requested", review_id="r2", trigger_event_id="t")


@fault("doubled", f"{EPISODE}: 2 times the check-in of d7")
def check_in_scheduled_twice(run: Run) -> None:
    run.say("followup", "check-in-scheduled", check_in_id="c2", milestone="d7")


@fault("doubled", f"care.attendance.screen-ordered.v1 {EPISODE} #1: number taken by two facts")
def number_taken_by_two_ids(run: Run) -> None:
    run.heard.append(run.retold(run.fact("screen-ordered"), id="conflicting"))


@fault("doubled", f"event id care.attendance/{EPISODE}/1 stands for 2 facts")
def event_id_for_two_facts(run: Run) -> None:
    place = run.heard.index(run.fact("session-missed"))
    run.heard[place] = run.retold(run.heard[place], id=run.fact("screen-ordered").id)


@fault("out_of_order", f"care.attendance.screen-ordered.v1 {EPISODE} #1: first seen after 2")
def first_occurrence_out_of_order(run: Run) -> None:
    run.heard[1], run.heard[2] = run.heard[2], run.heard[1]


@fault("stuck", f"plans {EPISODE}: outbox is not empty")
def waiting_outbox(run: Run) -> None:
    run.kept["plans"].records[EPISODE]["outbox"] = [{"sequence": 1}]


@fault("stuck", f"attendance {EPISODE}: handoffs is not empty")
def waiting_handoff(run: Run) -> None:
    run.kept["attendance"].records[EPISODE]["handoffs"] = [{"number": 1}]


@fault("stuck", f"followup {EPISODE}: blocked is not empty")
def blocked_stream(run: Run) -> None:
    run.kept["followup"].records[EPISODE]["blocked"] = {"attendance": "data-invalid"}


@fault("stuck", "plans: 3 records behind")
def lag(run: Run) -> None:
    run.lag["plans"] = 3


@fault("stuck", f"plans {EPISODE}: a deadline of {NOW.isoformat()} has not fired")
def deadline_past_due(run: Run) -> None:
    run.kept["plans"].records[EPISODE]["due"] = NOW


@pytest.mark.parametrize("planted", FAULTS)
def test_a_fault_is_found_and_nothing_else(run: Run, planted: str) -> None:
    spoil, expected = FAULTS[planted]
    spoil(run)
    ledger = run.judged()
    assert {kind: found for kind, found in ledger.findings().items() if found} == expected
    assert not ledger.clean
    report = ledger.report()
    assert {kind: report[kind] for kind in expected} == {k: len(v) for k, v in expected.items()}
    assert report["evidence"] == expected


def test_corrected_minutes_that_are_in_their_week_are_no_finding(run: Run) -> None:
    correct(run, 180, 60)
    correct(run, 0, 90, session_id="session-2")
    run.say("attendance", "weekly-hours-evaluated", **week("2026-05-04", 150))
    assert run.judged().clean, run.judged().findings()


@pytest.mark.parametrize(("modality", "counts"), [("case_management", True), ("family", False)])
def test_how_a_session_was_scheduled_says_whether_it_counts(
    run: Run, modality: str, counts: bool
) -> None:
    attend(run, "session-5", modality, 60, counts=counts)
    run.say("attendance", "weekly-hours-evaluated", **week("2026-05-11", 60 * counts))
    assert run.judged().clean, run.judged().findings()


@pytest.mark.parametrize("mistake", ["episode-entered-in-error", "referral-merged"])
def test_of_an_episode_that_never_was_no_minutes_are_owed(run: Run, mistake: str) -> None:
    attend(run, "session-5", "group", 180)  # in a week that will never be evaluated
    assert not run.judged().clean
    run.say("intake", mistake)
    assert run.judged().clean, run.judged().findings()
    run.say("intake", mistake, OTHER)
    attend(run, "session-6", "group", 180, subject="episode/3")
    assert run.judged().lost == ["episode/3: 0 minutes of 180"], "of others they are"


def test_of_an_admission_that_was_undone_only_what_came_after_is_owed(run: Run) -> None:
    attend(run, "session-5", "group", 180)
    undo(run)
    assert run.judged().clean, run.judged().findings()
    attend(run, "session-6", "group", 120, hours=2)
    assert run.judged().lost == [f"{EPISODE}: 0 minutes of 120"]
    later(run, "weekly-hours-evaluated", hours=3, **week("2026-05-04", 120))
    assert run.judged().clean, run.judged().findings()


def test_a_dead_letter_is_not_clean(run: Run) -> None:
    run.kept["plans"].dead_letters = 2
    ledger = run.judged()
    assert (ledger.dead_letters, ledger.clean) == (2, False)
    assert not any(ledger.findings().values())


def test_what_is_not_yet_due_and_what_nobody_wants_is_no_finding(run: Run) -> None:
    run.kept["plans"].records[EPISODE]["due"] = NOW + timedelta(seconds=1)
    run.kept["intake"].records[EPISODE]["inbox"] = {}
    assert run.judged().clean


def test_a_report_shows_only_some_of_the_evidence(run: Run) -> None:
    run.kept["followup"].records[EPISODE]["next_sequence"] += 50
    report = run.judged().report()
    assert (report["lost"], len(report["evidence"]["lost"])) == (50, 20)


# --- outcomes ------------------------------------------------------------------------------------------


def test_outcomes_leave_out_how_facts_are_numbered_and_ordered(run: Run) -> None:
    same = [run.retold(f, id=f"other-{f.id}", sequence=str(f.sequence + 7)) for f in run.heard]
    assert outcomes(reversed(same)) == outcomes(run.heard) == run.judged().outcomes


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_time", (NOW + timedelta(seconds=1)).isoformat()),
        ("ce_subject", OTHER),
        ("ce_type", "care.intake.referral-declined.v1"),
    ],
)
def test_outcomes_tell_who_what_and_when(run: Run, header: str, value: str) -> None:
    first = replace(run.heard[0], headers={**run.heard[0].headers, header: value})
    assert outcomes([first, *run.heard[1:]]) != outcomes(run.heard)


def test_outcomes_tell_the_data_and_how_often(run: Run) -> None:
    assert outcomes([run.retold(run.heard[0], data={}), *run.heard[1:]]) != outcomes(run.heard)
    assert outcomes([*run.heard, run.heard[0]]) != outcomes(run.heard)
    assert outcomes(run.heard[1:]) != outcomes(run.heard)
