"""Which photos of val are shown, when, and with what."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.config import Config, DataConfig, TrackingConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.models.variables import Variables
from butterflyer_jax.tracking import Pictures, Trackers
from butterflyer_jax.training import validation_images

SIDE = 32
SPECIES = ("dark", "light")


class Shown(Trackers):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.pictures: list[Pictures] = []

    def show(self, pictures: Pictures) -> None:
        self.pictures.append(pictures)


def by_brightness(collections: Any, images: jax.Array, train: bool) -> jax.Array:
    """Stands in for the network."""
    return jnp.stack([jnp.zeros(len(images)), images.mean(axis=(1, 2, 3))], axis=1)


def batch(number: int, size: int = 32) -> dict[str, np.ndarray]:
    place = np.arange(size)
    real = place < number
    image = np.broadcast_to((place * 8 * real).astype(np.uint8)[:, None, None, None], (size, SIDE, SIDE, 3))
    return {"image": image, "label": (place % 2 * real).astype(np.int32), "mask": real.astype(np.float32)}


def watch_and_show(config: Config, batches: list[dict[str, np.ndarray]], devices: int = 1) -> list[Pictures]:
    mesh = sharding.make_mesh(devices)
    shown = Shown()
    ours = validation_images.open_gallery(by_brightness, SPECIES, shown, config, mesh)
    for epoch in range(1, config.num_epochs + 1):
        watched = list(ours.watch(batches))
        assert all(one is other for one, other in zip(watched, batches, strict=True))
        ours.show(10 * epoch, epoch, Variables({}, {}), jnp.full((2, 2), epoch))
    return shown.pictures


def config(num_epochs: int = 1, tracking: TrackingConfig | None = None) -> Config:
    tracking = tracking or TrackingConfig(tensorboard=True)
    return Config(num_epochs=num_epochs, data=DataConfig(image_size=SIDE), tracking=tracking)


def test_photos_come_from_all_over_the_first_batch_with_the_networks_word() -> None:
    [pictures] = watch_and_show(config(), [batch(32), batch(3)])
    values = [int(sample.pixels[0, 0, 0]) for sample in pictures.samples]
    assert len(values) == validation_images.PHOTOS
    assert values == sorted(set(values))
    assert (values[0], values[-1]) == (0, 31 * 8)
    for sample, value in zip(pictures.samples, values, strict=True):
        assert (sample.pixels == value).all()
        assert sample.species == SPECIES[value // 8 % 2]
        normalised = np.mean((value / 255 - np.array(Config().model.mean)) / np.array(Config().model.std))
        assert sample.predicted == SPECIES[int(normalised > 0)]
        assert sample.probability == pytest.approx(1 / (1 + np.exp(-abs(normalised))), abs=1e-5)
    assert pictures.step == 10
    np.testing.assert_array_equal(pictures.confusion, np.ones((2, 2)))


@pytest.mark.parametrize("number", [1, 5, 16])
def test_padding_is_never_shown(number: int) -> None:
    [pictures] = watch_and_show(config(), [batch(number)])
    assert [int(sample.pixels[0, 0, 0]) for sample in pictures.samples] == [8 * n for n in range(number)]


@pytest.mark.parametrize(("num_epochs", "epochs"), [(3, [1, 2, 3]), (20, range(1, 21)), (45, [*range(3, 46, 3)])])
def test_a_long_run_shows_some_epochs_and_the_last(num_epochs: int, epochs: list[int]) -> None:
    pictures = watch_and_show(config(num_epochs), [batch(4)])
    assert [one.step for one in pictures] == [10 * epoch for epoch in epochs]
    assert len(pictures) <= validation_images.MAX_SHOWS


def test_the_last_epoch_is_shown_whatever_its_number() -> None:
    assert [one.step for one in watch_and_show(config(41), [batch(4)])][-2:] == [390, 410]


def test_nothing_is_computed_where_nothing_can_show_it() -> None:
    assert watch_and_show(config(tracking=TrackingConfig()), [batch(4)]) == []
    nothing = config(tracking=TrackingConfig())
    ours = validation_images.open_gallery(by_brightness, SPECIES, Shown(), nothing, sharding.make_mesh(1))
    assert type(ours) is validation_images.Gallery


def test_verdicts() -> None:
    [pictures] = watch_and_show(config(), [batch(2)])
    assert [sample.verdict[:5] for sample in pictures.samples] == ["right", "dark "]
