"""Which roles may call which routes of attendance.

Whoever owns or inherits an open loop may read and settle what the loop is about.
"""

from __future__ import annotations

from typing import Annotated, Final

from shared.retractions import ANSWERING
from shared.roles import OWNERS, StaffRole
from shared.runtime.http.call import Call
from shared.runtime.http.roles import require_roles

_CARE: Final[tuple[StaffRole, ...]] = ("counselor", "clinician", "case_manager", "nurse")

Staff = Annotated[Call, require_roles(*_CARE, *OWNERS)]
"""Who calls rolls, books sessions and takes specimens."""
Desk = Annotated[Call, require_roles("intake_coordinator", *_CARE, *OWNERS)]
"""The same, and who finds a person a seat."""
Team = Annotated[Call, require_roles("intake_coordinator", "peer_specialist", *_CARE, *OWNERS)]
"""Everybody who works with the people here."""
Supporter = Annotated[Call, require_roles("peer_specialist", *_CARE, *OWNERS)]
SupportAmender = Annotated[Call, require_roles("peer_specialist", *_CARE, *ANSWERING)]
GroupLead = Annotated[Call, require_roles("counselor", *OWNERS)]
Closer = Annotated[Call, require_roles(*OWNERS)]
"""Who says when the facility is closed."""
Lifter = Annotated[Call, require_roles("clinician", *OWNERS)]
Interpreter = Annotated[Call, require_roles("clinician", "nurse", *OWNERS)]
"""Who says what a screen means, and reads one whole."""
ScreenAmender = Annotated[Call, require_roles("clinician", "nurse", *ANSWERING)]
Drawer = Annotated[Call, require_roles("operator", *_CARE, *OWNERS)]
Anyone = Annotated[Call, require_roles()]
