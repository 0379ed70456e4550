"""Every layout and table that is documented gives its labels; what can be read in two ways is refused by name."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import manifest, raw_zip, words
from butterflyer_jax.data.ingest.raw_zip import Listing
from tests.conftest import make_zip
from tests.helpers.layout_examples import FOLDERS, SPECIES, TABLES, Example
from tests.helpers.random_tables import TABLES_OF, one_per_row

Files = dict[str, bytes | str]


def listing_of(path: Path, files: Files, **options: str) -> Listing:
    packed = {name: data if isinstance(data, bytes) else data.encode() for name, data in files.items()}
    listing = raw_zip.list_source(make_zip(path / "raw.zip", packed), BuildConfig(**options))
    counted = len(listing.members) + len(listing.negatives) + len(listing.rejects) + listing.num_ignored
    assert listing.num_files == counted
    return listing


def labels(listing: Listing) -> dict[str, str]:
    return {member.name: member.species for member in listing.members}


@pytest.mark.parametrize("example", [*FOLDERS, *TABLES], ids=lambda example: example.title)
def test_what_is_documented_gives_its_labels(tmp_path: Path, example: Example) -> None:
    listing = listing_of(tmp_path, example.files)
    assert {m.name: (m.species, m.split) for m in listing.members} == example.photos
    assert not listing.rejects
    assert not listing.missing


@pytest.mark.parametrize("example", [*FOLDERS, *TABLES], ids=lambda example: example.title)
def test_a_folder_on_disk_reads_as_its_zip_does(tmp_path: Path, example: Example) -> None:
    for name, data in example.files.items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    listing = raw_zip.list_source(tmp_path / "set")
    assert {m.name: (m.species, m.split) for m in listing.members} == example.photos
    assert dataclasses.replace(listing, members=(), fingerprint="") == dataclasses.replace(
        listing_of(tmp_path, example.files), members=(), fingerprint=""
    )


def tree(pattern: str, species: tuple[str, ...] = SPECIES, count: int = 6) -> Files:
    return {pattern.format(s=s, k=k, i=i, n=10 * k + i): b"x" for k, s in enumerate(species) for i in range(count)}


def rows(head: str, row: str, count: int = 6) -> str:
    return "\n".join(
        [head, *(row.format(s=s, k=k, i=i, n=10 * k + i) for k, s in enumerate(SPECIES) for i in range(count))]
    )


FLAT = tree("images/{n}.jpg")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        # Leeds as it comes: the species stands in the names.
        (tree("leeds/images/{n}.png") | tree("leeds/segmentations/{n}_seg.png"),
         r"all photos lie in leeds/images/.*add a labels.csv"),
        (tree("{s}/{i}.jpg", ("2019", "2020", "2021")), r"folders 2019, 2020, 2021 are dates.*build\.layout=leaf"),
        (tree("{s}/{i}.jpg", ("Plate 1", "Tafel II", "KW 23")), "sessions, sites or specimens, and name no species"),
        (tree("{s}/{i}.jpg", ("1-50", "IMG_51-IMG_100")), "name no species"),
        (tree("{s}/{i}.jpg", ("juin", "Juli", "settembre")), "are dates, and name no species"),
        (tree("{s}/{i}.jpg", ("Montag", "5 stars", "100mm macro", "51.5N_0.1W")), "name no species"),
        (tree("{s}/{i}.jpg", ("Spain 2019", "Kew Gardens 2020-05-17 with Ann")), r"have dates .*build\.layout=leaf"),
        (tree("{s}/{i}.jpg", ("cam1", "cam2")), "sessions, sites or specimens, and name no species"),
        (tree("garden/{s}/{i}.jpg") | tree("meadow/{s}/x{i}.jpg"),
         r"two ways: species are garden, meadow or Monarch, Peacock, Red Admiral \(build\.layout=top .*layout=leaf"),
        (tree("{s}/{i}.jpg") | {"Brimstone.zip": b"PK"}, r"holds archives, which are not opened: Brimstone\.zip"),
        (FLAT | {"l.csv": rows("bild,art", "{n}.jpg,{s}")},
         r"l\.csv names 18 photos in its column bild, .*build\.label_column says which is \(art\)"),
        (FLAT | {"l.csv": rows("0.jpg,Monarch", "{n}.jpg,{s}")}, r"in its column column 1, .*which is \(column 2\)"),
        (FLAT | {"l.csv": rows("nummer,species", "x{n},{s}")}, r"l\.csv: no column names files .*nummer, species"),
        (FLAT | {"l.csv": rows("filename,species,target", "{n}.jpg,{s},{i}")},
         r"the label may be species \(Monarch.*\) or target \(0, 1, 2\) in l\.csv: .* build\.label_column"),
        (FLAT | {"a.csv": rows("filename,label", "{n}.jpg,{s}"), "b.csv": rows("filename,label", "{n}.jpg,{i}")},
         r"a\.csv and b\.csv give different labels: .*build\.table=a\.csv or build\.table=b\.csv chooses"),
        (tree("{s}/{n}.jpg") | {"l.csv": rows("filename,label", "{n}.jpg,sex {i}")},
         r"folders and tables give different labels: .*build\.layout=table or build\.layout=leaf chooses"),
        (tree("train/{n}.jpg") | tree("test/t{n}.jpg") | {
            "train.csv": rows("filename,label", "{n}.jpg,{s}"), "test.csv": rows("filename,label", "t{n}.jpg,Monarch")},
         r"test\.csv gives all its photos the one label 'Monarch', .*: build\.table=train\.csv leaves"),
        (FLAT | {"l.csv": rows("filename,label", "{n}.jpg,{k}"), "classes.txt": "Monarch\nPeacock"},
         r"labels are the numbers 0 to 2, but classes\.txt has 2 names"),
        (FLAT | {"l.csv": rows("filename,label", "{n}.jpg,5"), "m.csv": rows("x,y", "1,2")}, "only one species"),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_in_none_is_refused(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(UserError, match=message):
        listing = listing_of(tmp_path, files)
        manifest.check_species(listing, listing.members)


@pytest.mark.parametrize(
    ("files", "options", "species"),
    [
        (tree("{s}/{i}.jpg", ("2019", "2020")), {"layout": "leaf"}, {"2019", "2020"}),
        (tree("garden/{s}/{i}.jpg") | tree("meadow/{s}/x{i}.jpg"), {"layout": "leaf"}, set(SPECIES)),
        (tree("garden/{s}/{i}.jpg") | tree("meadow/{s}/x{i}.jpg"), {"layout": "top"}, {"garden", "meadow"}),
        (tree("{s}/plexippus/{i}.jpg", ("Danaus", "Vanessa")) | tree("{s}/io/{i}.jpg", ("Danaus", "Vanessa")),
         {"layout": "path"}, {"Danaus plexippus", "Danaus io", "Vanessa plexippus", "Vanessa io"}),
        (tree("{s}/{i}.jpg") | {"B.zip": b"PK"}, {"ignore": "*.zip"}, set(SPECIES)),
        (FLAT | {"l.csv": rows("bild,art", "{n}.jpg,{s}")}, {"label_column": "Art"}, set(SPECIES)),
        (FLAT | {"l.csv": rows("0.jpg;Monarch", "{n}.jpg;{s}")}, {"label_column": "2"}, set(SPECIES)),
        (FLAT | {"l.csv": rows("filename,species,target", "{n}.jpg,{s},{i}")},
         {"label_column": "species"}, set(SPECIES)),
        (FLAT | {"a.csv": rows("filename,label", "{n}.jpg,{s}"), "b.csv": rows("filename,label", "{n}.jpg,{i}")},
         {"table": "a.csv"}, set(SPECIES)),
        (tree("{s}/{n}.jpg") | {"l.csv": rows("filename,label", "{n}.jpg,sex {k}{i}")},
         {"layout": "leaf"}, set(SPECIES)),
    ],
)  # fmt: skip
def test_an_option_chooses(tmp_path: Path, files: Files, options: dict[str, str], species: set[str]) -> None:
    listing = listing_of(tmp_path, files, **options)
    assert {member.species for member in listing.members} == species


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "deep"}, "build.layout=deep: there are table, leaf, top, path and name"),
        ({"table": "x.csv"}, r"build.table=x.csv: no such table among the photos; there are l\.csv"),
        (
            {"label_column": "art"},
            r"build.label_column=art: no table has this column; .*l\.csv: filename",
        ),
        ({"name_encoding": "klingon", "layout": "leaf"}, None),
    ],
)
def test_an_option_that_does_not_fit_is_named(tmp_path: Path, options: dict[str, str], message: str | None) -> None:
    files = FLAT | {"l.csv": rows("filename,label", "{n}.jpg,{s}")}
    if message is None:
        # No name needs it.
        options = {"name_encoding": "klingon"}
        assert len(listing_of(tmp_path, files, **options).members) == 18
        return
    with pytest.raises(UserError, match=message):
        listing_of(tmp_path, files, **options)


def test_placeholders_and_other_tables_do_not_matter(tmp_path: Path) -> None:
    files = tree("train/{s}/{i}.jpg") | tree("test/{s}/t{i}.jpg")
    tables = {
        "sample_submission.csv": rows("filename,label", "t{i}.jpg,Monarch"),
        "predictions.csv": rows("filename,label", "{i}.jpg,Peacock"),
        "weather.csv": "day,rain\n1,2\n",
        "README.txt": "filename,label\nx,y\n",
    }
    listing = listing_of(tmp_path, files | tables)
    assert labels(listing) == {name: name.split("/")[1] for name in files}
    assert listing.source == "folders"
    assert "weather.csv (its columns day, rain name no files of the input)" in " ".join(listing.notes)


def test_a_table_that_agrees_with_the_folders_adds_to_them(tmp_path: Path) -> None:
    """It names the species otherwise, and only some photos."""
    files = tree("{k}_{s}/{n}.jpg")
    table = rows("filename,label", "{n}.jpg,Common {s}", count=2)
    listing = listing_of(tmp_path, files | {"labels.csv": table})
    assert labels(listing) == {name: "Common " + name.split("/")[0][2:] for name in files}


def test_a_stray_folder_is_no_species(tmp_path: Path) -> None:
    for stray in ("docs/figure.png", "other/x.png"):
        listing = listing_of(tmp_path, tree("butterflies/{s}/{i}.jpg", count=10) | {stray: b"x"})
        assert {member.species for member in listing.members} == set(SPECIES)
        assert stray not in labels(listing)


@pytest.mark.parametrize(
    ("train", "test"), [("butterflies_train", "butterflies_test"), ("train images", "Test-Images")]
)
def test_words_of_splits_with_others_beside(tmp_path: Path, train: str, test: str) -> None:
    listing = listing_of(tmp_path, tree(train + "/{s}/{i}.jpg") | tree(test + "/{s}/t{i}.jpg"))
    assert {(m.species, m.split) for m in listing.members} == {
        (s, split) for s in SPECIES for split in ("train", "test")
    }


def test_groups_of_tables_and_folders(tmp_path: Path) -> None:
    table = rows("filename,label,specimen_id,site", "{n}.jpg,{s},S{k}-{n},A")
    listing = listing_of(tmp_path, FLAT | {"l.csv": table.replace("S0-1,", "S0-0,")})
    assert listing.group_names == ("specimen_id in l.csv",)
    assert listing.groups["images/1.jpg"] == listing.groups["images/0.jpg"] == [("specimen_id", "S0-0")]
    observations = rows("id,scientific_name", "{n},{s}", count=3)
    photos = {f"photos/{10 * k + i}_{j}.jpg": b"x" for k in range(3) for i in range(3) for j in range(2)}
    listing = listing_of(tmp_path, photos | {"observations.csv": observations})
    assert len(listing.members) == 18
    assert listing.groups["photos/0_0.jpg"] == listing.groups["photos/0_1.jpg"] != listing.groups["photos/1_0.jpg"]


NAMES = (
    "Monarch",
    "Peacock",
    "Red Admiral",
    "Danaus plexippus",
    "Aglais io",
    "Sp 3",
    "Großer Fuchs",
    "孔雀蛱蝶",
    "a",
    "0",
    "12",
)
FOLDER_WORDS = ("data", "images", "set", "2020", "train", "Test", "val", "Nymphalidae", "north", "obs_4", "site 2", "x")
LABEL_HEADS = ("label", "species", "class", "scientific_name", "note", "value")
FILE_HEADS = ("filename", "path", "image_id", "foto", "id")
LIST_LINES = (
    ("classes.txt", "{code} {label}"), ("words.txt", "{code}\t{label}"), ("labels_map.txt", "{label}: {code}"),
    ("classes.csv", "{code},{label}"), ("README.md", "- {code}: {label}"), ("classes.txt", "{label}"),
    ("notes.txt", "{label}"),
)  # fmt: skip


# What folders of one species may have in addition.
ADDITIONS = ([""], [""], [""], [" male", " female"], ["", "_2020-05-01"])


@st.composite
def collections(draw: st.DrawFn) -> tuple[Files, dict[str, str]]:
    """Returns a random collection, and the true species of each photo; the folders may or may not name it."""
    # Folders may be codes, which a list names or may leave without a name; what they stand for is no number then.
    code = draw(st.sampled_from(["{label}", "{label}", "{k}", "{k:03}", "n0{k}227654", "class_{k}"]))
    names = [name for name in NAMES if code == "{label}" or not name.isdigit()]
    species = draw(st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True))
    above = draw(st.lists(st.sampled_from(FOLDER_WORDS), max_size=2))
    variants = draw(st.lists(st.sampled_from(FOLDER_WORDS), min_size=1, max_size=3, unique=True))
    below = draw(st.lists(st.sampled_from(FOLDER_WORDS), max_size=1))
    named = draw(st.booleans())
    table = draw(st.booleans()) or not named
    rng = random.Random(draw(st.integers(0, 1000)))
    truth: dict[str, str] = {}
    number = 0
    line = draw(st.sampled_from(LIST_LINES))
    codes: set[str] = set()
    additions = draw(st.sampled_from(ADDITIONS)) if code == "{label}" else [""]
    for k, label in enumerate(species, start=draw(st.integers(0, 1))):
        for _ in range(rng.randint(2, 5)):
            folder = code.format(k=k, label=label) + rng.choice(additions)
            codes.add(folder)
            number += 1
            folders = [*above, rng.choice(variants), *([folder] if named else []), *below]
            truth["/".join([*folders, f"IMG_{number:04}.jpg"])] = label
    files: Files = dict.fromkeys(truth, b"x")
    if named and code != "{label}":
        coded = {label: next(part for part in path.split("/") if part in codes) for path, label in truth.items()}
        name, text = line
        files[name] = "\n".join(text.format(code=own, label=label) for label, own in coded.items())
    if table:
        # Two folders that may be species are read as such, where a table's column does not say that it is the label.
        heads = LABEL_HEADS if named or len({"x", "Nymphalidae"} & set(variants)) < 2 else LABEL_HEADS[:4]
        head = f"{draw(st.sampled_from(FILE_HEADS))},{draw(st.sampled_from(heads))}"
        spelling = draw(st.sampled_from(["{path}", "{file}", "{stem}", "C:\\set\\{path}"]))
        files["labels.csv"] = draw(st.sampled_from(TABLES_OF))(head, [*truth.items()], spelling)
        if head.split(",")[1] in LABEL_HEADS[:4] and draw(st.integers(0, 9)) == 9:
            # Other names for the same classes.
            others = [(path, f"{label} of old") for path, label in truth.items()]
            files["names.csv"] = one_per_row("filename,species", others, "{path}")
    return files, truth


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(collections())
def test_labels_are_right_or_refused(collection: tuple[Files, dict[str, str]]) -> None:
    files, truth = collection
    with tempfile.TemporaryDirectory() as folder:
        try:
            listing = listing_of(Path(folder), files)
            manifest.check_rejects(listing.rejects, listing, BuildConfig())
        except UserError:
            return
    found = {photo: words.plain(label) for photo, label in labels(listing).items()}
    if len(set(found.values())) < 2:
        # Refused by `manifest.check_species`.
        return
    wrong = {photo: (label, truth[photo]) for photo, label in found.items() if label != words.plain(truth[photo])}
    if any(note.startswith("labels are ") for note in listing.notes):
        # Codes that nothing names stay, and the build says so.
        wrong = {photo: pair for photo, pair in wrong.items() if pair[0] not in photo.split("/")}
    assert not wrong
