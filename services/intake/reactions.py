"""What intake does about what others say, what its records leave for one another, and when deadlines come."""

from services.intake import handoffs, mistakes
from services.intake.episode import episode_state, event_handlers, outbound_referrals, waitlist
from services.intake.episode.episode_state import EpisodeState
from services.intake.person import audit, consents, disclosures, person_state
from services.intake.resources import staff, waitlist_queue
from shared.contracts import attendance, followup, plans
from shared.decision import Cause, Decision
from shared.loops import DEADLINE as LOOP
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.reactor import HandoffRules

REACTIONS = Reactions(
    on(attendance.GroupOpened, waitlist_queue.group_changed),
    on(attendance.GroupFilled, waitlist_queue.group_changed),
    on(attendance.GroupBelowMinimum, waitlist_queue.group_changed),
    on(attendance.SeatReserved, waitlist.seat_reserved),
    on(attendance.SeatReleased, waitlist.seat_released),
    on(plans.LevelOfCareChangeRecommended, event_handlers.change_recommended),
    on(plans.LevelOfCareChanged, event_handlers.level_changed),
    on(plans.EpisodeDischarged, event_handlers.discharged),
    on(followup.ReadmissionRequested, event_handlers.readmission_requested),
    on(followup.ReengagementStarted, event_handlers.reengagement_started),
    on(followup.ReengagementCompleted, event_handlers.reengagement_completed),
    on(followup.ReturnToUseReported, event_handlers.return_to_use_reported),
)

HANDOFFS = HandoffRules(
    {
        # people and staff
        handoffs.EpisodeOpened: person_state.episode_opened,
        handoffs.EpisodeEnded: person_state.episode_ended,
        handoffs.ReliedOn: consents.relied_on,
        handoffs.EpisodeLeft: person_state.episode_left,
        handoffs.EpisodeJoined: person_state.episode_joined,
        handoffs.ReadmissionUndone: mistakes.readmission_undone,
        handoffs.EmergencyTold: disclosures.emergency_told,
        handoffs.HandedOver: staff.handed_over,
        handoffs.Held: staff.held,
        handoffs.Released: staff.released,
        audit.AccessMade: audit.access_made,
        audit.AccessesFiled: audit.accesses_filed,
        audit.Disclosed: audit.disclosed,
        audit.DisclosuresFiled: audit.disclosures_filed,
        # episodes, waiting lists and seats
        handoffs.Readmitted: event_handlers.readmitted,
        handoffs.LineLeft: waitlist_queue.left,
        handoffs.LineJoined: waitlist_queue.joined,
        handoffs.OfferMade: waitlist_queue.offer_made,
        handoffs.SeatChanged: waitlist_queue.seat_changed,
        handoffs.Lined: waitlist.lined,
        handoffs.PlaceOffered: waitlist.offered,
    }
)


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Which rule a deadline belongs to: a loop's, a referral's to a partner, an offered place's."""
    if name.startswith(LOOP):
        return episode_state.overdue(state, name, cause)
    kind, _, detail = name.partition(":")
    if kind == outbound_referrals.DEADLINE:
        return outbound_referrals.overdue(state, detail, cause)
    if kind == episode_state.OFFER:
        return waitlist.lapsed(state, detail, cause)
    raise ValueError(f"unknown deadline {kind}")
