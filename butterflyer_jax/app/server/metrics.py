"""Prometheus metrics of the service, and a line of the log for each request."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import prometheus_client

from butterflyer_jax.app.logs import failure_of, now, to_stderr

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OTHER = "other"
# A client may call a method anything.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
# As nginx calls it: the client left before an answer began.
LEFT = 499
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter(
            "butterflyer_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.seconds = prometheus_client.Histogram(
            "butterflyer_request_seconds", "Until the last byte is sent.", ["route"], buckets=SECONDS, registry=registry
        )
        self.under_way = prometheus_client.Gauge("butterflyer_requests_under_way", "Requests now.", registry=registry)
        self.batches = prometheus_client.Histogram(
            "butterflyer_batch_size", "Pictures identified at once.", buckets=BATCHES, registry=registry
        )
        self.pictures = prometheus_client.Counter(
            "butterflyer_pictures", "Pictures, by what came of them.", ["verdict"], registry=registry
        )
        self.waiting = prometheus_client.Gauge(
            "butterflyer_pictures_waiting", "Pictures that wait for their batch.", registry=registry
        )
        self.chats = prometheus_client.Counter(
            "butterflyer_chat_answers", "Answers of the chat.", ["answerer"], registry=registry
        )
        self.feedback = prometheus_client.Counter("butterflyer_feedback", "Words of visitors kept.", registry=registry)

    def text(self) -> bytes:
        """Returns all of it in Prometheus's format."""
        return prometheus_client.generate_latest(self.registry)


class Watch:
    """Middleware that counts, times and logs each request: no pictures, names, texts or keys.

    HEAD is asked of the application as GET; the server leaves the body out.
    """

    def __init__(self, app: App, metrics: Metrics, log: Callable[[str], None] | None = None) -> None:
        """Takes the application, what counts, and what prints a line; by default to stderr."""
        self._app = app
        self._metrics = metrics
        self._log = log or to_stderr

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else OTHER
        # A copy: the server reads the method in its own.
        scope = {**scope, "method": "GET"} if method == "HEAD" else scope
        status, num_bytes = LEFT, 0
        start = time.perf_counter()

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status, num_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                num_bytes += len(message.get("body", b""))
            await send(message)

        failure = {}
        with self._metrics.under_way.track_inprogress():
            try:
                await self._app(scope, receive, watched)
            except Exception as raised:
                status, failure = 500, failure_of(raised)
                raise
            finally:
                seconds = time.perf_counter() - start
                route = _route(scope)
                self._metrics.requests.labels(route, method, status).inc()
                self._metrics.seconds.labels(route).observe(seconds)
                line = {
                    "time": now(),
                    "client": (scope.get("client") or ("",))[0],
                    "method": method,
                    "route": route,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 1),
                    "bytes": num_bytes,
                }
                self._log(json.dumps(line | failure))


def _route(scope: Scope) -> str:
    """Returns the pattern that the path matched: a path may hold anything, and any number of them."""
    return getattr(scope.get("route"), "path", None) or OTHER
