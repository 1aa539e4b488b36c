"""HTTP: routes and request bodies. A handler authenticates, runs one rule and answers; it decides nothing."""

from services.attendance.api import (
    census,
    groups,
    screens,
    sessions,
    support,
)

ROUTERS = [sessions.router, census.router, groups.router, screens.router, support.router]
