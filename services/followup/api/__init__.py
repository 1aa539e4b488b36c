"""HTTP: routes and request bodies. A handler authenticates, runs one rule and answers; it decides nothing."""

from services.followup.api import (
    aftercare,
    episodes,
    measures,
)

ROUTERS = [episodes.router, aftercare.router, measures.router]
