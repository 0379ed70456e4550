"""The check of the password, slow for an address that guesses, and its cookie, which spares a visitor that wait."""

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
# Wrong passwords of an address that are answered at once, and those that may wait to be checked at a time.
ATTEMPTS = limits.RateLimitItemPerMinute(20)
MAX_WAITING = 8


class TooManyError(Exception):
    """Too many passwords of this address wait to be checked already."""


class Passwords:
    """Checks the password that a request brings.

    After 20 wrong ones in a minute each check of that address takes `delay`, and few may wait: who guesses comes no
    further, while others behind the same address (a school) still get in. A visitor who has given the password once
    has a cookie, and never waits.
    """

    def __init__(self, password: str, delay: float) -> None:
        """Takes the password, and the delay in seconds of each check of an address that guesses."""
        self._password = password.encode("utf-8", "surrogateescape")
        self._delay = delay
        self._limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
        self._waiting: Counter[str] = Counter()
        # As long as the service runs; it says nothing of the password.
        self._token = secrets.token_urlsafe(32)

    async def admits(self, headers: Mapping[str, str], client: str) -> bool:
        """Returns whether a request brings the password or the cookie.

        Raises:
          TooManyError: too many passwords of this address wait to be checked.
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
        """Returns the response header that gives an admitted browser the cookie; none where it has it."""
        # A program that sends the password as a bearer keeps no cookies.
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
    return hmac.compare_digest(given, password)
