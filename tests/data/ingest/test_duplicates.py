from __future__ import annotations

import io
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from butterflyer_jax.data.ingest import duplicates
from tests.conftest import encode, make_photo


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def distance(one: str, two: str) -> int:
    return (int(one, 16) ^ int(two, 16)).bit_count()


def test_what_looks_the_same_has_nearly_the_same_hash() -> None:
    photo = opened(make_photo(1, 300, 256))
    hash_of_photo = duplicates.perceptual_hash(photo)
    assert len(hash_of_photo) == 64
    for changed in (
        opened(encode(photo, quality=30)),
        photo.resize((150, 128), Image.Resampling.BICUBIC),
        ImageEnhance.Brightness(photo).enhance(0.9),
    ):
        assert distance(hash_of_photo, duplicates.perceptual_hash(changed)) <= 12
    others = [duplicates.perceptual_hash(opened(make_photo(seed, 300, 256))) for seed in range(2, 40)]
    assert min(distance(hash_of_photo, other) for other in others) > 40


def test_known_hash() -> None:
    """A literal: the same on any machine, or splits would not be."""
    stripes = Image.fromarray(np.tile((np.arange(64) // 8 % 2 * 255).astype(np.uint8), (64, 1))).convert("RGB")
    assert duplicates.perceptual_hash(stripes) == "6666" * 16


hashes = st.lists(
    st.integers(0, 255).map(lambda n: (n | n << 100 | (n % 3) << 250).to_bytes(32, "big").hex()), max_size=40
)


@given(hashes, st.integers(0, 6))
def test_groups_are_the_connected_components(values: list[str], max_bits: int) -> None:
    groups = duplicates.group(values, max_bits)
    assert len(groups) == len(values)
    # By hand: join what is near, until nothing changes.
    expected = list(range(len(values)))
    for _ in values:
        for i, one in enumerate(values):
            for j, two in enumerate(values):
                if distance(one, two) <= max_bits:
                    expected[i] = expected[j] = min(expected[i], expected[j])
    assert [[a == b for b in groups] for a in groups] == [[a == b for b in expected] for a in expected]


def test_groups_across_blocks() -> None:
    rng = np.random.default_rng(0)
    values = [rng.bytes(32).hex() for _ in range(3 * duplicates._BLOCK)]
    near = bytearray(bytes.fromhex(values[5]))
    near[31] ^= 0x0F
    values[-1] = near.hex()
    groups = duplicates.group(values, 12)
    assert groups[5] == groups[-1]
    assert len(set(groups.tolist())) == len(values) - 1


def test_a_large_cluster_is_one_group() -> None:
    """Frames of one film: every pair is near, which no memory holds."""
    rng = np.random.default_rng(0)
    base = np.frombuffer(rng.bytes(32), np.uint8)
    frames = np.tile(base, (5000, 1))
    frames[np.arange(5000), rng.integers(0, 32, 5000)] ^= rng.integers(1, 256, 5000, np.uint8)
    tracemalloc.start()
    groups = duplicates.group([bytes(frame).hex() for frame in frames], 16)
    assert tracemalloc.get_traced_memory()[1] < 300e6
    tracemalloc.stop()
    assert len(set(groups.tolist())) == 1
