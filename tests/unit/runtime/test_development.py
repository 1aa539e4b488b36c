"""Development mode: what everybody knows opens nothing, unless a deployment says by name that it may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient

from services.plans.app import SERVICE
from shared.devtools.issuer import LocalIssuer
from shared.errors import ConfigurationError
from shared.runtime.service import create_app
from shared.runtime.settings import ServiceSettings

ROOT: Final = Path(__file__).resolve().parents[3]
RFC_8037: Final = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
PASSWORDS: Final = [
    line.partition("=")[2]
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    if "PASSWORD=" in line and not line.startswith("#")
]
URI: Final = "mongodb://care_plans:{}@mongo,mongo2/care_plans?replicaSet=rs0"


def settings_with(mode: str, **more: Any) -> ServiceSettings:
    return ServiceSettings.model_validate({"mode": mode, **more})


def published(tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every key and password that this repository gives out, each where a deployment may have forgotten it."""
    path = tmp_path / "password"
    path.write_text(PASSWORDS[0] + "\n", encoding="utf-8")
    found: list[tuple[str, dict[str, Any]]] = [
        ("CARE_JWKS", {"jwks": LocalIssuer().jwks}),
        ("CARE_JWKS", {"jwks": json.dumps({"keys": [RFC_8037]})}),
        ("MONGO_PASSWORD_FILE", {"MONGO_PASSWORD_FILE": str(path), "MONGO_USERNAME": "x"}),
        (
            "KAFKA_PASSWORD_FILE",
            {"KAFKA_PASSWORD_FILE": str(path), "KAFKA_USERNAME": "x", "KAFKA_SECURITY": "sasl_ssl"},
        ),
    ]
    found += [("MONGO_URI", {"MONGO_URI": URI.format(password)}) for password in PASSWORDS]
    found += [
        (
            "KAFKA_PASSWORD",
            {"KAFKA_PASSWORD": password, "KAFKA_USERNAME": "x", "KAFKA_SECURITY": "sasl_ssl"},
        )
        for password in PASSWORDS[:1]
    ]
    return found


def test_production_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARE_MODE")
    assert ServiceSettings().mode == "production"


def test_what_is_published_is_refused_in_production_and_taken_in_development(
    tmp_path: Path,
) -> None:
    assert len(PASSWORDS) > 4
    for setting, given in published(tmp_path):
        with pytest.raises(ConfigurationError) as refused:
            create_app(SERVICE, settings_with("production", **given))
        assert (refused.value.code, refused.value.setting) == ("development-secret", setting)
        assert not any(password in str(refused.value.detail) for password in PASSWORDS)
        create_app(SERVICE, settings_with("development", **given))


@pytest.mark.parametrize("mode", ["production", "development"])
def test_every_answer_says_that_it_is_development(mode: str) -> None:
    app = create_app(SERVICE, settings_with(mode))
    app.state.runtime = Mock()  # what a start puts there; it counts who is refused
    client = TestClient(app, raise_server_exceptions=False)
    for method, path in (
        ("GET", "/healthz"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("GET", "/loops"),
        ("POST", "/plans"),
    ):
        answer = client.request(method, path, content=b"{" if method == "POST" else None)
        said = answer.headers.get("Throughcare-Mode")
        assert said == ("development" if mode == "development" else None), path
