"""HTTP routes and request bodies. A handler authenticates the caller, runs one rule and answers; it decides nothing."""

from services.followup.api import (
    aftercare,
    circumstances,
    episodes,
    measures,
)

ROUTERS = [episodes.router, circumstances.router, aftercare.router, measures.router]
