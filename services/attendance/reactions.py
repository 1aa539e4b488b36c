"""The tables that map other services' events, this service's own handoffs, and deadlines to attendance's rules."""

from datetime import date

from services.attendance import circumstances, ending, event_handlers
from services.attendance.episode import (
    absences,
    bookings,
    episode_state,
    handoffs,
    pauses,
    rolls,
    seats,
    values,
    weeks,
)
from services.attendance.groups import (
    changes,
    closures,
    group_calendar,
    group_state,
    groups,
    leaders,
    roll,
    session_state,
    sessions,
)
from services.attendance.screening import incentives, screens, specimens
from shared import loops
from shared.contracts import followup, intake, plans
from shared.contracts.codes import AttendanceLoop
from shared.loops import role_vacated, team_assigned
from shared.runtime.core.deadlines import Deadlines, LoopDeadlines, due, due_for
from shared.runtime.core.handoffs import HandoffRules, handles
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.void import Void

REACTIONS = Reactions(
    on(intake.WaitlistJoined, seats.joined),
    on(intake.WaitlistOffered, seats.offered),
    on(intake.WaitlistLeft, seats.waiting_ended),
    on(intake.PatientAdmitted, event_handlers.admitted),
    on(intake.OrientationCompleted, event_handlers.oriented),
    on(intake.CareTeamAssigned, team_assigned, void=Void.BOTH),
    on(intake.CareTeamRoleVacated, role_vacated, void=Void.BOTH),
    on(intake.EpisodeEnteredInError, event_handlers.entered_in_error, void=Void.RUN),
    on(intake.ReferralMerged, event_handlers.merged, void=Void.RUN),
    on(intake.EpisodeEnteredInErrorUndone, ending.restored, void=Void.RUN),
    on(intake.ReferralMergedUndone, ending.restored, void=Void.RUN),
    on(intake.AdmissionUndone, event_handlers.admission_undone),
    on(intake.EpisodePersonCorrected, event_handlers.person_corrected),
    on(intake.StaffAbsencePlanned, leaders.absence_planned),
    on(intake.StaffAbsenceEnded, leaders.absence_ended),
    on(plans.TreatmentPlanActivated, event_handlers.plan_activated),
    on(plans.TreatmentPlanReviewed, event_handlers.plan_reviewed),
    on(plans.ExpectedAnalytesUpdated, event_handlers.expected_analytes_updated),
    on(plans.CoOccurringNeedIdentified, event_handlers.co_occurring_need),
    on(plans.AncillaryServiceAdded, bookings.ancillary_added),
    on(plans.LevelOfCareChanged, event_handlers.level_changed),
    on(plans.LevelOfCareChangeUndone, event_handlers.level_change_undone),
    on(plans.ClinicalReviewCompleted, screens.review_completed),
    on(plans.ClinicalReviewUndone, screens.review_undone),
    on(plans.TransferInitiated, seats.transfer_initiated),
    on(plans.TransferCompleted, seats.transfer_completed),
    on(plans.ProgramGraduated, seats.graduated),
    on(plans.EpisodeDischarged, ending.discharged),
    on(plans.TransferFellThrough, seats.transfer_fell_through),
    on(plans.TransferUndone, seats.transfer_undone),
    on(plans.FirstContactUndone, seats.first_contact_undone),
    on(plans.GraduationUndone, seats.graduation_undone),
    on(plans.DischargeUndone, ending.discharge_undone),
    on(followup.CircumstanceRecorded, circumstances.recorded),
    on(followup.CircumstanceEnded, circumstances.ended),
    on(followup.CircumstanceUndone, circumstances.undone),
)

HANDOFFS = HandoffRules(
    # Sessions and groups act on what an episode answers, also on one that was entered in error.
    handles(handoffs.Booked, bookings.booked, void=Void.BOTH),
    handles(handoffs.CalendarShared, bookings.calendar_shared, void=Void.BOTH),
    handles(handoffs.ClosedOn, bookings.closed_on),
    handles(handoffs.Unbooked, bookings.unbooked),
    handles(handoffs.Dropped, bookings.dropped),
    handles(handoffs.RollCalled, rolls.roll_called, void=Void.BOTH),
    handles(handoffs.Corrected, rolls.corrected),
    handles(handoffs.OffRoll, rolls.off_roll),
    handles(handoffs.LeftRoster, sessions.left_roster),
    handles(handoffs.WalkInDoubted, roll.walk_in_doubted),
    handles(handoffs.WalkInAgreed, roll.walk_in_agreed),
    handles(session_state.Planned, sessions.planned),
    handles(session_state.RosterTaken, sessions.roster_taken),
    handles(session_state.CalledOff, sessions.called_off),
    handles(session_state.Moved, changes.moved),
    handles(session_state.PutBack, changes.put_back),
    handles(closures.GroupListed, closures.group_listed),
    handles(closures.GroupUnlisted, closures.group_unlisted),
    handles(closures.FacilityClosed, changes.facility_closed),
    handles(leaders.LeadsSession, leaders.leads_session),
    handles(leaders.LeadsNoMore, leaders.leads_no_more),
    handles(leaders.LeaderBusy, leaders.busy),
    handles(leaders.LeaderFree, leaders.free),
    handles(session_state.RosterAsked, group_calendar.roster_asked),
    handles(session_state.TookPlace, group_calendar.took_place),
    handles(seats.HoldSeat, groups.held_for),
    handles(seats.ConfirmSeat, groups.confirmed_for),
    handles(handoffs.BackOnRoster, sessions.back_on_roster),
    handles(seats.TakeSeat, groups.taken_again),
    handles(seats.ReleaseSeat, groups.released_by),
    handles(seats.SeatGiven, seats.given, void=Void.BOTH),
    handles(seats.SeatFreed, seats.freed, void=Void.BOTH),
    handles(seats.SeatMissing, seats.missing),
    handles(values.Earned, incentives.earned),
    handles(values.WentBack, incentives.went_back),
    handles(values.TakenOut, incentives.taken_out),
)

EPISODE_DEADLINES = Deadlines[episode_state.EpisodeState](
    due_for("week-close", weeks.close_week, date.fromisoformat),
    due_for("week-projection", weeks.project_week, date.fromisoformat),
    due(episode_state.LEVEL, seats.level_takes_effect),
    due(absences.SILENCE, absences.fell_silent),
    due(specimens.DUE, specimens.came_due),
    due(pauses.OVER, pauses.over),
    loops=LoopDeadlines(AttendanceLoop, default=loops.escalate),
)
ending.MEANWHILE.with_rows((*REACTIONS.rules, *HANDOFFS.rules))
ending.MEANWHILE.with_deadlines(EPISODE_DEADLINES.decide)
SESSION_DEADLINES = Deadlines[session_state.SessionState](
    due(sessions.BEGINS, sessions.begins),
    due(sessions.ENDED, sessions.ended),
    loops=LoopDeadlines(AttendanceLoop, default=loops.escalate),
)
GROUP_DEADLINES = Deadlines[group_state.GroupState](
    due_for(groups.HOLD, groups.hold_lapsed),
    loops=LoopDeadlines(AttendanceLoop, default=loops.escalate),
)
