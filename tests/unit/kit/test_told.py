"""What a subscriber says of itself: metrics, the heartbeat in its commits, and refusals of settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from shared.kit.connection import Connection
from shared.kit.errors import Refused
from shared.kit.heartbeat import BYTES_MAX, Versions, heartbeat, inbox_of
from shared.kit.metrics import Metrics
from shared.kit.oauth import ClientCredentials

HUGE = 2**63 - 1
SCRAM = {"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USERNAME": "county"}
TOKENS = {
    "KAFKA_SECURITY": "sasl_ssl",
    "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "KAFKA_TOKEN_URL": "https://issuer.example/token",
    "KAFKA_CLIENT_ID": "county",
}


def test_metrics_are_read_by_prometheus() -> None:
    metrics = Metrics(handled=3, behind={("care.plans", 1): 7}, caught_up=True)
    metrics.skipped["type-unknown"] += 2
    found = {one.name: one for one in text_string_to_metric_families(metrics.text())}
    assert all(one.documentation.endswith(".") for one in found.values())
    values = {(s.name, *s.labels.values()): s.value for one in found.values() for s in one.samples}
    assert values["throughcare_handled_total",] == 3
    assert values["throughcare_skipped_total", "type-unknown"] == 2
    assert values["throughcare_lag", "care.plans", "1"] == 7
    assert metrics.lag == 7


@given(
    words=st.lists(st.text(st.characters(codec="ascii"), max_size=60), max_size=200),
    count=st.integers(0, HUGE),
)
def test_a_heartbeat_fits_whatever_was_counted(words: list[str], count: int) -> None:
    metrics = Metrics(handled=count, duplicates=count, gaps=count)
    metrics.waits.update(dict.fromkeys(words, count))
    metrics.set_aside.update(dict.fromkeys(words, count))
    text = heartbeat(
        "a" * 32, "b" * 12, HUGE, 1e12, Versions("1" * 500, "2" * 500, "3" * 500), metrics
    )
    assert len(text.encode()) < BYTES_MAX
    assert inbox_of(text) == "a" * 32
    assert json.loads(text)["next"] == HUGE


@pytest.mark.parametrize(
    "metadata", ["", "x", "3", "[]", "{}", '{"inbox": 3}', "null", "[" * 4_000]
)
def test_metadata_of_others_names_no_inbox(metadata: str) -> None:
    assert inbox_of(metadata) == ""


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"KAFKA_SECURITY": "sasl_plaintext"}, "KAFKA_SECURITY"),
        ({"KAFKA_USERNAME": "county"}, "KAFKA_SECURITY"),
        ({"KAFKA_CA_FILE": "/nowhere"}, "KAFKA_SECURITY"),
        ({"KAFKA_SECURITY": "sasl_ssl"}, "KAFKA_USERNAME"),
        ({"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USERNAME": "county"}, "KAFKA_PASSWORD_FILE"),
        ({"KAFKA_SECURITY": "ssl"}, "KAFKA_CERTIFICATE_FILE"),
        ({"KAFKA_SECURITY": "ssl", "KAFKA_CA_FILE": "/nowhere"}, "KAFKA_CA_FILE"),
        ({"KAFKA_SECURITY": "ssl", "KAFKA_CERTIFICATE_FILE": "/no"}, "KAFKA_CERTIFICATE_FILE"),
        (SCRAM | {"KAFKA_KEY_FILE": "/no"}, "KAFKA_CERTIFICATE_FILE"),
        ({"KAFKA_TOKEN_URL": "https://issuer.example"}, "KAFKA_SECURITY"),
        (SCRAM | {"KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_SASL_MECHANISM"),
        (TOKENS | {"KAFKA_TOKEN_URL": "http://issuer.example"}, "KAFKA_TOKEN_URL"),
        (TOKENS | {"KAFKA_CLIENT_ID": ""}, "KAFKA_CLIENT_ID"),
        (TOKENS, "KAFKA_CLIENT_SECRET_FILE"),
        (TOKENS | {"KAFKA_CLIENT_SECRET_FILE": "/no"}, "KAFKA_CLIENT_SECRET_FILE"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, str], named: str
) -> None:
    with pytest.raises(Refused, match=named) as refused:
        Connection.from_environment(settings).client_options()
    assert refused.value.code == "connection-settings-unusable"


def test_a_closed_bus_is_entered_with_user_and_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    given_ = {
        "KAFKA_BOOTSTRAP": "kafka:9094",
        "KAFKA_SECURITY": "sasl_ssl",
        "KAFKA_USERNAME": "county",
        "KAFKA_PASSWORD_FILE": str(tmp_path / "password"),
    }
    options = Connection.from_environment(given_).client_options()
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_plain_password"] == "secret"
    assert options["ssl_context"].check_hostname


def test_a_closed_bus_is_entered_with_a_token(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    given_ = TOKENS | {"KAFKA_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    options = Connection.from_environment(given_).client_options()
    assert options["sasl_mechanism"] == "OAUTHBEARER"
    assert isinstance(options["sasl_oauth_token_provider"], ClientCredentials)
    assert "sasl_plain_password" not in options
