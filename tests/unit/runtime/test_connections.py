"""From settings to client options: what is used, and what is refused by name before anything starts."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import collect_hosts
from faststream.kafka import KafkaBroker
from pydantic import SecretStr

from shared.devtools.backends.certificates import Authority
from shared.errors import ConfigurationError
from shared.kit import oauth
from shared.runtime.connections import KafkaConnection, KafkaFromEnvironment, MongoConnection
from shared.runtime.core.store_connection import mongo_options
from shared.runtime.kafka.connection import broker_options, client_options
from shared.runtime.settings import ServiceSettings

SCRAM = {"kafka_security": "sasl_ssl", "kafka_username": "plans"}
TOKENS = {
    "kafka_security": "sasl_ssl",
    "kafka_sasl_mechanism": "OAUTHBEARER",
    "kafka_token_url": "https://issuer.example/token",
    "kafka_client_id": "plans",
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A certificate with its key, a secret, and files that can't be used."""
    issued = Authority(tmp_path).issue("client")
    (tmp_path / "key.pem").write_bytes(issued.key.read_bytes())
    (tmp_path / "own.pem").write_bytes(issued.certificate.read_bytes())
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "nonsense").write_text("not a certificate")
    return tmp_path


def _of(files: Path, settings: dict[str, str]) -> KafkaConnection:
    """Settings whose files are in the directory."""
    return KafkaConnection(
        **{k: str(files / v) if k.endswith("_file") else v for k, v in settings.items()}  # type: ignore[arg-type]
    )


def test_without_settings_the_connection_is_plain() -> None:
    connection = KafkaConnection(kafka_bootstrap="kafka:9092")
    assert client_options(connection) == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_a_scram_user_with_a_password_file(files: Path) -> None:
    options = client_options(
        _of(files, SCRAM | {"kafka_password_file": "secret", "kafka_ca_file": "ca.pem"})
    )
    tls = options.pop("ssl_context")
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert tls.check_hostname
    assert len(tls.get_ca_certs()) == 1, "nobody but this authority is trusted"
    assert options == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "plans",
        "sasl_plain_password": "s3cret",
    }


def test_a_replaced_password_is_used_by_the_next_client(files: Path) -> None:
    connection = _of(files, SCRAM | {"kafka_password_file": "secret"})
    assert client_options(connection)["sasl_plain_password"] == "s3cret"
    (files / "secret").write_text("other")
    assert client_options(connection)["sasl_plain_password"] == "other"


USABLE: dict[str, dict[str, str]] = {
    "plaintext": {},
    "scram": SCRAM | {"kafka_password_file": "secret"},
    "scram, own authority": SCRAM | {"kafka_password": "p", "kafka_ca_file": "ca.pem"},
    "mutual tls": {
        "kafka_security": "ssl",
        "kafka_certificate_file": "own.pem",
        "kafka_key_file": "key.pem",
    },
    "tokens": TOKENS | {"kafka_client_secret_file": "secret", "kafka_ca_file": "ca.pem"},
}


@pytest.mark.parametrize("settings", USABLE.values(), ids=USABLE)
async def test_the_drivers_take_the_options_and_the_broker_connects_alike(
    files: Path, settings: dict[str, str]
) -> None:
    connection = _of(files, settings | {"kafka_bootstrap": "one:9093,two:9094"})
    options = client_options(connection)
    hosts = collect_hosts(options["bootstrap_servers"], randomize=False)
    assert [host[:2] for host in hosts] == [("one", 9093), ("two", 9094)]
    await AIOKafkaConsumer(**options).stop()
    kwargs: dict[str, Any] = KafkaBroker(**broker_options(connection))._connection_kwargs
    for name, value in options.items():
        if name in ("ssl_context", "sasl_oauth_token_provider"):
            assert type(kwargs[name]) is type(value)
        elif name == "bootstrap_servers":
            assert collect_hosts(kwargs[name], randomize=False) == hosts
        else:
            assert kwargs[name] == value, name


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "unknown security": ({"kafka_security": "SASL_PLAINTEXT"}, "KAFKA_SECURITY"),
    "a user on an open connection": ({"kafka_username": "plans"}, "KAFKA_SECURITY"),
    "trust on an open connection": ({"kafka_ca_file": "ca.pem"}, "KAFKA_SECURITY"),
    "unknown mechanism": (SCRAM | {"kafka_sasl_mechanism": "PLAIN"}, "KAFKA_SASL_MECHANISM"),
    "a mechanism without a user": ({"kafka_security": "sasl_ssl"}, "KAFKA_USERNAME"),
    "a user without a password": (SCRAM, "KAFKA_PASSWORD_FILE"),
    "no such password file": (SCRAM | {"kafka_password_file": "none"}, "KAFKA_PASSWORD_FILE"),
    "an empty password file": (SCRAM | {"kafka_password_file": "empty"}, "KAFKA_PASSWORD_FILE"),
    "no such authority": (SCRAM | {"kafka_ca_file": "none"}, "KAFKA_CA_FILE"),
    "an authority that is none": (SCRAM | {"kafka_ca_file": "nonsense"}, "KAFKA_CA_FILE"),
    "tls without a certificate": ({"kafka_security": "ssl"}, "KAFKA_CERTIFICATE_FILE"),
    "a certificate without a key": (
        {"kafka_security": "ssl", "kafka_certificate_file": "own.pem"},
        "KAFKA_KEY_FILE",
    ),
    "a key without a certificate": (
        {"kafka_security": "ssl", "kafka_key_file": "key.pem"},
        "KAFKA_CERTIFICATE_FILE",
    ),
    "a key that is none": (
        {
            "kafka_security": "ssl",
            "kafka_certificate_file": "own.pem",
            "kafka_key_file": "nonsense",
        },
        "KAFKA_CERTIFICATE_FILE",
    ),
    "tokens from nowhere": (TOKENS | {"kafka_token_url": ""}, "KAFKA_TOKEN_URL"),
    "tokens in the clear": (TOKENS | {"kafka_token_url": "http://x"}, "KAFKA_TOKEN_URL"),
    "tokens without a secret": (TOKENS, "KAFKA_CLIENT_SECRET_FILE"),
    "tokens without a client": (
        TOKENS | {"kafka_client_id": "", "kafka_client_secret_file": "secret"},
        "KAFKA_CLIENT_ID",
    ),
}


@pytest.mark.parametrize(("settings", "named"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_by_the_name_of_the_setting(
    files: Path, settings: dict[str, str], named: str
) -> None:
    connection = _of(files, settings)
    for options in (client_options, broker_options):
        with pytest.raises(ConfigurationError) as refused:
            options(connection)
        assert refused.value.code == "connection-settings-unusable"
        assert refused.value.setting == named
        assert named in refused.value.detail
        assert str(files) not in str(refused.value), "no value of a setting is repeated"


def test_the_environment_of_another_process_is_the_same_connection(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = _of(files, USABLE["scram, own authority"])
    monkeypatch.setenv("KAFKA_SECURITY", "ssl")
    for name, value in connection.environment().items():
        monkeypatch.setenv(name, value)
    assert KafkaFromEnvironment().environment() == connection.environment()
    assert ServiceSettings().environment() == connection.environment()


def test_a_password_shows_in_no_representation() -> None:
    secret = {"kafka_password": SecretStr("hunter2")}
    for settings in (KafkaConnection(**secret), ServiceSettings(**secret)):  # type: ignore[arg-type]
        assert "hunter2" not in f"{settings!r}{settings}{settings.model_dump_json()}"


async def test_a_token_is_used_until_it_is_about_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = oauth.ClientCredentials("https://x", "plans", "s", ssl.create_default_context())
    given = iter([oauth._Token("first", 100.0), oauth._Token("second", 200.0)])
    now = 0.0
    monkeypatch.setattr(oauth, "monotonic", lambda: now)
    monkeypatch.setattr(tokens, "_ask", lambda: next(given))
    assert await tokens.token() == "first"
    now = 69.0
    assert await tokens.token() == "first"
    now = 71.0
    assert await tokens.token() == "second"


def test_a_service_that_can_not_connect_as_set_stops_and_says_why() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.plans.app"],
        env={**os.environ, "KAFKA_SECURITY": "sasl_ssl", "KAFKA_USERNAME": "plans"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    entry = json.loads(done.stdout.splitlines()[-1])
    assert entry["error_code"] == "connection-settings-unusable"
    assert entry["setting"] == "KAFKA_PASSWORD_FILE"


MONGO: dict[str, tuple[dict[str, str], dict[str, str] | str]] = {
    "nothing": ({}, {}),
    "a user and a password file": (
        {"mongo_username": "plans", "mongo_password_file": "secret"},
        {"username": "plans", "password": "s3cret"},
    ),
    "no such password file": ({"mongo_password_file": "none"}, "MONGO_PASSWORD_FILE"),
    "no such authority": ({"mongo_ca_file": "none"}, "MONGO_CA_FILE"),
    "an authority that is none": ({"mongo_ca_file": "nonsense"}, "MONGO_CA_FILE"),
    "a certificate without its key": (
        {"mongo_certificate_file": "ca.pem"},
        "MONGO_CERTIFICATE_FILE",
    ),
}


@pytest.mark.parametrize(("settings", "result"), MONGO.values(), ids=MONGO)
def test_the_connection_to_mongodb_is_read_in_the_same_way(
    files: Path, settings: dict[str, str], result: dict[str, str] | str
) -> None:
    connection = MongoConnection(
        **{k: str(files / v) if k.endswith("_file") else v for k, v in settings.items()}
    )
    if isinstance(result, str):
        with pytest.raises(ConfigurationError) as refused:
            mongo_options(connection)
        assert refused.value.setting == result
    else:
        assert mongo_options(connection) == result
