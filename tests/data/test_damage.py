"""Zips with every kind of damage: nothing is lost, and nothing crashes."""

from __future__ import annotations

import io
import tempfile
import warnings
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import clutter, raw_zip, runners, workspace, zip_names
from butterflyer_jax.data.ingest.manifest import Collection
from butterflyer_jax.storage import paths
from tests.conftest import encode, make_photo

CONFIG = BuildConfig(image_size=16, max_reject_fraction=1.0, max_pixels=100_000)

PICTURES = [make_photo(seed, 24, 20) for seed in range(6)] + [
    encode(Image.open(io.BytesIO(make_photo(7, 24, 20))), picture_format)
    for picture_format in ("PNG", "GIF", "WEBP", "BMP", "TIFF")
]

bombs = st.sampled_from([encode(Image.new("1", (5000, 5000)), "PNG"), encode(Image.new("L", (60_000, 1)), "PNG")])
whole = st.sampled_from(PICTURES)
cut = st.builds(lambda data, share: data[: int(len(data) * share)], whole, st.floats(0, 1))


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A picture with some of its bytes replaced."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 8))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


pictures = st.one_of(whole, whole, whole, cut, changed(), bombs, st.binary(max_size=40))
# Photos of one zip lie in folders of one layout, mostly.
LAYOUTS = [
    ["Adonis/", "Brimstone/"],
    ["set/蝶/", "set/a\u0301/", "set/A/deeper/"],
    ["train/A/", "test/B/", "val/A/"],
    ["images/", ""],
]
STRAY = ["", "../", "/", "C/", "__MACOSX/A/"]
FILES = ["1.jpg", "2.JPG", "ü.png", "-3.jpeg", "1.gif", "2.tif", "4.webp", "5.bmp", "notes.txt", ".hidden.jpg", "x.csv"]


def names(folders: list[str]) -> st.SearchStrategy[list[str]]:
    """Names of files: most where they belong, some elsewhere, some twice."""
    own, any_folder = st.sampled_from(folders), st.sampled_from(folders + STRAY)
    file = st.sampled_from(FILES)
    proper = st.lists(st.tuples(own, file), min_size=9, max_size=17, unique=True)
    odd = st.lists(st.tuples(any_folder, file), max_size=3)
    return st.builds(lambda some, others: ["".join(pair) for pair in some + others], proper, odd)


@st.composite
def tables(draw: st.DrawFn, folders: list[str]) -> bytes:
    """A table with a row for most photos, and some rows too many."""
    label = st.sampled_from(["A", "B", "B", ""])
    split = st.sampled_from(["", "", "train", "test", "?"])
    rows = [
        f"{folder}{file},{draw(label)},{draw(split)}"
        for folder in folders
        for file in FILES[:8]
        if draw(st.integers(0, 5))
    ]
    return "\n".join(["filename,label,split", *rows]).encode()


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    """A zip of pictures, tables and clutter, perhaps with some of its bytes replaced, perhaps cut."""
    folders = draw(st.sampled_from(LAYOUTS))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as file:
        warnings.simplefilter("ignore")  # of names that stand twice
        for name in draw(names(folders)):
            method = draw(
                st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
            )
            file.writestr(name, b"a,b\n1,2\n" if name.endswith(".csv") else draw(pictures), method)
        if folders == LAYOUTS[-1]:
            file.writestr("labels.csv", draw(tables(folders)))
    data = bytearray(buffer.getvalue())
    for _ in range(draw(st.sampled_from([0, 0, 1, 5]))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: len(data) - draw(st.sampled_from([0] * 9 + [30]))])


def build(path: Path) -> Collection:
    with raw_zip.open_zip(path) as raw:
        listing = raw_zip.read_listing(raw)
    folder = paths.path(path.parent) / "work"
    return workspace.prepare_photos(folder, path, listing, CONFIG, runners.LocalEngine())


def test_nothing_is_lost_and_nothing_crashes() -> None:
    built = refused = 0

    @given(zips())
    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    def check(data: bytes) -> None:
        nonlocal built, refused
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "raw.zip"
            path.write_bytes(data)
            try:
                photos = build(path)
            except UserError:
                refused += 1
                return
            built += 1
            check_photos(path, photos)

    check()
    # The property would hold, too, if every zip were an error.
    assert built > 80
    assert refused > 20


def check_photos(path: Path, photos: Collection) -> None:
    with zipfile.ZipFile(path) as raw:
        # As the listing reads them: a changed byte may change a name, and of two equal ones the last counts.
        names, _ = zip_names.member_names(raw.infolist())
        inside = {name: info for name, info in zip(names, raw.infolist(), strict=True) if not name.endswith("/")}
        pictures_in = [name for name in raw_zip.find_images(raw, inside) if not clutter.is_clutter(name)]
    assert len(photos.photos) + len(photos.rejects) == len(pictures_in)
    assert {photo.photo_id for photo in photos.photos} <= set(pictures_in)
    assert len({photo.photo_id for photo in photos.photos}) == len(photos.photos)
    assert all(reject.reason for reject in photos.rejects)
    for photo in photos.photos:
        image = Image.open(io.BytesIO(photo.read()))
        assert (image.format, image.size) == ("JPEG", (photo.width, photo.height))
        assert photo.split in ("train", "val", "test")
