"""What the records of people and of staff do about what other records of intake leave for them."""

from collections.abc import Mapping
from typing import Any, Final

from services.intake import audit, consents, disclosures, handoffs, mistakes, people, staff
from shared.decision import HandoffBody

PEOPLE_HANDOFFS: Final[Mapping[type[HandoffBody], Any]] = {
    handoffs.EpisodeOpened: people.episode_opened,
    handoffs.EpisodeEnded: people.episode_ended,
    handoffs.ReliedOn: consents.relied_on,
    handoffs.EpisodeLeft: people.episode_left,
    handoffs.EpisodeJoined: people.episode_joined,
    handoffs.ReadmissionUndone: mistakes.readmission_undone,
    handoffs.EmergencyTold: disclosures.emergency_told,
    handoffs.HandedOver: staff.handed_over,
    handoffs.Held: staff.held,
    handoffs.Released: staff.released,
    audit.AccessMade: audit.access_made,
    audit.AccessesFiled: audit.accesses_filed,
    audit.Disclosed: audit.disclosed,
    audit.DisclosuresFiled: audit.disclosures_filed,
}
