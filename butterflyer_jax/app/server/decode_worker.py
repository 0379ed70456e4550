"""Worker process that decodes uploads under limits of time and memory; see `decoder`.

It reads requests from stdin and writes responses to stdout until stdin ends. A photo that takes too long ends the
process by SIGALRM.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from dataclasses import asdict, dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from butterflyer_jax.data import photo
from butterflyer_jax.inference import search as search_lib

# Header of a request: whether to decode a large photo, whether to cut it into parts for a search, and the number of
# bytes of the file that follows.
REQUEST = struct.Struct(">??Q")
# Header of a response: one of the kinds below, and the number of bytes that follow.
RESPONSE = struct.Struct(">cI")
PIXELS, ERROR, LARGE = b"p", b"e", b"l"


@dataclass(frozen=True)
class Work:
    """Preprocessing of an upload, and its limits.

    Attributes:
      short_side: short side of the scaled photo, pixels.
      crop_fraction: side of the central square, as a fraction of the short side.
      image_size: side of the result, pixels.
      max_pixels: largest photo that is decoded, pixels.
      large_pixels: largest photo that is decoded without the large flag, pixels.
      seconds: time limit per photo, seconds.
      memory_bytes: memory limit of the process, bytes.
    """

    short_side: int
    crop_fraction: float
    image_size: int
    max_pixels: int
    large_pixels: int
    seconds: float
    memory_bytes: int

    def dumps(self) -> str:
        """Returns the settings as JSON."""
        return json.dumps(asdict(self))


def serve(work: Work, requests: BinaryIO, responses: BinaryIO) -> None:
    """Answers requests until the stream ends."""
    while header := requests.read(REQUEST.size):
        large, search, size = REQUEST.unpack(header)
        data = requests.read(size)
        _set_timer(work.seconds)
        kind, body = decode(work, data, large, search)
        _set_timer(0)
        responses.write(RESPONSE.pack(kind, len(body)) + body)
        responses.flush()


def decode(work: Work, data: bytes, large: bool, search: bool = False) -> tuple[bytes, bytes]:
    """Returns the kind and the body of the response to one photo file.

    Args:
      work: preprocessing and limits.
      data: content of the file.
      large: whether to decode a large photo.
      search: whether to return all parts of it that a search looks at.

    Returns:
      `PIXELS` with the bytes of uint8 [image_size, image_size, 3], or of a search those of uint8 [count, image_size,
      image_size, 3] and of float32 [count, 4], left, top, right and bottom as shares; `ERROR` with the reason; or
      `LARGE` with no bytes.
    """
    try:
        if not large and _pixels(data) > work.large_pixels:
            return LARGE, b""
        if search:
            return PIXELS, _cut(work, data)
        image, _ = photo.load(data, work.short_side, work.max_pixels)
        return PIXELS, photo.central_crop(image, work.crop_fraction, work.image_size).tobytes()
    except photo.PhotoError as error:
        return ERROR, str(error).encode()
    except MemoryError:
        return ERROR, f"decoding it takes more than {work.memory_bytes >> 20} MiB of memory".encode()


def _cut(work: Work, data: bytes) -> bytes:
    """Returns the parts of a photo that a search looks at, as bytes of their pixels and places."""

    def load(side: int) -> tuple[Image.Image, tuple[int, int]]:
        image, source = photo.load(data, side, work.max_pixels)
        return image, source.size

    parts = search_lib.read_parts(load, work.short_side, work.crop_fraction, work.image_size)
    shares = np.array(parts.places, np.float32) / np.array(parts.image.size * 2, np.float32)
    return parts.pixels.tobytes() + shares.tobytes()


def _pixels(data: bytes) -> int:
    """Returns the number of pixels according to the header; 0 if the header cannot be read."""
    try:
        with photo.open_image(data) as image:
            return image.width * image.height
    except MemoryError:
        raise
    except Exception:
        # Damaged; `photo.load` reports the reason.
        return 0


def _set_timer(seconds: float) -> None:
    # Windows has no SIGALRM: there only the service abandons a slow photo.
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(num_bytes: int) -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (num_bytes, num_bytes))


def main(work: str) -> None:
    """Serves stdin and stdout; `work` is the result of `Work.dumps`."""
    # Ctrl-C in a terminal reaches the whole group; the service ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parsed = Work(**json.loads(work))
    _limit_memory(parsed.memory_bytes)
    # Keeps output of libraries out of the responses.
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(parsed, sys.stdin.buffer, responses)


if __name__ == "__main__":
    main(sys.argv[1])
