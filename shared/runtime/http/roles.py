"""Which roles a route lets in: who calls is known by the token, and must have one of the roles that the route lists."""

from __future__ import annotations

from typing import Any, cast

from fastapi import Depends, Request

from shared.errors import Forbidden
from shared.roles import STAFF_ROLES, CallerRole
from shared.runtime.http.call import Call, judge_codes_by
from shared.runtime.http.claims import Actor
from shared.runtime.http.trail import trail_of


def require_roles(*roles: CallerRole) -> Any:
    """A dependency: the caller, whose role must be one of these; without any, everybody's who works here.

    A service may call the routes of its own list (`shared/roles.py`), whichever roles stand here.
    """
    allowed = roles or STAFF_ROLES

    async def authenticated(request: Request) -> Call:  # async: FastAPI would take a thread
        actor: Actor = request.app.state.authenticator.actor(request.headers.get("authorization"))
        trail_of(request.scope).actor = actor
        call = Call(request, actor)
        if actor.role not in allowed and not call.is_of_service():
            raise Forbidden(
                "role-not-allowed",
                f"This needs one of the roles: {', '.join(sorted(allowed))}.",
                hint="Ask a colleague with that role.",
            )
        judge_codes_by(call.is_registered)  # before the body is validated, in the same task
        return call

    cast("Any", authenticated).roles = allowed  # for the OpenAPI document
    return Depends(authenticated)
