"""HTTP routes and request bodies. A handler authenticates the caller, runs one rule and answers; it decides nothing."""

from services.attendance.api import (
    calendar,
    caseloads,
    groups,
    leaders,
    screens,
    sessions,
    support,
)

ROUTERS = [
    sessions.router,
    calendar.router,
    leaders.router,
    caseloads.router,
    groups.router,
    screens.router,
    support.router,
]
