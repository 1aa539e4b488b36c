"""`care contracts diff` and `release`: check a change of the contract, and release a new version of it."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from care.interfaces import documents
from care.show import ROOT, Json, as_json, fail, need_source, not_ignored
from care.subscribers import all_subscribers, contract_failures
from shared.calendar import local_day

if TYPE_CHECKING:
    from shared.contracts.publish.contract import Contract
    from shared.contracts.publish.difference import Difference
    from shared.contracts.publish.releases import Release, Verdict


def diff(
    context: typer.Context,
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare with this release: its file, or a git ref, which names the last release there."
            " Default: the last release."
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
    reword: Annotated[
        bool,
        typer.Option("--reword", help="Confirm that the changed words keep their meaning."),
    ] = False,
    why: Annotated[str, typer.Option(help="With --reword: why the words changed.")] = "",
    json: Json = False,
) -> None:
    """Compare the contract with a release, and name the readers and callers whom each change affects.

    Exit status 1 when a change is not allowed.
    """
    from shared.contracts.publish import releases

    if reword != bool(why.strip()):
        raise typer.BadParameter("--reword and --why go together", param_hint="--reword")
    if json:
        not_ignored(context, "--markdown", "give one of --markdown and --json")
    whole = _consistent()
    with contract_failures():
        baseline = _baseline(against, _released())
        if baseline is None:
            none = "Nothing has been released: the contract may still change in place."
            typer.echo("{}" if json else none)
            return
        verdict = releases.judge(baseline, whole, releases.reworded(ROOT), _today())
    if reword:
        need_source("docs")
        releases.reword(ROOT, verdict.asked, why.strip())
        verdict = verdict._replace(asked=[])
    if json:
        as_json(_as_data(verdict, baseline))
    else:
        typer.echo(_as_text(verdict, baseline, markdown=markdown))
    if not verdict.passes:
        raise typer.Exit(1)


def release() -> None:
    """Release the contract. The new version number follows from the changes since the last release."""
    need_source("docs")
    from shared.contracts.publish import files, releases

    whole = _consistent()
    with contract_failures():
        released = _released()
        before: Contract = released[-1].contract if released else whole
        verdict = releases.judge(before, whole, releases.reworded(ROOT), _today())
        if not verdict.passes:
            fail(_as_text(verdict, before, markdown=False))
        version = releases.next_version(released, verdict)
        if version is None:
            fail(f"Nothing has changed since {released[-1].version}.")
        if found := files.drift(ROOT):
            fail("\n".join(found), "Run `care contracts generate` first.")
        made = releases.release(ROOT, version, whole, _today())
        files.generate(ROOT)
    typer.echo(f"{made.line()}\nCommit it: from now on, the gate compares with this release.")


def _consistent() -> Contract:
    """The contract as the classes and files say it; the command ends when it contradicts itself."""
    from shared.contracts.publish.contract import contract, problems
    from shared.contracts.publish.files import examples

    whole = contract(all_subscribers(), documents(), examples(ROOT))
    if found := problems(whole, _today()):
        fail("\n".join(found), "Correct these contradictions first: no release can contain them.")
    return whole


def _today() -> date:
    return local_day(datetime.now(UTC), "UTC")


def _released() -> list[Release]:
    from shared.contracts.publish import releases

    found = releases.load(ROOT)
    releases.check_history(ROOT, _earlier(releases.RELEASES))
    return found


def _earlier(path: str) -> list[str]:
    """The texts that a file had in any ancestor commit; none where there is no git."""
    if not (ROOT / ".git").exists():
        return []
    if (_git("rev-parse", "--is-shallow-repository") or "").strip() == "true":
        fail(
            "This clone is shallow: it has no earlier commits, so what was released can't be checked.",
            "Fetch them with `git fetch --unshallow`; in a workflow, check out with `fetch-depth: 0`.",
        )
    commits = _git("log", "--full-history", "--format=%H", "--", path)
    if commits is None:
        fail("git can't read the history, so the earlier releases can't be checked.")
    texts = [_git("show", f"{commit}:{path}") for commit in commits.split()]
    return [text for text in texts if text is not None]


def _git(*arguments: str) -> str | None:
    """What git answers; None when it can't."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _baseline(against: str | None, released: list[Release]) -> Contract | None:
    from shared.contracts.publish import releases

    if against is None:
        return released[-1].contract if released else None
    path = Path(against)
    if path.is_file():
        return releases.read_release(path.read_bytes(), against)["contract"]
    listed = _git("show", f"{against}:{releases.RELEASES}")
    if not listed or not listed.strip():
        fail(f"{against} is neither a file nor a git ref that has a release.")
    place = f"{releases.FOLDER}/{listed.splitlines()[-1].partition(' ')[0]}.json"
    return releases.read_release(_git("show", f"{against}:{place}") or "", f"{against}:{place}")[
        "contract"
    ]


# --- what is said -------------------------------------------------------------------------------


def _as_data(verdict: Verdict, before: Contract) -> dict[str, Any]:
    from shared.contracts.publish.differ import readers

    def data(one: Difference) -> dict[str, Any]:
        return {
            **one._asdict(),
            "readers": [reader._asdict() for reader in readers(before, one)],
        }

    return {
        "passes": verdict.passes,
        "breaking": [data(one) for one in verdict.breaking],
        "asked": [data(one) for one in verdict.asked],
        "additive": [one._asdict() for one in verdict.additive],
    }


FORWARD = (
    "Publish a new major version beside the old one (`major=2`), and give the old one a last day (`until=`)."
    " Each reader named here must move by that day."
    " The class, schema and example of the old version stay, as its records do."
)
FORWARD_OF_ROUTES = (
    "Keep accepting and returning everything that a route accepted and returned. Add an optional field, an additional"
    " code, or a separate route beside the old one."
)
ANSWER = (
    'When the meaning is the same and the teams named here know it, run `care contracts diff --reword --why "…"`.'
    " Otherwise publish a new major version or a separate route."
)


def _as_text(verdict: Verdict, before: Contract, *, markdown: bool) -> str:
    from shared.contracts.publish.http_differ import is_of_a_route

    events = [one for one in verdict.breaking if not is_of_a_route(one)]
    routes = [one for one in verdict.breaking if is_of_a_route(one)]
    lines: list[str] = []
    for title, found, hint in (
        ("Breaking", events, FORWARD),
        ("Breaking for callers", routes, FORWARD_OF_ROUTES),
        ("Words that changed", verdict.asked, ANSWER),
    ):
        if found:
            lines += ["", f"### {title}" if markdown else f"{title}:", ""]
            lines += [_line(one, before, markdown=markdown) for one in found]
            lines += ["", hint]
    lines += [
        "",
        f"{len(verdict.additive)} additions, {len(verdict.breaking)} breaking, {len(verdict.asked)} to confirm.",
    ]
    return "\n".join(lines).strip()


def _line(one: Difference, before: Contract, *, markdown: bool) -> str:
    from shared.contracts.publish.differ import readers
    from shared.contracts.publish.http_differ import is_of_a_route

    names = ", ".join(map(str, readers(before, one))) or "nobody known"
    about, _, within = (
        one.place.partition(": ") if is_of_a_route(one) else (one.event, "", one.place)
    )
    about, by = about or "all events", "called by" if is_of_a_route(one) else "read by"
    what = ": ".join(part for part in (within, one.what) if part)
    if markdown:
        return f"- `{about}` {what}. {by.capitalize()} {names}."
    return f"- {about}\n  {what}\n  {by} {names}"
