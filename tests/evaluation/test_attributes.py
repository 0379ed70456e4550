"""What a CSV says of photos, and which of them it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.evaluation import attributes

IDS = ["set/Red/1.jpg", "set/Red/2.jpg", "set/Blue/1.jpg"]


def values(tmp_path: Path, text: str, photo_ids: list[str] = IDS, column: str = "camera") -> list[str]:
    (tmp_path / "more.csv").write_text(text)
    return attributes.read(tmp_path / "more.csv", [column]).of(photo_ids, IDS)[column]


def test_rows_name_photos_as_label_files_do(tmp_path: Path) -> None:
    text = "﻿Filename;Camera\r\nset/Red/1.jpg; Nikon  Z6 \r\n.\\set\\Red\\2.JPG;phone\r\ngone.jpg;phone\r\n"
    assert values(tmp_path, text) == ["Nikon Z6", "phone", ""]
    assert values(tmp_path, text, column=" CAMERA") == ["Nikon Z6", "phone", ""]
    assert values(tmp_path, "photo_id,camera\n2.jpg,phone\nBlue/1.jpg\n") == ["", "phone", ""]


def test_a_name_that_another_split_shares_means_neither(tmp_path: Path) -> None:
    text = "filename,camera\n1.jpg,phone\n2.jpg,Nikon\n"
    assert values(tmp_path, text, ["set/Red/1.jpg", "set/Red/2.jpg"]) == ["", "Nikon"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,kamera\n1.jpg,phone\n", "no column camera; did you mean kamera"),
        ("filename,x\n1.jpg,phone\n", "no column camera, only filename, x"),
        ("name,camera\n1.jpg,phone\n", "no column filename or photo_id, only name, camera"),
        ("filename,camera,Camera\n1.jpg,phone,x\n", "several columns camera"),
        ("filename,camera\n", "has columns, but no rows"),
        ("", "no column filename or photo_id, only nothing"),
        ("filename,camera\nother.jpg,x\n", "no row of .*more.csv names .* its first is 'other.jpg'"),
        ("filename,camera\n2.jpg,a\nRed/2.jpg,b\n", "contradict each other: camera of set/Red/2.jpg is 'a' and 'b'"),
    ],
)
def test_what_a_user_gets_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        values(tmp_path, text)


def test_a_file_that_is_no_csv(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match=r"no column filename or photo_id|code page"):
        attributes.read(tmp_path / "a.jpg", ["camera"])
    for name, message in {"none.csv": "no such file", "": "cannot read .*: Is a directory"}.items():
        with pytest.raises(UserError, match=message):
            attributes.read(tmp_path / name, ["camera"])
