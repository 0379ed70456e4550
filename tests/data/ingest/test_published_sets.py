"""Data sets in the form in which they are published: every file is understood, or its doubt is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import manifest
from tests.data.ingest.test_layouts import FLAT, Files, labels, listing_of, tree

SPECIES = ("Danaus plexippus", "Vanessa atalanta", "Aglais io")
ENGLISH = ("Monarch", "Red Admiral", "Peacock")
# Species, number of a photo in it, number in the set.
PHOTOS = [(k, i, 10 * k + i) for k in range(3) for i in range(6)]


def lines(row: str, head: str = "", among: range = range(6)) -> str:
    """Returns a line per photo; {s} and {u} are its species with a space and with an underscore."""
    rows = [
        row.format(s=SPECIES[k], u=SPECIES[k].replace(" ", "_"), c=ENGLISH[k], k=k, i=i, n=n, id=uuid(n))
        for k, i, n in PHOTOS
        if i in among
    ]
    return "\n".join([head, *rows] if head else rows)


def photos(pattern: str, among: range = range(6)) -> Files:
    return dict.fromkeys(lines(pattern, among=among).split("\n"), b"x")


def uuid(number: int) -> str:
    return f"0000139e-21dc-4d0c-bfe1-4cae3c85{number:04}"


def species(name: str) -> str:
    """Returns the species of a photo that is named by its number."""
    return SPECIES[int("".join(filter(str.isdigit, Path(name).stem))[-2:]) // 10]


TRAIN, TEST = range(4), range(4, 6)
LONG = "{k:05}_Animalia_Arthropoda_Insecta_Lepidoptera_Nymphalidae_{u}"
NABIRDS = {
    "images.txt": lines("{id} 08{k}/{n:032}.jpg"),
    "image_class_labels.txt": lines("{id} 8{k}"),
    "train_test_split.txt": lines("{id} 1", among=TRAIN) + "\n" + lines("{id} 0", among=TEST),
    "classes.txt": "\n".join(f"8{k} {s}" for k, s in enumerate(SPECIES)),
    "bounding_boxes.txt": lines("{id} 1 2 30 40"),
    "hierarchy.txt": "80 3\n81 3\n82 3",
}
INAT = {
    "images": [{"id": int(Path(photo).stem), "file_name": photo} for photo in photos(f"train_mini/{LONG}/{{n}}.jpg")],
    "annotations": [{"id": n, "image_id": n, "category_id": k} for k, _, n in PHOTOS],
    "categories": [{"id": k, "name": s, "common_name": ENGLISH[k], "class": "Insecta"} for k, s in enumerate(SPECIES)],
}
CAMTRAP = {
    "deployments.csv": "deploymentID,locationID\nd0,l1\nd1,l2",
    "media.csv": lines("m{n},d{k},2020,images/{n}.jpg", "mediaID,deploymentID,timestamp,filePath"),
    "observations.csv": lines("o{n},m{n},{s},1", "observationID,mediaID,scientificName,count"),
}
ARCHIVE = {
    "occurrence.txt": lines(
        "{n}\t{s} (Linnaeus, 1758)\tInsecta\tNymphalidae\t{s}", "gbifID\tscientificName\tclass\tfamily\tspecies"
    ),
    "verbatim.txt": lines("{n}\t{s} (Linnaeus, 1758)", "gbifID\tscientificName"),
    "multimedia.txt": lines("{n}\tStillImage\thttps://a.org/{n}.jpg", "gbifID\ttype\tidentifier"),
    "meta.xml": "<archive/>",
}


BIRDSNAP = {
    "images.txt": lines("http://a.org/{n}x.jpg\timages/{n}.jpg\t{k}", "url\tpath\tspecies_id"),
    "species.txt": "id\tcommon\tscientific\tdir\n"
    + "\n".join(f"{k}\t{ENGLISH[k]}\t{s}\t{k}" for k, s in enumerate(SPECIES)),
}
WNIDS = ("n02276258", "n02277742", "n02279972")
IMAGENET = {f"ILSVRC/Data/CLS-LOC/train/{WNIDS[k]}/{WNIDS[k]}_{n:04}.JPEG": b"x" for k, _, n in PHOTOS}
OF_VAL = photos("ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_{n:08}.JPEG")
MAPPING = {"LOC_synset_mapping.txt": "\n".join(f"{w} {s}" for w, s in zip(WNIDS, SPECIES, strict=True))}
SOLUTION = {
    "LOC_val_solution.csv": "ImageId,PredictionString\n"
    + "\n".join(
        f"ILSVRC2012_val_{n:08}," + f"{WNIDS[k]} 1 2 30 40 " * (1 + i % 2)
        for k, i, n in PHOTOS
    ),
    "LOC_sample_submission.csv": lines("ILSVRC2012_test_{n:08},n02276258 1 1 2 2", "ImageId,PredictionString"),
}  # fmt: skip
AIRCRAFT = {
    f"data/images_{level}_{split}.txt": lines(f"{{n:07}} {label}", among=among)
    for level, label in (("family", "{c}"), ("variant", "{s}"))
    for split, among in (("train", TRAIN), ("test", TEST))
} | {"data/variants.txt": "\n".join(SPECIES), "data/images_box.txt": lines("{n:07} 1 2 30 40")}
PREVIEWS = {"Aglais io/CaptureOne/Cache/Proxies/20.jpg": b"x", "Catalogue Previews.lrdata/0.jpg": b"x"}


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (photos("images/08{k}/{n:032}.jpg") | NABIRDS, {"train": 12, "test": 6}),
        (
            photos(f"train_mini/{LONG}/{{n}}.jpg")
            | photos(f"val/{LONG}/{{n}}.jpg", range(2))
            | {"train_mini.json": json.dumps(INAT)},
            {"train": 18, "val": 6},
        ),
        (FLAT | CAMTRAP, {None: 18}),
        (photos("{n}.jpg") | ARCHIVE, {None: 18}),
        (FLAT | BIRDSNAP, {None: 18}),
        (
            photos("iCloud Photos Part 1 of 2/{s}/{n}.jpg", TRAIN)
            | photos("iCloud Photos Part 2 of 2/{s}/{n}.jpg", TEST),
            {None: 18},
        ),
        (photos("224x224/{s}/{n}.jpg") | photos("512x512/{s}/{n}.jpg"), {None: 36}),
        (photos("{s}_train/{n}.jpg", TRAIN) | photos("{s} (test)/{n}.jpg", TEST), {"train": 12, "test": 6}),
        (photos("{s}/{n}.jpg") | PREVIEWS, {None: 18}),
        (IMAGENET | OF_VAL | MAPPING | SOLUTION, {"train": 18, "val": 18}),
    ],
    ids=[
        "NABirds", "iNaturalist 2021", "Camtrap DP", "archive of GBIF", "Birdsnap", "iCloud", "two sizes",
        "splits in species", "previews", "ImageNet of Kaggle",
    ],
)  # fmt: skip
def test_published_sets_give_their_labels_and_splits(tmp_path: Path, files: Files, splits: dict[str, int]) -> None:
    listing = listing_of(tmp_path, files)
    assert labels(listing) == {name: species(name) for name in labels(listing)}
    assert not listing.rejects
    found = [member.split for member in listing.members]
    assert {split: found.count(split) for split in found} == splits


def test_the_labels_of_fgvc_aircraft_are_words_at_one_of_its_levels(tmp_path: Path) -> None:
    files = photos("data/images/{n:07}.jpg") | AIRCRAFT
    family, variant = (
        ",".join(f"data/images_{level}_{split}.txt" for split in ("test", "train")) for level in ("family", "variant")
    )
    with pytest.raises(UserError, match="name the same classes differently") as error:
        listing_of(tmp_path, files)
    assert f"build.table={family} or build.table={variant} chooses" in str(error.value)
    listing = listing_of(tmp_path, files, table=variant)
    assert labels(listing) == {name: species(name) for name in photos("data/images/{n:07}.jpg")}
    assert [member.split for member in listing.members].count("test") == 6


def test_photos_of_a_split_without_folders_have_no_species(tmp_path: Path) -> None:
    for layout in ("", "leaf"):
        with pytest.raises(UserError, match=r"18 like ILSVRC/.*: in ILSVRC/Data/CLS-LOC/val/, without a folder of a s"):
            listing = listing_of(tmp_path, IMAGENET | OF_VAL | MAPPING, layout=layout)
            manifest.check_rejects([*listing.rejects], listing, BuildConfig())


def test_names_of_classes_make_no_groups(tmp_path: Path) -> None:
    # Each line names all photos of a species by the beginning of their names.
    words = "n00001740\tentity\n" + "\n".join(f"{w}\t{s}" for w, s in zip(WNIDS, SPECIES, strict=True))
    listing = listing_of(tmp_path, IMAGENET | {"words.txt": words})
    assert {member.species for member in listing.members} == set(SPECIES)
    assert not listing.group_names


def test_photos_of_a_camera_trap_stay_together(tmp_path: Path) -> None:
    assert listing_of(tmp_path, FLAT | CAMTRAP).group_names == ("deploymentID in media.csv",)


def test_lists_of_pascal_voc_make_no_groups_with_their_masks(tmp_path: Path) -> None:
    files = photos("V/JPEGImages/{n}.jpg") | photos("V/SegmentationClass/{n}.png")
    files |= {
        f"V/Annotations/{n}.xml": f"<annotation><object><name>{SPECIES[k]}</name></object></annotation>"
        for k, _, n in PHOTOS
    }
    files |= {
        "V/ImageSets/Main/train.txt": lines("{n}", among=TRAIN),
        "V/ImageSets/Main/val.txt": lines("{n}", among=TEST),
    }
    listing = listing_of(tmp_path, files)
    assert labels(listing) == {name: species(name) for name in photos("V/JPEGImages/{n}.jpg")}
    assert not listing.group_names


def test_the_lists_of_oxfords_pets_are_doubtful_by_name(tmp_path: Path) -> None:
    files = photos("images/{u}_{n}.jpg") | photos("annotations/trimaps/{u}_{n}.png")
    files |= {
        "annotations/trainval.txt": lines("{u}_{n} {k} {i} 2", among=TRAIN),
        "annotations/test.txt": lines("{u}_{n} {k} {i} 2", among=TEST),
    }
    with pytest.raises(UserError, match=r"test\.txt names 6 photos in its column column 1, .*\(column 2, column 3"):
        listing_of(tmp_path, files)
    listing = listing_of(tmp_path, files, layout="name")
    assert labels(listing) == {name: species(name) for name in photos("images/{u}_{n}.jpg")}
    assert [member.split for member in listing.members].count("test") == 6


def test_a_list_of_partitions_is_not_one_of_labels(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"list_eval_partition\.txt names 18 photos .* none .* known as the label"):
        listing_of(tmp_path, FLAT | {"list_eval_partition.txt": lines("{n}.jpg {i}")})


def test_one_word_more_than_a_split_is_no_other_split(tmp_path: Path) -> None:
    files = tree("train_small/{s}/{i}.jpg") | tree("val/{s}/v{i}.jpg")
    assert {member.split for member in listing_of(tmp_path, files).members} == {"train", "val"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("data/train-00000-of-00001.parquet", r"there are only \.parquet \(1\); photos within Parquet files are not"),
        ("train.tfrecord-00000-of-00001", "photos within TFRecord files are not read: write them as image files first"),
        ("notes.txt", r"no file in it is an image, there are only \.txt \(1\)$"),
    ],
)
def test_what_a_zip_without_photos_holds_is_named(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        listing_of(tmp_path, {name: b"PAR1"})
