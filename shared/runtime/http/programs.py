"""The programs that this replica knows: the profiles of this package, and those of the directory in `CARE_PROGRAMS`.

The service reads them once, at start. Each version of a program is in a file of its own; a new version is a new file.
The day decides which version applies, and only new admissions ask, because the terms travel with the admission.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

from fastapi import APIRouter
from fastapi import Path as InPath

from shared.contracts.codes import CODE_PATTERN
from shared.errors import ConfigurationError, Unknown
from shared.programs.profile import ANY_FACILITY, ProgramProfile
from shared.programs.read import read_profile
from shared.programs.registered import LOOKED_UP_BY_ROUTES, Directory, read_directory
from shared.runtime.http import views
from shared.runtime.http.call import Call
from shared.runtime.http.roles import require_roles
from shared.runtime.http.shown import shows

router = APIRouter(tags=["programs"])
Anyone = Annotated[Call, require_roles()]

SHIPPED: Final = Path(__file__).parents[2] / "programs" / "profiles"
SHIPPED_DIRECTORY: Final = SHIPPED.parent / "directory.toml"
FILES_MAX: Final = 1_000
NOTHING_FURTHER: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


class Programs:
    """All versions of all programs."""

    def __init__(
        self,
        profiles: Iterable[ProgramProfile] = (),
        directory: Directory | None = None,
        further: Mapping[str, frozenset[str]] = NOTHING_FURTHER,
    ) -> None:
        """`further` has codes of a service's own tables, by registry."""
        self._directory = directory or Directory()
        self._further = further
        self._codes: dict[str, Mapping[str, frozenset[str]]] = {}
        self._profiles: dict[tuple[str, str, str], ProgramProfile] = {}
        for profile in profiles:
            key = (profile.facility, profile.program, profile.version)
            if self._profiles.setdefault(key, profile) != profile:
                raise ConfigurationError(
                    "profile-version-taken",
                    f"{profile.program} {profile.version} is described by two files, and differently.",
                    hint="Give the changed profile its own version and effective day.",
                    setting="CARE_PROGRAMS",
                )

    @classmethod
    def load(
        cls,
        directory: Path | None = None,
        codes: Path | None = None,
        further: Mapping[str, frozenset[str]] = NOTHING_FURTHER,
    ) -> Programs:
        """The profiles that ship, and every `*.toml` of a directory; and the codes that a file registers.

        Raises `ConfigurationError`: there is no such directory, a file is no profile, or two differ under one version.
        """
        files = sorted(SHIPPED.glob("*.toml"))
        if directory is not None:
            if not directory.is_dir():
                raise ConfigurationError(
                    "programs-unreadable",
                    "CARE_PROGRAMS is not a directory that can be read.",
                    hint="Correct the path, or the permissions of the directory.",
                    setting="CARE_PROGRAMS",
                )
            files += sorted(directory.glob("*.toml"))[:FILES_MAX]
        registered = read_directory(_text_of(codes or SHIPPED_DIRECTORY), "The directory")
        return cls(map(read_file, files), registered, further)

    def current(self, facility_id: str, program: str, on: date) -> ProgramProfile:
        """The version that holds on a day for new admissions: the facility's own before one for any, then the newest.

        Raises `Unknown`: 404 `unknown-program`.
        """
        found = [p for p in self._of(facility_id, on) if program in p.codes]
        if not found:
            raise Unknown("program")
        return max(found, key=_rank)

    def all_current(self, facility_id: str, on: date) -> list[ProgramProfile]:
        """Every program of a facility, as it holds on a day."""
        programs = sorted({profile.program for profile in self._of(facility_id, on)})
        return [self.current(facility_id, program, on) for program in programs]

    def is_registered(self, facility_id: str, registry: str, code: str) -> bool:
        """Whether a facility has registered this code: in the directory, or in any version of one of its programs.

        What is in no registry of ours its route looks up itself.
        """
        if registry in LOOKED_UP_BY_ROUTES:
            return True
        known = self._codes.get(facility_id)
        if known is None:
            own = (p for p in self._profiles.values() if p.facility in (facility_id, ANY_FACILITY))
            known = self._codes[facility_id] = self._directory.codes(facility_id, own)
        return code in known.get(registry, ()) or code in self._further.get(registry, ())

    def zone_of(self, facility_id: str) -> str:
        """The time zone of a facility, as the directory has it: in it the facility's days begin and end."""
        return self._directory.zone_of(facility_id)

    def signatures(
        self, facility_id: str, age_years: int | None, *, adolescent: bool = False
    ) -> tuple[str, ...]:
        """Whose signatures a consent needs at this facility from somebody of this age; None: it is not known."""
        return self._directory.signatures(facility_id, age_years, adolescent=adolescent)

    def notice_since(self, facility_id: str, today: date) -> date | None:
        """From when the notice on confidentiality holds that holds today; None where none is registered."""
        return self._directory.notice_since(facility_id, today)

    @property
    def versions(self) -> list[ProgramProfile]:
        """All versions, old and coming ones too."""
        return sorted(self._profiles.values(), key=lambda p: (p.program, p.facility, _rank(p)))

    def _of(self, facility_id: str, on: date) -> list[ProgramProfile]:
        return [
            profile
            for profile in self._profiles.values()
            if profile.facility in (facility_id, ANY_FACILITY) and profile.effective_on <= on
        ]


def read_file(path: Path) -> ProgramProfile:
    """The profile in a file. Raises `ProfileInvalid`, or `ConfigurationError` when it can't be read."""
    return read_profile(_text_of(path), path.name)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "profile-unreadable",
            f"{path.name} can't be read ({type(error).__name__}).",
            hint="Correct the file's permissions or its encoding (UTF-8).",
            setting="CARE_PROGRAMS",
        ) from error


def _rank(profile: ProgramProfile) -> tuple[bool, date, str]:
    return profile.facility != ANY_FACILITY, profile.effective_on, profile.version


# --- over HTTP, the same in every service -----------------------------------------------------------------


@router.get("/programs")
@shows(views.ProgramsView)
async def list_programs(call: Anyone) -> dict[str, Any]:
    """The programs of the caller's facility, as they hold today for new admissions."""
    found = call.runtime.programs.all_current(call.actor.facility_id, call.today)
    return {"programs": [profile.model_dump(mode="json") for profile in found]}


@router.get("/programs/{program}")
@shows(ProgramProfile, views.TermsView)
async def read_program(
    call: Anyone, program: Annotated[str, InPath(pattern=CODE_PATTERN)]
) -> dict[str, Any]:
    """One program in full, and the terms that an admission of today would be pinned to."""
    profile = call.runtime.programs.current(call.actor.facility_id, program, call.today)
    return {**profile.model_dump(mode="json"), "terms": profile.terms().model_dump(mode="json")}
