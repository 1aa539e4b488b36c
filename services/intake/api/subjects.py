"""The kinds of records that the routes of intake name."""

from typing import Final

from services.intake.episode.episode_state import EpisodeState
from services.intake.person.accounting import Accounting
from services.intake.person.identity import IdentityState
from services.intake.person.person_state import PersonState
from services.intake.person.requests import partner_id_of
from services.intake.resources.care_teams import StaffRecord
from services.intake.resources.partners import PartnerState
from services.intake.resources.waitlist_queue import LineState
from shared.duty import staff_record_id
from shared.runtime.http.call import Call
from shared.runtime.http.subjects import Subject, Subjects

EPISODE: Final = Subjects("episode", EpisodeState)
PERSON: Final = Subjects("person", PersonState)
GROUP: Final = Subjects("group", LineState)
IDENTITY: Final = Subjects("identity", IdentityState)
ACCOUNTING: Final = Subjects("accounting", Accounting)
STAFF: Final = Subjects("staff", StaffRecord)
PARTNER: Final = Subjects("partner", PartnerState)


def staff_of(call: Call, staff_id: str) -> Subject[StaffRecord]:
    """A member of staff, as the caller's facility knows them."""
    return STAFF(staff_record_id(call.actor.facility_id, staff_id))


def partner_of(partner_id: str) -> Subject[PartnerState]:
    """An organisation outside, by its code."""
    return PARTNER(partner_id_of(partner_id))
