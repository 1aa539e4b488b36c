"""Which roles may call which routes of plans.

Whoever owns or inherits an open loop may read and settle what the loop is about.
"""

from __future__ import annotations

from typing import Annotated, Final

from shared.retractions import ANSWERING
from shared.roles import OWNERS, StaffRole
from shared.runtime.http.call import Call
from shared.runtime.http.roles import require_roles

_CARE: Final[tuple[StaffRole, ...]] = ("counselor", "clinician", "case_manager")

Staff = Annotated[Call, require_roles(*_CARE, *OWNERS)]
"""Who writes plans, and reads them."""
Reviewer = Annotated[Call, require_roles("counselor", "clinician", *OWNERS)]
"""Who reviews a plan."""
Clinician = Annotated[Call, require_roles("clinician", *OWNERS)]
"""Who decides on a level, an end and a clinical review."""
Arranger = Annotated[Call, require_roles("clinician", "case_manager", *OWNERS)]
Prescriber = Annotated[Call, require_roles("clinician", "nurse", *OWNERS)]
Supervisor = Annotated[Call, require_roles(*OWNERS)]
Answering = Annotated[Call, require_roles(*ANSWERING)]
Anyone = Annotated[Call, require_roles()]
