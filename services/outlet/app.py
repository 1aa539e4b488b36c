"""Assembles the outlet service from its parts. This module contains no rules."""

from typing import get_args

from services.outlet.api import router
from services.outlet.reactions import REACTIONS, Outlets
from services.outlet.settings import OutletSettings
from services.outlet.streams import ENDING, EndState, StreamState
from shared.contracts.event import SubjectKind
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.serve import run
from shared.runtime.service import Service

SERVICE = Service(
    name="outlet",
    summary="Passes on to each restricted subscriber what it may read, on a topic of its own.",
    kinds={
        # A partner belongs to no facility: what is said about one comes from all of them.
        **{k: RecordKind(StreamState, serves_all=k == "partner") for k in get_args(SubjectKind)},
        ENDING: RecordKind(EndState),
    },
    reactions=REACTIONS,
    routers=(router,),
    passing=Outlets,
)

if __name__ == "__main__":
    run(SERVICE, OutletSettings)
