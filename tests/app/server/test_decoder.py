"""Files that are small and cost much: none holds up the others, or takes the service's memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from butterflyer_jax.app.server.batching import Full
from butterflyer_jax.app.server.decoder import Decoder
from butterflyer_jax.app.server.service import work_of
from butterflyer_jax.app.settings import Settings
from butterflyer_jax.data.photo import PhotoError
from butterflyer_jax.inference.predictor import Predictor
from butterflyer_jax.metrics.calibration import Calibration
from tests.helpers.app_parts import GREEN, ORANGE, Colours, picture, with_square
from tests.helpers.bombs import nested_tiff, pixel_bomb, scan_bomb, sixteen_bit
from tests.helpers.timing import shortest

WORK = work_of(Colours(), Settings())
# No file holds others up for longer.
SECONDS = 5.0


def pixels(decoder: Decoder, *pictures: bytes) -> list[Any]:
    """Returns what the decoder makes of pictures that come at the same time: pixels, or the error."""

    async def decode() -> list[Any]:
        return await asyncio.gather(*map(decoder, pictures), return_exceptions=True)

    return asyncio.run(decode())


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(WORK, 2, 64, 6)
    made.start()
    yield made
    made.close()


def test_pictures_become_the_networks_input(decoder: Decoder) -> None:
    orange, green = pixels(decoder, picture(ORANGE), picture(GREEN, size=(300, 200)))
    assert orange.shape == green.shape == (32, 32, 3)
    assert orange.dtype == np.uint8
    assert np.abs(orange.astype(int) - ORANGE).max() <= 1
    assert np.abs(green.astype(int) - GREEN).max() <= 1


def test_a_photo_is_cut_into_the_parts_that_predict_looks_at(decoder: Decoder) -> None:
    photo = with_square(ORANGE)
    parts, places = asyncio.run(decoder.cut(photo))
    [whole] = pixels(decoder, photo)

    class Whole(Colours):
        calibration, max_pixels = Calibration(), 10**9

    wanted = Predictor(Whole())._cut(photo)
    np.testing.assert_array_equal(parts[0], whole)
    np.testing.assert_array_equal(parts, wanted.pixels)
    np.testing.assert_allclose(places * [240, 160, 240, 160], wanted.boxes, atol=0.51)
    with pytest.raises(PhotoError, match="not decodable"):
        asyncio.run(decoder.cut(b""))


def test_what_is_no_picture_has_its_reason(decoder: Decoder) -> None:
    for data, reason in ((b"", "not decodable"), (b"hello", "no image format"), (picture()[:60], "not decodable")):
        [error] = pixels(decoder, data)
        assert isinstance(error, PhotoError)
        assert reason in str(error)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(lambda: scan_bomb(3000, 3000), id="scans"),
        pytest.param(lambda: scan_bomb(7900, 60), id="scans of a large one"),
        pytest.param(lambda: pixel_bomb(8000), id="pixels"),
        pytest.param(lambda: pixel_bomb(20_000), id="too many pixels"),
        pytest.param(lambda: sixteen_bit(8000), id="16 bits"),
        pytest.param(lambda: nested_tiff(2000), id="pages"),
    ],
)
def test_no_file_holds_up_the_others(decoder: Decoder, bomb: Any) -> None:
    data = bomb()
    assert len(data) < 3 << 20

    async def decode() -> float:
        bombs = [asyncio.create_task(decoder(data)) for _ in range(2)]
        await asyncio.sleep(0)
        start = time.monotonic()
        assert (await decoder(picture(ORANGE))).shape == (32, 32, 3)
        seconds = time.monotonic() - start
        for error in await asyncio.gather(*bombs, return_exceptions=True):
            assert isinstance(error, PhotoError | np.ndarray), error
        return seconds

    assert shortest(lambda: asyncio.run(decode()), SECONDS) < SECONDS


def test_what_takes_too_long_is_ended_and_said_so() -> None:
    slow = Decoder(replace(WORK, seconds=0.3, large_pixels=10**9), 1, 8, 1)
    try:
        [error] = pixels(slow, scan_bomb(7900, 90))
        assert "takes longer than 0.3 s" in str(error) or "scans" in str(error)
        # And the next one is decoded by another process.
        assert pixels(slow, picture(ORANGE))[0].shape == (32, 32, 3)
    finally:
        slow.close()


def test_what_takes_too_much_memory_is_said_so() -> None:
    small = Decoder(replace(WORK, memory_bytes=128 << 20, max_pixels=10**9), 1, 8, 1)
    try:
        [error] = pixels(small, pixel_bomb(9000))
        assert "takes more than 128 MiB of memory" in str(error)
        assert pixels(small, picture(ORANGE))[0].shape == (32, 32, 3)
    finally:
        small.close()


def test_large_pictures_wait_for_each_other_and_too_many_are_refused() -> None:
    busy = Decoder(replace(WORK, large_pixels=5000), 2, 64, 2)
    try:
        large = picture(GREEN, size=(100, 100))
        found = pixels(busy, *[large] * 12, picture(ORANGE))
        assert found[-1].shape == (32, 32, 3)
        refused = [one for one in found if isinstance(one, Full)]
        assert 0 < len(refused) <= 10
        assert all(one.shape == (32, 32, 3) for one in found if not isinstance(one, Full))
    finally:
        busy.close()


def test_close_ends_what_is_decoded() -> None:
    async def decode() -> float:
        busy = Decoder(replace(WORK, seconds=60, large_pixels=10**9), 1, 8, 1)
        busy.start()
        task = asyncio.create_task(busy(scan_bomb(3000, 3000)))
        await asyncio.sleep(0)
        start = time.monotonic()
        busy.close()
        with pytest.raises(PhotoError):
            await task
        return time.monotonic() - start

    assert shortest(lambda: asyncio.run(decode()), SECONDS) < SECONDS
