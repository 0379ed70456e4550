"""Places of results are checked before the work that makes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from butterflyer_jax import UserError
from butterflyer_jax.storage import outputs, pictures

MARK = b"<title>Comparison: "


def test_a_folder_that_can_be_made_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (tmp_path / "a" / "b", tmp_path, "a", "a/b"):
        outputs.check_folder(name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("file", "Not a directory; a file is in the way"),
        ("file/run", "Not a directory; a file is in the way"),
        ("x" * 300, "File name too long"),
        ("broken/run", "nothing can be made in"),
    ],
)
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, name: str, part: str) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "broken").symlink_to(tmp_path / "gone" / "gone")
    with pytest.raises(UserError, match=part) as caught:
        outputs.check_folder(tmp_path / name)
    assert str(caught.value).startswith(f"cannot write {tmp_path / name}: ")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_file_of_another_kind_is_kept(tmp_path: Path) -> None:
    outputs.check_file(tmp_path / "new" / "page.html", MARK, "--output")
    page = tmp_path / "page.html"
    for own in (b"", b"<html>" + MARK):
        page.write_bytes(own)
        outputs.check_file(page, MARK, "--output")
    page.write_text("precious")
    with pytest.raises(UserError, match=r"page.html exists, and was not written by this command; take another --to$"):
        outputs.check_file(page, MARK, "--to")
    with pytest.raises(UserError, match="a folder is in the way; take another --to"):
        outputs.check_file(tmp_path, MARK, "--to")
    with pytest.raises(UserError, match="Not a directory"):
        outputs.check_file(page / "page.html", MARK, "--to")
    with pytest.raises(UserError, match="File name too long"):
        outputs.check_file(tmp_path / ("x" * 300), MARK, "--to")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_replaces_an_earlier_one(tmp_path: Path, name: str) -> None:
    for colour in ("red", "blue"):
        pictures.check(tmp_path / name, "--grid")
        pictures.write(Image.new("RGB", (640, 480), colour), tmp_path / name)
    assert Image.open(tmp_path / name).convert("RGB").getpixel((3, 3))[2] > 250
