"""A server on this machine that streams chat completions as OpenAI does, and misbehaves on request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tests.helpers import web

ANSWER = "Its caterpillars eat milkweeds [1]. They take up poison from them [1]."
ERRORS = {"401": 401, "404": 404, "429": 429, "500": 500}


class Request(NamedTuple):
    """What the server was sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        """The system message."""
        return self.body["messages"][0]["content"]


class ModelServer(web.Server):
    """Serves until it is closed. A context manager.

    Attributes:
      mode: "say" (the text of `answer`, a few characters a chunk), "echo" (everything that it was sent, the key too),
        "silent" (headers, then nothing), "mute" (nothing at all), "401", "404", "429", "500", "500 once",
        "malformed" (a chunk that is no JSON), "html" (a page), "cut" (half of the answer, then the connection closes)
        or "empty".
      answer: what it says.
      chunk: characters a chunk.
      requests: what came, in its order; names of headers in lower case.
      url: of its API.
    """

    def __init__(self) -> None:
        self.mode, self.answer, self.chunk = "say", ANSWER, 3
        self.requests: list[Request] = []
        self._closing = threading.Event()
        super().__init__(_Handler)
        self.url += "/v1"

    def server_close(self) -> None:
        self._closing.set()
        super().server_close()

    def serve(self, handler: web.Handler) -> None:
        """Answers the last request."""
        request = self.requests[-1]
        if self.mode == "mute":
            self._closing.wait()
        elif self.mode in ERRORS or (self.mode == "500 once" and len(self.requests) == 1):
            # Servers have been seen to repeat the key in their errors.
            error = {"error": {"message": f"internal detail at /srv/model {request.headers.get('authorization')}"}}
            self._send(handler, ERRORS.get(self.mode, 500), "application/json", [json.dumps(error)])
        elif self.mode == "html":
            self._send(handler, 200, "text/html", ["<html><body>Log in</body></html>"])
        elif self.mode == "malformed":
            self._send(handler, 200, "text/event-stream", ['data: {"choices": [{"delta"\n\n', "data: [DONE]\n\n"])
        elif self.mode == "silent":
            self._send(handler, 200, "text/event-stream", [])
            self._closing.wait()
        elif self.mode == "cut":
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            for line in list(self._events(self.answer))[: len(self.answer) // self.chunk]:
                handler.wfile.write(line.encode())
        else:
            sent = json.dumps([request.headers, request.body], ensure_ascii=False)
            text = {"echo": sent, "empty": ""}.get(self.mode, self.answer)
            self._send(handler, 200, "text/event-stream", self._events(text))

    def _events(self, text: str) -> Iterator[str]:
        for start in range(0, len(text), self.chunk):
            delta = {"role": "assistant", "content": text[start : start + self.chunk]}
            yield self._event([{"index": 0, "delta": delta, "finish_reason": None}])
        yield self._event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        # The chunk of usage has no choices.
        yield self._event([])
        yield "data: [DONE]\n\n"

    @staticmethod
    def _event(choices: list[dict[str, Any]]) -> str:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": choices}
        return f"data: {json.dumps(chunk)}\n\n"

    @staticmethod
    def _send(handler: web.Handler, status: int, kind: str, parts: Iterable[str]) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        for part in parts:
            handler.wfile.write(part.encode())
        handler.wfile.flush()


class _Handler(web.Handler):
    # An answer without a length ends with its connection.
    protocol_version = "HTTP/1.0"
    server: ModelServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.path, headers, body))
        self.server.serve(self)
