"""Photos with boxes: crops are taken around these, in training and in evaluation."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax.config import AugmentConfig, BuildConfig, Config, DataConfig
from butterflyer_jax.data.build import build
from butterflyer_jax.data.input import crops
from butterflyer_jax.data.input.record_data import RecordData
from butterflyer_jax.evaluation import photo_features
from tests.conftest import encode, make_zip

WIDTH, HEIGHT, SIDE = 96, 64, 16
BUILD = BuildConfig(image_size=HEIGHT, val_fraction=0.25, test_fraction=0.25)
CONFIG = Config(batch_size=4, data=DataConfig(image_size=32), augment=AugmentConfig(crop_min_area=0.5))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data sets with and without boxes, of photos with a red square on blue; the first of each species has no box."""
    rng = np.random.default_rng(0)
    members, rows = {}, ["filename,xmin,ymin,xmax,ymax"]
    for species, number in itertools.product(("Monarch", "Peacock"), range(8)):
        pixels = rng.integers(0, 30, (HEIGHT, WIDTH, 3), np.uint8) + np.array([0, 0, 200], np.uint8)
        left, top = int(rng.integers(0, WIDTH - SIDE)), int(rng.integers(0, HEIGHT - SIDE))
        pixels[top : top + SIDE, left : left + SIDE] = (250, 0, 0)
        members[f"{species}/{number}.png"] = encode(Image.fromarray(pixels), "PNG")
        if number:
            rows.append(f"{species}/{number}.png,{left},{top},{left + SIDE},{top + SIDE}")
    folder = tmp_path_factory.mktemp("boxed")
    plain = build(make_zip(folder / "plain.zip", members), folder / "plain", BUILD)
    table = {"boxes.csv": "\n".join([*rows, ""]).encode()}
    return Path(build(make_zip(folder / "raw.zip", members | table), folder / "boxed", BUILD)), Path(plain)


def open_data(folder: Path, boxes: str = "use") -> RecordData:
    config = CONFIG.replace(data=dataclasses.replace(CONFIG.data, boxes=boxes))
    return RecordData(folder, config)


def seen(data: RecordData, training: bool) -> np.ndarray:
    """Returns the images of two training batches, or those of all splits in evaluation."""
    if training:
        return np.concatenate([batch["image"] for batch in itertools.islice(data.train_batches(0), 2)])
    batches = itertools.chain(*(data.eval_batches(split) for split in ("train", "val", "test")))
    return np.concatenate([batch["image"][batch["mask"] > 0] for batch in batches])


def red(images: np.ndarray) -> np.ndarray:
    """Returns the share of each image that is red, float [count]."""
    share: np.ndarray = (images[..., 0] > 128).mean(axis=(1, 2))
    return share


def names(data: RecordData) -> list[str]:
    return [name for split in ("train", "val", "test") for name in data.photo_ids(split)]


def test_crops_are_taken_around_boxes(built: tuple[Path, Path]) -> None:
    data = open_data(built[0])
    has_box = np.array([not name.endswith("/0.png") for name in names(data)])
    shares = red(seen(data, training=False))
    # The square with a fifth of its side beside it on each side, of which evaluation sees 87.5%, at a corner the same.
    assert shares[has_box].min() > 0.5 and shares[~has_box].max() < 0.2
    assert np.median(red(seen(data, training=True))) > 0.4
    # What looks at photos one by one sees the same part.
    frames = data.frames("train")
    assert frames is not None and (frames[:, 2] == 0).sum() == sum(
        name.endswith("/0.png") for name in data.photo_ids("train")
    )
    numbers = np.flatnonzero(frames[:, 2])
    for image in photo_features.read_photos(data, "train", numbers):
        assert max(image.size) <= round(SIDE * 1.4) and red(np.asarray(image)[None])[0] > 0.35


def test_without_them_nothing_changes(built: tuple[Path, Path]) -> None:
    boxed, plain = built
    for training in (True, False):
        wanted = seen(open_data(plain), training)
        np.testing.assert_array_equal(seen(open_data(boxed, "ignore"), training), wanted)
        same = np.array_equal(seen(open_data(boxed, "train"), training), wanted)
        assert same != training
    assert open_data(plain).frames("val") is open_data(boxed, "train").frames("val") is None


def test_the_data_set_says_what_it_holds(built: tuple[Path, Path]) -> None:
    import tensorflow_datasets as tfds

    boxed, plain = built
    card = json.loads((boxed / "data_card.json").read_text())
    assert card["boxes"] == 14 and "boxes: 14 of 16 photos say where the butterfly is" in " ".join(card["notes"])
    assert json.loads((plain / "data_card.json").read_text())["boxes"] == 0
    data = open_data(boxed)
    assert data.fingerprint != open_data(plain).fingerprint
    records = {
        example["photo_id"].decode(): example["bbox"]
        for split in ("train", "val", "test")
        for example in tfds.as_numpy(tfds.builder_from_directory(boxed).as_dataset(split=split))
    }
    assert {name: len(box) for name, box in records.items()} == {
        name: 0 if name.endswith("/0.png") else 1 for name in names(data)
    }
    [[top, left, bottom, right]] = records["Monarch/3.png"]
    assert (right - left, bottom - top) == pytest.approx((SIDE / WIDTH, SIDE / HEIGHT), abs=1e-5)


def test_a_frame_lies_in_its_photo_and_holds_its_box() -> None:
    rng = np.random.default_rng(1)
    height, width = rng.integers(20, 400, 500), rng.integers(20, 400, 500)
    corners = np.sort(rng.random((500, 2, 2)), axis=1)
    boxes = np.concatenate([corners[:, 0], corners[:, 1]], axis=1).astype(np.float32)
    boxes[::10] = np.nan
    top, left, h, w = crops.frames(height, width, boxes).T
    assert (top >= 0).all() and (left >= 0).all() and (top + h <= height).all() and (left + w <= width).all()
    assert (h[::10] == height[::10]).all() and (w[::10] == width[::10]).all()
    known = ~np.isnan(boxes[:, 0])
    for start, size, low, high in ((left, w, boxes[:, 0] * width, boxes[:, 2] * width),
                                   (top, h, boxes[:, 1] * height, boxes[:, 3] * height)):  # fmt: skip
        assert (start[known] <= low[known] + 1).all() and ((start + size)[known] >= high[known] - 1).all()
    # A square, but where the photo is smaller.
    assert ((h == w) | (h == height) | (w == width)).all() and h.min() >= 2
