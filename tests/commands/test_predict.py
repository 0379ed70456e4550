"""`python -m butterflyer_jax.predict` on all that it takes."""

from __future__ import annotations

import csv
import http.server
import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from butterflyer_jax import Predictor, pictures_in, predict
from butterflyer_jax.config import UserError
from tests.conftest import make_photo, make_zip


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photographs, two of them further down, and a text."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "below/b.JPG", "below/c.png")):
        (folder / name).write_bytes(make_photo(number))
    (folder / "notes.txt").write_text("hello")
    return folder


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    """The address at which that folder is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(photos)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()


def names(*given: object, lines: list[str] | None = None) -> list[str]:
    return [picture.name for picture in pictures_in.pictures(map(str, given), lines)]


def test_folders_patterns_zips_and_lists_stand_for_their_pictures(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert names("photos/") == ["photos/a.jpg", "photos/below/b.JPG", "photos/below/c.png"]
    assert names("photos/*.jpg", "photos/**/*.png") == ["photos/a.jpg", "photos/below/c.png"]
    members = {"Monarch/1.jpg": make_photo(1), "__MACOSX/Monarch/._1.jpg": b"x", "readme.txt": b"x"}
    make_zip(tmp_path / "raw.zip", members)
    assert names("raw.zip") == ["raw.zip/Monarch/1.jpg"]
    assert [p.read() for p in pictures_in.pictures(["raw.zip"])] == [make_photo(1)]
    assert names("-", "x.jpg", lines=["photos/a.jpg\n", "\n", "photos/below\n"]) == [
        "photos/a.jpg",
        "photos/below/b.JPG",
        "photos/below/c.png",
        "x.jpg",
    ]
    (tmp_path / "a[1].jpg").write_bytes(make_photo(1))
    assert names("a[1].jpg") == ["a[1].jpg"]


def test_what_stands_for_nothing_is_a_line_and_the_rest_goes_on(
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
        "no pictures in it",
        "no zip that can b",
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
    with pytest.raises(UserError, match="--top must be 1"):
        predict.main(["--run", str(trained_run), str(photos), "--top", "0"])


def test_a_mirrored_picture_counts_as_much(trained_run: Path) -> None:
    predictor = Predictor.load(trained_run)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    seen = predictor._load(pixels)
    wanted = predictor._classify(np.stack([seen, seen[:, ::-1]])).mean(axis=0)
    [answer] = predictor.predict([pixels], flip=True)
    np.testing.assert_allclose(list(answer["probabilities"].values()), wanted, atol=2e-6)


def test_below_the_threshold_it_is_none_of_these(trained_run: Path) -> None:
    predictor = Predictor.load(trained_run)
    assert predictor.calibration.count == 12
    [answer] = predictor.predict([make_photo(3)])
    assert answer["none_of_these"] == (answer["probability"] < predictor.calibration.threshold)
