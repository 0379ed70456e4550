"""A folder is taken wherever a zip is; TFDS's own test of builders passes; every build ends with a summary."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import build, dataset
from butterflyer_jax.data.butterflies import butterflies_dataset_builder
from butterflyer_jax.data.ingest import raw_zip
from butterflyer_jax.storage import paths
from tests.conftest import folder_members, make_photo, make_zip

SMALL = BuildConfig(image_size=32)


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def contents(folder: os.PathLike[str]) -> dict[str, bytes]:
    kept = (".csv", ".npy")
    return {f.name: f.read_bytes() for f in Path(folder).iterdir() if f.suffix in kept or "tfrecord" in f.name}


def test_a_folder_gives_the_records_of_its_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "cache"))
    files = folder_members(8) | {"notes.txt": b"x", "Red Edge/empty.jpg": b""}
    folder = unpacked(tmp_path / "set", files)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    of_folder = dataset.resolve(folder, SMALL)
    assert contents(of_folder) == contents(build.build(make_zip(tmp_path / "raw.zip", files), tmp_path / "out", SMALL))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    capsys.readouterr()
    assert dataset.resolve(folder, SMALL) == of_folder
    assert "preparing" not in capsys.readouterr().err, "built once"
    shutil.copy(folder / "Red Edge/000.jpg", folder / "Red Edge/100.jpg")
    assert dataset.resolve(folder, SMALL) != of_folder


def test_a_file_that_changes_during_a_build_is_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from butterflyer_jax.data.ingest import photo_tasks

    folder = unpacked(tmp_path / "set", folder_members(10))
    write_tasks = photo_tasks.write_tasks

    def meanwhile(*arguments: object) -> None:
        write_tasks(*arguments)
        (folder / "Red Edge/000.jpg").unlink()
        (folder / "Blue Stripe/000.jpg").write_bytes(b"other")

    monkeypatch.setattr(photo_tasks, "write_tasks", meanwhile)
    config = BuildConfig(image_size=32, max_reject_fraction=0.1)
    rejects = (Path(build.build(folder, tmp_path / "out", config)) / "rejects.csv").read_text()
    assert "Red Edge/000.jpg,not readable: it was removed during the build" in rejects
    assert "Blue Stripe/000.jpg,not readable: it was changed during the build" in rejects


def test_links_and_pipes_in_a_folder(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "set", {f"{s}/{i}.jpg": b"x" for s in ("Monarch", "Peacock") for i in range(2)})
    (folder / "loop").symlink_to(folder)
    (folder / "Monarch/gone.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(folder / "Monarch/pipe.jpg")
    os.mkfifo(folder / "labels.csv")
    # Beside what it links to: neither is lost, whichever comes first.
    (folder / "Danaus").symlink_to(folder / "Monarch")
    listing = raw_zip.list_source(folder)
    assert {m.name: m.species for m in listing.members} == {
        f"{s}/{i}.jpg": s for s in ("Danaus", "Monarch", "Peacock") for i in range(2)
    }
    assert {(r.member, r.reason) for r in listing.rejects} == {
        (f"{s}/{name}.jpg", reason)
        for s in ("Danaus", "Monarch")
        for name, reason in (("gone", "a link to nowhere"), ("pipe", "a pipe, a socket or a device"))
    }
    assert listing.ignored == {"a link to a folder above it": 1, "a pipe, a socket or a device": 1}


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = unpacked(tmp_path / "set", {"A/0.jpg": b"x", "B/0.jpg": b"x"})
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("B"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot read the folder .*/set/B: Permission denied"):
        raw_zip.list_source(folder)


def test_a_folder_without_photos(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"no photos in .*, there are only \.txt \(1\)"):
        dataset.resolve(tmp_path, SMALL)


def test_what_a_run_wrote_are_no_photos_to_train_on(tmp_path: Path) -> None:
    """A run within a folder of photos, and one in place of it: its small pictures would count as photos."""
    examples = make_zip(tmp_path / "examples.zip", folder_members(1)).read_bytes()
    run = {"config.json": b"{}", "metrics.jsonl": b"{}", "examples.zip": examples, "checkpoints/1/_METADATA": b"{}"}
    photos = folder_members(2)
    unpacked(tmp_path / "photos", photos | {f"runs/first/{name}": data for name, data in run.items()})
    listing = raw_zip.list_source(tmp_path / "photos")
    assert {member.name for member in listing.members} == set(photos)
    assert listing.ignored == {"in a run folder": len(run)}
    unpacked(tmp_path / "run", run)
    with pytest.raises(UserError, match="run is a run folder, not photos: --input takes the photos"):
        dataset.resolve(tmp_path / "run", SMALL)


def test_a_manual_folder_without_folders_in_it(tmp_path: Path) -> None:
    files = {name.replace("/", "_"): data for name, data in folder_members(3).items()}
    table = "filename,label\n" + "\n".join(f"{name},{name.partition('_')[0]}" for name in files)
    folder = unpacked(tmp_path / "manual", files | {"labels.csv": table.encode()})
    config = butterflies_dataset_builder.ButterfliesConfig(image_size=32)
    builder = butterflies_dataset_builder.Builder(config=config, data_dir=os.fspath(tmp_path / "data"))
    builder.download_and_prepare(
        download_dir=os.fspath(tmp_path), download_config=tfds.download.DownloadConfig(manual_dir=os.fspath(folder))
    )
    assert builder.info.features["label"].names == sorted({name.partition("_")[0] for name in files})


def test_the_summary_of_a_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = folder_members(10) | {"Rare One/1.jpg": make_photo(9999), "red_edge/2.jpg": make_photo(9998)}
    files |= {"Red Edge/cut.jpg": b"no image", "notes.txt": b"x", ".DS_Store": b"x"}
    raw = make_zip(tmp_path / "raw.zip", files)
    for _ in range(2):
        folder = build.build(raw, tmp_path / "out", SMALL)
        # Once more where all is done: training on a cached data set shows it too.
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("preparing", "writing"))]
        assert lines == [
            "built: 32 photos of 5 species (train 20, val 6, test 6; made by a hash of the photos); labels by folders",
            "left out: rejected 1 (1 not decodable; see rejects.csv); ignored 2 (1 .txt, 1 hidden)",
            "groups: no near-duplicates",
            "look at: 1 species is spelt in several ways (Red Edge = red_edge): each spelling counts as a species, "
            "and so does each copy of a folder: give one species one name; 2 species only in train (Rare One, red_edge)"
            "; 3% of the photos rejected",
            f"data card: {folder}/data_card.html",
        ]
    card = json.loads((Path(folder) / "data_card.json").read_text())
    assert card["ignored_by"] == {".txt": 1, "hidden": 1}
    assert [finding["title"] for finding in card["findings"][:2]] == [
        "1 species is spelt in several ways",
        "2 species only in train",
    ]


def test_the_summary_says_which_splits_were_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = list(folder_members(8).items())
    files = {f"{n}.jpg": data for n, (_, data) in enumerate(photos)}
    rows = [f"{n}.jpg,{name.partition('/')[0]},{n % 4 == 3}" for n, (name, _) in enumerate(photos)]
    table = "\n".join(["name,label,is_valid", *rows])
    build.build(make_zip(tmp_path / "raw.zip", files | {"labels.csv": table.encode()}), tmp_path / "out", SMALL)
    assert (
        "built: 24 photos of 3 species (train 15, val 6, test 3; val by is_valid in labels.csv, train and test made of "
        "the rest by a hash of the photos); labels by labels.csv (name, label)\n"
    ) in capsys.readouterr().err


class ButterfliesTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, with the zip in the manual folder as TFDS hands it."""

    DATASET_CLASS = butterflies_dataset_builder.Builder
    SPLITS = {"train": 18, "val": 6, "test": 6}
    SKIP_TF1_GRAPH_MODE = True

    @classmethod
    def setUpClass(cls) -> None:
        # The base class wants its photos in a folder; a test draws its own.
        cls.EXAMPLE_DIR = os.fspath(Path(cls.create_examples()))
        super().setUpClass()

    @classmethod
    def create_examples(cls) -> Path:
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix="butterflyer-examples-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        with zipfile.ZipFile(folder / "raw.zip", "w") as raw:
            for name, data in folder_members(10).items():
                raw.writestr(name, data)
        return folder
