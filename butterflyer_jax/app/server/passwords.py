"""Password check, delayed for addresses that guess, and a cookie that spares visitors the delay."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import Counter
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

import limits
import limits.storage
import limits.strategies

COOKIE = "butterflyer"
# Wrong passwords per address before the delay, and largest number of delayed checks at a time.
ATTEMPTS = limits.RateLimitItemPerMinute(20)
MAX_WAITING = 8


class TooManyError(Exception):
    """Too many passwords of this address are waiting to be checked."""


class Passwords:
    """Checks the password of a request.

    After 20 wrong ones in a minute each check for that address takes `delay`, and few may wait: guessing gets no
    further, while others behind the same address (a school) still get in. A visitor who has logged in
    has a cookie and never waits.
    """

    def __init__(self, password: str, delay: float) -> None:
        """Takes the password, and the delay of each check for an address that guesses, seconds."""
        self._password = password.encode("utf-8", "surrogateescape")
        self._delay = delay
        self._limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
        self._waiting: Counter[str] = Counter()
        # Valid while the service runs; independent of the password.
        self._token = secrets.token_urlsafe(32)

    async def admits(self, headers: Mapping[str, str], client: str) -> bool:
        """Returns whether a request has the password or the cookie.

        Raises:
          TooManyError: too many passwords of this address are waiting to be checked.
        """
        if self._has_cookie(headers.get("cookie", "")):
            return True
        given = headers.get("authorization", "")
        if not given:
            return False
        if not self._limiter.test(ATTEMPTS, client):
            await self._wait(client)
        right = is_right(given, self._password)
        if not right:
            self._limiter.hit(ATTEMPTS, client)
        return right

    def set_cookie(self, headers: Mapping[str, str], scheme: str) -> list[tuple[bytes, bytes]]:
        """Returns the response header that sets the cookie in an admitted browser; [] where it is set."""
        # A program with a bearer token keeps no cookies.
        if self._has_cookie(headers.get("cookie", "")) or not headers.get("authorization", "").startswith("Basic"):
            return []
        secure = "; Secure" if scheme == "https" else ""
        return [(b"set-cookie", f"{COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Strict{secure}".encode())]

    async def _wait(self, client: str) -> None:
        if self._waiting[client] >= MAX_WAITING:
            raise TooManyError
        self._waiting[client] += 1
        try:
            await asyncio.sleep(self._delay)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    def _has_cookie(self, header: str) -> bool:
        try:
            morsel = SimpleCookie(header).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self._token.encode())


def is_right(header: str, password: bytes) -> bool:
    """Returns whether a header has the password, as Basic with any user name or as Bearer."""
    scheme, _, value = header.partition(" ")
    # Restores the original bytes: headers are decoded as Latin-1.
    given = value.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given, password)
