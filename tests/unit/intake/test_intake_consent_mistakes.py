"""Consents that nobody gave, and revocations that nobody meant: both are taken back, and nothing is recalled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.app import SERVICE
from services.intake.handoffs import EpisodeEnded, EpisodeOpened, EpisodeReopened
from services.intake.person import consent_mistakes, consents
from services.intake.person.accounting import RevokedBefore
from services.intake.person.may_disclose import Allowed, Withheld
from shared.contracts import intake
from shared.contracts.intake import MistakeReason, WithheldReason
from shared.decision import Decision
from shared.errors import Refused, Unknown
from tests.unit.intake.partners import register
from tests.unit.intake.test_intake_consents import (
    DAY,
    FORM,
    HOUR,
    PARTNER,
    QUESTION,
    Kind,
    Person,
)
from tests.unit.served import Served, refused
from tests.unit.support import EPISODE_ID, START, uid

WHY = MistakeReason.WRONG_PERSON


def undo(person: Person, consent_id: str) -> Any:
    return person.command(lambda s, c: consent_mistakes.undo(s, consent_id, WHY, c))


def revoke(person: Person, consent_id: str, at: datetime | None = None) -> Any:
    return person.command(lambda s, c: consents.revoke(s, consent_id, c, at))


def undo_revocation(person: Person, consent_id: str) -> Any:
    return person.command(lambda s, c: consent_mistakes.undo_revocation(s, consent_id, WHY, c))


def relied_on(person: Person, consent_id: str) -> None:
    """Something was made under it."""
    known = person.state.consents[consent_id].replace(made=1)
    told = {**person.state.consents, consent_id: known}
    person.command(lambda state, _: Decision(state.replace(consents=told)))


def looked_at(person: Person) -> list[RevokedBefore]:
    """What the accounting is asked to have looked at."""
    return [one.body for one in person.handing if isinstance(one.body, RevokedBefore)]


# --- a consent that was none ------------------------------------------------------------------------------


@pytest.mark.fault("F49")
@pytest.mark.parametrize("days", [0, 3, 400])
def test_a_consent_that_nobody_gave_allows_nothing_at_any_time(days: int) -> None:
    person = Person()
    consent_id = person.grants()
    person.after(days=days)
    undo(person, consent_id)
    [undone] = person.of(intake.ConsentUndone)
    assert (undone.consent_id, undone.reason, undone.in_reliance) == (consent_id, WHY, False)
    for at in (START, START + HOUR, person.now, person.now + DAY):
        found = person.finds(at)
        assert isinstance(found, Withheld)
        assert found.reason is WithheldReason.NOT_IN_FORCE
    person.after(days=200)
    person.at(person.now)
    assert len(person.of(intake.ConsentExpired)) == (days == 400), "what is none does not end"


def test_what_was_made_under_it_is_looked_at_and_stays_in_the_accounting() -> None:
    person = Person()
    consent_id = person.grants()
    relied_on(person, consent_id)
    person.after(days=2)
    undo(person, consent_id)
    [look] = looked_at(person)
    assert isinstance(look, RevokedBefore)
    signed = datetime(START.year, START.month, START.day, tzinfo=UTC)
    assert (look.consent_id, look.revoked_at, look.until) == (consent_id, signed, None)
    assert person.of(intake.ConsentUndone)[0].in_reliance


def test_what_was_looked_at_when_it_ended_is_not_asked_for_twice() -> None:
    person = Person()
    consent_id = person.grants()
    relied_on(person, consent_id)
    person.after(days=2)
    ended_at = person.now - DAY
    revoke(person, consent_id, ended_at)
    undo(person, consent_id)
    assert looked_at(person)[-1].until == ended_at


def test_the_same_form_may_be_signed_after_all() -> None:
    person = Person()
    first = person.grants()
    undo(person, first)
    second = person.grants()
    assert second != first
    found = person.finds()
    assert isinstance(found, Allowed)
    assert found.consent_id == second


def test_treatment_that_goes_on_does_not_bring_it_back() -> None:
    person = Person()
    consent_id = person.grants(expires_on=None, expires_with="end_of_treatment")
    ended = EpisodeEnded(episode_id=EPISODE_ID, ended_at=person.now)
    person.handed(ended)
    person.after(days=2)
    person.at(person.now)
    undo(person, consent_id)
    person.handed(EpisodeReopened(episode_id=EPISODE_ID, ended_at=ended.ended_at))
    assert not person.may()
    assert person.of(intake.ConsentExpiryUndone) == []


# --- a revocation that was none ---------------------------------------------------------------------------


@pytest.mark.fault("F49")
def test_a_consent_lives_again_from_then_and_what_lay_between_stays_withheld() -> None:
    person = Person()
    consent_id = person.grants()
    person.after(days=1)
    revoked_at = person.now
    revoke(person, consent_id)
    person.after(days=2)
    undo_revocation(person, consent_id)
    [undone] = person.of(intake.ConsentRevocationUndone)
    assert (undone.consent_id, undone.revoked_at, undone.reason) == (consent_id, revoked_at, WHY)
    assert isinstance(person.finds(revoked_at - HOUR), Allowed)
    assert isinstance(person.finds(revoked_at), Withheld)
    assert isinstance(person.finds(person.now - HOUR), Withheld)
    assert isinstance(person.finds(person.now), Allowed)
    held = person.state.consents[consent_id]
    assert held.has_ended(person.now - HOUR, "UTC"), "what was made then is looked at"
    assert not held.has_ended(person.now, "UTC")
    revoke(person, consent_id)
    assert not person.may()


@given(st.lists(st.sampled_from(["revoke", "undo"]), max_size=8), st.integers(1, 30))
def test_it_holds_exactly_while_no_revocation_is_on_record(acts: list[str], hours: int) -> None:
    person = Person()
    consent_id = person.grants()
    spans: list[list[datetime | None]] = [[START, None]]
    for act in acts:
        person.after(hours=hours)
        if act == "revoke" and spans[-1][1] is None:
            revoke(person, consent_id)
            spans[-1][1] = person.now
        elif act == "undo" and spans[-1][1] is not None:
            undo_revocation(person, consent_id)
            spans.append([person.now, None])
    person.after(hours=hours)
    for number in range(0, 2 * hours * (len(acts) + 1), max(1, hours // 2)):
        at = START + number * timedelta(minutes=30)
        expected = any(since <= at and (until is None or at < until) for since, until in spans)  # type: ignore[operator]
        assert isinstance(person.finds(at), Allowed) is expected


def test_an_earlier_word_on_the_revocation_holds_again() -> None:
    """The person took it back on the fifth day; that it was on the second was a mistake."""
    person = Person()
    consent_id = person.grants()
    person.after(days=5)
    fifth = person.now
    revoke(person, consent_id)
    revoke(person, consent_id, START + 2 * DAY)
    undo_revocation(person, consent_id)
    held = person.state.consents[consent_id]
    assert held.revoked_at == fifth
    assert not person.may()
    undo_revocation(person, consent_id)
    assert person.may()


@pytest.mark.parametrize("ended_while", ["revoked", "given"])
@pytest.mark.parametrize("reopened", [True, False])
def test_the_end_of_treatment_meanwhile_ends_it_too(ended_while: str, *, reopened: bool) -> None:
    person = Person()
    consent_id = person.grants(expires_on=None, expires_with="end_of_treatment")
    ended = EpisodeEnded(episode_id=EPISODE_ID, ended_at=person.now)
    if ended_while == "given":
        person.handed(ended)
    revoke(person, consent_id)
    if ended_while == "revoked":
        person.handed(ended)
    person.after(days=3)
    person.at(person.now)
    if reopened:
        person.handed(EpisodeReopened(episode_id=EPISODE_ID, ended_at=ended.ended_at))
    undo_revocation(person, consent_id)
    person.at(person.now)
    assert person.may() is reopened
    assert len(person.of(intake.ConsentExpired)) == (not reopened)


def test_another_episode_of_treatment_goes_on_with_it() -> None:
    person = Person()
    consent_id = person.grants(expires_on=None, expires_with="end_of_treatment")
    revoke(person, consent_id)
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=person.now))
    person.handed(EpisodeOpened(episode_id=uid("next")))
    person.after(days=3)
    undo_revocation(person, consent_id)
    person.at(person.now)
    assert person.may()


def test_its_last_day_may_have_come() -> None:
    person = Person()
    consent_id = person.grants(expires_on="2026-03-10")
    revoke(person, consent_id)
    person.after(days=30)
    undo_revocation(person, consent_id)
    person.at(person.now)
    assert not person.may()
    assert len(person.of(intake.ConsentExpired)) == 1


# --- what is refused --------------------------------------------------------------------------------------

Act = Callable[[Person, str], Any]


def again(person: Person, consent_id: str) -> None:
    """It was revoked, and the same form recorded again."""
    revoke(person, consent_id)
    person.grants()


def ended(person: Person, _: str) -> None:
    person.after(days=200)
    person.at(person.now)


REFUSED: list[tuple[str, Act, Act]] = [
    ("consent-undone", undo, undo),
    ("consent-undone", undo, undo_revocation),
    ("consent-ended", undo, revoke),
    ("consent-not-revoked", lambda *_: None, undo_revocation),
    ("consent-not-revoked", ended, undo_revocation),
    ("consent-not-revoked", lambda p, c: (revoke(p, c), undo_revocation(p, c)), undo_revocation),
    ("consent-granted-anew", again, undo_revocation),
]


@pytest.mark.parametrize(("code", "before", "act"), REFUSED)
def test_what_is_refused(code: str, before: Act, act: Act) -> None:
    person = Person()
    consent_id = person.grants()
    before(person, consent_id)
    known = person.state
    with pytest.raises(Refused) as found:
        act(person, consent_id)
    assert (found.value.code, person.state) == (code, known)
    assert found.value.hint


@pytest.mark.parametrize("act", [undo, undo_revocation])
def test_a_consent_that_is_not_theirs(act: Act) -> None:
    with pytest.raises(Unknown):
        act(Person(), uid("no consent"))


def test_a_courts_consent_may_be_a_mistake_although_nobody_may_revoke_it() -> None:
    person = Person()
    consent_id = person.grants(Kind.CRIMINAL_JUSTICE)
    undo(person, consent_id)
    assert person.state.consents[consent_id].undone_for is WHY


# --- over HTTP --------------------------------------------------------------------------------------------


async def test_both_are_taken_back_over_http_by_who_answers_for_it() -> None:
    served = await register(Served(SERVICE).acting_as("intake_coordinator"))
    told = await served.does("/referrals", {"source_kind": "self", "urgency": "routine"})
    person_id, episode_id = told["person_id"], told["episode_id"]
    who = {"person_id": person_id}
    granted = await served.does("/consents", {**who, **FORM})
    path, wrong = f"/consents/{granted['consent_id']}", {**who, "reason": "wrong_person"}
    disclosed = await served.does(
        "/disclosures",
        {
            **who,
            "episode_id": episode_id,
            "recipient_id": PARTNER,
            "categories": ["referral_status"],
            "discloser_id": uid("somebody"),
            "disclosed_at": served.now().isoformat(),
            "basis": "consent",
            "purpose": "care_coordination",
        },
    )
    await served.does(f"{path}/revoke", who)
    refused(await served.post(f"{path}/revoke/undo", wrong), 403, "role-not-allowed")
    served.acting_as("privacy_officer")
    refused(await served.post(f"{path}/revoke/undo", who), 422, "request-invalid")
    await served.does(f"{path}/revoke/undo", wrong)
    served.acting_as("intake_coordinator")
    asked = {"params": {**who, **QUESTION}}
    assert (await served.get("/consents/check", **asked)).json()["allowed"]
    served.acting_as("privacy_officer")
    await served.does(f"{path}/undo", wrong)
    refused(await served.post(f"{path}/undo", wrong), 409, "consent-undone")
    [entry] = (await served.get("/disclosures", params=who)).json()["disclosures"]
    assert (entry["disclosure_id"], entry["mistake"]) == (disclosed["disclosure_id"], None)
    served.acting_as("clinical_supervisor")
    seen = (await served.get(f"/episodes/{episode_id}")).json()
    assert "disclosure_review" in str(seen)
