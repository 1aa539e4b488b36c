"""Routes for a person's consents, and for what was disclosed about the person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, Field, StrictBool, StrictInt

from services.intake.api import views
from services.intake.api.callers import Accountant, Reporter, Reviewer, Staff, Team
from services.intake.api.log_pages import PageQuery, entries_of, log_page
from services.intake.api.partners import known_partners, partner, registered
from services.intake.api.sealed import key_for_command, opened_identity, seal_personnel
from services.intake.api.subjects import ACCOUNTING, EPISODE, IDENTITY, PERSON
from services.intake.episode import deliveries
from services.intake.episode.episode_state import EpisodeState
from services.intake.person import consents, disclosures, identity, recorded
from services.intake.person.accounting import EntryState
from services.intake.person.grounds import Evidence
from services.intake.person.identity import Name
from services.intake.person.may_disclose import NewConsent, RevocationWay, Signatory, Statement
from services.intake.person.person_state import PersonState
from services.intake.person.requests import Request
from shared.contracts.attributes import FACILITY
from shared.contracts.codes import (
    UUID_PATTERN,
    ActorId,
    Code,
    Day,
    DeliveryId,
    EpisodeId,
    FacilityId,
    NoticeVersion,
    PersonId,
    Population,
    Sha256,
)
from shared.contracts.event import OpenEnum
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    DisclosureBasis,
    EmergencyNature,
    InformationCategory,
    MistakeReason,
    NotMadeReason,
)
from shared.decision import Cause, Decision
from shared.errors import Invalid, Unknown
from shared.runtime.http.call import Body, Call, OfEpisode, SubjectId
from shared.runtime.http.json_answer import JsonAnswer, RecordAnswer
from shared.runtime.http.shown import shows

router = APIRouter(tags=["consents"])

Categories = Annotated[list[InformationCategory], Field(min_length=1, max_length=20)]
IdQuery = Annotated[str, Query(pattern=UUID_PATTERN)]


class GrantConsent(Body):
    """What the signed form says; the form itself stays elsewhere."""

    person_id: PersonId
    kind: ConsentKind
    discloser_id: FacilityId
    recipients: Annotated[list[FacilityId], Field(min_length=1, max_length=49)]
    """Registered partners, and classes of recipients where the form may name one."""
    intermediary_id: FacilityId | None = None
    categories: Categories
    purpose: ConsentPurpose
    effective_at: AwareDatetime
    expires_on: Day | None = None
    expires_with: ConsentExpiry | None = None
    statements: Annotated[list[Statement], Field(max_length=10)]
    signed_by: Annotated[list[Signatory], Field(min_length=1, max_length=3)] = Field(
        default_factory=lambda: [Signatory.PATIENT]
    )
    signed_on: Day
    document_sha256: Sha256


class OfPerson(Body):
    """Whose consent it is."""

    person_id: PersonId


class RevokeConsent(OfPerson):
    """When and how the person took it back; now and in writing unless stated."""

    revoked_at: AwareDatetime | None = None
    way: RevocationWay = RevocationWay.WRITTEN


class _Told(Body):
    """What was told, by whom and when."""

    person_id: PersonId
    episode_id: EpisodeId
    categories: Categories
    discloser_id: ActorId
    disclosed_at: AwareDatetime
    notice_version: NoticeVersion | None = None
    """The notice that went along. Of what was told with consent it is the prescribed one unless another is stated."""


class DiscloseInEmergency(_Told):
    """What 42 CFR 2.51 asks to be written down at once. The name stays in the identity record."""

    recipient_id: FacilityId
    personnel_name: Name
    personnel_role: Code
    nature: EmergencyNature


class RecordDisclosure(_Told):
    """What was told on another ground than an emergency. Each ground asks for its own evidence."""

    recipient_id: FacilityId | None = None
    """None: the person, with basis patient_access."""
    basis: DisclosureBasis
    purpose: ConsentPurpose
    order_on: Day | None = None
    incident_on: Day | None = None
    requested_on: Day | None = None
    died_on: Day | None = None
    deidentified: StrictBool = False


class AskDisclosure(Body):
    """What somebody wants to tell, to whom, what for. `delivery_id` is the sender's own, the same when asked again."""

    person_id: PersonId
    episode_id: EpisodeId
    delivery_id: DeliveryId
    recipient_id: FacilityId
    categories: Categories
    purpose: ConsentPurpose


class ReportDisclosure(OfPerson):
    """What became of something that was allowed: when it was made, or why it was not."""

    made_at: AwareDatetime | None = None
    not_made: NotMadeReason | None = None


class UndoDisclosure(OfPerson):
    """Why an entry of the accounting is a mistake, and on which page it stands; the latest unless one is named."""

    reason: MistakeReason
    page: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = None


class ConsentQuestion:
    """To whom, what (one or more), what for. A code that is not on its list is refused, never guessed."""

    def __init__(
        self,
        person_id: IdQuery,
        recipient: Annotated[str, Query(pattern=f"^{FACILITY}$")],
        category: Annotated[list[InformationCategory], Query(min_length=1, max_length=20)],
        purpose: ConsentPurpose,
    ) -> None:
        for code in (*category, purpose):
            _listed(code)
        self.person_id = person_id
        self.recipient = recipient
        self.categories = tuple(category)
        self.purpose = purpose


# --- consents -------------------------------------------------------------------------------------------


@router.post("/consents", status_code=201)
@shows(views.ConsentGiven)
async def grant_consent(call: Staff, body: GrantConsent) -> RecordAnswer:
    """Record a signed consent."""
    await registered(call, "discloser_id", body.discloser_id)
    new = NewConsent(**body.model_dump(exclude={"person_id"}))
    episodes = await _open_episodes(call, body.person_id)
    known = consents.Circumstances(
        partners=await known_partners(call, new.all_recipients),
        court_involved=any(episode.court_involved for episode in episodes),
        time_zone=call.time_zone,
        signatures=await _signatures(call, body, episodes),
    )
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: consents.grant(state, new, known, cause),
        status=201,
    )


async def _signatures(
    call: Call, body: GrantConsent, episodes: Sequence[EpisodeState]
) -> tuple[str, ...]:
    """Who has to sign at this person's age on the day of the signature.

    Of whom no identity is known, the patient; and a guardian too when they were admitted as an adolescent.
    """
    known = await opened_identity(call, body.person_id)
    age = None if known is None else known.age_on(body.signed_on)
    adolescent = any(
        one.admission is not None and one.admission.population is Population.ADOLESCENT
        for one in episodes
    )
    return call.runtime.programs.signatures(call.actor.facility_id, age, adolescent=adolescent)


async def _open_episodes(call: Call, person_id: str) -> Sequence[EpisodeState]:
    person = await call.state(PERSON(person_id))
    open_episodes = [key for key, is_open in person.episodes.items() if is_open]
    return await call.states([EPISODE(key) for key in open_episodes])


@router.post("/consents/{consent_id}/revoke")
async def revoke_consent(call: Staff, consent_id: SubjectId, body: RevokeConsent) -> RecordAnswer:
    """Record that the person took a consent back, when and how. It holds no longer from that moment."""
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: consents.revoke(state, consent_id, cause, body.revoked_at, body.way),
    )


@router.post("/consents/{consent_id}/expire")
async def expire_consent(call: Staff, consent_id: SubjectId, body: OfPerson) -> RecordAnswer:
    """Record that the event that ends a consent has come, such as the final disposition of a case."""
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: consents.expire(state, consent_id, cause),
    )


@router.get("/consents/check")
@shows(views.CheckView)
async def check_consent(
    call: Team, question: Annotated[ConsentQuestion, Depends(ConsentQuestion)]
) -> RecordAnswer:
    """May this be told to this recipient for this purpose now? Only when one consent says all of it."""
    now, discloser_id = call.runtime.clock.now(), call.actor.facility_id
    recipient = (await known_partners(call, [question.recipient])).get(question.recipient)
    return await call.read(
        PERSON(question.person_id),
        lambda state: disclosures.check(
            state, discloser_id, recipient, question.categories, question.purpose, now
        ),
    )


@router.get("/people/{person_id}/consents")
@shows(views.ConsentsView)
async def read_consents(call: Team, person_id: SubjectId) -> RecordAnswer:
    """The consents of a person, those that have ended too."""
    return await call.read(PERSON(person_id), consents_view)


def consents_view(state: PersonState) -> dict[str, Any]:
    """The consents of a person by id."""
    return {
        "consents": {
            consent_id: consent.model_dump(mode="json")
            for consent_id, consent in state.consents.items()
        }
    }


# --- disclosures ----------------------------------------------------------------------------------------


@router.post("/disclosures/emergency", status_code=201)
@shows(views.Disclosed)
async def disclose_in_emergency(call: Team, body: DiscloseInEmergency) -> RecordAnswer:
    """Record what medical personnel were told without consent in an emergency. Somebody reviews it within a day."""
    await call.record(PERSON(body.person_id))
    await partner(call, "recipient_id", body.recipient_id)
    personnel_id = call.new_id("personnel")
    given = body.model_dump(exclude={"person_id", "personnel_name"})
    new = recorded.Emergency(**given, personnel_id=personnel_id)
    key = await key_for_command(call, body.person_id)
    sealed = seal_personnel(key, body.person_id, personnel_id, body.personnel_name)
    # The name goes to the identity record alone, in a command of its own: a handoff would carry it.
    await call.execute(
        IDENTITY(body.person_id),
        lambda state, cause: identity.name_personnel(state, personnel_id, sealed, cause),
        digest=key.digest,
    )
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: recorded.emergency(state, new, cause),
        status=201,
        wait_for_handoffs=True,
        digest=key.digest,
    )


@router.post("/disclosures/{disclosure_id}/review")
async def review_disclosure(
    call: Reviewer, disclosure_id: SubjectId, body: OfEpisode
) -> RecordAnswer:
    """Say that somebody who answers for it looked at what was told in an emergency, or after its consent had ended."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: deliveries.reviewed(state, disclosure_id, cause),
    )


@router.post("/disclosures", status_code=201)
@shows(views.Disclosed)
async def record_disclosure(call: Team, body: RecordDisclosure) -> RecordAnswer:
    """Record what was told on a ground other than an emergency: a consent, a contract, an audit, a court order."""
    code = body.recipient_id
    recipient = None if code is None else await partner(call, "recipient_id", code)
    evidence = Evidence(**body.model_dump(include=set(Evidence.model_fields)))
    given = body.model_dump(exclude={"person_id", *Evidence.model_fields})
    new = recorded.Ordinary(**given, evidence=evidence)
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: recorded.record(state, new, recipient, cause),
        status=201,
        wait_for_handoffs=True,
    )


@router.post("/disclosures/request", status_code=201)
@shows(views.DisclosureAllowed)
async def ask_disclosure(call: Team, body: AskDisclosure) -> RecordAnswer:
    """May this be told? Entered as allowed, with what has to go along; its sender reports what became of it."""
    recipient = await partner(call, "recipient_id", body.recipient_id)
    request = Request(**body.model_dump(), discloser_id=call.actor.id)
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: disclosures.ask(state, request, recipient, cause),
        status=201,
        wait_for_handoffs=True,
    )


@router.post("/disclosures/{disclosure_id}/report")
async def report_disclosure(
    call: Reporter, disclosure_id: SubjectId, body: ReportDisclosure
) -> RecordAnswer:
    """Say what became of something that was allowed: of a referral that was sent too."""
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: disclosures.report(
            state, disclosure_id, body.made_at, body.not_made, cause
        ),
        wait_for_handoffs=True,
    )


@router.post("/disclosures/{disclosure_id}/undo")
async def undo_disclosure(
    call: Reviewer, disclosure_id: SubjectId, body: UndoDisclosure
) -> RecordAnswer:
    """Mark an entry of the accounting as a mistake. It stays there."""
    subject, entries = await entries_of(call, ACCOUNTING(body.person_id), body.page)
    found = next((one for one in entries if one.disclosure_id == disclosure_id), None)

    def rule(state: PersonState, cause: Cause) -> Decision[PersonState]:
        if found is None:
            raise Unknown("disclosure")
        return disclosures.undo(state, found, subject.name, body.reason, cause)

    return await call.execute(PERSON(body.person_id), rule, wait_for_handoffs=True)


@router.get("/disclosures")
@shows(views.DisclosuresView)
async def read_disclosures(
    call: Accountant,
    person_id: IdQuery,
    page: PageQuery = None,
    state: EntryState = EntryState.MADE,
) -> JsonAnswer:
    """The accounting: everything that was told about a person, on every ground, the latest page unless one is named.

    `state` asks for what was only allowed and waits for its sender's report, or for what was allowed and not made.
    """
    await call.record(PERSON(person_id))
    return await log_page(call, ACCOUNTING(person_id), "disclosures", page, state)


def _listed(code: OpenEnum) -> None:
    if code.name == "UNKNOWN":
        raise Invalid(
            "code-not-listed", "A code is not on its list.", hint="See the API's documentation."
        )
