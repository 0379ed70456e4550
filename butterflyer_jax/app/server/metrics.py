"""Prometheus metrics of the service, and a log line per request."""

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
# Clients may send arbitrary methods.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
# nginx's status for a client that left before the answer.
LEFT = 499
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics, in a separate registry."""

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
            "butterflyer_batch_size", "Photos identified per batch.", buckets=BATCHES, registry=registry
        )
        self.pictures = prometheus_client.Counter(
            "butterflyer_pictures", "Photos by outcome.", ["verdict"], registry=registry
        )
        self.waiting = prometheus_client.Gauge(
            "butterflyer_pictures_waiting", "Photos that wait for their batch.", registry=registry
        )
        self.chats = prometheus_client.Counter(
            "butterflyer_chat_answers", "Chat answers.", ["answerer"], registry=registry
        )
        self.feedback = prometheus_client.Counter("butterflyer_feedback", "Corrections stored.", registry=registry)

    def text(self) -> bytes:
        """Returns all metrics in the Prometheus text format."""
        return prometheus_client.generate_latest(self.registry)


class Watch:
    """Middleware that counts, times and logs each request, without photos, names, texts or keys.

    HEAD is passed to the application as GET; the server omits the body.
    """

    def __init__(self, app: App, metrics: Metrics, log: Callable[[str], None] | None = None) -> None:
        """Takes the application, the metrics, and the function that prints a line, by default to stderr."""
        self._app = app
        self._metrics = metrics
        self._log = log or to_stderr

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else OTHER
        # A copy: the server still needs the original method.
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
    """Returns the route pattern of the path, as paths themselves are unbounded in number."""
    return getattr(scope.get("route"), "path", None) or OTHER
