"""`predict --search`: the part of an image that is answered for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import Config, Predictor, UserError, predict
from butterflyer_jax.inference import search
from butterflyer_jax.inference.classifier import Classifier, TrainedClassifier
from butterflyer_jax.metrics.calibration import Calibration
from tests.conftest import encode, make_photo

SIDE = 16


class Redness(Classifier):
    """A network that knows red from blue; the redder an image, the more typical it is."""

    name = "redness"
    config = Config(compilation_cache=False)
    species = ("Blue", "Red")
    calibration = Calibration()
    threshold = 0.0
    ranks = None
    listed = None
    short_side = 32
    crop_fraction = 0.5
    image_size = SIDE
    max_pixels = 100_000
    limit = 0.0

    def __init__(self) -> None:
        self.batches: list[int] = []

    def outputs(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(len(images))
        red = (images[..., 0] > images[..., 2]).mean(axis=(1, 2)).astype(np.float32)
        share = (images[..., 0].astype(int) - images[..., 2] > 128).mean(axis=(1, 2))
        return np.stack([1 - red, red], axis=1), (search.MARGIN * (1 - 3 * share)).astype(np.float32)

    def heat_maps(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.zeros((len(images), 4, 4), np.float32)


def scene(width: int = 300, height: int = 200, square: tuple[int, int, int] | None = (220, 30, 70)) -> bytes:
    """Returns a blue picture with a red square: left, top, side."""
    pixels = np.full((height, width, 3), (0, 0, 200), np.uint8)
    if square:
        left, top, side = square
        pixels[top : top + side, left : left + side] = (250, 0, 0)
    return encode(Image.fromarray(pixels), "PNG")


def test_the_most_typical_part_is_answered_for_and_named() -> None:
    predictor = Predictor(Redness())
    assert predictor.predict(scene())["species"] == "Blue"
    found = predictor.predict(scene(), search=True)
    assert found["species"] == "Red" and not found["none_of_these"]
    left, top, right, bottom = found["box"]
    # The smallest squares of the grid are a third of the short side.
    assert right - left == pytest.approx(67, abs=1) and bottom - top == pytest.approx(67, abs=1)
    assert 200 <= left <= 240 and 10 <= top <= 50
    assert "box" not in predictor.predict(scene())


def test_the_box_is_one_of_the_upright_image_in_its_own_pixels() -> None:
    picture = Image.open(io.BytesIO(scene()))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees clockwise: 200 wide, 300 high.
    turned = Predictor(Redness()).predict(encode(picture, "JPEG", exif=exif, quality=95), search=True)
    left, top, right, bottom = turned["box"]
    assert turned["species"] == "Red" and 0 <= left < right <= 200 and 200 <= top < bottom <= 300


def test_without_a_part_that_is_typical_enough_the_middle_is_answered_for() -> None:
    predictor = Predictor(Redness())
    # Of the best part less than a half is red: on the safe side of the limit, and not by the margin.
    image = scene(square=(220, 30, 45))
    found = predictor.predict(image, search=True)
    box = found.pop("box")
    assert found == predictor.predict(image) and box == [100, 50, 200, 150]


def test_parts_cover_the_image_and_fit_in_it() -> None:
    for size in ((300, 200), (200, 300), (64, 64), (900, 100), (7, 5)):
        image = Image.new("RGB", size)
        parts = search.cut(image, np.zeros((SIDE, SIDE, 3), np.uint8), size, 0.875, SIDE)
        assert parts.pixels.shape == (len(parts.boxes), SIDE, SIDE, 3)
        assert parts.boxes[1] == (0, 0, *size)
        squares = parts.boxes[2:]
        assert len(set(squares)) == len(squares)
        for scale in search.SCALES:
            side = max(1, round(scale * min(size)))
            covered = np.zeros(size, bool)
            for left, top, right, bottom in squares:
                assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1] and right - left == bottom - top
                if right - left == side:
                    covered[left:right, top:bottom] = True
            assert covered.all(), (size, scale)
    # The whole of an image that is no square lies in the middle of a square.
    assert parts.shown(1).shape == (7, 7, 3)


def test_a_long_strip_is_looked_at_in_few_parts() -> None:
    # As a whole it would lie in a square of gigabytes.
    parts = search.read_parts(lambda side: (Image.new("RGB", (side, 67 * side)), (3, 200)), 32, 0.875, SIDE)
    assert len(parts.boxes) == len(parts.pixels) <= search.MAX_PARTS + 1
    assert all(bottom - top <= 4 for _, top, _, bottom in parts.boxes)


def test_many_parts_go_through_the_network_in_few_shapes() -> None:
    network = Redness()
    images = [scene(), b"no image", make_photo(1), scene(square=None), *[scene(60, 40)] * 3]
    answers = Predictor(network).predict(images, search=True)
    assert [sorted({"error", "box"} & set(answer)) for answer in answers] == [["box"], ["error"], *[["box"]] * 5]
    assert answers == [Predictor(Redness()).predict([image], search=True)[0] for image in images]
    assert max(network.batches) == search.BATCH


def test_a_heat_map_lies_over_the_part_that_is_answered_for() -> None:
    searched, usual = (next(Predictor(Redness()).look([scene()], search=search)) for search in (True, False))
    assert searched.photo is not None and searched.photo[..., 0].mean() > 150
    assert usual.photo is not None and usual.photo[..., 0].mean() < 10


def test_a_network_without_a_typicality_is_refused() -> None:
    network = Redness()
    network.limit = None
    with pytest.raises(UserError, match="redness has no typicality, by which a search chooses"):
        Predictor(network).predict(scene(), search=True)


def test_the_command_says_which_part_it_answers_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TrainedClassifier, "load", lambda *_, **__: Redness())
    (tmp_path / "scene.png").write_bytes(scene())
    line = ["--run", "run", str(tmp_path / "scene.png"), "--search"]
    predict.main([*line, "--format", "json", "--gradcam", str(tmp_path / "maps")])
    answer = json.loads(capsys.readouterr().out)
    assert answer["species"] == "Red"
    assert Path(answer["gradcam"]).is_file()
    predict.main([*line, "--format", "csv"])
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert [int(row[name]) for name in ("xmin", "ymin", "xmax", "ymax")] == answer["box"]
    predict.main([*line, "--format", "table"])
    assert str(answer["box"]) in capsys.readouterr().out
