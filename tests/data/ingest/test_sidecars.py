"""Annotations in a file for each photo, beside it or in a folder of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import raw_zip
from tests.conftest import make_zip
from tests.data.ingest.test_layouts import FLAT, SPECIES, Files, labels, listing_of, tree

VOC = "<annotation>\n<object><name>{s}</name><part><name>wing</name></part></object>{more}</annotation>"


@pytest.mark.parametrize(
    ("photo", "side", "text", "more"),
    [
        ("images/{n}.jpg", "labels/{n}.txt", "{k} 0.5 0.5 0.2 0.25\n{more}", "9 0.5 0.5 0.2 0.2"),
        ("train/images/{n}.jpg", "train/labels/{n}.txt", "{k} 0.1 0.2 0.3 0.4 0.5 0.6\n{more}", "9 0.5 0.5 0.2 0.2"),
        ("photos/{n}.jpg", "photos/{n}.txt", "{k} 0.5 0.5 0.2 0.2\n{more}", "9 0.5 0.5 0.2 0.2"),
        ("JPEGImages/{n}.jpg", "Annotations/{n}.xml", VOC, "<object>\n<name>Moth</name></object>"),
        ("shard/{n}.jpg", "shard/{n}.cls", "{k}\n{more}", "9"),
        ("img/{n}.jpg", "img/{n}.json", '{{"shapes": [{{"label": "{s}"}}{more}]}}', ', {"label": "Moth"}'),
    ],
)
def test_an_annotation_for_each_photo(tmp_path: Path, photo: str, side: str, text: str, more: str) -> None:
    files: Files = tree(photo)
    for k, s in enumerate(SPECIES):
        for i in range(6):
            n = 10 * k + i
            files[side.format(n=n)] = text.format(k=k, s=s, more=more if n == 3 else "")
    files["data.yaml"] = "names: ['Monarch', 'Peacock', 'Red Admiral']"
    listing = listing_of(tmp_path, files)
    wanted = {name: SPECIES[int(Path(name).stem) // 10] for name in tree(photo) if Path(name).stem != "3"}
    assert labels(listing) == wanted
    assert [r.reason.partition(" in ")[0] for r in listing.rejects] == ["several classes"]


def test_texts_beside_photos_are_named(tmp_path: Path) -> None:
    texts: Files = {name.replace(".jpg", ".txt"): "a butterfly on a flower" for name in FLAT}
    with pytest.raises(UserError, match=r"18 files like images/0\.txt: about one photo each, in no form"):
        listing_of(tmp_path, FLAT | texts)


def test_a_label_among_the_values_of_a_photo(tmp_path: Path) -> None:
    photos = tree("shard/{n}.jpg")
    truth = {name: SPECIES[int(Path(name).stem) // 10] for name in photos}
    values: Files = {
        name.replace(".jpg", ".json"): json.dumps({"file": "a.tif", "species": species, "width": 9})
        for name, species in truth.items()
    }
    assert labels(listing_of(tmp_path, photos | values)) == truth


def test_a_damaged_text_beside_a_photo_stops_nothing(tmp_path: Path) -> None:
    photos = tree("{s}/{i}.jpg")
    path = make_zip(tmp_path / "raw.zip", dict.fromkeys(photos, b"x") | {"Monarch/3.txt": b"a butterfly"})
    data = path.read_bytes()
    # Its bytes change, its checksum does not.
    path.write_bytes(data.replace(b"a butterfly", b"a butterflx"))
    assert labels(raw_zip.list_source(path, BuildConfig())) == {name: name.split("/")[0] for name in photos}


LATIN = ("Danaus plexippus", "Aglais io", "Vanessa atalanta")
CLEF = "<?xml version='1.0'?><Image><FileName>a.jpg</FileName><ClassId>{k}</ClassId><Species>{s}</Species></Image>"


@pytest.mark.parametrize("name", ["images/{n}.txt", "images/{n}.jpg.txt"])
def test_a_line_beside_each_photo_is_a_label_or_may_be_one(tmp_path: Path, name: str) -> None:
    latin = FLAT | {name.format(n=10 * k + i): s for k, s in enumerate(LATIN) for i in range(6)}
    truth = {photo: LATIN[int(Path(photo).stem) // 10] for photo in FLAT}
    assert labels(listing_of(tmp_path, latin)) == truth
    # Other words may be those of a photographer.
    english = FLAT | {name.format(n=10 * k + i): f"{s}\n" for k, s in enumerate(SPECIES) for i in range(6)}
    with pytest.raises(UserError, match=r"images/\*\.txt names 18 photos .*build\.label_column says which is \(text\)"):
        listing_of(tmp_path, english)
    chosen = labels(listing_of(tmp_path, english, label_column="text"))
    assert chosen == {photo: SPECIES[int(Path(photo).stem) // 10] for photo in FLAT}


def test_values_in_xml_beside_each_photo(tmp_path: Path) -> None:
    photos = tree("train/{n}.jpg", LATIN)
    sides: Files = {f"train/{10 * k + i}.xml": CLEF.format(k=k, s=s) for k, s in enumerate(LATIN) for i in range(6)}
    assert labels(listing_of(tmp_path, photos | sides)) == {n: LATIN[int(Path(n).stem) // 10] for n in photos}
