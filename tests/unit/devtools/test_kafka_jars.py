"""How Kafka's jars come here: with Maven where it is installed, else in Python, and never unchecked."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from shared.devtools.backends import BackendError, Unreachable, cache_dir, kafka_jars
from shared.devtools.backends.kafka_jars import KafkaHome, kafka_home

JAR = b"what the recipe lists"
REPOSITORY = "http://repository.example/some/path"
POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>example</groupId><artifactId>{name}</artifactId><version>1</version>{more}</project>"""
RECIPE = POM.format(
    name="recipe",
    more="<properties><kafka.version>9.9.9</kafka.version></properties><dependencies><dependency>"
    "<groupId>example</groupId><artifactId>thing</artifactId><version>1</version>"
    "</dependency></dependencies>",
)
Serve = Callable[[dict[str, bytes] | None], list[str]]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A recipe of one jar, an empty cache, and a machine with neither Java nor Maven."""
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    (recipe / "pom.xml").write_text(RECIPE)
    (recipe / "jars.sha256").write_text(f"{hashlib.sha256(JAR).hexdigest()}  thing-1.jar\n")
    monkeypatch.setattr(kafka_jars, "_RECIPE", recipe)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("MAVEN_REPOSITORY", raising=False)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Answer the Python client's requests with these files, or not at all; what is asked for is noted."""

    def serving(files: dict[str, bytes] | None) -> list[str]:
        asked: list[str] = []

        def request(_method: str, url: str, **_options: object) -> requests.Response:
            asked.append(url)
            if files is None:
                raise requests.ConnectionError("no route")
            content = next((body for end, body in files.items() if url.endswith(end)), None)
            response = requests.Response()
            response.status_code = 404 if content is None else 200
            response.raw = io.BytesIO(content or b"")
            return response

        monkeypatch.setattr(requests, "request", request)
        return asked

    return serving


def _published(jar: bytes = JAR) -> dict[str, bytes]:
    return {"/thing-1.pom": POM.format(name="thing", more="").encode(), "/thing-1.jar": jar}


def _install(tmp_path: Path, maven: str) -> None:
    """A Java, and a Maven that does as told here; "$libs" is where the jars are to go."""
    programs = tmp_path / "bin"
    programs.mkdir()
    find = 'for a in "$@"; do case $a in -DoutputDirectory=*) libs=${a#*=};; esac; done'
    for name, script in (("java", ""), ("mvn", f'{find}\n/bin/mkdir "$libs"\n{maven}\n')):
        (programs / name).write_text(f"#!/bin/sh\n{script}")
        (programs / name).chmod(0o755)


def _fetched() -> KafkaHome:
    return kafka_home(lambda _text: None, lambda _what, _done: None)


def _nothing_is_kept() -> bool:
    return not [path for path in cache_dir().iterdir() if path.is_dir()]


def test_maven_is_used_where_it_is_installed(tmp_path: Path, serve: Serve) -> None:
    asked = serve(None)
    _install(tmp_path, f"printf '{JAR.decode()}' > \"$libs/thing-1.jar\"")
    home = _fetched()
    assert Path(home.classpath).read_bytes() == JAR
    assert asked == []


def test_without_maven_the_client_in_python_fetches_the_same_recipe(serve: Serve) -> None:
    asked = serve(_published())
    home = _fetched()
    assert home.is_complete()
    assert Path(home.classpath).read_bytes() == JAR
    assert [url.rpartition("/")[2] for url in asked if not url.endswith(".sha1")] == [
        "thing-1.pom",
        "thing-1.jar",
    ]


def test_a_maven_without_a_java_to_run_on_is_as_good_as_none(tmp_path: Path, serve: Serve) -> None:
    asked = serve(_published())
    _install(tmp_path, "exit 1")
    (tmp_path / "bin" / "java").unlink()
    assert _fetched().is_complete()
    assert asked


def test_a_repository_that_is_named_is_asked_and_no_other(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = serve(_published())
    _install(tmp_path, "exit 1")
    monkeypatch.setenv("MAVEN_REPOSITORY", f"{REPOSITORY}/")
    assert _fetched().is_complete()
    assert {url.rpartition("/example/")[0] for url in asked} == {REPOSITORY}


def test_what_is_in_the_cache_is_not_fetched_again(serve: Serve) -> None:
    serve(_published())
    _fetched()
    asked = serve(None)
    assert _fetched().is_complete()
    assert asked == []


@pytest.mark.parametrize("maven", [True, False], ids=["maven", "python"])
def test_a_jar_that_is_not_the_one_listed_is_refused(
    tmp_path: Path, serve: Serve, *, maven: bool
) -> None:
    serve(_published(b"something else"))
    if maven:
        _install(tmp_path, 'echo something else > "$libs/thing-1.jar"')
    with pytest.raises(BackendError, match=r"^jars missing or not as listed: thing-1\.jar$"):
        _fetched()
    assert _nothing_is_kept()


@pytest.mark.parametrize("maven", [True, False], ids=["maven", "python"])
def test_without_network_and_cache_one_sentence_says_what_to_do(
    tmp_path: Path, serve: Serve, *, maven: bool
) -> None:
    serve(None)
    if maven:
        _install(tmp_path, "echo 'Could not transfer artifact'; exit 1")
    with pytest.raises(Unreachable) as error:
        _fetched()
    assert str(error.value) == (
        f"Apache Kafka is not yet in {cache_dir() / 'kafka-9.9.9'} and the Maven repository is out of reach: "
        "connect this machine once, or set MAVEN_REPOSITORY to a repository that it reaches, "
        "or KAFKA_BOOTSTRAP and MONGO_URI to servers that run"
    )
    assert _nothing_is_kept()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "the Maven repository refuses or lacks a part of it: connect"),
        ({".pom": b"<html>Please log in<br></html>"}, "what answers is no Maven repository"),
    ],
    ids=["refuses", "is something else"],
)
def test_what_else_a_repository_may_answer_is_said(
    serve: Serve, files: dict[str, bytes], message: str
) -> None:
    serve(files)
    with pytest.raises(BackendError, match=message):
        _fetched()
    assert _nothing_is_kept()


def test_without_any_client_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(BackendError, match=r"neither Maven nor jgo is installed: pip install"):
        _fetched()
