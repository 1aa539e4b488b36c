"""Operators: of a facility, for what belongs to it; of the operating organisation, for the service itself.

A service serves many facilities. What has a trusted facility, such as a dead letter of a record, is for the operators
of that facility. What has none, and every act on a whole service, is for those of the one organisation that runs it
(`CARE_OPERATING_FACILITY`), who may also act for any facility.
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
            "This concerns the whole service, not one facility.",
            hint="Ask an operator of the organisation that CARE_OPERATING_FACILITY names.",
        )
    return call


cast("Any", _operating).roles = ("operator",)  # for the OpenAPI document
OPERATING: Final = Depends(_operating)
"""A dependency: an operator of the operating organisation."""
