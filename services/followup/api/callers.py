"""Which roles may call which routes of followup.

Whoever owns or inherits an open loop may read and settle what the loop is about.
"""

from __future__ import annotations

from typing import Annotated, Final

from shared.retractions import ANSWERING
from shared.roles import OWNERS, StaffRole
from shared.runtime.http.call import Call
from shared.runtime.http.roles import require_roles

_CALLING: Final[tuple[StaffRole, ...]] = (
    *("counselor", "case_manager", "peer_specialist", "clinician"),
)

Staff = Annotated[Call, require_roles(*_CALLING, *OWNERS)]
"""Who calls people, and writes down how they are."""
Amender = Annotated[Call, require_roles(*_CALLING, *ANSWERING)]
Responder = Annotated[Call, require_roles("clinician", *OWNERS)]
"""Who sees to a risk to life: whoever hears of it first hands it on at once."""
Teller = Annotated[Call, require_roles(*_CALLING, "intake_coordinator", *OWNERS)]
"""Who may be told of a person's arrival elsewhere, and who expects them."""
TellerAmender = Annotated[Call, require_roles(*_CALLING, "intake_coordinator", *ANSWERING)]
Witness = Annotated[Call, require_roles(*_CALLING, "nurse", *ANSWERING)]
"""Who may hear first that somebody died, or is in jail."""
Measurer = Annotated[Call, require_roles("case_manager", "clinician", "operator", *OWNERS)]
"""Who reads how the program does."""
