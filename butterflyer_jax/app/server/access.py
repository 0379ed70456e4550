"""Access control: password, origin, rate limits, and security headers for browsers."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from collections.abc import Mapping, MutableMapping
from typing import Any, TypeAlias

import limits
import limits.storage
import limits.strategies

from butterflyer_jax.app.server.metrics import App, Receive, Scope, Send
from butterflyer_jax.app.server.passwords import Passwords, TooManyError
from butterflyer_jax.app.settings import Settings

# Health checks and monitoring have no password; these paths are never refused.
OPEN = ("/health",)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
# The page loads everything from the service itself.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(self)",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
Refusal: TypeAlias = tuple[int, str, dict[str, str]]


class Guard:
    """Middleware in front of every route.

    Refuses a request from a page of another site and, without a password, one for another host name than the
    machine's own: otherwise a site whose name resolves to this machine (DNS rebinding) could read the owner's data.
    """

    def __init__(self, app: App, settings: Settings, password: str | None) -> None:
        """Takes the application, its limits, and the password, None where only this machine has access."""
        self._app = app
        self._settings = settings
        self._passwords = Passwords(password, settings.password_seconds) if password is not None else None
        self._limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
        self._under_way: Counter[str] = Counter()
        # Facts about a species cost as little as a message; a photo costs more.
        self._rates = {
            "/api/predict": settings.pictures_per_minute,
            "/api/chat": settings.messages_per_minute,
            "/api/feedback": settings.messages_per_minute,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        client = network_of((scope.get("client") or ("",))[0])
        more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in more if pair[0] not in given)]
            await send(message)

        if scope["path"] in OPEN:
            await self._app(scope, receive, with_headers)
            return
        if refusal := self._crowded(client):
            await _refuse(send, *refusal)
            return
        self._under_way[client] += 1
        try:
            if refusal := await self._refusal(scope, headers, client):
                await _refuse(send, *refusal)
                return
            if self._passwords is not None:
                more += self._passwords.set_cookie(headers, scope.get("scheme", "http"))
            await self._app(scope, receive, with_headers)
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _crowded(self, client: str) -> Refusal | None:
        wait = {"retry-after": "2"}
        if self._under_way[client] >= self._settings.max_requests_of_one:
            return 503, "too many requests from your address at once; try again", wait
        if self._under_way.total() >= self._settings.max_requests:
            return 503, "too many requests at once; try again", wait
        return None

    async def _refusal(self, scope: Scope, headers: Mapping[str, str], client: str) -> Refusal | None:
        """Returns status, reason and headers of a refusal, None where the request is allowed."""
        host, path = headers.get("host", ""), scope["path"]
        if self._passwords is None and host.rsplit(":", 1)[0] not in LOOPBACK_NAMES and host not in LOOPBACK_NAMES:
            return 421, "this service answers on this machine alone", {}
        if not _is_of_this_site(scope["method"], headers, host):
            reason = "a page of another site may not ask; behind a proxy, start with --proxy and send X-Forwarded-Host"
            return 403, reason, {}
        if self._passwords is not None:
            try:
                admitted = await self._passwords.admits(headers, client)
            except TooManyError:
                return 429, "too many wrong passwords; wait a moment", {"retry-after": "5"}
            if not admitted:
                return 401, "password needed", {"www-authenticate": 'Basic realm="butterflyer", charset="UTF-8"'}
        rate = self._rates.get(path, 0)
        if rate and not self._limiter.hit(limits.RateLimitItemPerMinute(rate), path, client):
            return 429, f"more than {rate} a minute; wait a moment", {"retry-after": "10"}
        return None


def _is_of_this_site(method: str, headers: Mapping[str, str], host: str) -> bool:
    # Pages cannot set this header, and it is correct behind any proxy.
    if site := headers.get("sec-fetch-site"):
        follows_link = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
        return site in ("same-origin", "none") or follows_link
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == host


def network_of(host: str) -> str:
    """Returns the key of a client: its address, or its IPv6 network, as one client has many IPv6 addresses."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


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
