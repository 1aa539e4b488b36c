"""Screens, breath tests, support and incentives over HTTP: each route reaches its rule, and refuses nonsense."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest

from services.attendance.app import SERVICE
from shared.contracts import plans
from shared.contracts.terms import HOUSE, IncentiveTerms
from shared.roles import OWNERS
from shared.testing.fakes import decoded, encoded
from tests.unit.attendance.screened import MONDAY, prescribed
from tests.unit.attendance.world import admission
from tests.unit.served import Served, refused
from tests.unit.support import EPISODE, EPISODE_ID, fact, uid

OF = {"episode_id": EPISODE_ID}
PERSON_ID = uid("person")
OTHER_ID = uid("second episode")
X = uid("x")


async def a_clinic(**terms: Any) -> Served:
    served = Served(SERVICE, MONDAY)
    admitted = admission(MONDAY, person_id=PERSON_ID, terms=HOUSE.replace(**terms))
    await served.hear(EPISODE, admitted)
    await served.hear(f"episode/{OTHER_ID}", admitted)
    return served


async def screened(served: Served, *, of: str = EPISODE_ID, **result: Any) -> str:
    """A screen from order to interpretation."""
    screen_id = (await served.does("/screens", {"episode_id": of, "panel": "urine-12"}))[
        "screen_id"
    ]
    body = {"stage": "definitive", "validity": "valid", **result}
    for step, more in [("collect", {}), ("results", body), ("interpret", {})]:
        await served.does(f"/screens/{screen_id}/{step}", {"episode_id": of, **more})
    return screen_id


async def test_whose_record_cannot_be_read_is_left_out_of_the_draw() -> None:
    served = await a_clinic()
    record = f"episode/{OTHER_ID}"
    whole = served.disk.records[record]
    served.disk.records[record] = encoded(decoded(whole) | {"state": "gone"})
    roster = {"episode_ids": [EPISODE_ID, OTHER_ID]}
    answer = await served.acting_as("operator").does("/screens/draw", roster, key="today")
    assert len(answer["drawn"]) + answer["not_drawn"] == 1
    assert answer["left_out"] == [record]
    served.disk.records[record] = whole
    again = await served.does("/screens/draw", roster, key="today")
    assert len(again["drawn"]) + again["not_drawn"] == 2
    assert "left_out" not in again


@pytest.mark.fact("1.8")
async def test_from_the_draw_to_the_interpretation(monkeypatch: pytest.MonkeyPatch) -> None:
    served = await a_clinic()
    lots = iter([0, 999_999])
    monkeypatch.setattr(secrets, "randbelow", lambda _n: next(lots))
    roster = {"episode_ids": [EPISODE_ID, OTHER_ID]}
    answer = await served.acting_as("operator").does("/screens/draw", roster, key="today")
    [drawn] = answer["drawn"]
    assert (drawn["episode_id"], answer["not_drawn"]) == (EPISODE_ID, 1)
    monkeypatch.setattr(secrets, "randbelow", lambda _n: 0)
    assert await served.does("/screens/draw", roster, key="today") == answer
    assert (await served.does("/screens/draw", roster))["drawn"] == [], "one draw a day"
    screen = f"/screens/{drawn['screen_id']}"
    served.acting_as("nurse")
    taken = {**OF, "observed": True, "temperature_f": 95.5, "temperature_read_after_minutes": 3}
    await served.does(f"{screen}/collect", taken)
    handed = {**OF, "holder": "courier", "custody_sequence": 2}
    await served.does(f"{screen}/custody", handed)
    result = {
        **OF,
        "stage": "presumptive",
        "analytes": [{"analyte": "fentanyl", "concentration_ng_ml": 3.5}],
        "measured": {"creatinine_mg_dl": 110, "specific_gravity": 1.012, "ph": 6.1},
    }
    await served.does(f"{screen}/results", result)
    await served.does(f"{screen}/definitive", {**OF, "reason": "contested"})
    await served.does(f"{screen}/results", {**result, "stage": "definitive"})
    told = await served.acting_as("clinician").does(f"{screen}/interpret", OF)
    assert told["classification"] == "unexpected_positive"
    view = (await served.get(screen, params=OF)).json()
    assert (view["stage"], view["closed"], view["temperature_in_range"]) == (
        "definitive",
        True,
        True,
    )
    assert view["results"]["definitive"]["positives"] == ["fentanyl"]
    seen = (await served.get(f"/episodes/{EPISODE_ID}")).json()
    assert seen["screens"][drawn["screen_id"]]["closed"] is True
    assert "fentanyl" not in str(seen)
    assert served.names(EPISODE) == [
        "screen-ordered",
        "specimen-collected",
        "custody-transferred",
        "screen-resulted",
        "screen-resulted",
        "screen-interpreted",
        "screen-failed",
    ]


@pytest.mark.scenario(4)
async def test_a_dilute_specimen_and_a_missing_medicine_and_somebody_unable() -> None:
    served = await a_clinic()
    dilute = {"validity": None, "measured": {"creatinine_mg_dl": 9, "specific_gravity": 1.001}}
    first = await screened(served, positives=["cocaine"], **dilute)
    assert [loop["kind"] for loop in (await served.get("/loops")).json()["loops"]] == [
        "screen_retest"
    ]
    again = await served.does(
        "/screens", {**OF, "panel": "urine-12", "reason": "retest", "retest_of": first}
    )
    unable = {**OF, "kind": "unable", "unable_reason": "shy_bladder"}
    await served.does(f"/screens/{again['screen_id']}/not-provided", unable)
    assert "screen-failed" not in served.names()
    await served.hear(EPISODE, fact(plans.ExpectedAnalytesUpdated, analytes=(prescribed(),)))
    await screened(served)
    kinds = {loop["kind"] for loop in (await served.get("/loops")).json()["loops"]}
    assert kinds == {"screen_retest"}


@pytest.mark.fact("1.8")
async def test_a_breath_test_its_retest_and_the_way_home() -> None:
    served = await a_clinic()
    blown = {**OF, "device_id": "fuel-cell-2", "observed_minutes": 15}
    first = await served.does("/breath-tests", {**blown, "value_g_per_210l": 0.01})
    assert (first["outcome"], first["mark"]) == ("retest", None)
    assert (await served.get(f"/episodes/{EPISODE_ID}")).json()["no_group_today"] is True
    await served.after(minutes=15)
    body = {**blown, "value_g_per_210l": "0.041", "retest_of": first["screen_id"]}
    second = await served.does("/breath-tests", body)
    assert (second["outcome"], second["mark"]) == ("positive", "0.040")
    home = {**OF, "transport": "family_or_friend", "withdrawal_signs": "none"}
    await served.does(f"/breath-tests/{second['screen_id']}/departure", home)
    assert (await served.get("/loops")).json()["loops"] == []


@pytest.mark.fact("1.11", "2.1", "2.7")
async def test_meetings_choices_and_the_family() -> None:
    served = await a_clinic(mutual_support_meetings_per_week=1)
    choice = await served.put(
        f"/episodes/{EPISODE_ID}/mutual-support", {"alternatives": ["smart", "aa"]}
    )
    assert choice.status_code == 200
    meeting = {**OF, "attended_on": "2026-03-02", "verification": "digital"}
    await served.acting_as("peer_specialist").does(
        "/mutual-support", {**meeting, "fellowship": "smart"}
    )
    family = {
        **OF,
        "attendee_id": uid("sister"),
        "kind": "education",
        "minutes_attended": 60,
        "patient_present": False,
    }
    told = await served.does("/family-sessions", family, key="evening")
    assert await served.does("/family-sessions", family, key="evening") == told
    view = (await served.get(f"/episodes/{EPISODE_ID}/support")).json()
    assert view["mutual_support"]["met"] is True
    assert view["mutual_support"]["alternatives"] == ["aa", "smart"]
    assert view["family"]["this_week"] == 1


async def test_two_episodes_of_one_person_share_one_ledger() -> None:
    served = await a_clinic(incentives=IncentiveTerms(base_cents=600, cap_cents=1_000))
    for episode_id in (EPISODE_ID, OTHER_ID):
        reference = await screened(served, of=episode_id)
        answer = await served.post(
            "/incentives",
            {"episode_id": episode_id, "behavior": "screen", "reference_id": reference},
        )
        assert answer.status_code == 201
    ledger = (await served.get(f"/incentives/{PERSON_ID}")).json()
    assert ledger["total_cents"] == {"2026": 1_000}
    assert sorted(entry["cents"] for entry in ledger["entries"].values()) == [400, 600]
    assert served.names(f"person/{PERSON_ID}") == ["incentive-earned", "incentive-earned"]
    await served.after(days=1)
    await screened(served, positives=["cocaine"])
    assert served.names(f"person/{PERSON_ID}")[-1] == "incentive-reset"


def label(value: object) -> str:
    """A part of a test's name; the same in every process, also for a set."""
    return str(sorted(map(str, value)) if isinstance(value, set) else value)[:40]  # pyright: ignore[reportUnknownArgumentType]


# --- what makes no sense ---------------------------------------------------------------------------------

DRAW = {"episode_ids": [EPISODE_ID]}
ORDER = {**OF, "panel": "urine-12"}
RESULT = {**OF, "stage": "definitive", "validity": "valid"}
CUSTODY = {**OF, "holder": "courier", "custody_sequence": 2}
BREATH = {**OF, "value_g_per_210l": 0.02, "device_id": "d-1", "observed_minutes": 15}
HOME = {**OF, "transport": "ride_arranged", "withdrawal_signs": "none"}
MEETING = {**OF, "attended_on": "2026-03-02", "fellowship": "aa", "verification": "self"}
FAMILY = {**OF, "attendee_id": X, "minutes_attended": 60, "patient_present": True}
EARN = {**OF, "behavior": "screen", "reference_id": X}
NOBODY = {"episode_id": uid("nobody")}
Route = tuple[str, str, dict[str, Any]]
ROUTES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("POST", "/screens/draw", DRAW, {"operator"}),
    ("POST", "/screens", ORDER, set()),
    ("POST", f"/screens/{X}/collect", OF, set()),
    ("POST", f"/screens/{X}/custody", CUSTODY, set()),
    ("POST", f"/screens/{X}/not-provided", {**OF, "kind": "refused"}, set()),
    ("POST", f"/screens/{X}/results", RESULT, set()),
    ("POST", f"/screens/{X}/definitive", {**OF, "reason": "contested"}, {"few"}),
    ("POST", f"/screens/{X}/interpret", OF, {"few"}),
    ("POST", "/breath-tests", BREATH, set()),
    ("POST", f"/breath-tests/{X}/departure", HOME, set()),
    ("POST", "/mutual-support", MEETING, {"peer_specialist"}),
    ("PUT", f"/episodes/{EPISODE_ID}/mutual-support", {"opted_out": True}, {"peer_specialist"}),
    ("POST", "/family-sessions", FAMILY, {"peer_specialist"}),
    ("POST", "/incentives", EARN, {"peer_specialist"}),
]
EVERYONE = [
    *("intake_coordinator", "counselor", "clinician", "nurse", "case_manager", "operator"),
    *("peer_specialist", "privacy_officer", "partner", "system", *OWNERS),
]


@pytest.mark.parametrize(("method", "path", "body", "more"), ROUTES, ids=label)
async def test_only_those_may_call_who_should(
    method: str, path: str, body: dict[str, Any], more: set[str]
) -> None:
    allowed = {"clinician", "nurse", *OWNERS}
    if "few" not in more:
        allowed |= {"counselor", "case_manager"} | more
    served = await a_clinic()
    for role in EVERYONE:
        answer = await served.acting_as(role).send(method, path, body)
        if role in allowed:
            assert answer.status_code in {200, 201, 404, 409}, (role, answer.text)
        else:
            refused(answer, 403, "role-not-allowed")


@pytest.mark.parametrize(("method", "path", "body", "more"), ROUTES, ids=label)
async def test_every_route_refuses_what_it_does_not_know(
    method: str, path: str, body: dict[str, Any], more: set[str]
) -> None:
    served = await a_clinic()
    refused(await served.send(method, path, {**body, "note": "a word"}), 422, "request-invalid")
    refused(await served.send(method, path, body, key="x" * 201), 400, "idempotency-key-required")
    for name in body:
        wrong = {**body, name: ["x"]} if name != "episode_ids" else {name: "x"}
        refused(await served.send(method, path, wrong), 422, "request-invalid")
        if method == "POST":
            missing = {key: value for key, value in body.items() if key != name}
            answer = await served.send(method, path, missing)
            assert answer.status_code in {422, 404}, answer.text
    unknown = {**body, **({"episode_ids": [uid("nobody")]} if "draw" in path else NOBODY)}
    if method == "POST":
        refused(await served.send(method, path, unknown), 409, "not-yet-known")
    other = served.acting_as("clinician", facility_id="other-house")
    refused(await other.send(method, path, body), 403, "other-facility")


ILLEGAL: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "/screens/draw", {"episode_ids": []}, 422, "request-invalid"),
    ("POST", "/screens/draw", {"episode_ids": [EPISODE_ID] * 2}, 422, "roster-repeats"),
    ("POST", "/screens/draw", {**DRAW, "panel": "Urine 12!"}, 422, "request-invalid"),
    ("POST", "/screens", {**ORDER, "reason": "mood"}, 422, "request-invalid"),
    ("POST", "/screens", {**ORDER, "reason": "retest", "retest_of": X}, 404, "unknown-screen"),
    ("POST", f"/screens/{X}/collect", {**OF, "temperature_f": 1e9}, 422, "request-invalid"),
    ("POST", f"/screens/{X}/collect", OF, 404, "unknown-screen"),
    ("POST", "/screens/nobody/collect", OF, 422, "request-invalid"),
    ("POST", f"/screens/{X}/custody", {**CUSTODY, "custody_sequence": 0}, 422, "request-invalid"),
    ("POST", f"/screens/{X}/custody", {**CUSTODY, "holder": "unknown"}, 422, "request-invalid"),
    ("POST", f"/screens/{X}/not-provided", {**OF, "kind": "unable"}, 404, "unknown-screen"),
    ("POST", f"/screens/{X}/results", {**OF, "stage": "definitive"}, 422, "validity-missing"),
    ("POST", f"/screens/{X}/results", {**RESULT, "validity": "unknown"}, 422, "request-invalid"),
    ("POST", f"/screens/{X}/results", {**RESULT, "positives": ["x y"]}, 422, "request-invalid"),
    (
        "POST",
        f"/screens/{X}/results",
        {**RESULT, "analytes": [{"analyte": "cocaine"}]},
        422,
        "request-invalid",
    ),
    (
        "POST",
        f"/screens/{X}/results",
        {**RESULT, "analytes": [{"analyte": "cocaine", "concentration_ng_ml": -1}]},
        422,
        "request-invalid",
    ),
    ("POST", f"/screens/{X}/results", {**RESULT, "measured": {"ph": 15}}, 422, "request-invalid"),
    (
        "POST",
        f"/screens/{X}/results",
        {**RESULT, "reported_at": "2026-03-02T09:00:00"},
        422,
        "request-invalid",
    ),
    ("POST", "/breath-tests", {**BREATH, "value_g_per_210l": 0.0101}, 422, "request-invalid"),
    ("POST", "/breath-tests", {**BREATH, "value_g_per_210l": -0.01}, 422, "request-invalid"),
    ("POST", "/breath-tests", {**BREATH, "value_g_per_210l": 0.61}, 422, "request-invalid"),
    ("POST", "/breath-tests", {**BREATH, "value_g_per_210l": "NaN"}, 422, "request-invalid"),
    ("POST", "/breath-tests", {**BREATH, "device_id": "Ann's"}, 422, "request-invalid"),
    ("POST", "/breath-tests", {**BREATH, "observed_minutes": 3}, 422, "observation-too-short"),
    ("POST", "/breath-tests", {**BREATH, "retest_of": X}, 404, "unknown-screen"),
    ("POST", f"/breath-tests/{X}/departure", HOME, 404, "unknown-screen"),
    ("POST", "/mutual-support", {**MEETING, "fellowship": "unknown"}, 422, "request-invalid"),
    (
        "POST",
        "/mutual-support",
        {**MEETING, "attended_on": "2030-01-01"},
        422,
        "attended-on-impossible",
    ),
    ("POST", "/mutual-support", {**MEETING, "attended_on": "0001-01-01"}, 422, "request-invalid"),
    ("PUT", f"/episodes/{EPISODE_ID}/mutual-support", {}, 422, "no-secular-alternative"),
    (
        "PUT",
        f"/episodes/{EPISODE_ID}/mutual-support",
        {"alternatives": ["unknown"]},
        422,
        "request-invalid",
    ),
    ("POST", "/family-sessions", {**FAMILY, "minutes_attended": 0}, 422, "request-invalid"),
    ("POST", "/incentives", {**EARN, "behavior": "smiling"}, 422, "request-invalid"),
    ("POST", "/incentives", {**EARN, "behavior": "attendance"}, 409, "not-the-target-behavior"),
    ("POST", "/incentives", EARN, 404, "unknown-screen"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), ILLEGAL)
async def test_illegal_input_has_a_code(
    method: str, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    served = await a_clinic()
    refused(await served.send(method, path, body), status, code)
    assert served.names() == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/screens/{X}", 422, "request-invalid"),
        (f"/screens/{X}?episode_id={EPISODE_ID}", 404, "unknown-screen"),
        (f"/screens/{X}?episode_id={X}", 409, "not-yet-known"),
        (f"/incentives/{X}", 409, "not-yet-known"),
        (f"/episodes/{X}/support", 409, "not-yet-known"),
    ],
)
async def test_a_question_about_nobody(path: str, status: int, code: str) -> None:
    refused(await (await a_clinic()).get(path), status, code)


async def test_a_result_that_arrives_a_day_later_says_when_it_was_reported() -> None:
    served = await a_clinic()
    screen_id = (await served.does("/screens", ORDER))["screen_id"]
    await served.does(f"/screens/{screen_id}/collect", OF)
    await served.after(days=1)
    late = (MONDAY + timedelta(hours=5)).isoformat()
    await served.does(f"/screens/{screen_id}/results", {**RESULT, "reported_at": late})
    early = (MONDAY - timedelta(hours=5)).isoformat()
    answer = await served.post(f"/screens/{screen_id}/results", {**RESULT, "reported_at": early})
    refused(answer, 422, "reported-at-impossible")
