"""What an operator may do: one of a facility, for that facility; one of the operating organisation, for the service.

A service serves many facilities. The operators of a facility handle everything that has this trusted facility, such as
a dead letter of a record. Items without a trusted facility, and every act on a whole service, are for the operators of
the one organisation that runs the service (`CARE_OPERATING_FACILITY`). They may also act for any facility.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from fastapi import Depends

from shared.errors import Forbidden
from shared.runtime.http.call import Call
from shared.runtime.http.roles import require_roles

OPERATOR: Final = require_roles("operator")
"""A dependency: an operator of any facility. The route shows and changes only what is that facility's."""


def operates(call: Call) -> bool:
    """Whether the caller's facility is the operating organisation."""
    return call.actor.facility_id == call.runtime.settings.operating_facility


def own_rows(call: Call) -> dict[str, str]:
    """The stored fields that a row must have for this operator to see it; none for the operating organisation."""
    return {} if operates(call) else {"facility_id": call.actor.facility_id}


async def _operating(call: Annotated[Call, OPERATOR]) -> Call:  # async: FastAPI would take a thread
    if not operates(call):
        raise Forbidden(
            "not-operating-organisation",
            "This concerns the whole service, and your facility does not run it.",
            hint="Ask an operator of the organisation that CARE_OPERATING_FACILITY names.",
        )
    return call


cast("Any", _operating).roles = ("operator",)  # for the OpenAPI document
OPERATING: Final = Depends(_operating)
"""A dependency: an operator of the operating organisation."""
