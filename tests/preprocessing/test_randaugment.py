"""The operations of the strength presets, one by one against Pillow's, and how they are drawn."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from butterflyer_jax.config import AugmentConfig
from butterflyer_jax.config.fields import choices
from butterflyer_jax.preprocessing.randaugment import LARGEST, OPERATIONS, PRESETS, apply_operations, draw_amounts

FILL = (0.25, 0.5, 0.75)
SIZE = 24

apply = jax.jit(lambda images, amounts: apply_operations(images, amounts, FILL))


def photo(size: int = SIZE) -> np.ndarray:
    """Smooth, so that two ways to sample between pixels differ little; bytes from 20 to 230."""
    coarse = np.random.default_rng(0).integers(20, 231, (5, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BILINEAR))


def run(image: np.ndarray, **amounts: float) -> np.ndarray:
    row = np.float32([[amounts.get(name, 0) for name in OPERATIONS]])
    return np.asarray(apply(np.float32(image)[None] / 255, row))[0]


def test_no_amount_no_change() -> None:
    wild = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    wild[0], wild[1] = 0, 255
    np.testing.assert_allclose(run(wild), wild / 255, atol=1e-6)


@settings(max_examples=30)
@given(
    amounts=st.lists(st.floats(-1, 1, width=32), min_size=len(OPERATIONS), max_size=len(OPERATIONS)),
    levels=st.tuples(st.integers(0, 255), st.integers(0, 255)),
)
def test_any_amounts_give_a_picture(amounts: list[float], levels: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(min(levels), max(levels) + 1, (SIZE, SIZE, 3))
    out = run(image, **dict(zip(OPERATIONS, amounts, strict=True)))
    assert np.isfinite(out).all()
    assert out.min() >= -1e-6
    assert out.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("amount", [-1.0, 1.0])
def test_every_operation_does_something(name: str, amount: float) -> None:
    assert abs(run(photo(), **{name: amount}) - photo() / 255).max() > 0.02


@pytest.mark.parametrize("amount", [-0.8, 0.3])
def test_rotation_is_pillows(amount: float) -> None:
    degrees = np.degrees(amount * LARGEST["rotate"])
    expected = Image.fromarray(photo()).rotate(degrees, Image.Resampling.BILINEAR)
    middle = slice(6, -6)
    difference = run(photo(), rotate=amount) - np.asarray(expected) / 255
    # Pillow's centre lies half a pixel from ours at most, and its result is of bytes.
    assert abs(difference[middle, middle]).mean() < 0.01


@pytest.mark.parametrize(("name", "axis"), [("translate_x", 1), ("translate_y", 0)])
@pytest.mark.parametrize("pixels", [-6, 3])
def test_translation_shifts_and_fills(name: str, axis: int, pixels: int) -> None:
    out = np.moveaxis(run(photo(), **{name: pixels / SIZE / LARGEST[name]}), axis, 0)
    image = np.moveaxis(photo() / 255, axis, 0)
    if pixels < 0:
        out, image = out[::-1], image[::-1]
    shift = abs(pixels)
    np.testing.assert_allclose(out[shift:], image[:-shift], atol=1e-5)
    np.testing.assert_allclose(out[:shift], np.broadcast_to(FILL, out[:shift].shape), atol=1e-5)


@pytest.mark.parametrize(("name", "axis"), [("shear_x", 0), ("shear_y", 1)])
def test_shear_keeps_the_middle_and_moves_the_ends_apart(name: str, axis: int) -> None:
    """One line across the middle, fill elsewhere: after shearing it slopes by the amount."""
    image = np.full((33, 33, 3), FILL) * 255
    (image[:, 16] if name == "shear_x" else image[16])[:] = 0
    out = np.moveaxis(run(image, **{name: 1.0})[..., 0], axis, 0)
    position = ((FILL[0] - out) * np.arange(33)).sum(axis=1) / (FILL[0] - out).sum(axis=1)
    np.testing.assert_allclose(np.diff(position), -LARGEST[name], atol=1e-3)
    assert position[16] == pytest.approx(16, abs=1e-3)


@pytest.mark.parametrize("amount", [-0.9, 0.5])
def test_sharpness_is_pillows(amount: float) -> None:
    noise = np.random.default_rng(2).integers(60, 196, (SIZE, SIZE, 3), np.uint8)
    expected = np.asarray(ImageEnhance.Sharpness(Image.fromarray(noise)).enhance(1 + amount))
    inside = slice(1, -1)
    difference = run(noise, sharpness=amount) - expected / 255
    assert abs(difference[inside, inside]).max() < 2 / 255


def test_colours() -> None:
    x = photo() / 255
    stretched = run(photo(), autocontrast=1.0)
    np.testing.assert_allclose(stretched.min(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(stretched.max(axis=(0, 1)), 1, atol=1e-5)
    np.testing.assert_allclose(run(photo(), gamma=-1.0), x**0.5, atol=1e-5)
    steps = run(photo(), posterize=1.0) / LARGEST["posterize"]
    np.testing.assert_allclose(steps, steps.round(), atol=1e-4)
    assert abs(run(photo(), posterize=1.0) - x).max() <= LARGEST["posterize"] / 2 + 1e-5
    flat = np.full((SIZE, SIZE, 3), 77, np.uint8)
    np.testing.assert_allclose(run(flat, autocontrast=1.0), flat / 255, atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_draws_of_a_preset(name: str) -> None:
    preset = PRESETS[name]
    keys = jax.random.split(jax.random.key(0), 900)
    amounts = np.asarray(jax.jit(jax.vmap(lambda key: draw_amounts(key, preset)))(keys))
    assert ((amounts != 0).sum(axis=1) == preset.num_operations).all()
    assert abs(amounts).max() <= preset.magnitude
    assert abs(amounts).max() > 0.95 * preset.magnitude
    assert ((amounts > 0).sum() / (amounts != 0).sum()) == pytest.approx(0.5, abs=0.1)
    # Every operation as often as any other.
    share = preset.num_operations / len(OPERATIONS)
    np.testing.assert_allclose((amounts != 0).mean(axis=0), share, atol=5 * (share / 900) ** 0.5)


def test_presets_are_those_of_the_config_and_grow() -> None:
    assert ("none", *PRESETS) == choices(AugmentConfig, "strength")
    images = np.repeat(np.float32(photo(32))[None] / 255, 128, axis=0)
    keys = jax.random.split(jax.random.key(1), len(images))
    change = [
        abs(np.asarray(apply(images, jax.vmap(lambda key, preset=preset: draw_amounts(key, preset))(keys))) - images)
        for preset in PRESETS.values()
    ]
    assert 0 < change[0].mean() < change[1].mean() < change[2].mean()
