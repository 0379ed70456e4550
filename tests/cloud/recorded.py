"""A transport that answers with what is written down, and keeps what it was asked: no network, no mock of our code."""

from __future__ import annotations

import io
import json
from typing import Any

import requests
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession

Answer = tuple[int, Any] | Exception


class Recorded(requests.adapters.BaseAdapter):
    """Answers the requests to an address, in order; the last answer again and again."""

    def __init__(self, answers: dict[str, list[Answer]]) -> None:
        super().__init__()
        self._answers = {url: list(given) for url, given in answers.items()}
        self.requests: list[tuple[str, str, Any]] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        assert options["timeout"], "a request without a time-out may wait for ever"
        body: Any = request.body
        if body is not None and request.headers.get("Content-Type") == "application/json":
            body = json.loads(body)
        self.requests.append((request.method or "", request.url or "", body))
        for part, answers in self._answers.items():
            if part in (request.url or ""):
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if isinstance(answer, Exception):
                    raise answer
                return _response(request, *answer)
        raise AssertionError(f"nothing is written down for {request.url}")

    def close(self) -> None:
        """Has nothing to close."""


def session(adapter: Recorded) -> AuthorizedSession:
    """Returns google-auth's session, whose requests go to `adapter`."""
    made = AuthorizedSession(AnonymousCredentials())
    made.mount("https://", adapter)
    return made


def error(status: int, message: str, name: str = "") -> Answer:
    """Returns an answer as Google's services give it."""
    return status, {"error": {"code": status, "message": message, "status": name}}


def _response(request: requests.PreparedRequest, status: int, content: Any) -> requests.Response:
    response = requests.Response()
    response.status_code, response.request, response.url = status, request, request.url or ""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    response.raw = io.BytesIO(data)
    response.headers["content-length"] = str(len(data))
    return response
