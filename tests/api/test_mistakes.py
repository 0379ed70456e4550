"""Mistakes in a notebook end in a line that says what to do, and what a notebook shows fits on a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
import pytest

import butterflyer_jax as bj
from butterflyer_jax.export import Written
from tests.conftest import make_photo

SIDE = 32


class Fixed:
    """A network that gives each image the same answer."""

    name = "runs/first, step 7"
    species = ("Monarch", "Peacock")
    calibration = None
    ranks = listed = None
    has_typicality = False
    short_side, crop_fraction, image_size, max_pixels = 40, 0.8, SIDE, 10_000_000

    def classify(self, images: np.ndarray, flip: bool) -> tuple[np.ndarray, np.ndarray]:
        return np.tile([0.75, 0.25], (len(images), 1)), np.zeros(len(images), bool)


@pytest.fixture
def predictor() -> bj.Predictor:
    return bj.Predictor(cast(Any, Fixed()))


def pixels(*shape: int, dtype: Any = np.uint8) -> Any:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "paths, URLs, .* are images, not NoneType"),
        (3, "are images, not int"),
        (pixels(3, 50, 60), r"uint8 \[height, width, 3\], not uint8 \(3, 50, 60\)"),
        (pixels(50, 60, 2), r"not uint8 \(50, 60, 2\)"),
        (pixels(50, 60, 3, dtype=np.float32), "not float32"),
        (jnp.zeros((50, 60), jnp.uint8), r"not uint8 \(50, 60\)"),
    ],
)
def test_what_is_no_image_is_named(predictor: bj.Predictor, image: Any, message: str) -> None:
    with pytest.raises(bj.UserError, match=message):
        predictor.predict(image)


def test_a_folder_in_place_of_a_photo(predictor: bj.Predictor, tmp_path: Path) -> None:
    with pytest.raises(bj.UserError, match=r"is a folder: take the paths in it, .*rglob\('\*\.jpg'\)"):
        predictor.predict(tmp_path)
    with pytest.raises(bj.UserError, match="no such file"):
        predictor.predict(tmp_path / "none.jpg")


def test_one_bad_item_among_images_leaves_the_others_their_names(predictor: bj.Predictor) -> None:
    good, bad = predictor.predict([make_photo(1), cast(Any, None)])
    assert good["species"] == "Monarch"
    assert bad["error"].endswith("are images, not NoneType")


def test_arrays_of_other_libraries_and_arrays_of_paths(predictor: bj.Predictor, tmp_path: Path) -> None:
    assert predictor.predict(cast(Any, jnp.zeros((50, 60, 3), jnp.uint8)))["species"] == "Monarch"
    assert len(predictor.predict(cast(Any, jnp.zeros((2, 50, 60, 3), jnp.uint8)))) == 2
    (tmp_path / "a.jpg").write_bytes(make_photo(1))
    [answer] = predictor.predict(cast(Any, np.array([str(tmp_path / "a.jpg")])))
    assert answer["species"] == "Monarch"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bj.train(cast(Any, "demo"), "a.zip", "run"), r"'demo' is no config yet: give load_config\('demo'\)$"),
        (lambda: bj.train(cast(Any, {}), "a.zip", "run"), r"a dict is no config: .*load_config\(NAME\), or a Config"),
        (lambda: bj.open_data("a.zip", cast(Any, "cpu")), r"give load_config\('cpu'\)$"),
        (lambda: bj.build("a.zip", "data", cast(Any, bj.Config())), r"give config\.build$"),
        (lambda: bj.build("a.zip", "data", cast(Any, "cpu")), r"give load_config\('cpu'\)\.build$"),
        (lambda: bj.load_config("demo", "num_epochs=3"), r"a list such as .*, not 'num_epochs=3'"),
        (lambda: bj.load_config("demo", cast(Any, {"num_epochs": 3})), r"a list such as .*, not \{'num_epochs': 3\}"),
        (lambda: bj.Predictor(cast(Any, Path("runs/first"))), r"Predictor\.load\('runs/first'\)"),
    ],
)
def test_what_is_given_in_place_of_another_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(bj.UserError, match=message):
        call()


def test_a_notebook_shows_things_in_one_line(predictor: bj.Predictor) -> None:
    assert repr(predictor) == "<Predictor of runs/first, step 7, 2 species>"
    with bj.open_data("fake") as data:
        assert repr(data).startswith("<DataSet of ")
        assert f"{data.num_images('train')} train" in repr(data)
    assert repr(Written("model.onnx", {"species": ["Monarch"] * 1000})) == "Written(path='model.onnx')"


def test_only_public_names_are_completed() -> None:
    assert set(dir(bj)) == {*bj.__all__, "__version__"}
