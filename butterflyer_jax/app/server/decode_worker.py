"""The process that decodes uploads for the service, under limits of time and memory; see `decoder`.

It reads requests from stdin and writes responses to stdout until stdin ends. A picture that takes too long ends the
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

from butterflyer_jax.data import photo

# Of a request: whether a large picture is decoded, and the number of bytes of its file, which follow.
REQUEST = struct.Struct(">?Q")
# Of a response: one of the kinds below, and the number of bytes that follow.
RESPONSE = struct.Struct(">cI")
PIXELS, ERROR, LARGE = b"p", b"e", b"l"


@dataclass(frozen=True)
class Work:
    """What is made of an upload, and at what cost.

    Attributes:
      short_side: side that a photograph is scaled to, pixels.
      crop_fraction: side of the central square, as a fraction of the short side.
      image_size: side of the result, pixels.
      max_pixels: largest picture that is decoded, pixels.
      large_pixels: largest picture that is decoded in a request that does not ask for a large one, pixels.
      seconds: time limit for one picture.
      memory_bytes: memory limit of the process.
    """

    short_side: int
    crop_fraction: float
    image_size: int
    max_pixels: int
    large_pixels: int
    seconds: float
    memory_bytes: int

    def dumps(self) -> str:
        """Returns it as JSON."""
        return json.dumps(asdict(self))


def serve(work: Work, requests: BinaryIO, responses: BinaryIO) -> None:
    """Answers requests until they end."""
    while header := requests.read(REQUEST.size):
        large, size = REQUEST.unpack(header)
        data = requests.read(size)
        _set_timer(work.seconds)
        kind, body = decode(work, data, large)
        _set_timer(0)
        responses.write(RESPONSE.pack(kind, len(body)) + body)
        responses.flush()


def decode(work: Work, data: bytes, large: bool) -> tuple[bytes, bytes]:
    """Returns the kind and the body of the response to one picture file.

    Args:
      work: what is made of it.
      data: the file.
      large: whether it is decoded if it is a large picture.

    Returns:
      `PIXELS` with uint8 [image_size, image_size, 3]; `ERROR` with the reason; or `LARGE` with nothing.
    """
    try:
        if not large and _pixels(data) > work.large_pixels:
            return LARGE, b""
        image, _ = photo.load(data, work.short_side, work.max_pixels)
        return PIXELS, photo.central_crop(image, work.crop_fraction, work.image_size).tobytes()
    except photo.PhotoError as error:
        return ERROR, str(error).encode()
    except MemoryError:
        return ERROR, f"decoding it takes more than {work.memory_bytes >> 20} MiB of memory".encode()


def _pixels(data: bytes) -> int:
    """Returns the number of pixels of a picture, from its header; 0 if the header cannot be read."""
    try:
        with photo.open_image(data) as image:
            return image.width * image.height
    except MemoryError:
        raise
    except Exception:
        # Damaged; `photo.load` finds the reason.
        return 0


def _set_timer(seconds: float) -> None:
    # Windows has none; there a slow picture is only given up by the service.
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(num_bytes: int) -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (num_bytes, num_bytes))


def main(work: str) -> None:
    """Serves stdin and stdout; `work` is of `Work.dumps`."""
    # Ctrl-C in a terminal reaches the whole group; the service ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parsed = Work(**json.loads(work))
    _limit_memory(parsed.memory_bytes)
    # What a library prints does not get between the responses.
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(parsed, sys.stdin.buffer, responses)


if __name__ == "__main__":
    main(sys.argv[1])
