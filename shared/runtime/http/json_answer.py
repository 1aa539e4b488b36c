"""The JSON response of the routes of all services."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from pydantic_core import to_json


class JsonAnswer(JSONResponse):
    """JSON of what a view gives: also of times, days and values of the contract, each written as in events.

    With the standard library's encoder a view that names a time is a 500 as soon as there is one.
    """

    def render(self, content: Any) -> bytes:
        return to_json(content, inf_nan_mode="null")


class RecordAnswer(JsonAnswer):
    """The answer about one record. Its ETag is the record's revision, which a caller gives back as If-Match.

    A route that is annotated with it has the header in its OpenAPI document.
    """

    def __init__(self, content: Any, revision: int, status_code: int = 200) -> None:
        super().__init__(content, status_code, headers={"ETag": f'"{revision}"'})
