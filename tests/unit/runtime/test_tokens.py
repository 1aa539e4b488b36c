"""Which tokens are believed: algorithms, keys, issuer, times, claims; and keys that the issuer changes meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from shared.errors import CareError, ConfigurationError, Forbidden, Unauthenticated, Unavailable
from shared.runtime.http.auth import LEEWAY_SECONDS, Authenticator, KeyUnknown
from shared.runtime.http.claims import Claims, read_role_map
from shared.runtime.http.keys import (
    KEPT_SECONDS,
    LOOK_AGAIN_SECONDS,
    DiscoveredKeys,
    FixedKeys,
    Keys,
)
from shared.runtime.settings import ServiceSettings

ISSUER: Final = "https://login.example"
ACTOR: Final = "0a5a36c5-2b0d-5a32-9d39-6dd4b4f7a0e1"
DAY: Final = 86_400.0
NOW: Final = 1_795_000_000
RSA, RSA_2, EC, OKP = (
    RSAKey.generate_key(2048, {"kid": "rsa"}),
    RSAKey.generate_key(2048, {"kid": "rsa-2"}),
    ECKey.generate_key("P-256", {"kid": "ec"}),
    OKPKey.generate_key("Ed25519", {"kid": "okp"}),
)
P384 = ECKey.generate_key("P-384", {"kid": "p384"})
SECRET = OctKey.generate_key(256, {"kid": "secret"})
Key = RSAKey | ECKey | OKPKey | OctKey
SIGNED: Final = {"RS256": RSA, "ES256": EC, "EdDSA": OKP, "Ed25519": OKP}
_OLD: Final = jws.JWSRegistry(algorithms=["Ed25519"])


def document(*keys: Key) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


JWKS: Final = json.dumps(document(RSA, RSA_2, EC, OKP))


def token(algorithm: str = "RS256", key: Key = RSA, kid: str | None = "", **claims: Any) -> str:
    """A token with good claims, but for those given; None leaves one out."""
    said: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "throughcare",
        "sub": ACTOR,
        "facility": "harbor-iop",
        "role": "nurse",
        "iat": NOW,
        "exp": NOW + 600,
        **claims,
    }
    said = {name: value for name, value in said.items() if value is not None}
    header = {"alg": algorithm} | ({} if kid is None else {"kid": kid or key.kid})
    if algorithm != "EdDSA":
        return jwt.encode(header, said, key, algorithms=[algorithm])

    class Older(jws.JWSRegistry):
        def get_alg(self, name: str) -> Any:
            return _OLD.get_alg("Ed25519")

    return jwt.encode(header, said, key, registry=Older(algorithms=["EdDSA"]))


def believing(jwks: str = JWKS, **more: Any) -> Authenticator:
    return Authenticator(FixedKeys(jwks, ISSUER, development=False), **{"now": lambda: NOW, **more})


def refusal(checks: Authenticator, text: str) -> CareError:
    with pytest.raises(CareError) as refused:
        checks.actor(f"Bearer {text}")
    return refused.value


@pytest.mark.parametrize("algorithm", SIGNED)
@pytest.mark.parametrize("alone", [False, True], ids=["named", "the only key"])
def test_the_usual_algorithms_are_believed(algorithm: str, *, alone: bool) -> None:
    key = SIGNED[algorithm]
    checks = believing(json.dumps(document(key))) if alone else believing()
    actor = checks.actor(f"Bearer {token(algorithm, key, kid=None if alone else '')}")
    assert (actor.id, actor.facility_id, actor.role) == (ACTOR, "harbor-iop", "nurse")


REFUSED: Final[Mapping[str, Mapping[str, Any]]] = {
    "a key that nobody has": {"key": RSAKey.generate_key(2048, {"kid": "other"})},
    "another's key under a known name": {"key": RSAKey.generate_key(2048, {"kid": "rsa"})},
    "the name of a key of another kind": {"kid": "ec"},
    "two keys, and none named": {"kid": None},
    "a secret as the key": {"algorithm": "HS256", "key": SECRET},
    "another hash": {"algorithm": "RS512"},
    "padding that is not listed": {"algorithm": "PS256"},
    "another curve": {"algorithm": "ES384", "key": P384},
    "another issuer": {"iss": "https://login.example.evil"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "somebody-else"},
    "no audience": {"aud": None},
    "an audience among others, not ours": {"aud": ["one", "two"]},
    "no expiry": {"exp": None},
    "an expiry that is a text": {"exp": "tomorrow"},
    "an expiry that never comes": {"exp": True},
    "an expiry that is no number": {"exp": float("nan")},
    "an expiry without an end": {"exp": float("inf")},
    "an expiry of four hundred digits": {"exp": 10**400},
    "a time of issue that is no number": {"iat": float("nan")},
    "a time of issue before all time": {"iat": float("-inf")},
    "a time of issue of four hundred digits": {"iat": -(10**400)},
    "a time of issue that is a text": {"iat": "now"},
    "a time of issue that is a list": {"iat": [NOW]},
    "expired": {"iat": NOW - 600, "exp": NOW - LEEWAY_SECONDS - 5},
    "not yet valid": {"nbf": NOW + LEEWAY_SECONDS + 60},
    "issued in the future": {"iat": NOW + LEEWAY_SECONDS + 60},
    "no time of issue": {"iat": None},
    "older than a token may be": {"iat": NOW - int(DAY) - LEEWAY_SECONDS - 60, "exp": NOW + 10**9},
    "no actor": {"sub": None},
    "an empty actor": {"sub": ""},
    "an actor beyond its length": {"sub": "x" * 256},
    "an actor that is no text": {"sub": 7},
    "no facility": {"facility": None},
    "words for a facility": {"facility": "Harbor Program"},
    "two facilities": {"facility": ["harbor-iop", "river-iop"]},
}


@pytest.mark.parametrize("how", REFUSED.values(), ids=REFUSED)
def test_every_other_token_gets_the_one_answer(how: Mapping[str, Any]) -> None:
    error = refusal(believing(), token(**how))
    assert isinstance(error, Unauthenticated)
    assert (error.status, error.code) == (401, "token-refused")


@pytest.mark.parametrize(
    "how",
    [
        {"iat": NOW + LEEWAY_SECONDS - 10},
        {"nbf": NOW + LEEWAY_SECONDS - 10},
        {"iat": NOW - 600, "exp": NOW - LEEWAY_SECONDS + 20},
        {"aud": ["one", "throughcare"]},
        {"facility": ["harbor-iop"]},
    ],
)
def test_clocks_may_differ_a_little_and_one_of_a_list_is_one(how: Mapping[str, Any]) -> None:
    assert believing().actor(f"Bearer {token(**how)}").id == ACTOR


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize(
    ("claims", "ends"),
    [({"exp": NOW + 10**9}, 60), ({"exp": NOW + 20}, 20), ({"iat": NOW - 30}, 30)],
)
def test_a_token_ends_by_its_age_or_its_expiry_also_when_it_is_remembered(
    claims: Mapping[str, Any], ends: int, *, remembered: bool
) -> None:
    clock = [float(NOW)]
    checks = believing(max_age_seconds=60.0, now=lambda: clock[0])
    known = token(**claims)
    for passed, taken in ((ends + LEEWAY_SECONDS - 1, True), (ends + LEEWAY_SECONDS, False)):
        if remembered:
            clock[0] = NOW
            assert checks.actor(f"Bearer {known}").id == ACTOR
        clock[0] = NOW + passed
        if taken:
            assert checks.actor(f"Bearer {known}").id == ACTOR
        else:
            assert refusal(checks, known).code == "token-refused"


# --- claims ------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=255))
def test_what_the_issuer_calls_a_person_is_kept_nowhere(name: str) -> None:
    """Any text is one opaque actor, always the same, and another one at another issuer."""
    said = {"sub": name, "facility": "harbor-iop", "role": "nurse"}
    actor = Claims().actor_of(said, ISSUER)
    assert str(UUID(actor.id)) == actor.id
    assert name == actor.id or name not in repr(actor) or len(name) < 6
    assert Claims().actor_of(said, ISSUER) == actor
    if name != actor.id:
        assert Claims().actor_of(said, "https://other.example").id != actor.id


def test_two_names_are_two_actors_however_the_issuer_ends() -> None:
    said = {"facility": "harbor-iop", "role": "nurse"}
    one = Claims().actor_of({**said, "sub": "b/c"}, "https://a")
    other = Claims().actor_of({**said, "sub": "c"}, "https://a/b")
    assert one.id != other.id


KEYCLOAK: Final = Claims(
    "preferred",
    "organization.id",
    "realm_access.roles",
    {"leads": "clinical_supervisor", "iop": "nurse"},
)
GROUPS: Final[list[tuple[list[str] | str, str | None]]] = [
    (["iop"], "nurse"),
    ("iop", "nurse"),
    (["other", "iop"], "nurse"),
    (["iop", "leads"], "clinical_supervisor"),
    (["nurse"], None),
    ([], None),
    ("", None),
]


@pytest.mark.parametrize(("groups", "role"), GROUPS)
def test_claims_are_where_the_settings_say(groups: Any, role: str | None) -> None:
    said = {
        "preferred": "anna",
        "organization": {"id": "harbor-iop"},
        "realm_access": {"roles": groups},
        "role": "operator",
    }
    if role is None:
        with pytest.raises(Forbidden) as refused:
            KEYCLOAK.actor_of(said, ISSUER)
        assert refused.value.code == "role-unknown"
    else:
        assert KEYCLOAK.actor_of(said, ISSUER).role == role


def test_a_claim_with_dots_in_its_name_is_found_as_it_is() -> None:
    name = "https://care.example/role"
    assert Claims(role=name).actor_of({"sub": "x", "facility": "abc", name: "nurse"}, ISSUER).role


@pytest.mark.parametrize("roles", [["nurse", "operator"], [], 7, None, {"nurse": True}, "janitor"])
def test_not_exactly_one_known_role_is_none(roles: Any) -> None:
    assert refusal(believing(), token(role=roles)).code == "role-unknown"


@pytest.mark.parametrize(
    "text", ["[", "[]", '"x"', '{"a": "janitor"}', '{"a": 7}', '{"a": "system"}']
)
def test_a_role_map_that_is_none_is_refused_at_start(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_role_map(text)
    assert (refused.value.code, refused.value.setting) == ("role-map-unusable", "CARE_ROLE_MAP")


# --- documents ---------------------------------------------------------------------------------------------

PRIVATE: Final = {"keys": [OKP.as_dict(private=True)]}
WEAK: Final = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": "x" * 171}
UNUSABLE: Final = {
    "nothing": "{}",
    "no list": '{"keys": {}}',
    "no key": '{"keys": []}',
    "no objects": '{"keys": [7]}',
    "a list": "[]",
    "no JSON": "{",
    "a private key": json.dumps(PRIVATE),
    "a secret": json.dumps({"keys": [SECRET.as_dict(private=True)]}),
    "a short key only": json.dumps({"keys": [WEAK]}),
    "another curve only": json.dumps(document(P384)),
    "a key that is cut": json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}),
    "for encryption only": json.dumps({"keys": [{**RSA.as_dict(private=False), "use": "enc"}]}),
    "no such file": "/nowhere/jwks.json",
}


@pytest.mark.parametrize("jwks", UNUSABLE.values(), ids=UNUSABLE)
def test_a_document_that_is_of_no_use_is_refused_at_start(jwks: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        FixedKeys(jwks, ISSUER, development=True)
    assert refused.value.setting == "CARE_JWKS"


def test_keys_of_no_use_beside_others_are_left_out() -> None:
    listed = [WEAK, {"kty": "AKP", "alg": "ML-DSA-44"}, *document(P384, OKP)["keys"]]
    assert len(Keys({"keys": listed}, development=False)) == 1


def test_without_a_key_nobody_may_call() -> None:
    assert refusal(believing(""), token()).code == "token-refused"


# --- keys that the issuer changes ----------------------------------------------------------------------------

URL: Final = f"{ISSUER}/.well-known/openid-configuration"
JWKS_URL: Final = f"{ISSUER}/keys"


class Issuer:
    """An issuer on the web, and a clock."""

    def __init__(self, *keys: Key) -> None:
        self.keys: list[Key] = [*keys]
        self.away = False
        self.asked = 0
        self.now = 1_000.0
        self.about: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": JWKS_URL}
        self.source = DiscoveredKeys(URL, development=False, fetch=self.fetch, now=lambda: self.now)
        self.checks = Authenticator(self.source, now=lambda: NOW)

    async def fetch(self, url: str) -> Any:
        self.asked += 1
        if self.away:
            raise OSError
        assert url in (URL, JWKS_URL)
        return self.about if url == URL else document(*self.keys)

    def takes(self, key: Key, algorithm: str = "RS256") -> bool:
        try:
            return self.checks.actor(f"Bearer {token(algorithm, key)}").id == ACTOR
        except Unauthenticated:
            return False

    async def meets(self, key: Key) -> bool:
        """As the service does: a key that is not known may be the issuer's newest."""
        try:
            self.checks.actor(f"Bearer {token(key=key)}")
        except KeyUnknown:
            await self.source.look_again()
        return self.takes(key)


async def test_keys_are_found_and_changed_without_a_restart() -> None:
    issuer = Issuer(RSA)
    with pytest.raises(Unavailable):
        issuer.takes(RSA)
    assert await issuer.source.look_again() is None
    assert issuer.takes(RSA)
    issuer.keys = [RSA_2]
    issuer.now += LOOK_AGAIN_SECONDS
    assert await issuer.meets(RSA_2), "a new key is fetched when it is first named"
    assert not issuer.takes(RSA), "a withdrawn key opens nothing, not even for a token known before"


async def test_made_up_keys_do_not_make_us_ask_all_the_time() -> None:
    issuer = Issuer(RSA)
    await issuer.source.look_again()
    asked = issuer.asked
    for _ in range(50):
        assert not await issuer.meets(RSA_2)
    assert issuer.asked == asked
    issuer.now += LOOK_AGAIN_SECONDS
    for _ in range(50):
        assert not await issuer.meets(RSA_2)
    assert issuer.asked == asked + 2, "one more look, of two documents"


async def test_an_issuer_that_is_away_takes_nothing_down_while_its_keys_hold() -> None:
    issuer = Issuer(RSA)
    await issuer.source.look_again()
    issuer.away = True
    issuer.now += KEPT_SECONDS - 1
    await issuer.source.look_again()
    assert (issuer.source.failing, issuer.source.known) == (True, True)
    assert issuer.takes(RSA)
    issuer.now += 2
    with pytest.raises(Unavailable) as away:
        issuer.takes(RSA)
    assert away.value.code == "issuer-unreachable"
    issuer.away = False
    issuer.now += LOOK_AGAIN_SECONDS
    await issuer.source.look_again()
    assert (issuer.source.failing, issuer.takes(RSA)) == (False, True)


ODD: Final[Mapping[str, Any]] = {
    "another issuer": {"issuer": "https://evil.example", "jwks_uri": JWKS_URL},
    "an open line": {"issuer": ISSUER, "jwks_uri": "http://login.example/keys"},
    "a file": {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
    "no address": {"issuer": ISSUER},
    "an address that is none": {"issuer": ISSUER, "jwks_uri": "https://[x"},
    "a list": [],
    "a text": "x",
    "nothing": None,
}


@pytest.mark.parametrize("about", ODD.values(), ids=ODD)
async def test_a_document_of_discovery_that_is_none_changes_nothing(about: Any) -> None:
    issuer = Issuer(RSA)
    await issuer.source.look_again()
    issuer.about = about
    issuer.now += LOOK_AGAIN_SECONDS
    await issuer.source.look_again()
    assert (issuer.source.failing, issuer.takes(RSA)) == (True, True)


@pytest.mark.parametrize(
    "url", ["https://x", "http://x/.well-known/openid-configuration", "ftp://x/.well-known/openid-configuration",
            "https:///.well-known/openid-configuration", "https://[/.well-known/openid-configuration"],
)  # fmt: skip
def test_an_address_of_discovery_that_is_none_is_refused_at_start(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Authenticator.of(
            ServiceSettings.model_validate({"oidc_discovery": url, "mode": "production"})
        )
    assert refused.value.setting == "CARE_OIDC_DISCOVERY"


@pytest.mark.parametrize(
    ("more", "setting"),
    [({"jwks": JWKS}, "CARE_JWKS"), ({"issuer": "https://other.example"}, "CARE_ISSUER")],
)
def test_discovery_stands_alone(more: dict[str, str], setting: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Authenticator.of(ServiceSettings.model_validate({"oidc_discovery": URL, **more}))
    assert (refused.value.code, refused.value.setting) == ("issuer-settings-differ", setting)
    assert (
        Authenticator.of(
            ServiceSettings.model_validate({"oidc_discovery": URL, "issuer": ISSUER})
        ).source.issuer
        == ISSUER
    )
