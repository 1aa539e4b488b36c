"""HTTP routes and request bodies. A handler authenticates the caller, runs one rule and answers; it decides nothing."""

from services.plans.api import (
    plans,
    transitions,
)

ROUTERS = [plans.router, transitions.router]
