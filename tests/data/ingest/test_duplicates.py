from __future__ import annotations

import io
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from butterflyer_jax.data.ingest import duplicates
from tests.conftest import encode, make_photo


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


# All bits informative, and one colour.
PLAIN = "0100" + "80" * 48


def distance(one: str, two: str) -> int:
    return (int(one[:64], 16) ^ int(two[:64], 16)).bit_count()


def test_what_looks_the_same_has_nearly_the_same_hash() -> None:
    photo = opened(make_photo(1, 300, 256))
    hash_of_photo = duplicates.perceptual_hash(photo)
    assert len(hash_of_photo) == 64 + 4 + 96
    for changed in (
        opened(encode(photo, quality=30)),
        photo.resize((150, 128), Image.Resampling.BICUBIC),
        ImageEnhance.Brightness(photo).enhance(0.9),
    ):
        hash_of_copy = duplicates.perceptual_hash(changed)
        assert distance(hash_of_photo, hash_of_copy) <= 12
        assert len(set(duplicates.group([hash_of_photo, hash_of_copy], 12).tolist())) == 1
    others = [duplicates.perceptual_hash(opened(make_photo(seed, 300, 256))) for seed in range(2, 40)]
    assert min(distance(hash_of_photo, other) for other in others) > 40


def test_known_hash() -> None:
    """A literal: the same on any machine, or splits would not be."""
    stripes = Image.fromarray(np.tile((np.arange(64) // 8 % 2 * 255).astype(np.uint8), (64, 1))).convert("RGB")
    # 14 of 16 differences in each row are visible; every part is half black.
    assert duplicates.perceptual_hash(stripes) == "6666" * 16 + "00e0" + "808080" * 16


def specimen(colour: tuple[int, int, int], seed: int, spots: int) -> Image.Image:
    """A drawn butterfly on a white card: one outline for all colours, a few pixels beside the middle."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(image)
    x, y, scale = 200 + rng.normal(0, 4), 150 + rng.normal(0, 4), 1 + rng.normal(0, 0.03)
    for side in (-1, 1):
        for outline in ([(0, -20), (120, -90), (135, -20), (40, 15)], [(0, 0), (100, 10), (70, 85), (0, 40)]):
            draw.polygon([(x + side * a * scale, y + b * scale) for a, b in outline], fill=colour, outline="black")
        for spot in range(spots):
            left, top = x + side * (45 + 18 * spot) * scale - 8, y - 45 * scale - 8
            draw.ellipse((left, top, left + 16, top + 16), fill="white")
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(1)), np.float64) + rng.normal(0, 2, (300, 400, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def test_species_of_one_outline_on_a_white_card_are_no_near_duplicates() -> None:
    colours = [(230, 120, 20), (40, 90, 200), (200, 30, 40), (120, 160, 40), (30, 30, 30), (150, 110, 70)]
    photos = [(k, specimen(colour, 100 * k + n, k % 4 + 1)) for k, colour in enumerate(colours) for n in range(12)]
    groups = duplicates.group([duplicates.perceptual_hash(photo) for _, photo in photos], 12).tolist()
    members = [[k for (k, _), g in zip(photos, groups, strict=True) if g == number] for number in set(groups)]
    # Nor does a species of them become one group, which would all go to train.
    assert max(map(len, members)) <= 3
    assert all(len(set(species)) == 1 for species in members)


def test_one_structure_in_other_colours() -> None:
    photo = opened(make_photo(1, 300, 256))
    red, green, blue = photo.split()
    dark = ImageEnhance.Brightness(photo).enhance(0.3)
    hashes = [duplicates.perceptual_hash(image) for image in (photo, Image.merge("RGB", (green, red, blue)), dark)]
    assert len(set(duplicates.group(hashes, 12).tolist())) == 3


hashes = st.lists(
    st.integers(0, 255).map(lambda n: (n | n << 100 | (n % 3) << 250).to_bytes(32, "big").hex() + PLAIN), max_size=40
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
    values = [rng.bytes(32).hex() + PLAIN for _ in range(3 * duplicates._BLOCK)]
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
    groups = duplicates.group([bytes(frame).hex() + PLAIN for frame in frames], 16)
    assert tracemalloc.get_traced_memory()[1] < 300e6
    tracemalloc.stop()
    assert len(set(groups.tolist())) == 1
