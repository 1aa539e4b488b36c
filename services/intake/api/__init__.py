"""HTTP routes and request bodies. A handler authenticates the caller, runs one rule and answers; it decides nothing."""

from services.intake.api import (
    consents,
    episodes,
    erasure,
    mistakes,
    outbound_referrals,
    partners,
    people,
    referral_lists,
    staff,
    waitlist,
)

ROUTERS = [
    episodes.router,
    referral_lists.router,
    consents.router,
    people.router,
    erasure.router,
    mistakes.router,
    outbound_referrals.router,
    staff.router,
    waitlist.router,
    partners.router,  # after /partners/capacity
]
