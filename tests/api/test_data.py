"""An open data set as a notebook uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import butterflyer_jax as bj
from butterflyer_jax.config import Config, DataConfig


def test_a_split_has_its_images_labels_and_names_in_one_order(dataset: Path) -> None:
    with bj.open_data(dataset) as data:
        images, labels, names = data.images("test"), data.labels("test"), data.photo_ids("test")
        assert data.num_images("test") == len(images) == len(labels) == len(names) == 12
        assert labels.dtype == np.int32
        assert [data.species[label] for label in labels] == [name.split("/")[0] for name in names]
        assert all(image.dtype == np.uint8 and min(image.shape[:2]) == 48 for image in images)
        np.testing.assert_array_equal(data.images("test", [5])[0], images[5])
        in_batches = [batch["label"][batch["mask"] > 0] for batch in data.batches("test")]
        np.testing.assert_array_equal(np.concatenate(in_batches), labels)


def test_batches_after_augmentation_are_pixels(dataset: Path) -> None:
    config = Config(batch_size=4, data=DataConfig(image_size=32))
    with bj.open_data(dataset, config) as data:
        [batch] = data.augmented()
    assert batch["image"].shape == (4, 32, 32, 3) and batch["image"].dtype == np.uint8
    assert batch["label"].shape == (4,)


def test_what_is_not_there_is_named(dataset: Path) -> None:
    with bj.open_data(dataset) as data, pytest.raises(bj.UserError, match="split test has no image 12: it has 12"):
        data.images("test", [12])
    with bj.open_data("fake") as data, pytest.raises(bj.UserError, match="--input fake holds no images"):
        data.images("train", [0])
