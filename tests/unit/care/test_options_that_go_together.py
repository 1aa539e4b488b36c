"""An option that would do nothing is refused and not left out in silence; a failure is told as what it is."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Coroutine
from typing import Any

import pytest
import typer
from aiokafka.errors import KafkaConnectionError, SecurityDisabled
from typer.testing import CliRunner

from care import events
from care.cli import app
from care.events import until_answered
from shared.runtime.kafka.producer import unavailable

PERSON = "1c9f7c56-3a0b-4d0e-8f5a-2a5f1f0e7b44"
USAGE = 2


def said(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "200"})
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("topics acl --topic care.plans", "--topic"),
        ("topics acl --topic care.plans --json", "--topic"),
        ("topics acl --cluster mine", "--cluster"),
        ("topics acl --subscriber partner --topic care.plans --cluster mine", "--cluster"),
        ("topics acl --strimzi --json", "--json"),
        ("topics acl --passwords here", "--passwords"),
        ("contracts diff --markdown --json", "--markdown"),
        ("contracts diff --why clearer", "--reword"),
        ("token harbor-iop clinician --jwks --actor x", "--actor"),
        ("loops --all --limit 3", "--limit"),
        ("tasks --all --limit 3", "--limit"),
        ("loops --token x --facility y", "--facility"),
        ("tasks --token x --facility y", "--facility"),
        ("audit list intake --token x --facility y", "--facility"),
        ("audit verify intake --token x --facility y", "--facility"),
        (f"erase {PERSON} --why retention-over --token x --facility y", "--facility"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(command: str, option: str) -> None:
    code, output = said(*command.split())
    assert code == USAGE, output
    assert option in output


def test_an_option_of_the_environment_may_stand_beside_any_other() -> None:
    command = ["token", "harbor-iop", "clinician"]
    done = CliRunner().invoke(app, command, env={"CARE_FACILITY": "lakeside-iop"})
    assert done.exit_code == 0, done.output


async def raising(error: BaseException) -> None:
    raise error


NO_FILE = FileNotFoundError(errno.ENOENT, "No such file or directory", "away/x.jsonl.part")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KafkaConnectionError("x"), "Kafka at here:9092 does not answer"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "Kafka at here:9092 does not answer"),
        (socket.gaierror(-2, "x"), "Kafka at here:9092 does not answer"),
        (TimeoutError(), "Kafka at here:9092 does not answer"),
        (ssl.SSLError(1, "x"), "Kafka at here:9092 does not answer"),
        (OSError(errno.ENETUNREACH, "x"), "Kafka at here:9092 does not answer"),
        (NO_FILE, "away/x.jsonl.part can't be used (FileNotFoundError"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x can't be used"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "x"), "x can't be used"),
        (OSError(errno.ENOSPC, "No space left on device"), "A file can't be used (OSError"),
    ],
)
def test_only_a_connection_that_failed_is_said_to_be_kafkas(
    error: Exception, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        until_answered("here:9092", raising(error))
    assert told in capsys.readouterr().err


def test_a_closed_pipe_is_nobodys_failure() -> None:
    with pytest.raises(BrokenPipeError):
        until_answered("here:9092", raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))


def test_a_broker_without_rules_is_not_asked_again() -> None:
    told = unavailable(SecurityDisabled())
    assert (told.code, "authorizer" in told.detail) == ("broker-without-authorizer", True)
    assert "retry" not in (told.hint or "")


@pytest.mark.parametrize("topic", ["care.plans", "care.out.billing", "care.out.billing.2"])
def test_every_topic_of_events_can_be_followed(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def note(kafka: str, reading: Coroutine[Any, Any, None]) -> None:
        asked.append(kafka)
        reading.close()

    monkeypatch.setattr(events, "until_answered", note)
    code, output = said("events", "tail", "--kafka", "here:9092", "--topic", topic)
    assert (code, asked) == (0, ["here:9092"]), output


@pytest.mark.parametrize("topic", ["care.journal.plans", "plans", "billing"])
def test_no_other_topic_is_followed(topic: str) -> None:
    code, output = said("events", "tail", "--kafka", "here:9092", "--topic", topic)
    assert code == USAGE
    assert "care.out.TEAM" in output
