"""`python -m butterflyer_jax.audit`: planted wrong labels stand first, and the table corrects them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import UserError, audit
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.build import build
from tests.conftest import encode, make_zip
from tests.helpers.built import as_built_earlier

pytestmark = pytest.mark.usefixtures("own_cache")

COLOURS = {"Brimstone": (220, 210, 60), "Holly Blue": (90, 110, 220), "Scarlet": (210, 50, 40)}
SMALL = BuildConfig(image_size=48, val_fraction=0.2, test_fraction=0.2)
# Photos whose label is wrong, and what they show.
PLANTED = {"Brimstone/03.jpg": "Holly Blue", "Holly Blue/07.jpg": "Scarlet", "Scarlet/11.jpg": "Holly Blue"}


def coloured_photo(colour: tuple[int, int, int], seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    pixels = np.array(colour) + rng.integers(-40, 40, (7, 8, 3))
    return encode(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((64, 56), Image.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of 45 photos of three colours, 3 of them in a wrong folder, and one species with a single photo."""
    members = {
        name: coloured_photo(COLOURS[PLANTED.get(name, species)], 100 * label + number)
        for label, species in enumerate(COLOURS)
        for number in range(15)
        for name in [f"{species}/{number:02}.jpg"]
    }
    members["Rarity/00.jpg"] = coloured_photo((20, 20, 20), 999)
    return make_zip(tmp_path_factory.mktemp("planted") / "planted.zip", members)


@pytest.fixture(scope="module")
def built(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(build(photos, tmp_path_factory.mktemp("built"), SMALL))


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy: audits write into it."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def rows_of(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.read_text())))


def test_wrong_labels_stand_first_and_the_table_corrects_them(
    run: Path, photos: Path, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.main(["--run", str(run), "--input", str(built), "--name", "planted"])
    out = capsys.readouterr().out
    folder = run / "audit" / "planted"
    rows = rows_of(folder / "labels.csv")
    assert len(rows) == 46
    assert {row["filename"]: row["proposed"] for row in rows[:3]} == PLANTED
    assert {row["suspect"] for row in rows[:3]} == {"yes"}
    # Nobody said that labels are to be changed.
    assert all(row["label"] == row["given"] == row["filename"].split("/")[0] for row in rows)
    # Of a species with one photo nothing can be said.
    assert rows[-1]["filename"] == "Rarity/00.jpg" and rows[-1]["suspect"] == "not judged"
    metrics = json.loads((folder / "audit.json").read_text())
    assert (metrics["count"], metrics["not_judged"]) == (46, 1)
    assert metrics["suspects"] == sum(row["suspect"] == "yes" for row in rows) < 8
    assert f"{metrics['suspects']} of 46 labels in doubt" in out and str(folder / "labels.csv") in out
    page = (folder / "index.html").read_text()
    assert page.index("Brimstone/03.jpg") > 0 and page.count("<article>") == metrics["suspects"]
    # A suspect and three others, each drawn once.
    assert page.count("<figure>") == 3 * metrics["suspects"]

    elsewhere = tmp_path / "elsewhere"
    options = ["--name", "accepted", "--accept", "0.5", "--to", str(elsewhere)]
    audit.main(["--run", str(run), "--input", str(built), *options])
    table = elsewhere / "audit" / "accepted" / "labels.csv"
    assert [path.name for path in (run / "audit").iterdir()] == ["planted"]
    accepted = {row["filename"]: row["label"] for row in rows_of(table) if row["label"] != row["given"]}
    assert accepted.items() >= PLANTED.items()
    assert f"{len(accepted)} labels replaced" in capsys.readouterr().out

    # The builder reads it as it is, beside the folders.
    unpacked = tmp_path / "corrected"
    shutil.unpack_archive(photos, unpacked)
    shutil.copy(table, unpacked)
    corrected = Path(build(unpacked, tmp_path / "out", BuildConfig(**{**vars(SMALL), "layout": "table",
                                                                      "table": "labels.csv"})))  # fmt: skip
    labels = {row["photo_id"]: row["label"] for split in ("train", "val", "test")
              for row in rows_of(corrected / f"{split}.csv")}  # fmt: skip
    assert labels == {row["filename"]: row["label"] for row in rows_of(table)}


def test_the_table_keeps_the_splits_and_groups_of_the_source(run: Path, tmp_path: Path) -> None:
    members, lines = {}, ["filename,species,split,site"]
    for label, species in enumerate(list(COLOURS)[:2]):
        for number in range(6):
            name = f"{species}-{number}.jpg"
            members[name] = coloured_photo(COLOURS[species], 100 * label + number)
            lines.append(f"{name},{species},{('test', 'val', 'train')[number // 2]},{species[0]}{number // 2}")
    source = make_zip(tmp_path / "own.zip", members | {"labels.csv": "\n".join([*lines, ""]).encode()})
    table = Path(audit(run, source)["table"])
    expected = {line.split(",")[0]: line.split(",")[2] for line in lines[1:]}
    assert {row["filename"]: row["split"] for row in rows_of(table)} == expected
    assert len({row["group"] for row in rows_of(table)}) == 6
    again = Path(build(source, tmp_path / "again", BuildConfig(image_size=48, layout="table", table=str(table))))
    splits = {row["photo_id"]: split for split in ("train", "val", "test") for row in rows_of(again / f"{split}.csv")}
    assert splits == expected
    assert json.loads((again / "data_card.json").read_text())["groups"]["groups"] == 6


def test_nothing_is_left_to_do_where_no_label_is_in_doubt(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = {
        f"{species}/{number:02}.jpg": coloured_photo(colour, 100 * label + number)
        for label, (species, colour) in enumerate(COLOURS.items())
        for number in range(15)
    }
    built = build(make_zip(tmp_path / "right.zip", right), tmp_path / "data", SMALL)
    audit.main(["--run", str(run), "--input", str(built), "--name", "right"])
    out = capsys.readouterr().out
    assert "0 of 45 labels in doubt" in out
    assert "next:" not in out
    page = (run / "audit" / "right" / "index.html").read_text()
    assert "No label of 45 in doubt" in " ".join(page.split()) and "build with that table" not in page


def test_an_edited_table_is_kept(run: Path, built: Path) -> None:
    audit(run, built, name="mine")
    # As it was written, it is rewritten.
    audit(run, built, name="mine")
    table = run / "audit" / "mine" / "labels.csv"
    edited = table.read_text().replace("Brimstone/03.jpg,Brimstone", "Brimstone/03.jpg,Holly Blue")
    table.write_text(edited)
    with pytest.raises(UserError, match="was edited since it was written"):
        audit(run, built, name="mine")
    assert table.read_text() == edited


def test_what_cannot_be_audited_is_refused(run: Path, built: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"take a probability from 0\.5 to 1"):
        audit(run, built, accept=0.2)
    # An earlier version wrote no names into the indexes.
    unlisted = as_built_earlier(built, tmp_path / "unlisted" / "1.0.0")
    (unlisted / "train.csv").unlink()
    with pytest.raises(UserError, match="needs the names of the photos"):
        audit(run, unlisted)
    assert not (run / "audit").exists()
