"""One connection, closed where it stays idle too long, or where its place is needed by another."""

from __future__ import annotations

import asyncio
import time

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from butterflyer_jax.app.server.access import network_of

# Until the headers of a request have come whole.
HEADER_SECONDS = 20.0
# Open connections of the service, and connections of one address that wait for a request. With more, the one that has
# waited longest is closed: a browser opens it again when it needs it.
MAX_CONNECTIONS = 512
MAX_IDLE = 64


class Connection(H11Protocol):
    """Uvicorn's connection, with limits on those that wait for a request.

    Attributes:
      trusted: addresses of proxies, which hold the connections of many clients.
    """

    trusted: frozenset[str] = frozenset()
    _patience: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._wait()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """Keeps waiting while there is no whole request."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Begins to wait for the next request."""
        super().on_response_complete()
        self._idle_since = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends waiting."""
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
        """Closes the connection that has waited longest where there are too many."""
        idle = [other for other in self.connections if isinstance(other, Connection) and other._is_idle]
        mine = [other for other in idle if other._address == self._address]
        crowded = len(mine) > MAX_IDLE and not (self.client and self.client[0] in self.trusted)
        if not crowded and len(self.connections) <= MAX_CONNECTIONS:
            return
        others = [other for other in (mine if crowded else idle) if other is not self]
        # With nothing idle, every connection is answered, and the newest one goes.
        oldest = min(others, key=lambda other: other._idle_since, default=self)
        oldest.transport.close()
