"""`butterflyer predict` on all that it takes."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import Predictor, predict, runs
from butterflyer_jax.errors import UserError
from butterflyer_jax.export import export
from butterflyer_jax.inference import gradcam, inputs
from butterflyer_jax.inference.overlays import HeatPictures
from tests.conftest import make_photo, make_zip
from tests.helpers import web


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photos, two of them further down, and a text."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "below/b.JPG", "below/c.png")):
        (folder / name).write_bytes(make_photo(number))
    (folder / "notes.txt").write_text("hello")
    return folder


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    """The address at which that folder is served."""
    with web.serve_folder(photos) as server:
        yield server.url


def names(*given: object, lines: list[str] | None = None) -> list[str]:
    return [picture.name for picture in inputs.pictures(map(str, given), lines)]


def test_folders_patterns_zips_and_lists_stand_for_their_pictures(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert names("photos/") == ["photos/a.jpg", "photos/below/b.JPG", "photos/below/c.png"]
    assert names("photos/*.jpg", "photos/**/*.png") == ["photos/a.jpg", "photos/below/c.png"]
    members = {"Monarch/1.jpg": make_photo(1), "__MACOSX/Monarch/._1.jpg": b"x", "readme.txt": b"x"}
    make_zip(tmp_path / "raw.zip", members)
    assert names("raw.zip") == ["raw.zip/Monarch/1.jpg"]
    assert [p.read() for p in inputs.pictures(["raw.zip"])] == [make_photo(1)]
    assert names("-", "x.jpg", lines=["photos/a.jpg\n", "\n", "photos/below\n"]) == [
        "photos/a.jpg",
        "photos/below/b.JPG",
        "photos/below/c.png",
        "x.jpg",
    ]
    (tmp_path / "a[1].jpg").write_bytes(make_photo(1))
    assert names("a[1].jpg") == ["a[1].jpg"]


def test_what_stands_for_nothing_is_a_line_and_the_rest_continues(
    trained_run: Path, photos: Path, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.zip").write_text("hello")
    given = ["empty", "no.zip", "*.gif", "photos/notes.txt", "photos/a.jpg"]
    urls = [f"{server}/a.jpg", f"{server}/none.jpg", "http://127.0.0.1:1/x.jpg"]
    with pytest.raises(SystemExit):
        predict.main(["--run", str(trained_run), *(str(tmp_path / name) for name in given), *urls])
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines()]
    assert [answer.get("error", "")[:17] for answer in answers] == [
        "no images in it",
        "not a zip that ca",
        "nothing matches",
        "not decodable: no",
        "",
        "",
        "HTTP Error 404: F",
        answers[7]["error"][:17],
    ]
    assert {**answers[4], "image": ""} == {**answers[5], "image": ""}
    assert "6 of 8 images could not be read" in captured.err


def test_csv_and_top(trained_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "d.jpg").write_text("hello")
    with pytest.raises(SystemExit):
        predict.main(["--run", str(trained_run), str(photos), "--format", "csv", "--top", "2"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["error"][:13] for row in rows] == ["", "", "", "not decodable"]
    assert list(rows[0]) == ["image", "species", "probability", "none_of_these", "species_2", "probability_2", "error"]
    assert float(rows[0]["probability"]) >= float(rows[0]["probability_2"]) > 0
    assert rows[0]["none_of_these"] in ("true", "false")
    with pytest.raises(UserError, match="--top must be at least 1"):
        predict.main(["--run", str(trained_run), str(photos), "--top", "0"])
    with pytest.raises(SystemExit):
        predict.main(["--run", str(trained_run), str(photos / "d.jpg")])
    assert capsys.readouterr().err == "error: 1 of 1 images could not be read\n", "of nothing read there is no speed"


def test_a_table_is_for_people(trained_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "d.jpg").write_text("hello")
    (photos / "e\n\x1b[2J.jpg").write_text("hello")
    with pytest.raises(SystemExit):
        predict.main(["--run", str(trained_run), str(photos), "--format", "table"])
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["species", "prob.", "most", "likely", "after", "it", "image"]
    place = header.index("image")
    assert [row[place:].partition(": ")[0] for row in rows] == sorted(
        str(path).replace("\n", r"\n").replace("\x1b", r"\x1b")
        for path in photos.rglob("*")
        if path.suffix.lower() in (".jpg", ".png")
    )
    assert [row.startswith("not read") for row in rows] == [False, False, False, True, True]
    assert all("%" in row for row in rows if not row.startswith("not read"))


@pytest.mark.parametrize("format", ["onnx", "safetensors", "stablehlo"])
def test_an_export_names_what_its_run_names(
    trained_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    written = export(trained_run, format, tmp_path / "export")
    line = [str(photos), "--format", "json", "--flip"]
    predict.main(["--run", str(trained_run), *line])
    of_run = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    predict.main(["--model", written.path, *line])
    of_export = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert len(of_export) == 3
    for ours, theirs in zip(of_run, of_export, strict=True):
        assert [ours[key] for key in ("image", "species", "none_of_these")] == [
            theirs[key] for key in ("image", "species", "none_of_these")
        ]
        np.testing.assert_allclose(
            list(theirs["probabilities"].values()), list(ours["probabilities"].values()), atol=1e-5
        )
    with pytest.raises(UserError, match="an export has no heat maps"):
        predict.main(["--model", written.path, str(photos), "--gradcam", str(tmp_path / "heat")])
    with pytest.raises(UserError, match="no model in"):
        predict.main(["--model", str(tmp_path / "none.onnx"), str(photos)])
    (tmp_path / "foreign.onnx").write_bytes(b"x")
    for place, part in {
        trained_run: f"is a run folder, not an export: take --run {trained_run}",
        Path(written.path).parent: f"is a folder of exports: take --model {written.path}",
        tmp_path / "foreign.onnx": "has no card beside it (foreign.onnx.card.json)",
    }.items():
        with pytest.raises(UserError, match=re.escape(part)):
            predict.main(["--model", str(place), str(photos)])


def test_an_output_that_is_no_terminal_is_json(
    trained_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predict.main(["--run", str(trained_run), str(photos / "a.jpg")])
    answer = json.loads(capsys.readouterr().out)
    assert answer["image"] == str(photos / "a.jpg")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    predict.main(["--run", str(trained_run), str(photos / "a.jpg")])
    assert capsys.readouterr().out.startswith("species")


def test_one_image_gives_one_answer(trained_run: Path, photos: Path) -> None:
    predictor = Predictor.load(trained_run)
    path, pixels = photos / "a.jpg", np.zeros((60, 50, 3), np.uint8)
    [listed] = predictor.predict([path])
    for one in (path, str(path), path.read_bytes(), Image.open(path)):
        assert predictor.predict(one) == listed
    assert predictor.predict(np.stack([pixels, pixels])) == [predictor.predict(pixels)] * 2
    assert set(predictor.predict([b"hello"])[0]) == {"error"}
    missing = str(photos / "missing.jpg")
    for unreadable, name in ((b"hello", "the image"), (missing, missing), (photos, str(photos))):
        with pytest.raises(UserError) as raised:
            predictor.predict(unreadable)
        assert str(raised.value).count(name) == 1


def test_a_library_user_sees_our_lines_alone(trained_run: Path, photos: Path) -> None:
    code = f"import butterflyer_jax as bj; bj.Predictor.load({str(trained_run)!r}).predict({str(photos / 'a.jpg')!r})"
    # A quarter of a second of imports, for what only trainings compute.
    code += "; import sys; assert 'scipy.optimize' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_mirrored_picture_counts_as_much(trained_run: Path) -> None:
    predictor = Predictor.load(trained_run)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    seen = predictor._see(pixels).pixels
    wanted = predictor.classifier.probabilities(np.stack([seen, seen[:, ::-1]])).mean(axis=0)
    [answer] = predictor.predict([pixels], flip=True)
    np.testing.assert_allclose(list(answer["probabilities"].values()), wanted, atol=2e-6)


def test_below_the_threshold_it_is_none_of_these(trained_run: Path) -> None:
    predictor = Predictor.load(trained_run)
    assert predictor.calibration.count == 12
    [answer] = predictor.predict([make_photo(3)])
    assert answer["none_of_these"] == (answer["probability"] < predictor.calibration.threshold)


def test_heat_maps_are_those_of_the_answers_species(trained_run: Path) -> None:
    predictor = Predictor.load(trained_run)
    images = [make_photo(number, 90, 80) for number in range(5)]
    images.insert(2, b"hello")
    looks = list(predictor.look(images, top=2))
    assert [look.answer for look in looks] == predictor.predict(images, top=2)
    run = runs.read(trained_run)
    heat_maps = gradcam.make_heat_maps(runs.load_model(run).model, run.config)
    for look, heat_map, image in zip(looks, predictor.heat_maps(images), images, strict=True):
        if image == b"hello":
            assert look.heat_map is heat_map is look.photo is None
            with pytest.raises(ValueError, match="cannot be read: not decodable"):
                look.picture()
            continue
        seen = predictor._see(image).pixels
        [wanted] = heat_maps(
            predictor.classifier._variables, seen[None], [predictor.species.index(look.answer["species"])]
        )
        np.testing.assert_allclose(look.heat_map, wanted, atol=1e-5)
        np.testing.assert_array_equal(look.heat_map, heat_map)
        assert look.heat_map.dtype == np.float32 and 0 <= look.heat_map.min() <= look.heat_map.max() <= 1
        # 90% of the short side that the builder keeps; the network's input is smaller.
        assert look.photo.shape == look.picture().shape == (43, 43, 3)
        assert not np.array_equal(look.photo, look.picture())


def test_each_image_is_read_once_for_both(trained_run: Path) -> None:
    reads = []

    class Picture(inputs.Picture):
        def read(self) -> bytes:
            reads.append(self.name)
            return make_photo(1)

    looks = list(Predictor.load(trained_run).look(Picture(str(number)) for number in range(40)))
    assert len(looks) == 40 and sorted(reads, key=int) == [str(number) for number in range(40)]


def test_pictures_of_the_same_name_do_not_overwrite_each_other(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["x/Red Edge/1.jpg", "y/Red Edge/1.jpg", "y/red edge/1.png", "1.jpg", "大紅 斑蝶/é (1).jpg", "x/bad.jpg"]
    for number, name in enumerate(given):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(make_photo(number) if number < 5 else b"hello")
    with pytest.raises(SystemExit):
        predict.main(["--run", str(trained_run), *given, "--gradcam", "."])
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    paths = [answer.get("gradcam") for answer in answers]
    assert paths == [
        "./Red_Edge_1.gradcam.jpg",
        "./Red_Edge_1-2.gradcam.jpg",
        "./red_edge_1-3.gradcam.jpg",
        "./1.gradcam.jpg",
        "./大紅_斑蝶_é_1.gradcam.jpg",
        None,
    ]
    pictures = [Path(path).read_bytes() for path in paths[:5]]
    assert len(set(pictures)) == 5
    with Image.open(io.BytesIO(pictures[0])) as picture:
        assert (picture.format, picture.size) == ("JPEG", (43, 43))
    assert Path("1.jpg").read_bytes() == make_photo(3), "the photos are as they were"

    predict.main(["--run", str(trained_run), *given[:2], "--gradcam", "new/below", "--format", "csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["gradcam"] for row in rows] == [f"new/below/Red_Edge_1{n}.gradcam.jpg" for n in ("", "-2")]
    with pytest.raises(UserError, match="File exists"):
        predict.main(["--run", str(trained_run), "1.jpg", "--gradcam", "1.jpg"])


@pytest.mark.parametrize("name", ["", "..", "a" * 400 + ".jpg", "http://h/x?y=/../../é.jpg", "C:\\b\\c.jpg", "/.jpg"])
def test_any_name_gives_a_file_within_the_folder(tmp_path: Path, name: str) -> None:
    pictures = HeatPictures(tmp_path / "out")
    written = [Path(pictures.write(name, np.zeros((4, 4, 3), np.uint8))) for _ in range(2)]
    assert written[0] != written[1]
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
