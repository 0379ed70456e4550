"""The search of a photo for a small butterfly, in steps between which others are answered."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from butterflyer_jax.app.identify import SearchStep, Upload
from butterflyer_jax.app.server.batching import Batcher, Full
from butterflyer_jax.app.server.decoder import Decoder
from butterflyer_jax.inference import search

# Parts that the network sees in one batch: photos of others wait for these at most.
BATCH = 8


class Searches:
    """Searches of photos, one at a time; see `inference.search`.

    One step of one search is in a batch, so that a batch takes little longer than without it.
    """

    def __init__(self, decoder: Decoder, batcher: Batcher[Upload | SearchStep, Any], max_searches: int) -> None:
        """Takes the decoder, the queue of the network, and how many searches there may be at once."""
        self._decoder, self._batcher = decoder, batcher
        self._max_searches, self._under_way = max_searches, 0
        self._turn = asyncio.Lock()

    async def __call__(self, data: bytes, sha256: str, heat_map: bool) -> dict[str, Any]:
        """Returns the answer for the most typical part of a photo, and as `part` where it lies.

        Args:
          data: content of the file.
          sha256: SHA-256 of it, hexadecimal.
          heat_map: whether to compute the heat map, of that part.

        Raises:
          PhotoError: the photo cannot be read, or not within the limits.
          Full: too many photos are searched, or waiting.
        """
        if self._under_way >= self._max_searches:
            raise Full
        self._under_way += 1
        try:
            async with self._turn:
                pixels, places = await self._decoder.cut(data)
                steps = range(0, len(pixels), BATCH)
                found = [await self._batcher(SearchStep(pixels[start : start + BATCH])) for start in steps]
            number = search.choose(np.concatenate(found))
            answer: dict[str, Any] = await self._batcher(Upload(pixels[number], sha256, heat_map))
            return answer | {"part": [round(float(side), 4) for side in places[number]]}
        finally:
            self._under_way -= 1
