"""Reading of request bodies into memory, within limits of size, memory and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, TypeAlias

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from butterflyer_jax.app.server.metrics import LEFT

Take: TypeAlias = Callable[[int], None]

MAX_FIELDS = 8
MAX_FIELD_BYTES = 4096
# Allowance for a form's other content besides its file, bytes.
FORM_BYTES = 16 << 10


class Room:
    """Memory budget shared by the bodies of all requests."""

    def __init__(self, num_bytes: int) -> None:
        self.free = num_bytes

    @contextlib.contextmanager
    def of_request(self) -> Iterator[Take]:
        """Yields a function that reserves bytes for a request; they are released after the answer."""
        taken = 0

        def take(num_bytes: int) -> None:
            nonlocal taken
            if num_bytes > self.free:
                raise HTTPException(503, "too many uploads at once; try again", {"retry-after": "2"})
            self.free -= num_bytes
            taken += num_bytes

        try:
            yield take
        finally:
            self.free += taken


class BoundedRequest(Request):
    """A request whose body is rejected if it is too large, too slow, or exceeds the memory budget.

    Errors: 400 unreadable form, 408 too slow, 413 too large, 503 no memory.
    """

    def __init__(self, request: Request, max_bytes: int, seconds: float, take: Take) -> None:
        super().__init__(request.scope, request.receive)
        self._max_bytes, self._seconds, self._take = max_bytes, seconds, take

    async def body(self) -> bytes:
        """Returns the whole body."""
        if not hasattr(self, "_body"):
            async with self._in_time():
                self._body = b"".join([chunk async for chunk in self._bounded(self._max_bytes)])
        return self._body

    def form(self, **_: Any) -> Any:
        """Returns an awaitable of the multipart form, which is kept in memory."""
        return self._read_form()

    async def _read_form(self) -> FormData:
        if not self.headers.get("content-type", "").startswith("multipart/form-data"):
            raise HTTPException(400, "send multipart/form-data with a field file")
        body = self._bounded(self._max_bytes + FORM_BYTES)
        parser = MultiPartParser(self.headers, body, max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
        # Otherwise an upload of more than a megabyte is spooled to disk.
        parser.spool_max_size = self._max_bytes + FORM_BYTES
        async with self._in_time():
            try:
                form = await parser.parse()
            except (MultiPartException, KeyError, ValueError) as error:
                raise HTTPException(400, f"no form that can be read: {error}") from error
        for value in form.values():
            if not isinstance(value, str) and (value.size or 0) > self._max_bytes:
                raise self._too_large()
        return form

    async def _bounded(self, max_bytes: int) -> AsyncGenerator[bytes, None]:
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > max_bytes:
            raise self._too_large()
        total = 0
        async for chunk in self.stream():
            total += len(chunk)
            if total > max_bytes:
                raise self._too_large()
            self._take(len(chunk))
            yield chunk

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"larger than {self._max_bytes / 2**20:.3g} MiB")

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError as error:
            raise HTTPException(408, f"the upload took longer than {self._seconds:.0f} s") from error
        except ClientDisconnect as error:
            # No client reads the answer; it is for the log.
            raise HTTPException(LEFT) from error


def bounded_route(room: Room, max_bytes: int, seconds: float) -> type[APIRoute]:
    """Returns a FastAPI route class that reads requests within these limits.

    Args:
      room: shared memory budget.
      max_bytes: size limit of a body, and of the file in a form, bytes.
      seconds: time limit for receiving a body, seconds.
    """

    class BoundedRoute(APIRoute):
        """A route that reads its request within limits."""

        def get_route_handler(self) -> Callable[[Request], Any]:
            handle = super().get_route_handler()

            async def handle_bounded(request: Request) -> Response:
                with room.of_request() as take:
                    return await handle(BoundedRequest(request, max_bytes, seconds, take))

            return handle_bounded

    return BoundedRoute
