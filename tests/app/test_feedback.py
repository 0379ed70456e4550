from __future__ import annotations

import csv
import hashlib
import zipfile
from pathlib import Path

import pytest

from butterflyer_jax.app import feedback
from butterflyer_jax.app.feedback import FeedbackStore, KeptPhotos
from butterflyer_jax.data.ingest import raw_zip
from butterflyer_jax.errors import UserError
from tests.conftest import Command, assert_one_line_error
from tests.helpers.app_parts import GREEN, ORANGE, picture


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "feedback.sqlite"


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as opened:
        return list(csv.reader(opened))


def test_the_newest_word_on_each_picture_is_exported(file: Path, tmp_path: Path) -> None:
    store = FeedbackStore(file)
    one, other = picture(ORANGE), picture(GREEN)
    assert store.add(one, "C:\\Users\\me\\a b.png", "Monarch", "Red Admiral", 0.7) == hashlib.sha256(one).hexdigest()
    store.add(other, "../../etc/passwd", "Weißling, groß", "", None)
    store.add(one, "a b.png", "  Viceroy  ", "Red Admiral", 0.7)
    store.close()
    assert feedback.export(file, tmp_path / "labels.csv") == (2, 0)
    assert rows(tmp_path / "labels.csv") == [
        ["filename", "label"],
        ["a b.png", "Viceroy"],
        ["passwd", "Weißling, groß"],
    ]


def test_pictures_are_found_by_their_hashes(file: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "trip").mkdir(parents=True)
    (photos / "trip" / "IMG_1.png").write_bytes(picture(ORANGE))
    store = FeedbackStore(file)
    store.add(picture(ORANGE), "upload.png", "Monarch", "", None)
    store.add(picture(GREEN), "upload.png", "Brimstone", "", None)
    with pytest.raises(UserError, match=r"2 photos are called upload\.png: .*--photos"):
        feedback.export(file, tmp_path / "labels.csv")
    assert not (tmp_path / "labels.csv").exists()
    assert feedback.export(file, tmp_path / "labels.csv", photos) == (1, 1)
    assert rows(tmp_path / "labels.csv")[1:] == [["trip/IMG_1.png", "Monarch"]]
    store.close()


def test_kept_pictures_and_their_labels_are_a_zip_for_the_builder(file: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    store = FeedbackStore(file, KeptPhotos(photos, 10**6))
    assert store.keeps_photos
    for number in range(6):
        store.add(
            picture((40 * number, 0, 0), kind="JPEG"), "image.jpg", "Monarch" if number % 2 else "Viceroy", "", None
        )
    store.close()
    assert {path.suffix for path in photos.iterdir()} == {".jpg"}
    feedback.export(file, photos / "labels.csv", photos)
    raw = tmp_path / "raw.zip"
    with zipfile.ZipFile(raw, "w") as made:
        for path in photos.iterdir():
            made.write(path, path.name)
    listing = raw_zip.list_source(raw)
    assert not listing.rejects
    assert sorted(member.species for member in listing.members) == 3 * ["Monarch"] + 3 * ["Viceroy"]


@pytest.mark.parametrize("label", ["", "   ", "a" * 101, "a\x00b", "a\x1b[31m"])
def test_what_is_no_name_is_refused(file: Path, label: str) -> None:
    store = FeedbackStore(file)
    with pytest.raises(ValueError, match="printable"):
        store.add(picture(), "a.png", label, "", None)
    assert store.labels() == []
    store.close()


def test_no_cell_of_the_csv_is_a_formula(file: Path, tmp_path: Path) -> None:
    store = FeedbackStore(file)
    for label in ("=1+1", "+1", "-1", "@SUM(A1)", " =1"):
        with pytest.raises(ValueError, match="does not begin with"):
            store.add(picture(), "a.png", label, "", None)
    store.add(picture(), "=-HYPERLINK(1).png", "Red-spotted Purple", "", None)
    store.close()
    feedback.export(file, tmp_path / "labels.csv")
    assert rows(tmp_path / "labels.csv")[1:] == [["HYPERLINK(1).png", "Red-spotted Purple"]]


def test_what_is_no_picture_is_refused(file: Path, tmp_path: Path) -> None:
    store = FeedbackStore(file, KeptPhotos(tmp_path / "photos", 10**6))
    with pytest.raises(ValueError, match="no picture"):
        store.add(b"<script>", "a.html", "Monarch", "", None)
    assert list((tmp_path / "photos").iterdir()) == []
    store.close()


def test_a_full_folder_refuses_new_pictures_and_knows_the_old(file: Path, tmp_path: Path) -> None:
    small, large = picture(size=(20, 20), kind="BMP"), picture(size=(60, 60), kind="BMP")
    KeptPhotos(tmp_path / "kept", 10**6).keep(small, "aa")
    again = KeptPhotos(tmp_path / "kept", len(large))
    again.keep(small, "aa")
    with pytest.raises(OSError, match="full"):
        again.keep(large, "bb")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["aa.bmp"]
    store = FeedbackStore(file, again)
    with pytest.raises(OSError, match="full"):
        store.add(large, "a.bmp", "Monarch", "", None)
    assert store.labels() == []
    store.close()


def test_the_command(file: Path, tmp_path: Path, command: Command) -> None:
    store = FeedbackStore(file)
    store.add(picture(), "a.png", "Monarch", "", None)
    store.close()
    result = command("app.feedback", "--file", file, "--to", tmp_path / "labels.csv")
    assert result.returncode == 0, result.stderr
    assert "1 labels" in result.stderr
    assert_one_line_error(command("app.feedback", "--file", tmp_path / "none", "--to", "x.csv"), "no feedback in")
    (tmp_path / "text.sqlite").write_text("no database, but long enough to look like a file of something else " * 20)
    assert_one_line_error(
        command("app.feedback", "--file", tmp_path / "text.sqlite", "--to", "x.csv"), "cannot keep feedback in"
    )
