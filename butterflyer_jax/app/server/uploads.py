"""Reads what a browser uploads, into memory alone and within limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

Take: TypeAlias = Callable[[int], None]

MAX_FIELDS = 8
MAX_FIELD_BYTES = 4096
# What a form takes beside its file.
FORM_BYTES = 16 << 10


@dataclass(frozen=True)
class Form:
    """A picture file that was sent, its name, and the fields beside it."""

    data: bytes
    filename: str
    fields: dict[str, str] = field(default_factory=dict)


class Room:
    """The memory that bodies of requests may take, all together."""

    def __init__(self, num_bytes: int) -> None:
        self.free = num_bytes

    @contextlib.contextmanager
    def of_request(self) -> Iterator[Take]:
        """Yields what a request takes its bytes with, and gives them back when it has been answered."""
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


async def read_form(request: Request, max_bytes: int, seconds: float, take: Take) -> Form:
    """Returns the multipart form of a request, with one file `file`.

    Raises:
      HTTPException: 400 it is no such form, 408 it takes longer than `seconds`, 413 it is larger than `max_bytes`, 503
        there is no room for it.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(400, "send multipart/form-data with a field file")
    body = _bounded(request, max_bytes + FORM_BYTES, _too_large(max_bytes), take)
    parser = MultiPartParser(request.headers, body, max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    # Or uploads of more than a megabyte pass through a file on the disk.
    parser.spool_max_size = max_bytes + FORM_BYTES
    async with _in_time(seconds):
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError, ValueError) as error:
            raise HTTPException(400, f"no form that can be read: {error}") from error
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise HTTPException(400, "send a picture in the field file")
    data = await file.read()
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return Form(data, file.filename or "", fields)


async def read_body(request: Request, max_bytes: int, seconds: float, take: Take) -> bytes:
    """Returns the body of a request.

    Raises:
      HTTPException: 408 it takes longer than `seconds`, 413 it is larger than `max_bytes`, 503 there is no room for it.
    """
    async with _in_time(seconds):
        return b"".join([chunk async for chunk in _bounded(request, max_bytes, _too_large(max_bytes), take)])


async def _bounded(
    request: Request, max_bytes: int, too_large: HTTPException, take: Take
) -> AsyncGenerator[bytes, None]:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_bytes:
            raise too_large
        take(len(chunk))
        yield chunk


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"larger than {max_bytes / 2**20:.3g} MiB")


@contextlib.asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise HTTPException(408, f"the upload took longer than {seconds:.0f} s") from error
