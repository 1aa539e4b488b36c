"""docker-compose.yml keeps to the rules: what is pinned, who may reach whom, who runs as whom, who waits for whom."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.intake.settings import IntakeSettings
from shared.devtools.backends.images import KAFKA_IMAGE, MONGO_IMAGE
from shared.runtime.kafka.access import ADMINISTRATOR, BROKER
from shared.runtime.settings import ServiceSettings
from shared.services import PORTS

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/app.py"))
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
CONTAINERS: dict[str, Any] = COMPOSE["services"]
ONE_SHOT = ("keys", "kafka-users", "mongo-users")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def stage(name: str) -> str:
    """The lines of one stage of the Dockerfile."""
    found = re.search(
        rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
    assert found, f"no stage {name}"
    return found[1]


def test_every_service_is_there() -> None:
    assert set(CONTAINERS) == {"kafka", "mongo", *ONE_SHOT, *SERVICES}


def test_images_are_pinned_where_the_tests_pin_them() -> None:
    assert CONTAINERS["kafka"]["image"] == f"${{KAFKA_IMAGE:-{KAFKA_IMAGE}}}"
    assert CONTAINERS["mongo"]["image"] == f"${{MONGO_IMAGE:-{MONGO_IMAGE}}}"
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert bases == {"${PYTHON_IMAGE}", "base"}
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes -r /tmp/service.lock" in stage("packages")


def test_http_and_the_subscribers_listener_are_published_and_only_on_this_machine() -> None:
    published = {name: box["ports"] for name, box in CONTAINERS.items() if "ports" in box}
    http = {name: [f"127.0.0.1:{PORTS[name]}:8000"] for name in SERVICES}
    bus = "${KAFKA_SUBSCRIBERS_LISTEN:-127.0.0.1}:${KAFKA_SUBSCRIBERS_PORT:-9094}:9094"
    assert published == {**http, "kafka": [bus]}
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name in ("mongo", *ONE_SHOT):
        assert CONTAINERS[name]["networks"] == ["inside"]
    assert CONTAINERS["kafka"]["networks"] == ["inside", "subscribers"]


def test_kafka_takes_nobody_without_a_user_or_a_certificate() -> None:
    settings = CONTAINERS["kafka"]["environment"]
    listeners = re.findall(r"(\w+)://", settings["KAFKA_LISTENERS"])
    protocols = dict(
        one.split(":") for one in settings["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    assert set(listeners) == set(protocols)
    for name, protocol in protocols.items():
        if protocol == "SSL":
            assert settings[f"KAFKA_LISTENER_NAME_{name}_SSL_CLIENT_AUTH"] == "required"
        else:
            assert protocol == "SASL_SSL"
            assert settings["KAFKA_SASL_ENABLED_MECHANISMS"] == "SCRAM-SHA-512"
        assert "SSL" not in name, "the official image wants other key stores for such names"
    assert settings["KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND"] == "false"
    assert settings["KAFKA_AUTHORIZER_CLASS_NAME"].endswith(".StandardAuthorizer")
    assert settings["KAFKA_SUPER_USERS"] == f"User:{ADMINISTRATOR};User:{BROKER}"


def test_the_store_takes_tls_only() -> None:
    [command] = CONTAINERS["mongo"]["command"]
    assert "--tlsMode requireTLS" in command
    assert "--keyFile" in command, "members know each other, and users are asked for"


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_confined(name: str) -> None:
    box = CONTAINERS[name]
    assert box["cap_drop"] == ["ALL"]
    assert box["security_opt"] == ["no-new-privileges:true"]
    assert box["mem_limit"]
    assert box["pids_limit"]
    assert box["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid"} & set(box)
    if name != "kafka":  # its start script writes next to its programs
        assert box["read_only"] is True


def test_nobody_is_root() -> None:
    assert CONTAINERS["kafka"]["user"] == "appuser"
    assert CONTAINERS["mongo"]["user"] == "mongodb"
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", stage("base"), re.MULTILINE)
    for name in (*ONE_SHOT, "service"):
        assert f"FROM base AS {name}" in DOCKERFILE
        assert "USER" not in stage(name)


def test_start_order_waits_for_health() -> None:
    assert "/dev/tcp/127.0.0.1/9092" in CONTAINERS["kafka"]["healthcheck"]["test"][-1]
    assert "/dev/tcp/mongo/27017" in CONTAINERS["mongo"]["healthcheck"]["test"][-1]
    for server in ("kafka", "mongo"):
        waits = CONTAINERS[f"{server}-users"]["depends_on"]
        assert waits == {server: {"condition": "service_healthy"}}
        assert CONTAINERS[server]["depends_on"] == {
            "keys": {"condition": "service_completed_successfully"}
        }
    assert "/readyz" in re.findall(r"^HEALTHCHECK .*\n.*", stage("service"), re.MULTILINE)[0]
    for name in SERVICES:
        box = CONTAINERS[name]
        assert box["build"]["target"] == "service"
        assert box["build"]["args"] == {"SERVICE": name}
        assert "healthcheck" not in box  # the image's counts
        assert box["depends_on"] == {
            "kafka": {"condition": "service_healthy"},
            "kafka-users": {"condition": "service_completed_successfully"},
            "mongo": {"condition": "service_healthy"},
            "mongo-users": {"condition": "service_completed_successfully"},
        }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_user_and_a_database_of_its_own(name: str) -> None:
    settings = CONTAINERS[name]["environment"]
    database = ServiceSettings().database_prefix + name
    variable = f"{name.upper()}_MONGO_PASSWORD"
    of_kafka = f"{name.upper()}_KAFKA_PASSWORD"
    found = re.fullmatch(
        r"mongodb://(\w+):\$\{(\w+):\?[^}]*\}@mongo/(\w+)\?directConnection=true",
        settings["MONGO_URI"],
    )
    assert found
    assert found.groups() == (database, variable, database)
    others = set(re.findall(r"\$\{(\w+_PASSWORD)", str(CONTAINERS[name])))
    keys = "KEYS_MONGO_PASSWORD"
    assert others - ({keys} if name == "intake" else set()) == {variable, of_kafka}
    assert settings["KAFKA_USERNAME"] == name
    assert settings["KAFKA_PASSWORD"].startswith(f"${{{of_kafka}:?")
    assert settings["KAFKA_SECURITY"] == "sasl_ssl"
    assert settings["KAFKA_CA_FILE"] == settings["MONGO_CA_FILE"] == "/trusted/ca.pem"
    assert of_kafka in CONTAINERS["kafka-users"]["environment"]
    assert {variable, keys} <= set(CONTAINERS["mongo-users"]["environment"])
    assert settings["CARE_JWKS"] == "/run/secrets/jwks"


def test_the_keys_of_people_are_in_a_database_that_only_intake_reaches() -> None:
    settings = IntakeSettings()
    reaching = {name for name in SERVICES if "care_keys" in str(CONTAINERS[name])}
    assert reaching == {"intake"}
    uri = CONTAINERS["intake"]["environment"]["CARE_KEYS_URI"]
    assert uri.startswith("mongodb://care_keys:${KEYS_MONGO_PASSWORD")
    assert uri.endswith(f"@mongo/{settings.keys_database_name}?directConnection=true")
    assert CONTAINERS["intake"]["environment"]["CARE_KEY_ENCRYPTION_KEY"] is None


def test_compose_and_its_example_follow_from_the_list_of_services() -> None:
    script = ROOT / "deploy" / "compose" / "generate.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(PORTS) == [name for name in CONTAINERS if name in PORTS]
    assert set(PORTS) == set(SERVICES), "a folder without a port, or a port without a folder"


def test_no_password_is_written_down() -> None:
    secrets = {
        f"{box}.{key}": str(value)
        for box, it in CONTAINERS.items()
        for key, value in it.get("environment", {}).items()
        if re.search(r"PASSWORD|SECRET|TOKEN", key)
    }
    assert secrets
    for where, value in secrets.items():
        assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), where
    for secret in re.findall(r"://[^:/\s]+:([^@\s].*?)@", TEXT):
        assert secret.startswith("${")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert given.pop("CARE_MODE") == "development", "what follows is refused without it"
    assert CONTAINERS["intake"]["environment"]["CARE_MODE"] == "${CARE_MODE:-production}"
    assert set(given) == set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert all(value.startswith("development-only-") for value in given.values())


def test_data_lives_in_named_volumes() -> None:
    assert CONTAINERS["kafka"]["volumes"] == [
        "kafka:/var/lib/kafka/data",
        "broker-keys:/keys:ro",
    ]
    assert CONTAINERS["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"
    assert CONTAINERS["mongo"]["volumes"] == [
        "mongo:/data/db",
        "mongo-key:/data/configdb",
        "store-keys:/keys:ro",
    ]
    keys = {"authority", "broker-keys", "store-keys", "admin-keys", "trusted"}
    assert set(COMPOSE["volumes"]) == {"kafka", "mongo", "mongo-key", *keys}
    assert CONTAINERS["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_keeps_nothing_and_reads_what_the_facility_says_of_itself(name: str) -> None:
    assert CONTAINERS[name]["volumes"] == [
        "${CARE_FACILITY_FILES:-./deploy/compose/facility}:/facility:ro",
        "trusted:/trusted:ro",
    ]
    settings = CONTAINERS[name]["environment"]
    assert settings["CARE_PROGRAMS"] == "/facility/programs"
    assert (ROOT / "deploy" / "compose" / "facility" / "programs").is_dir()
    # An empty value would be a path or a key that is none, so these are handed on only when somebody set them.
    for variable in (
        *("CARE_DIRECTORY", "CARE_JOURNAL_KEY", "CARE_LEVEL_RULES", "CARE_LABORATORY"),
    ):
        assert settings.get(variable) is None


def test_an_image_takes_one_service_and_no_tests() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert copied == [
        "requirements/${REQUIREMENTS}",
        *("shared/__init__.py", "shared/devtools/backends/certificates.py"),
        "deploy/compose/keys.py",
        *("shared/*.py", "shared/contracts/*.py", "shared/kit", "shared/runtime"),
        "deploy/compose/kafka_users.py",
        "deploy/compose/users.py",
        "shared/*.py",
        "shared/contracts",
        "shared/kit",
        "shared/programs/*.py",
        "shared/programs/profiles/*.toml",
        "shared/programs/directory.toml",
        "shared/runtime",
        "services/__init__.py",
        "services/${SERVICE}",
    ]
    rules = [line for line in IGNORED if line and not line.startswith("#")]
    assert rules[0] == "*"
    for lock in re.findall(r"service[a-z-]*\.lock", DOCKERFILE):
        assert f"!requirements/{lock}" in rules
        assert (ROOT / "requirements" / lock).exists()
    left_out = rules[rules.index("!shared") :]
    assert {"shared/testing", "shared/devtools"} <= set(left_out)
