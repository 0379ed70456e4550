"""`python -m butterflyer_jax.data.input.record_data`: speeds by stage, and a picture of what the network sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import UserError, load_config, preview
from butterflyer_jax.data.input.record_data import RecordData
from butterflyer_jax.preprocessing.images import eval_images
from butterflyer_jax.report import drawing
from tests.conftest import SPECIES, Command, assert_one_line_error, folder_members, make_photo, make_zip


def test_stages_are_timed_and_a_batch_is_drawn(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    picture = tmp_path / "pictures" / "batch.png"
    line = ["--input", dataset, "--config", tiny_config, "--batches", 3, "--config.data.mode=jpeg"]
    result = command("preview", *line, "--benchmark", "--grid", picture, alone=True)
    assert result.returncode == 0, result.stderr
    wrote, header, *rows = result.stdout.splitlines()
    assert wrote == f"wrote {picture}: 8 photos of the first batch"
    assert header.split()[-3:] == ["per", "CPU", "second"]
    assert [row.rsplit(maxsplit=2)[0].strip() for row in rows] == [
        "read JPEGs",
        "decode the crop",
        "scale on the host",
        "augment on 1 cpu",
    ]
    assert all(float(number.replace(",", "")) > 0 for row in rows for number in row.rsplit(maxsplit=2)[1:])
    # Eight photos beside each other, each 96 pixels wide at least.
    assert Image.open(picture).size == (8 * 102 + 6, 96 + 18 + 6 + 6)


def test_the_picture_shows_the_batch(dataset: Path, tiny_config: Path, tmp_path: Path) -> None:
    """Nothing augmented: the crops themselves, to rounding."""
    off = [f"augment.{name}=0" for name in ("brightness", "contrast", "saturation")]
    config = load_config(tiny_config, ["augment.flip=false", *off])
    assert preview.write_grid(dataset, config, tmp_path / "batch.png") == 8
    batch = next(RecordData(dataset, config).train_batches(0))
    drawn = np.asarray(Image.open(tmp_path / "batch.png"))[6:102, 6:102][1::3, 1::3]
    assert np.abs(drawn.astype(int) - batch["image"][0]).max() <= 1


def test_negatives_have_the_name_of_no_species(
    dataset: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def grid(pixels: np.ndarray, names: list[str]) -> Image.Image:
        shown.extend(names)
        return Image.fromarray(pixels[0])

    monkeypatch.setattr(drawing, "grid", grid)
    preview.write_grid(dataset, load_config(tiny_config, ["data.negatives=0.25"]), tmp_path / "batch.png")
    assert len(shown) == 8
    assert shown.count("no species") == 2
    assert set(shown) - {"no species"} <= set(SPECIES)


def test_device_and_host_crops_look_alike(dataset: Path, tiny_config: Path) -> None:
    """What evaluation feeds to the network, from either side: a level of 255 apart."""
    seen = []
    for crop in ("host", "device"):
        config = load_config(tiny_config, [f"data.crop={crop}"])
        batch = next(RecordData(dataset, config).eval_batches("val"))
        seen.append(np.asarray(eval_images(batch, config)) * np.array(config.model.std) * 255)
    assert np.abs(seen[0] - seen[1]).max() <= 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "nothing to do: give --benchmark, --grid FILE, or both"),
        (["--grid", "batch.xyz"], "--grid batch.xyz: give it the suffix .png or .jpg"),
        (["--grid", "batch.gif"], "--grid batch.gif: give it the suffix .png or .jpg"),
        (["--benchmark", "--batches", "0"], "--batches must be at least 1"),
        (["--benchmark", "--config.batch_size=64"], "batch_size = 64 is more than the 36 training photos"),
    ],
)
def test_what_cannot_be_is_said(dataset: Path, words: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason.replace("(", r"\(")):
        preview.main(["--input", str(dataset), *words])


def test_noise_has_no_stages(command: Command) -> None:
    assert_one_line_error(command("preview", "--input", "fake", "--benchmark"), "--input fake has no stages")


def test_the_picture_is_checked_before_the_photos_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path / "cache"))
    raw = make_zip(tmp_path / "raw.zip", folder_members())
    photo = tmp_path / "photo.png"
    photo.write_bytes(make_photo(1))
    before = photo.read_bytes()
    for picture, reason in {
        tmp_path / "batch.gif": "give it the suffix .png or .jpg",
        raw / "batch.png": "Not a directory",
        photo: r"photo\.png exists, and was not written by this command; take another --grid",
    }.items():
        with pytest.raises(UserError, match=reason):
            preview.main(["--input", str(raw), "--grid", str(picture)])
    assert photo.read_bytes() == before
    assert not (tmp_path / "cache").exists()
