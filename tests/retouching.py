"""What tests of the retouch page share."""

import json
from collections.abc import Callable
from typing import Any

from colorbatch.retouch.api import Answer, Api
from colorbatch.retouch.session import RetouchSession

OpenSession = Callable[..., RetouchSession]
"""Opens a session over a job, without its source if ``has_source`` is false, and closes it after the test."""

HINT = {"x": 0.5, "y": 0.5, "radius": 0.3, "color": "#c04030"}


def got(api: Api, path: str, **parameters: str) -> dict[str, Any]:
    """Return the JSON that is read at a path."""
    return json_of(api.answer("GET", path, parameters, b""))


def posted(api: Api, path: str, **values: object) -> dict[str, Any]:
    return json_of(answered(api, path, **values))


def answered(api: Api, path: str, **values: object) -> Answer:
    return api.answer("POST", path, {}, json.dumps(values).encode())


def json_of(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def error_of(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["error"]
