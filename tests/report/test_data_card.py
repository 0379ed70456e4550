from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax.report.pictures import Thumbnails
from tests.conftest import ROOT
from tests.helpers.report_pages import Jpegs, Photo, make_photos, render

HOSTILE = [
    '<script>alert("1")</script>',
    "\"><img src=x onerror='alert(1)'>",
    "大紅斑蝶 & 黒",
    "فراشة الملك",
    "{{ 7 * 7 }}",
]


def test_the_page_stands_alone() -> None:
    text, page, _ = render(make_photos())
    assert text.startswith("<!DOCTYPE html>")
    assert "http://" not in text and "https://" not in text and "@import" not in text
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object"}
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert all(a["href"].startswith("#") for a in [*page.all("a"), *page.all("use")])
    assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)\)", text))


def test_ids_are_unique_and_every_link_has_its_end() -> None:
    _, page, _ = render(make_photos())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in [*page.all("a"), *page.all("use")]} <= set(ids)


def test_every_picture_has_a_text_and_a_size() -> None:
    _, page, _ = render(make_photos())
    assert page.all("img")
    for image in page.all("img"):
        assert re.fullmatch(r"Species \d{4}, photo Species \d{4}/\d{3}\.jpg", image["alt"])
        assert (image["width"], image["height"]) == ("64", "48")


def test_boxes_are_drawn_on_their_photos() -> None:
    boxed = Photo("a.jpg", "A", box=(0.25, 0.5, 0.75, 1.0))
    [shown, plain] = Thumbnails(Jpegs()).show([boxed, replace(boxed, photo_id="b.jpg", box=None)])
    pixels, before = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one.uri.partition(",")[2])))).astype(int)
        for one in (shown, plain)
    )
    # Where red has grown: of the columns those from a quarter to three quarters, of the rows the lower half.
    rows, columns = np.nonzero(pixels[..., 0] - before[..., 0] > 60)
    assert (columns.min(), columns.max()) == pytest.approx((16, 48), abs=2)
    assert (rows.min(), rows.max()) == pytest.approx((24, 47), abs=2)


def test_the_numbers_are_there() -> None:
    rejects = [("a.jpg", "zero bytes"), ("b.jpg", "zero bytes"), ("c.jpg", "row without a file")]
    _, page, _ = render(make_photos(), rejects, missing=1)
    assert "60 photos of 3 species: 36 to train on, 12 to validate with, 12 to test with." in page.words
    assert "69 files in the input = 60 photos + 2 rejects + 7 ignored" in page.words
    assert "1 row of a table names a file not in the input" in page.words
    assert "27.6 MB" not in page.words and "28 MB" in page.words
    for word in ("0.4712", "0.2456", "100,000,000", "abcdef0123", "9876543210", "c.jpg"):
        assert word in page.words
    bars = [div["aria-label"] for div in page.all("div") if div.get("class") == "bar"]
    assert bars == ["12 train, 4 val, 4 test"] * 3


def test_the_same_input_gives_the_same_page() -> None:
    # In a process of its own, where hashes of strings and ids of objects differ.
    code = "from tests.helpers.report_pages import *; sys.stdout.buffer.write(render(make_photos())[0].encode())"
    result = subprocess.run([sys.executable, "-c", f"import sys; {code}"], capture_output=True, check=True, cwd=ROOT)
    assert result.stdout.decode() == render(make_photos())[0]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    photos = [
        replace(photo, species=name, photo_id=f"{name}/{index}.jpg", duplicate_group="g")
        for index, photo in enumerate(make_photos(1))
    ]
    photos += [replace(photo, photo_id=f"{photo.photo_id}{name}") for photo in make_photos(2)]
    _, page, _ = render(photos, [(f"{name}.jpg", f"not decodable: {name}")])
    assert not {tag for tag, _ in page.elements} & {"script"}
    assert not [attributes for _, attributes in page.elements if "onerror" in attributes]
    assert f"not decodable: {name}" in page.words
    assert f"{name}, photo {name}/0.jpg" in [image["alt"] for image in page.all("img")]


def test_a_huge_data_set_gives_a_small_page() -> None:
    photos = make_photos(1000, 20)
    photos = [
        replace(photo, duplicate_group=f"group {index // 8}" if index < 4000 else "")
        for index, photo in enumerate(photos)
    ]
    rejects = [(f"{number}.jpg", f"reason {number % 30}") for number in range(900)]
    text, page, jpegs = render(photos, rejects)
    assert jpegs.calls <= 146
    assert len(page.all("img")) <= 146
    assert len(text) < 2_000_000
    assert len(page.all("use")) < 2000
    assert len([div for div in page.all("div") if div.get("class") == "bar"]) == 300
    for sentence in (
        "270 more species, with fewer photos",
        "700 more species, in data_card.json and in train.csv, val.csv and test.csv.",
        "20 of the 1,000 species",
        "10 are shown; all are in duplicates.csv.",
        "850 more, in rejects.csv.",
        "10 more reasons, in data_card.json.",
    ):
        assert sentence in page.words


def test_a_photo_is_read_once_however_often_it_is_shown() -> None:
    photos = [replace(photo, duplicate_group="g") for photo in make_photos(2, 5)]
    _, page, jpegs = render(photos)
    assert jpegs.calls == 10
    assert len(page.all("img")) > 10


def test_a_clean_data_set_needs_nobody() -> None:
    _, page, _ = render(make_photos())
    assert "Nothing to mend" in page.words
    assert "None: no two photos look the same" in page.words
    assert "None: every photo could be used." in page.words


def test_leaks_come_first_and_show_both_sides() -> None:
    photos = [replace(photo, duplicate_group="harmless" if photo.split == "val" else "") for photo in make_photos(1)]
    # Twelve in train and one in test: the one must be among the five that are shown.
    photos += [Photo(f"leak/{number}.jpg", "Species 0000", duplicate_group="leak") for number in range(12)]
    photos += [Photo("leak/test.jpg", "Species 0001", "test", duplicate_group="leak")]
    text, page, _ = render(photos)
    assert "1 leak between splits Near-duplicates lie in different splits" in page.words
    assert "1 near-duplicate group with several species" in page.words
    duplicates = text[text.index('id="duplicates"') :]
    assert (
        duplicates.index("leak/test.jpg") < duplicates.index("8 more, in duplicates.csv") < duplicates.index("003.jpg")
    )
    assert "leak: train, test" in duplicates and duplicates.count('class="leak"') == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda photos: [*photos, Photo("x.jpg", "Rare")], "1 species only in train None in val or test"),
        (lambda photos: [*photos, Photo("x.jpg", "Rare", "test")], "1 species without training photos"),
        (lambda photos: make_photos(1, 400) + make_photos(2, 5)[5:], "Strong imbalance, 80 to 1"),
        (lambda photos: [replace(photo, split="train") for photo in photos], "No test photos"),
        (
            lambda photos: [replace(photo, source_height=99) for photo in photos],
            "100% of the photos are smaller than 256 pixels",
        ),
    ],
)
def test_what_needs_a_human_stands_on_top(change: Callable[[list[Photo]], list[Photo]], sentence: str) -> None:
    _, page, _ = render(change(make_photos()))
    assert sentence in page.words
    assert page.words.index(sentence) < page.words.index("Photos of each species")
    assert "Nothing to mend" not in page.words


@pytest.mark.parametrize("sizes", [[(1, 1)], [(1, 30_000), (30_000, 1)], [(256, 256)], [(7, 9), (9000, 6000)]])
def test_any_sizes_can_be_drawn(sizes: list[tuple[int, int]]) -> None:
    photos = [
        Photo(f"{number}.jpg", "One", "train", *sizes[number % len(sizes)], brightness=float(255 * (number % 2)))
        for number in range(4)
    ]
    text, page, _ = render(photos)
    assert len(page.all("svg")) == 3
    assert "nan" not in " ".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)).lower()


def test_charts_take_their_colours_from_the_page() -> None:
    text, _, _ = render(make_photos())
    charts = " ".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    assert "currentColor" in charts and "var(--bars)" in charts
    assert not re.search(r"#[0-9a-f]{6}[^0-9a-f]", charts)


def test_thumbnails_are_small_and_whole() -> None:
    photos = [replace(photo, width=1200, height=256) for photo in make_photos()]
    _, page, _ = render(photos)
    assert {(image["width"], image["height"]) for image in page.all("img")} == {("208", "44")}


def test_importing_is_cheap() -> None:
    heavy = {"jax", "tensorflow", "matplotlib", "jinja2", "numpy"}
    code = f"import sys, butterflyer_jax.report.data_card; print({heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
