"""Who may ask, and how often: password, origin, rate, and what a browser is told to hold to."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import json
from collections.abc import Mapping, MutableMapping
from typing import Any

import limits
import limits.storage
import limits.strategies

from butterflyer_jax.app.server.metrics import App, Receive, Scope, Send
from butterflyer_jax.app.settings import Settings

# Wrong passwords that one client may send.
_ATTEMPTS = limits.RateLimitItemPerMinute(20)
# Asked by what starts and watches the service, which has no password.
OPEN = ("/health",)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
# Everything that the page needs comes from the service itself.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Middleware in front of every route.

    A request from a page of another site is refused, and so is, without a password, one under another name than the
    machine's own: a site whose name was made to point at this machine would else read what only its owner may.
    """

    def __init__(self, app: App, settings: Settings, password: str | None) -> None:
        """Takes the application, its limits, and the password; None where only this machine can ask."""
        self._app = app
        self._password = password
        self._limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
        # A set of facts costs as little as a message, a picture more.
        self._rates = {
            "/api/predict": settings.pictures_per_minute,
            "/api/chat": settings.messages_per_minute,
            "/api/feedback": settings.messages_per_minute,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        client = _client(scope)
        refusal = self._refusal(scope["path"], headers, client)
        if refusal is not None:
            await _refuse(send, *refusal)
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in more if pair[0] not in given)]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, path: str, headers: Mapping[str, str], client: str) -> tuple[int, str, dict[str, str]] | None:
        """Returns status, reason and headers where a request is refused."""
        if path in OPEN:
            return None
        host = headers.get("host", "")
        if self._password is None and host.rsplit(":", 1)[0] not in LOOPBACK_NAMES and host not in LOOPBACK_NAMES:
            return 421, "this service answers on this machine alone", {}
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, "a page of another site may not ask", {}
        if self._password is not None:
            given = headers.get("authorization", "")
            # Of who has guessed so often the right password is refused too, or guessing could go on.
            if given and not self._limiter.test(_ATTEMPTS, "password", client):
                return 429, "too many wrong passwords; wait a minute", {"retry-after": "60"}
            if not _is_authorized(given, self._password):
                if given:
                    self._limiter.hit(_ATTEMPTS, "password", client)
                return 401, "password needed", {"www-authenticate": 'Basic realm="butterflyer", charset="UTF-8"'}
        rate = self._rates.get(path, 0)
        if rate and not self._limiter.hit(limits.RateLimitItemPerMinute(rate), path, client):
            return 429, f"more than {rate} a minute; wait a moment", {"retry-after": "10"}
        return None


def _client(scope: Scope) -> str:
    """Returns what a client is known by: its address; of IPv6 the network, as one client has many addresses there."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


def _is_authorized(header: str, password: str) -> bool:
    """Returns whether a header brings the password, as a browser's Basic (any name) or a program's Bearer."""
    scheme, _, value = header.partition(" ")
    # The bytes that came: headers are read as latin-1.
    given = value.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given, password.encode("utf-8", "surrogateescape"))


async def _refuse(send: Send, status: int, reason: str, headers: Mapping[str, str]) -> None:
    body = json.dumps({"error": reason}).encode()
    sent = {"content-type": "application/json", "content-length": str(len(body)), **HEADERS, **headers}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
