"""The drawn butterflies: reproducible, well laid out, and different in shape and pattern only."""

import io
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import cli, synthetic
from butterflyer_jax.cli import signals
from butterflyer_jax.errors import UserError
from butterflyer_jax.synthetic import __main__ as command
from butterflyer_jax.synthetic import files
from butterflyer_jax.synthetic.species import PALETTES

PHOTOS_PER_SPECIES = 30
LONG_SIDE = 96


def run_cli(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "butterflyer_jax.synthetic", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image.Image]:
    """Photos of a small zip by member name, none converted."""
    path = synthetic.write_zip(tmp_path_factory.mktemp("zip") / "b.zip", PHOTOS_PER_SPECIES, long_side=LONG_SIDE)
    with zipfile.ZipFile(path) as archive:
        pictures = {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}
    for picture in pictures.values():
        picture.load()
    return pictures


@pytest.fixture(scope="module")
def mean_colours(photos: dict[str, Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    """Mean RGB, float (photos, 3), and species index, int (photos,)."""
    names = [species.name for species in synthetic.SPECIES]
    means = np.array([np.asarray(picture, np.float64).mean((0, 1)) for picture in photos.values()])
    return means, np.array([names.index(member.split("/")[1]) for member in photos])


def split(means: np.ndarray, species: np.ndarray) -> tuple[np.ndarray, ...]:
    """Two thirds to learn from, one third held out."""
    held_out = np.arange(len(species)) % 3 == 0
    return means[~held_out], species[~held_out], means[held_out], species[held_out]


def test_species_are_distinct() -> None:
    assert len({species.name for species in synthetic.SPECIES}) == len(synthetic.SPECIES) >= 8


def test_every_palette_serves_several_species() -> None:
    uses = Counter(morph for species in synthetic.SPECIES for morph in species.morphs)
    assert uses.keys() == PALETTES.keys()
    assert min(uses.values()) >= 3


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (
        synthetic.write_zip(tmp_path / name, 2, seed, LONG_SIDE).read_bytes()
        for name, seed in (("first.zip", 3), ("again.zip", 3), ("other.zip", 4))
    )
    assert first == again
    assert first != other


def test_more_photos_keep_the_first_ones(tmp_path: Path, photos: dict[str, Image.Image]) -> None:
    """A photo depends on seed, species and number alone, not on how many are drawn or in which order."""
    with zipfile.ZipFile(synthetic.write_zip(tmp_path / "b.zip", 1, long_side=LONG_SIDE)) as archive:
        for name in archive.namelist():
            with Image.open(io.BytesIO(archive.read(name))) as picture:
                assert np.array_equal(picture, photos[name])


def test_layout(photos: dict[str, Image.Image]) -> None:
    assert list(photos) == [
        f"butterflies/{species.name}/{number:04d}.jpg"
        for species in synthetic.SPECIES
        for number in range(1, PHOTOS_PER_SPECIES + 1)
    ]


def test_members_are_stored_uncompressed(tmp_path: Path) -> None:
    with zipfile.ZipFile(synthetic.write_zip(tmp_path / "b.zip", 1, long_side=LONG_SIDE)) as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_photos_are_rgb_jpegs_of_varying_shape(photos: dict[str, Image.Image]) -> None:
    assert {(picture.format, picture.mode) for picture in photos.values()} == {("JPEG", "RGB")}
    long_sides = {max(picture.size) for picture in photos.values()}
    assert round(0.9 * LONG_SIDE) <= min(long_sides) < max(long_sides) <= LONG_SIDE
    assert {np.sign(picture.width - picture.height) for picture in photos.values()} == {-1, 0, 1}


def test_photos_of_a_species_differ(photos: dict[str, Image.Image]) -> None:
    """Any two photos of a species differ clearly, not by their noise alone."""
    for species in synthetic.SPECIES:
        small = np.array(
            [
                np.asarray(picture.resize((8, 8), Image.Resampling.BOX), np.float64).ravel()
                for member, picture in photos.items()
                if species.name in member
            ]
        )
        distances = np.abs(small[:, None] - small[None]).mean(-1)
        assert distances[~np.eye(len(small), dtype=bool)].min() > 5


def test_the_species_shape_the_picture() -> None:
    """With chance and palette alike, wings and markings alone change the picture."""
    recoloured = [replace(species, morphs=("amber",)) for species in synthetic.SPECIES]
    pictures = [
        np.asarray(synthetic.draw_photo(species, np.random.default_rng(5), 96, 72), np.float64)
        for species in recoloured
    ]
    differences = [np.abs(one - other).mean() for one, other in combinations(pictures, 2)]
    assert min(differences) > 3


def test_draw_photo_size_and_mode() -> None:
    picture = synthetic.draw_photo(synthetic.SPECIES[0], np.random.default_rng(0), 90, 61)
    assert (picture.size, picture.mode) == ((90, 61), "RGB")


def test_mean_colour_centroids_do_not_tell_the_species(mean_colours: tuple[np.ndarray, np.ndarray]) -> None:
    train, train_species, test, test_species = split(*mean_colours)
    centroids = np.array([train[train_species == index].mean(0) for index in range(len(synthetic.SPECIES))])
    nearest = np.linalg.norm(test[:, None] - centroids, axis=-1).argmin(1)
    assert np.mean(nearest == test_species) < 0.45


def test_mean_colour_neighbours_do_not_tell_the_species(mean_colours: tuple[np.ndarray, np.ndarray]) -> None:
    train, train_species, test, test_species = split(*mean_colours)
    neighbours = np.linalg.norm(test[:, None] - train, axis=-1).argsort(1)[:, :5]
    votes = [np.bincount(row).argmax() for row in train_species[neighbours]]
    assert np.mean(votes == test_species) < 0.45


@pytest.mark.parametrize("wrong", [{"photos_per_species": 0}, {"seed": -1}, {"long_side": 8}])
def test_senseless_arguments_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        synthetic.write_zip(tmp_path / "b.zip", **wrong)
    assert not files_below(tmp_path)


def test_failed_write_leaves_nothing_and_keeps_the_old_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = synthetic.write_zip(tmp_path / "b.zip", 1, seed=1, long_side=LONG_SIDE)
    old = target.read_bytes()
    draw, drawn = files.draw_photo, []

    def fail_late(*arguments: object) -> Image.Image:
        drawn.append(arguments)
        if len(drawn) > 3:
            raise OSError("disk full")
        return draw(*arguments)

    monkeypatch.setattr(files, "draw_photo", fail_late)
    with pytest.raises(OSError, match="disk full"):
        synthetic.write_zip(target, 1, long_side=LONG_SIDE)
    assert files_below(tmp_path) == [target]
    assert target.read_bytes() == old


def test_a_file_that_was_not_drawn_is_kept(tmp_path: Path) -> None:
    own = tmp_path / "photos.zip"
    with zipfile.ZipFile(own, "w") as archive:
        archive.writestr("Monarch/1.jpg", b"precious")
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    for target in (own, tmp_path / "photo.jpg"):
        before = target.read_bytes()
        with pytest.raises(UserError, match=f"{target.name} exists, and is no zip of drawn photos; take another"):
            synthetic.write_zip(target, 1, long_side=LONG_SIDE)
        assert target.read_bytes() == before


def test_target_has_its_name_only_when_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, seen = tmp_path / "b.zip", []
    draw = files.draw_photo

    def look(*arguments: object) -> Image.Image:
        seen.append(target.exists())
        return draw(*arguments)

    monkeypatch.setattr(files, "draw_photo", look)
    synthetic.write_zip(target, 1, long_side=LONG_SIDE)
    assert seen == [False] * len(synthetic.SPECIES)
    assert files_below(tmp_path) == [target]


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"seed": -1}, {"cell_width": 8}])
def test_senseless_arguments_of_a_contact_sheet_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        synthetic.write_contact_sheet(tmp_path / "sheet.png", **wrong)
    assert not files_below(tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("sheet.png", "PNG"), ("sheet.jpg", "JPEG")])
def test_contact_sheet(tmp_path: Path, name: str, kind: str) -> None:
    with Image.open(synthetic.write_contact_sheet(tmp_path / "new" / name, columns=2, cell_width=50)) as sheet:
        assert (sheet.format, sheet.mode) == (kind, "RGB")
        assert sheet.width >= 3 * 50
        assert sheet.height >= len(synthetic.SPECIES) * 37
        # The captions' column is paper with dark writing on it in every row.
        rows = np.array_split(np.asarray(sheet.convert("L"))[:, :50], len(synthetic.SPECIES))
    assert all(row.min() < 130 and np.median(row) > 230 for row in rows)


def test_cli_writes_zip_and_contact_sheet(tmp_path: Path) -> None:
    target, sheet = tmp_path / "made" / "b.zip", tmp_path / "sheets" / "sheet.jpg"
    done = run_cli("--output", target, "--photos", "1", "--seed", "2", "--contact_sheet", sheet)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"wrote {target}: 8 photos, 8 species, ")
    assert done.stdout.count("\n") == 1
    assert sorted(files_below(tmp_path)) == [target, sheet]
    assert target.read_bytes() == synthetic.write_zip(tmp_path / "same.zip", 1, seed=2).read_bytes()


def test_random_species_are_as_many_as_asked_for_and_differ(tmp_path: Path) -> None:
    path = synthetic.write_zip(tmp_path / "drawn.zip", 2, seed=3, long_side=64, num_species=5)
    names = [f"butterflies/Drawn {number:04}/{photo:04}.jpg" for number in range(5) for photo in (1, 2)]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == names
        assert len({archive.read(name) for name in names}) == 10
    assert synthetic.write_zip(tmp_path / "a.zip", 2, 3, 64, 5).read_bytes() == path.read_bytes()
    drawn = [synthetic.random_species(3, number) for number in range(30)]
    assert len({species.fore.outline for species in drawn}) == len({species.palettes for species in drawn}) == 30
    # A species of a number is the same, whatever the number of species.
    assert synthetic.random_species(3, 7).fore.outline == drawn[7].fore.outline
    assert synthetic.random_species(4, 7).fore.outline != drawn[7].fore.outline


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--output", "b.zip", "--photos", "0"], "photos_per_species"),
        (["--output", "b.zip", "--photos", "many"], "--photos"),
        (["--output", "occupied/b.zip"], "occupied"),
        (["--output", "."], "directory"),
        (["--output", "b.zip", "--contact_sheet", "sheet.tiff"], "sheet.tiff"),
        (["--output", "b.zip", "--contact_sheet", "sheet.png", "--seed", "-1"], "seed"),
        ([], "--output"),
    ],
)
def test_cli_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], reason: str,
) -> None:  # fmt: skip
    """In this process, for speed: exit code 2, one line that names the culprit, no file left."""
    monkeypatch.chdir(tmp_path)
    Path("occupied").write_text("a file where a folder is wanted")
    monkeypatch.setattr(sys, "argv", ["synthetic", *arguments])
    # They would stay in this process, and end it at a signal of a later test.
    monkeypatch.setattr(signals, "end_on_signals", lambda: None)
    with pytest.raises(SystemExit) as stop:
        cli.run(command.main)
    output = capsys.readouterr()
    assert (stop.value.code, output.out) == (2, "")
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert reason in output.err
    assert files_below(tmp_path) == [tmp_path / "occupied"]
