"""Consents: granted, relied on, revoked, expired; and what each allows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.intake import consents
from services.intake.consents import PersonState
from services.intake.domain import EpisodeEnded, EpisodeOpened, ReliedOn
from shared.contracts import intake
from shared.contracts.intake import ConsentExpiry, ConsentKind
from shared.decision import Handoff
from shared.errors import Invalid, Refused, Unknown
from tests.unit.intake.world import (
    DAY,
    HOUR,
    PARTNER,
    PERSON,
    Intake,
    at_stage,
    consent,
    grant,
    person,
    send,
    with_end_of_treatment,
)
from tests.unit.support import EPISODE_ID, START, uid


def granted(history: Intake, **changes: Any) -> str:
    consent_id: str = history.command(grant(**changes)).answer["consent_id"]
    return consent_id


def revoke(consent_id: str) -> Any:
    return lambda state, cause: consents.revoke(state, consent_id, cause)


def expire(consent_id: str) -> Any:
    return lambda state, cause: consents.expire(state, consent_id, cause)


def test_a_consent_is_said_without_the_form() -> None:
    history = person()
    consent_id = granted(history)
    [event] = history.of(intake.ConsentGranted)
    assert (event.consent_id, event.recipients) == (consent_id, (PARTNER,))
    assert b"signed_on" not in history.record.waiting_entries()[0]["data"]


@pytest.mark.parametrize(
    ("changes", "code", "error"),
    [
        ({"expires_on": None}, "consent-without-end", Invalid),
        (
            {"expires_on": None, "expires_with": ConsentExpiry.NONE},
            "consent-without-end",
            Invalid,
        ),
        ({"expires_on": date(2026, 3, 1)}, "consent-already-expired", Invalid),
        (
            {"effective_at": datetime(2026, 7, 1, tzinfo=UTC)},
            "consent-already-expired",
            Invalid,
        ),
        ({"signed_on": date(2026, 3, 4)}, "consent-not-signed", Invalid),
    ],
)
def test_forms_that_are_not_consents(
    changes: dict[str, Any], code: str, error: type[Refused]
) -> None:
    history = person()
    with pytest.raises(error) as refused:
        history.command(grant(**changes))
    assert (refused.value.code, bool(refused.value.way_out)) == (code, True)
    assert history.state.consents == {}


def test_only_a_general_consent_may_be_endless() -> None:
    history = person()
    granted(history, kind=ConsentKind.TPO, expires_on=None, expires_with=ConsentExpiry.NONE)
    assert history.record.due is None


def test_a_person_nobody_referred_is_unknown() -> None:
    for command in (grant(), revoke(uid("x")), expire(uid("x"))):
        with pytest.raises(Unknown) as refused:
            Intake(PERSON).command(command)
        assert refused.value.code == "unknown-person"


def test_a_consent_ends_with_its_last_day() -> None:
    history = person()
    consent_id = granted(history)
    history.at(datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC))
    assert history.of(intake.ConsentExpired) == []
    history.at(datetime(2026, 7, 1, tzinfo=UTC))
    [event] = history.of(intake.ConsentExpired)
    assert (event.consent_id, event.in_reliance) == (consent_id, False)
    assert event.expired_at == datetime(2026, 7, 1, tzinfo=UTC)


def test_a_consent_is_taken_back_once() -> None:
    history = person()
    consent_id = granted(history)
    history.command(revoke(consent_id))
    assert history.names == ["consent-granted", "consent-revoked"]
    assert history.record.due is None
    for command in (revoke(consent_id), expire(consent_id)):
        with pytest.raises(Refused) as refused:
            history.command(command)
        assert (refused.value.code, bool(refused.value.way_out)) == ("consent-ended", True)


def test_a_criminal_justice_consent_is_not_taken_back_early() -> None:
    history = person()
    consent_id = granted(
        history,
        kind=ConsentKind.CRIMINAL_JUSTICE,
        expires_on=None,
        expires_with=ConsentExpiry.FINAL_DISPOSITION,
    )
    with pytest.raises(Refused) as refused:
        history.command(revoke(consent_id))
    assert (refused.value.code, refused.value.status) == ("consent-irrevocable", 409)
    assert refused.value.way_out
    history.command(expire(consent_id))
    assert history.names[-1] == "consent-expired"


def test_a_consent_that_names_no_event_does_not_end_by_one() -> None:
    history = person()
    with pytest.raises(Refused) as refused:
        history.command(expire(granted(history)))
    assert (refused.value.code, bool(refused.value.way_out)) == ("consent-names-no-event", True)


def test_an_unknown_consent_is_unknown() -> None:
    with pytest.raises(Unknown):
        person().command(revoke(uid("x")))


def test_what_was_disclosed_stays_in_the_accounting() -> None:
    history = person()
    consent_id = granted(history)
    history.hand(ReliedOn(consent_id=consent_id))
    history.command(revoke(consent_id))
    assert history.of(intake.ConsentRevoked)[0].in_reliance is True


def test_a_reliance_heard_too_late_or_of_no_consent_changes_nothing_else() -> None:
    history = person()
    consent_id = granted(history)
    history.command(revoke(consent_id))
    history.hand(ReliedOn(consent_id=consent_id))
    history.hand(ReliedOn(consent_id=uid("x")), 2)
    assert history.names == ["consent-granted", "consent-revoked"]
    assert history.state.consents[consent_id].ended


# --- the end of treatment -------------------------------------------------------------------------------


def test_what_ends_with_treatment_lasts_until_that_day_is_over() -> None:
    history = person()
    history.command(with_end_of_treatment())
    history.hand(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    history.at(datetime(2026, 3, 2, 23, 59, tzinfo=UTC))
    assert history.of(intake.ConsentExpired) == []
    history.at(datetime(2026, 3, 3, tzinfo=UTC))
    assert len(history.of(intake.ConsentExpired)) == 1


def test_treatment_ends_with_the_last_episode() -> None:
    history = person()
    history.hand(EpisodeOpened(episode_id=uid("second")))
    history.command(with_end_of_treatment())
    history.hand(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START), 2)
    assert history.record.due is None
    history.hand(EpisodeEnded(episode_id=uid("second"), ended_at=START + DAY), 3)
    assert history.record.due == datetime(2026, 3, 4, tzinfo=UTC)


def test_the_earlier_end_counts() -> None:
    history = person()
    history.command(grant(expires_on=date(2026, 3, 2), expires_with=ConsentExpiry.END_OF_TREATMENT))
    history.hand(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START + 40 * DAY))
    assert history.record.due == datetime(2026, 3, 3, tzinfo=UTC)


def test_after_treatment_no_consent_can_end_with_it() -> None:
    history = person()
    history.hand(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    with pytest.raises(Refused) as refused:
        history.command(with_end_of_treatment())
    assert (refused.value.code, bool(refused.value.way_out)) == ("treatment-ended", True)


# --- what is allowed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "recipient", "after", "allowed"),
    [
        ({}, PARTNER, 0 * HOUR, True),
        ({}, "northside-court", 0 * HOUR, False),
        ({"effective_at": START + HOUR}, PARTNER, 0 * HOUR, False),
        ({"effective_at": START + HOUR}, PARTNER, HOUR, True),
        ({"expires_on": date(2026, 3, 2)}, PARTNER, 8 * HOUR, True),
        ({"expires_on": date(2026, 3, 2)}, PARTNER, 9 * HOUR, False),
        ({"expired_at": START}, PARTNER, 0 * HOUR, False),
        ({"revoked_at": START}, PARTNER, 0 * HOUR, False),
    ],
)
def test_a_consent_names_its_recipient_and_its_time(
    changes: dict[str, Any], recipient: str, after: Any, *, allowed: bool
) -> None:
    held = consents.Consent.model_validate({**consent().model_dump(), **changes})
    assert consents.permits({"id": held}, "id", recipient, START + after) is allowed
    assert consents.permits({"id": held}, "other", recipient, START + after) is False


def test_sending_a_referral_relies_on_the_consent() -> None:
    history = at_stage("ineligible")
    history.command(send(consent_id=uid("consent")))
    assert history.handing[-1] == Handoff(PERSON, ReliedOn(consent_id=uid("consent")))


def test_a_person_survives_the_store() -> None:
    history = person()
    granted(history)
    history.command(with_end_of_treatment())
    state = history.state
    assert PersonState.model_validate(state.model_dump(mode="json")) == state
