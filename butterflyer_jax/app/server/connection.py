"""A connection that is closed when idle for too long, or to make room for another."""

from __future__ import annotations

import asyncio
import time

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from butterflyer_jax.app.server.access import network_of

# Time limit until the complete headers of a request, seconds.
HEADER_SECONDS = 20.0
# Limits of open connections, and of idle connections per address. Beyond them the longest idle one is closed: a browser
# reopens it when needed.
MAX_CONNECTIONS = 512
MAX_IDLE = 64


class Connection(H11Protocol):
    """Uvicorn's connection with limits on idle connections.

    Attributes:
      trusted: addresses of proxies, which have connections of many clients.
    """

    trusted: frozenset[str] = frozenset()
    _patience: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the wait for the first request."""
        super().connection_made(transport)
        self._wait()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """Continues to wait until a request is complete."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Starts the wait for the next request."""
        super().on_response_complete()
        self._idle_since = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._patience is None:
            self._idle_since = self._idle_since or time.monotonic()
            self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def _address(self) -> str:
        return network_of(self.client[0]) if self.client else ""

    def _make_room(self) -> None:
        """Closes the longest idle connection where there are too many."""
        idle = [other for other in self.connections if isinstance(other, Connection) and other._is_idle]
        mine = [other for other in idle if other._address == self._address]
        crowded = len(mine) > MAX_IDLE and not (self.client and self.client[0] in self.trusted)
        if not crowded and len(self.connections) <= MAX_CONNECTIONS:
            return
        others = [other for other in (mine if crowded else idle) if other is not self]
        # With no idle connection, all are being answered, and the newest one is closed.
        oldest = min(others, key=lambda other: other._idle_since, default=self)
        oldest.transport.close()
