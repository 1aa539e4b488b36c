"""The tables that map other services' events, this service's own handoffs, and deadlines to intake's rules."""

from services.intake import handoffs, mistakes
from services.intake.episode import (
    admissions,
    circumstances,
    deliveries,
    episode_state,
    event_handlers,
    outbound_referrals,
    waitlist,
)
from services.intake.person import (
    accounting,
    consents,
    disclosures,
    person_state,
    places,
    reopening,
    requests,
)
from services.intake.resources import care_teams, partners, waitlist_queue
from shared import loops
from shared.contracts import attendance, followup, plans
from shared.contracts.codes import IntakeLoop
from shared.runtime.core.deadlines import Deadlines, LoopDeadlines, due, due_for
from shared.runtime.core.handoffs import HandoffRules, handles
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.void import Void

REACTIONS = Reactions(
    on(attendance.GroupOpened, waitlist_queue.group_changed),
    on(attendance.GroupFilled, waitlist_queue.group_changed),
    on(attendance.GroupBelowMinimum, waitlist_queue.group_changed),
    on(attendance.SeatReserved, waitlist.seat_reserved, void=Void.BOTH),
    on(attendance.SeatReleased, waitlist.seat_released, void=Void.BOTH),
    on(plans.LevelOfCareChangeRecommended, event_handlers.change_recommended),
    on(plans.LevelOfCareChanged, event_handlers.level_changed),
    on(plans.LevelOfCareChangeUndone, event_handlers.level_change_undone),
    on(plans.EpisodeDischarged, event_handlers.discharged),
    on(plans.DischargeUndone, event_handlers.discharge_undone),
    on(plans.TransferRequested, deliveries.transfer_requested),
    on(plans.TransferInitiated, deliveries.transfer_initiated),
    on(plans.TransferNotBegun, deliveries.transfer_not_begun),
    on(followup.ReadmissionRequested, event_handlers.readmission_requested),
    on(followup.ReengagementStarted, event_handlers.reengagement_started),
    on(followup.ReengagementCompleted, event_handlers.reengagement_completed),
    on(followup.ReturnToUseUndone, event_handlers.return_to_use_undone, void=Void.BOTH),
    on(followup.CircumstanceRecorded, circumstances.recorded),
    on(followup.CircumstanceEnded, circumstances.over),
    on(followup.CircumstanceUndone, circumstances.over),
    on(followup.ReturnToUseReported, event_handlers.return_to_use_reported, void=Void.BOTH),
)

HANDOFFS = HandoffRules(
    # people and staff
    handles(handoffs.EpisodeOpened, person_state.episode_opened),
    handles(handoffs.EpisodeEnded, person_state.episode_ended),
    handles(handoffs.EpisodeReopened, reopening.episode_reopened),
    handles(handoffs.EpisodeLeft, person_state.episode_left),
    handles(handoffs.EpisodeJoined, person_state.episode_joined),
    handles(handoffs.AdmittedTo, places.admitted_to),
    handles(handoffs.ReadmissionUndone, mistakes.readmission_undone, void=Void.BOTH),
    handles(handoffs.ReviewAsked, deliveries.review_asked),
    handles(handoffs.ReviewWithdrawn, deliveries.review_withdrawn),
    handles(handoffs.HandedOver, care_teams.handed_over),
    handles(handoffs.Held, care_teams.held),
    handles(handoffs.Released, care_teams.released),
    # disclosures: asked of the partner, decided by the person, answered on the episode
    handles(requests.AskPartner, partners.asked),
    handles(requests.AskPerson, disclosures.asked),
    handles(requests.Answered, deliveries.answered, void=Void.RUN),
    handles(handoffs.ReferralAllowed, outbound_referrals.allowed, void=Void.RUN),
    handles(handoffs.DeliveryReported, disclosures.reported),
    handles(handoffs.ReportHeard, deliveries.report_heard, void=Void.RUN),
    handles(accounting.Disclosed, accounting.disclosed),
    handles(accounting.EntrySettled, accounting.settled),
    handles(accounting.RevokedBefore, accounting.revoked_before),
    handles(accounting.DisclosuresFiled, accounting.disclosures_filed),
    # episodes, waiting lists and seats
    handles(handoffs.Granted, admissions.granted),
    handles(handoffs.PlaceHeld, admissions.place_held),
    handles(handoffs.Readmitted, event_handlers.readmitted, void=Void.BOTH),
    handles(handoffs.LineLeft, waitlist_queue.left),
    handles(handoffs.LineJoined, waitlist_queue.joined),
    handles(handoffs.OfferMade, waitlist_queue.offer_made),
    handles(handoffs.SeatChanged, waitlist_queue.seat_changed),
    handles(handoffs.Lined, waitlist.lined),
    handles(handoffs.PlaceOffered, waitlist.offered),
)


EPISODE_DEADLINES = Deadlines[episode_state.EpisodeState](
    due_for(outbound_referrals.DEADLINE, outbound_referrals.overdue),
    due_for(episode_state.OFFER, waitlist.lapsed),
    loops=LoopDeadlines(IntakeLoop, default=loops.escalate),
)
mistakes.MEANWHILE.with_rows((*REACTIONS.rules, *HANDOFFS.rules))
mistakes.MEANWHILE.with_deadlines(EPISODE_DEADLINES.decide)
PERSON_DEADLINES = Deadlines[person_state.PersonState](due_for(consents.EXPIRY, consents.expired))
GROUP_DEADLINES = Deadlines[waitlist_queue.LineState](
    due(waitlist_queue.LOOK, waitlist_queue.offer_what_is_free),
    due_for(waitlist_queue.KEPT, waitlist_queue.not_taken),
)
