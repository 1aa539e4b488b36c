"""Whether a program suits an applicant: its own conditions, answered one by one. Pure.

What a program asks is data of its profile. A condition decides; a risk is planned for and excludes nobody; a reason
speaks for an outpatient program and is no condition. Source: docs/domain.md 10 (Facts against official criteria).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from shared.contracts.codes import Value
from shared.contracts.intake import OverrideReason
from shared.errors import Invalid
from shared.programs.profile import ProgramProfile

EITHER: Final = "-or-"
"""Between the alternatives of one condition: either will do."""
NEVER_OVERRIDDEN: Final = frozenset({"withdrawal-management-needed"})
"""Withdrawal that needs a setting of its own is cared for first. House rule."""


class Application(Value):
    """What a program asks, and what was answered of one applicant."""

    program: str | None = None
    """None: no program in particular; then only the level decides."""
    offered: tuple[str, ...]
    """The codes of the levels that are offered here."""
    conditions: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    answers: dict[str, bool] = Field(default_factory=dict[str, bool])
    override: OverrideReason | None = None


class Finding(Value):
    """What follows from the answers."""

    unmet: tuple[str, ...]
    risks: tuple[str, ...]
    reasons: tuple[str, ...]


def apply_to(
    profile: ProgramProfile, answers: Mapping[str, bool], override: OverrideReason | None
) -> Application:
    """An application to one program, as its profile holds today."""
    return Application(
        program=profile.program,
        offered=(profile.level.code,),
        conditions=profile.eligibility,
        risks=profile.risks,
        reasons=profile.reasons,
        answers=dict(answers),
        override=override,
    )


def find(application: Application) -> Finding:
    """Conditions that are not met, risks that are there, reasons that hold. An unanswered risk counts as one.

    Raises `Invalid`: a condition is not answered, or something is answered that the program does not ask.
    """
    answers = application.answers
    asked = (*application.conditions, *application.risks, *application.reasons)
    known = {name for code in asked for name in (code, *code.split(EITHER))}
    if not set(answers) <= known:
        raise Invalid(
            "answer-not-asked",
            "Something is answered that this program does not ask.",
            hint="Name the program, and answer its own codes.",
        )
    if any(_answer(code, answers) is None for code in application.conditions):
        raise Invalid(
            "answer-missing",
            "A condition of this program is not answered.",
            hint="Answer every code of the program's eligibility; GET /programs shows them.",
        )
    return Finding(
        unmet=tuple(code for code in application.conditions if not _answer(code, answers)),
        risks=tuple(code for code in application.risks if not _answer(code, answers)),
        reasons=tuple(code for code in application.reasons if _answer(code, answers)),
    )


def overridden(unmet: tuple[str, ...], override: OverrideReason | None) -> None:
    """Check that an override has something to override, and may. Raises `Invalid`."""
    if override is None:
        return
    if not unmet:
        raise Invalid(
            "nothing-to-override",
            "Every condition is met.",
            hint="Recommend without an override.",
        )
    if NEVER_OVERRIDDEN & set(unmet):
        raise Invalid(
            "override-not-allowed",
            "Withdrawal that needs a setting of its own is cared for first.",
            hint="Refer the person on, and assess again afterwards.",
        )


def _answer(code: str, answers: Mapping[str, bool]) -> bool | None:
    """Yes, when the code or one of its alternatives is; None when nothing of it is answered."""
    given = [answers[name] for name in {code, *code.split(EITHER)} if name in answers]
    return any(given) if given else None
