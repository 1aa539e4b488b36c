"""Intake, put together. Decides nothing."""

from services.intake import (
    api,
    api_consents,
    api_mistakes,
    api_outbound,
    api_people,
    api_staff,
    api_waitlist,
    audit,
    capacity,
    consents,
    domain,
    identity,
    lines,
    people,
    staff,
)
from services.intake.reactions import HANDOFFS, REACTIONS, on_deadline
from services.intake.settings import IntakeSettings
from shared.runtime.record import RecordKind
from shared.runtime.service import Service, run

SERVICE = Service(
    name="intake",
    summary="Referrals, consents, assessments, recommendations, admission and partner loops.",
    port=8001,
    kinds={
        "episode": RecordKind(domain.EpisodeState, on_deadline, minted_here=True),
        "person": RecordKind(people.PersonState, consents.on_deadline, minted_here=True),
        "group": RecordKind(lines.LineState, lines.line_due),
        "partners": RecordKind(capacity.CapacityState, minted_here=True),
        "identity": RecordKind(identity.IdentityState, minted_here=True),
        "accesses": RecordKind(audit.AccessLog, minted_here=True),
        "searches": RecordKind(audit.SearchLog, minted_here=True),
        "accounting": RecordKind(audit.Accounting, minted_here=True),
        "staff": RecordKind(staff.StaffRecord, minted_here=True),
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=[
        api.router,
        api_consents.router,
        api_people.router,
        api_mistakes.router,
        api_outbound.router,
        api_staff.router,
        api_waitlist.router,
    ],
)

if __name__ == "__main__":
    run(SERVICE, IntakeSettings())
