"""Holds the answers of a running service against the OpenAPI document that it publishes.

Stricter than the document: what an object does not name must not be there, so that a field that nobody described, and
no generated client would see, fails the test that meets it.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

import jsonschema_rs
from fastapi import FastAPI

Schema = dict[str, Any]
CALLED: Final[set[tuple[str, str, str]]] = set()
"""The routes that have answered with success, by service, method and path."""


class AnswerUndescribed(AssertionError):
    """An answer is not what the document says."""


class Described:
    """The document of one service, and what its answers have to be."""

    def __init__(self, document: Schema) -> None:
        self.service = str(document["info"]["title"]).rpartition(" ")[2]
        self._components = _strict(document["components"])
        self._operations: Schema = document["paths"]
        self._paths = [(re.compile(_pattern(path)), path) for path in self._operations]
        self._known: dict[tuple[str, str, str, str], jsonschema_rs.Draft202012Validator | None] = {}

    def route(self, method: str, url: str) -> str | None:
        """The path of the document that a call means; None for a page outside of it."""
        for pattern, path in self._paths:
            if pattern.fullmatch(url) and method.lower() in self._operations[path]:
                return path
        return None

    def check(self, method: str, url: str, status: int, media_type: str, body: bytes) -> None:
        """Raise `AnswerUndescribed` when this is no answer that the document has."""
        path = self.route(method, url)
        if path is None:
            return
        media_type = media_type.partition(";")[0]
        said = f"{self.service} {method} {path} {status} {media_type}"
        key = (method.lower(), path, str(status), media_type)
        if key not in self._known:
            self._known[key] = self._validator(*key, said)
        validator = self._known[key]
        if validator is not None:
            content = json.loads(body)
            for error in validator.iter_errors(content):
                at = ".".join(map(str, error.instance_path))
                raise AnswerUndescribed(f"{said}: at {at or 'the whole'}: {error.message[:600]}")
        if status < 400:
            CALLED.add((self.service, method.upper(), path))

    def _validator(
        self, method: str, path: str, status: str, media_type: str, said: str
    ) -> jsonschema_rs.Draft202012Validator | None:
        responses = self._operations[path][method]["responses"]
        answer = responses.get(status)
        if answer is None and status in ("500", "413", "431"):
            return None
        answer = answer or responses.get(f"{status[0]}XX")
        if answer is None:
            raise AnswerUndescribed(f"{said}: no such status in {sorted(responses)}")
        if "$ref" in answer:
            answer = self._components["responses"][answer["$ref"].rpartition("/")[2]]
        content = _strict(answer.get("content", {}))
        if media_type not in content:
            raise AnswerUndescribed(f"{said}: of {sorted(content)}")
        if not media_type.endswith("json"):
            return None
        schema = {**content[media_type]["schema"], "components": self._components}
        return jsonschema_rs.Draft202012Validator(schema)


_KNOWN: Final[dict[str, Described]] = {}


def _described(app: FastAPI) -> Described:
    """Once for each service: to make a document takes longer than most tests do."""
    if app.title not in _KNOWN:
        _KNOWN[app.title] = Described(app.openapi())
    return _KNOWN[app.title]


def check_answer(app: FastAPI, response: Any) -> None:
    """Hold one answer of an application against its document. `response` is one of httpx or of requests."""
    url = str(response.request.url)
    path = "/" + url.partition("://")[2].partition("/")[2].partition("?")[0]
    media_type = response.headers.get("content-type", "")
    _described(app).check(
        response.request.method, path, response.status_code, media_type, response.content
    )


def _pattern(path: str) -> str:
    return re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))


def _strict(schema: Any) -> Any:
    """The schema, refusing in every object what it does not name."""
    if isinstance(schema, list):
        return [_strict(one) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = {key: _strict(one) for key, one in cast("Schema", schema).items()}
    if isinstance(known.get("properties"), dict) and known.get("type") == "object":
        known.setdefault("additionalProperties", False)
    return known
