"""From a recommendation to the first day: placement, admission, orientation."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from services.intake.episode import episode_state
from services.intake.episode.episode_state import EpisodeState
from services.intake.episode.values import Admission, Recommendation
from services.intake.handoffs import AdmittedTo, Admitting, Granted, PlaceHeld, Readmitted
from shared import calendar, loops
from shared.contracts import intake
from shared.contracts.codes import IntakeLoop, LevelOfCare, Population, Value
from shared.contracts.intake import GapReason, ReferralOutcome, WaitlistExit
from shared.decision import Cause, Decision, Events, Handoff
from shared.errors import Invalid, Refused
from shared.programs.profile import ProgramProfile

ANSWERED_BY_IT: Final = (
    IntakeLoop.PLACEMENT,
    IntakeLoop.ADMISSION,
    IntakeLoop.OUTBOUND_REFERRAL,
)
"""The loops that a placement closes; what it leads to is opened anew."""


CLOCKS_APART: Final = timedelta(minutes=5)


class NewAdmission(Value):
    """What is needed to admit, beside the program."""

    population: Population
    court_involved: bool
    length_weeks: int | None
    """Missing: as long as the program usually lasts."""
    time_zone: str
    prior_episode_id: str | None


def place(
    state: EpisodeState, actual: LevelOfCare, gap_reason: GapReason | None, cause: Cause
) -> Decision[EpisodeState]:
    """Decide where the person really goes. A gap to what was recommended has a reason."""
    episode_state.in_intake(state)
    if state.recommendation is None:
        raise Refused(
            "not-recommended",
            "No level is recommended.",
            hint="Complete an assessment and have its recommendation signed first.",
        )
    recommendation = state.recommendation
    recommended = recommendation.level
    if actual.edition != recommended.edition:
        raise Invalid(
            "edition-differs",
            "Levels of different editions are not compared.",
            hint="State the level in the edition of the assessment.",
        )
    if (actual != recommended) is (gap_reason is None):
        raise Invalid(
            "gap-reason-mismatch",
            "A placement that differs from the recommendation has a reason; one that does not, has none.",
            hint="State gap_reason exactly when the levels differ.",
        )
    event = intake.PlacementDecided(
        recommended_level=recommended, actual_level=actual, gap_reason=gap_reason
    )
    state = state.replace(placed_level=actual)
    state, cleared = loops.close_all(state, episode_state.own_loops(state, ANSWERED_BY_IT, cause))
    if not (recommendation.eligible and actual.code in recommendation.offered):
        state, left, handoffs = episode_state.leave_line(
            state, WaitlistExit.REFERRED_ELSEWHERE, cause
        )
        return Decision(episode_state.send_on(state, cause), (event, *cleared, *left), handoffs)
    if state.waiting is None:
        state = loops.open_loop(state, IntakeLoop.ADMISSION, cause.subject_id, cause)
    return Decision(state, (event, *cleared))


def admissible(
    state: EpisodeState, episode_id: str, new: NewAdmission, profile: ProgramProfile
) -> Admitting:
    """What is to be asked of the person's record: this admission, under the program's terms of today.

    Raises what stands in its way, as far as this episode is concerned.
    """
    return Admitting(
        **new.model_dump(exclude={"length_weeks"}),
        level=_level(state, episode_id, new, profile),
        program=profile.program,
        length_weeks=_length(new.length_weeks, profile),
        terms=profile.terms(),
        offered=(profile.level.code,),
    )


def granted(state: EpisodeState, body: Granted, cause: Cause) -> Decision[EpisodeState]:
    """The person's record grants the admission. What the episode became meanwhile may stand in its way.

    The person is told in either case, so that a grant that was not needed comes back.
    """
    decision = Decision(state)
    if _still_admissible(state, body.person_id, body.admitting):
        decision = begin(state, body.admitting, cause)
    now = decision.state
    theirs = now.admission if now.person_id == body.person_id else None
    told = AdmittedTo(
        episode_id=cause.subject_id, program=None if theirs is None else theirs.program
    )
    handoff = Handoff(f"person/{body.person_id}", told)
    return decision._replace(handoffs=(handoff, *decision.handoffs))


def _still_admissible(state: EpisodeState, person_id: str, new: Admitting) -> bool:
    found = state.recommendation
    return (
        state.person_id == person_id
        and state.closed_at is None
        and state.admission is None
        and state.placed_level == new.level
        and found is not None
        and found.eligible
        and found.program in (None, new.program)
    )


def begin(state: EpisodeState, new: Admitting, cause: Cause) -> Decision[EpisodeState]:
    """Treatment begins, and the inbound referral is answered. The program's terms of that day stay with the episode."""
    terms = new.terms
    admission = Admission(
        **{name: value for name, value in new if name != "terms"},
        admitted_at=cause.now,
        terms_version=terms.version,
    )
    event = intake.PatientAdmitted(
        person_id=state.person_id,
        **admission.model_dump(exclude={"oriented_at", "terms_version", "offered"}),
        terms=terms,
    )
    state, closed = episode_state.close_inbound(
        state.replace(admission=admission), ReferralOutcome.ADMITTED, cause
    )
    state, left, handoffs = episode_state.leave_line(state, WaitlistExit.ACCEPTED, cause)
    state, cleared = loops.close(state, IntakeLoop.ADMISSION, cause.subject_id)
    if new.prior_episode_id is not None:
        readmitted = Readmitted(episode_id=cause.subject_id)
        handoffs = (*handoffs, Handoff(f"episode/{new.prior_episode_id}", readmitted))
    state = loops.open_loop(state, IntakeLoop.ORIENTATION, cause.subject_id, cause)
    events: Events = (event, closed, *left, *cleared)
    return Decision(state, events, handoffs)


def admitted(state: EpisodeState, program: str, _cause: Cause) -> Decision[EpisodeState]:
    """What who asked for the admission is told. Raises when the episode changed before the grant arrived."""
    admission = state.admission
    if admission is None or admission.program != program:
        raise Refused(
            "admission-overtaken",
            "The episode changed before the admission.",
            hint="Read the episode, and send the same command again if it can still be admitted.",
        )
    return Decision(state, answer={"level": admission.level.model_dump()})


def place_held(state: EpisodeState, body: PlaceHeld, cause: Cause) -> Decision[EpisodeState]:
    """One open episode of a person in a program: while another has the place, somebody has to say which goes on.

    Asking first excludes it; a correction of whose an episode is, or an end that is taken back, leads to it.
    """
    if state.person_id != body.person_id or state.admission is None or state.closed_at is not None:
        return Decision(state)
    kind, loop_id = IntakeLoop.DOUBLE_ADMISSION, cause.subject_id
    if body.holder_id == loop_id:
        return Decision(*loops.close(state, kind, loop_id))
    if episode_state.is_open(state, kind, cause):
        return Decision(state)
    return Decision(loops.open_loop(state, kind, loop_id, cause))


class OrientationAsks(Value):
    """What an orientation has to consist of, as the program and the facility have it."""

    rules: tuple[str, ...]
    """The rules of the program, as they were on the day of admission."""
    notice_since: date | None
    """From when the notice on confidentiality holds that holds now; None: none is registered."""
    time_zone: str


def orient(
    state: EpisodeState,
    rules_accepted: tuple[str, ...],
    part2_notice_at: datetime,
    asks: OrientationAsks,
    cause: Cause,
) -> Decision[EpisodeState]:
    """The person knows the schedule and every rule, and got the confidentiality notice that holds (42 CFR 2.22)."""
    episode_state.in_progress(state)
    if state.admission is None:
        raise Refused(
            "not-admitted",
            "Orientation is possible only after admission.",
            hint="Admit the person first.",
        )
    if state.admission.oriented_at is not None:
        raise Refused(
            "already-oriented", "The orientation is completed.", hint="Go on to the plan."
        )
    missing = [rule for rule in asks.rules if rule not in rules_accepted]
    if missing:
        raise Invalid(
            "rules-not-accepted",
            f"The program has rules that are not in rules_accepted: {', '.join(missing)}.",
            hint="Go through the rules with the person, and name each.",
        )
    if asks.notice_since is None:
        raise Refused(
            "notice-not-registered",
            "No notice on confidentiality is registered that holds today.",
            hint="Have the facility's notice and its first day entered in the directory (CARE_DIRECTORY).",
        )
    given_on = calendar.local_day(part2_notice_at, asks.time_zone)
    if given_on < asks.notice_since or part2_notice_at > cause.now + CLOCKS_APART:
        raise Invalid(
            "notice-out-of-time",
            "part2_notice_at is in the future, or the notice of that day holds no longer.",
            hint="Give the person the notice that holds now, and state when they got it.",
        )
    event = intake.OrientationCompleted(
        completed_at=cause.now, rules_accepted=rules_accepted, part2_notice_at=part2_notice_at
    )
    oriented = state.admission.replace(oriented_at=cause.now)
    state, cleared = loops.close(
        state.replace(admission=oriented), IntakeLoop.ORIENTATION, cause.subject_id
    )
    return Decision(state, (event, *cleared))


def _level(
    state: EpisodeState, episode_id: str, new: NewAdmission, profile: ProgramProfile
) -> LevelOfCare:
    """The level to admit at. Raises what stands in the way."""
    episode_state.in_intake(state)
    if new.prior_episode_id == episode_id:
        raise Invalid(
            "prior-episode-invalid", "An episode does not continue itself.", hint="Check the id."
        )
    if state.recommendation is None or not state.recommendation.eligible:
        raise Refused(
            "not-eligible",
            "This program is not found to suit the person.",
            hint="Assess and recommend first; when the answer is no, refer the person on.",
        )
    if state.placed_level is None:
        raise Refused("not-placed", "No placement is decided.", hint="Decide the placement first.")
    _suits(state.recommendation, state.placed_level, new.population, profile)
    return state.placed_level


def _suits(
    recommendation: Recommendation,
    placed: LevelOfCare,
    population: Population,
    profile: ProgramProfile,
) -> None:
    """The program is the one that was applied to, of the level that was decided, and for people like this one.

    Levels are compared by their code: editions name the same services by the same codes where a program has them.
    """
    if placed.code != profile.level.code:
        raise Refused(
            "placed-elsewhere",
            "The placement is at a level that this program does not offer.",
            hint="Refer the person on, name another program, or decide the placement anew.",
        )
    if recommendation.program not in (None, profile.program):
        raise Refused(
            "program-not-applied-to",
            "Eligibility was determined for another program.",
            hint="Assess again, and recommend for this program.",
        )
    if profile.population not in (None, population):
        raise Refused(
            "population-not-served",
            "This program is for another population.",
            hint="Name a program for this population, or refer the person on.",
        )


def _length(asked: int | None, profile: ProgramProfile) -> int:
    """How many weeks are planned: what was asked, within what the program is; its usual length by default."""
    least, most = profile.weeks_min, profile.weeks_max
    weeks = asked or most or least
    if weeks is None:
        raise Invalid(
            "length-missing",
            "The length of this program is individual.",
            hint="State length_weeks.",
        )
    if weeks < (least or weeks) or weeks > (most or weeks):
        raise Invalid(
            "length-outside-program",
            "The program is shorter, or longer.",
            hint="State a length within the program's weeks_min and weeks_max, or none.",
        )
    return weeks
