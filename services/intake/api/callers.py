"""Which roles may call which routes of intake.

Whoever owns or inherits an open loop may read and settle what the loop is about.
"""

from __future__ import annotations

from typing import Annotated, Final

from services.intake.person import identity
from shared.retractions import ANSWERING
from shared.roles import OWNERS, StaffRole
from shared.runtime.http.call import Call
from shared.runtime.http.operators import OPERATING
from shared.runtime.http.roles import require_roles

_INTAKE: Final[tuple[StaffRole, ...]] = ("intake_coordinator", "clinician", "case_manager")
_TEAM: Final[tuple[StaffRole, ...]] = (*_INTAKE, "counselor", "nurse", *OWNERS)

Staff = Annotated[Call, require_roles(*_INTAKE, *OWNERS)]
Team = Annotated[Call, require_roles(*_TEAM)]
Assessor = Annotated[Call, require_roles("clinician", "counselor", *OWNERS)]
Clinician = Annotated[Call, require_roles("clinician", *OWNERS)]
"""Who recommends a level."""
Accountant = Annotated[Call, require_roles("clinician", "case_manager", *ANSWERING)]
"""Who reads what was told: who answers for it, and who owes its report."""
Reviewer = Annotated[Call, require_roles(*ANSWERING)]
Reporter = Annotated[Call, require_roles(*_TEAM, "privacy_officer")]
"""Who sends, and who owns the loop of what nobody reported."""
Answering = Annotated[Call, require_roles(*ANSWERING)]
Finder = Annotated[
    Call, require_roles(*identity.ALLOWED[identity.AccessPurpose.REGISTRATION], "privacy_officer")
]
Eraser = Annotated[Call, require_roles("privacy_officer")]
Operating = Annotated[Call, OPERATING]
Anyone = Annotated[Call, require_roles()]
