"""Layouts and tables that a collection of photos may have, with their labels: tests and docs are of these."""

# ruff: noqa: E501  (a row an example)
from __future__ import annotations

from dataclasses import dataclass, field

SPECIES = ("Monarch", "Peacock", "Red Admiral")
_WNIDS = ("n02279972", "n02281406", "n02276258")
Labels = dict[str, tuple[str, str | None]]


@dataclass(frozen=True)
class Example:
    """A collection.

    Attributes:
      title: what it is.
      photos: paths of photos, with species and split.
      tables: text of each table.
      unlabelled: paths of photos that are left out.
    """

    title: str
    photos: Labels
    tables: dict[str, str] = field(default_factory=dict)
    unlabelled: tuple[str, ...] = ()

    @property
    def files(self) -> dict[str, bytes | str]:
        """Returns the members of a zip."""
        return {**dict.fromkeys([*self.photos, *self.unlabelled], b"x"), **self.tables}

    def lines(self) -> list[str]:
        """Returns lines that show it: some photos, and the first lines of each table."""
        photos = [*self.photos]
        count = (2 if self.tables else 4) - bool(self.unlabelled)
        # From the first to the last, to show every kind of folder.
        chosen = [photos[n * (len(photos) - 1) // max(1, count - 1)] for n in range(count)]
        shown = [*dict.fromkeys(chosen), *self.unlabelled[:1]]
        if len(shown) < len(photos) + len(self.unlabelled):
            shown.append("…")
        for name, text in self.tables.items():
            lines = text.splitlines()
            head = lines if len(lines) <= 4 else [*lines[: 3 if len(self.tables) == 1 else 2], "…"]
            shown += [f"{name}: {head[0]}", *(" " * (len(name) + 2) + line for line in head[1:])]
        return [line if len(line) <= 100 else line[:99] + "…" for line in shown]


def _tree(pattern: str, split: str | None = None, count: int = 2) -> Labels:
    return {
        pattern.format(s=s, k=k, i=i, n=10 * k + i): (s, split) for k, s in enumerate(SPECIES) for i in range(count)
    }


def _flat(split: str | None = None, pattern: str = "images/{n}.jpg") -> Labels:
    return _tree(pattern, split)


def _rows(head: str, row: str, separator: str = "\n") -> str:
    return separator.join(
        [head, *(row.format(s=s, k=k, n=10 * k + i, i=i) for k, s in enumerate(SPECIES) for i in range(2))]
    )


FOLDERS = [
    Example("One folder per species", _tree("{s}/{i}.jpg")),
    Example("One folder around everything", _tree("butterflies/{s}/{i}.jpg")),
    Example("Split folders above the species", _tree("train/{s}/{i}.jpg", "train") | _tree("test/{s}/t{i}.jpg", "test")),
    Example(
        "Split folders by their other names",
        _tree("Training_set/{s}/{i}.jpg", "train") | _tree("dev/{s}/v{i}.jpg", "val") | _tree("holdout/{s}/t{i}.jpg", "test"),
    ),
    Example("Split folders below the species", _tree("{s}/train/{i}.jpg", "train") | _tree("{s}/test/t{i}.jpg", "test")),
    Example("Containers that name nothing", _tree("data/images/{s}/JPG/{i}.jpg")),
    Example("Masks beside the photos", _tree("images/{s}/{i}.jpg"), unlabelled=("masks/Monarch/0.png",)),
    Example(
        "A taxonomy: the innermost folder is the species",
        {
            "Nymphalidae/Danaus/Danaus plexippus/1.jpg": ("Danaus plexippus", None),
            "Nymphalidae/Vanessa/Vanessa atalanta/2.jpg": ("Vanessa atalanta", None),
            "Papilionidae/Papilio/Papilio machaon/3.jpg": ("Papilio machaon", None),
        },
    ),
    Example("Years above the species", _tree("2019/{s}/{i}.jpg") | _tree("2020/{s}/x{i}.jpg")),
    Example("Regions above the species", _tree("Europe/{s}/{i}.jpg") | _tree("Asia/{s}/x{i}.jpg")),
    Example("Cameras above the species", _tree("camera 1/{s}/{i}.jpg") | _tree("camera 2/{s}/x{i}.jpg")),
    Example("Specimens below the species", _tree("{s}/specimen_1/{i}.jpg") | _tree("{s}/specimen_2/x{i}.jpg")),
    Example(
        "Unlabelled photos in test",
        _tree("train/{s}/{i}.jpg", "train"),
        unlabelled=("test/t1.jpg", "test/t2.jpg"),
    ),
    Example(
        "Numbered folders with classes.txt", {f"{k}/{i}.jpg": (s, None) for k, s in enumerate(SPECIES) for i in range(2)},
        {"classes.txt": "\n".join(SPECIES)},
    ),
    Example(
        "Folders of codes with a list of their names", {f"train/{c}/{i}.jpg": (s, "train") for c, s in zip(_WNIDS, SPECIES, strict=True) for i in range(2)},
        {"words.txt": "\n".join(f"{c}\t{s}" for c, s in zip(_WNIDS, SPECIES, strict=True))},
    ),
    Example(
        "A README that says what folders are", {f"{k}/{i}.jpg": (s, None) for k, s in enumerate(SPECIES) for i in range(2)},
        {"README.md": "| folder | species |\n| --- | --- |\n" + "\n".join(f"| {k} | {s} |" for k, s in enumerate(SPECIES))},
    ),
]  # fmt: skip

TABLES = [
    Example("filename,label", _flat(), {"labels.csv": _rows("filename,label", "{n}.jpg,{s}")}),
    Example("Other usual names", _flat(), {"data.csv": _rows("image_id;species", "{n};{s}")}),
    Example("A column of splits", _flat("test"), {"labels.csv": _rows("file,class,subset", "{n}.jpg,{s},testing")}),
    Example(
        "A table per split",
        _flat("train", "images/{n}.jpg") | _flat("val", "images/v{n}.jpg"),
        {
            "train.csv": _rows("filename,label", "{n}.jpg,{s}"),
            "val.csv": _rows("filename,label", "v{n}.jpg,{s}"),
        },
    ),
    Example(
        "Split folders and one table",
        _flat("train", "train/{n}.jpg") | _flat("test", "test/t{n}.jpg"),
        {"labels.csv": _rows("path,label", "train/{n}.jpg,{s}") + _rows("", "test/t{n}.jpg,{s}")},
    ),
    Example(
        "Kaggle's butterflies: test without labels, names in both",
        _flat("train", "train/Image_{n}.jpg"),
        {
            "Training_set.csv": _rows("filename,label", "Image_{n}.jpg,{s}"),
            "Testing_set.csv": "filename\nImage_0.jpg\nImage_1.jpg",
        },
        ("test/Image_0.jpg", "test/Image_1.jpg"),
    ),
    Example("Tabs, a comment", _flat(), {"labels.txt": _rows("# mine\nfilename\tlabel", "{n}.jpg\t{s}")}),
    Example("Excel's sep= line", _flat(), {"labels.csv": _rows("sep=;\nfilename;label", "{n}.jpg;{s}")}),
    Example("Paths of Windows", _flat(), {"labels.csv": _rows("path,label", "C:\\Users\\me\\set\\images\\{n}.jpg,{s}")}),
    Example("URLs", _flat(), {"labels.csv": _rows("url,label", "https://example.org/a/{n}.jpg?size=large,{s}")}),
    Example(
        "A column per class (Roboflow)", _flat(),
        {"_classes.csv": "\n".join(
            ["filename, " + ", ".join(SPECIES)]
            + [f"{10 * k + i}.jpg, " + ", ".join("1" if j == k else "0" for j in range(3)) for k in range(3) for i in range(2)]
        )},
    ),
    Example(
        "Numbers with classes.txt", _flat(),
        {"labels.csv": _rows("filename,label", "{n}.jpg,{k}"), "classes.txt": "\n".join(SPECIES)},
    ),
    Example("Numbers with their names beside", _flat(), {"labels.csv": _rows("filename,label,label_name", "{n}.jpg,{k},{s}")}),
    Example(
        "Two tables with a shared key", _flat(),
        {"images.csv": _rows("filename,species_id", "{n}.jpg,{k}"), "species.csv": "id,name\n" + "\n".join(
            f"{k},{s}" for k, s in enumerate(SPECIES))},
    ),
    Example("JSON lines", _flat(), {"metadata.jsonl": _rows("", '{{"file_name": "{n}.jpg", "label": "{s}"}}').strip()}),
    Example(
        "A JSON map", _flat(),
        {"labels.json": "{" + _rows("", '"{n}.jpg": "{s}"', ",\n").strip(",\n") + "}"},
    ),
    Example(
        "COCO", _flat(),
        {"annotations.json": '{"images": [' + _rows("", '{{"id": {n}, "file_name": "{n}.jpg"}}', ",\n").strip(",\n")
         + '],\n"annotations": [' + _rows("", '{{"image_id": {n}, "category_id": {k}}}', ",").strip(",")
         + '],\n"categories": [' + ",".join(f'{{"id": {k}, "name": "{s}"}}' for k, s in enumerate(SPECIES)) + "]}"},
    ),
    Example(
        "Label Studio", _flat(),
        {"export.json": "[" + _rows(
            "", '{{"data": {{"image": "/data/upload/1/ab12cd34-{n}.jpg"}}, '
            '"annotations": [{{"result": [{{"value": {{"choices": ["{s}"]}}}}]}}]}}', ",\n").strip(",\n") + "]"},
    ),
    Example(
        "CVAT", _flat(),
        {"annotations.xml": '<annotations>\n' + _rows(
            "", '<image name="images/{n}.jpg"><tag label="{s}"></tag></image>').strip() + "\n</annotations>"},
    ),
    Example(
        "A table in Markdown", _flat(),
        {"labels.md": "| file | species |\n" + _rows("|---|---|", "| {n}.jpg | {s} |")},
    ),
    Example(
        "A photo and a label of words per line", _flat("train"), {"images_train.txt": _rows("", "{n}.jpg {s}").strip()},
    ),
    Example(
        "iNaturalist", _flat(None, "photos/{n}.jpg"),
        {"observations-1.csv": _rows("id,observed_on,scientific_name,common_name", "{n},2020-01-01,{s},{s}")},
    ),
    Example(
        "Darwin Core (GBIF)", _flat(None, "media/{n}.jpg"),
        {"occurrence.txt": _rows("gbifID\tclass\tfamily\tscientificName", "{n}\tInsecta\tNymphalidae\t{s}")},
    ),
    Example("Without a header, in a file named after labels", _flat("train"), {"train.txt": _rows("", "images/{n}.jpg,{s}").strip()}),
    Example(
        "Specimens: a row per folder", _tree("A{n}/dorsal.jpg") | _tree("A{n}/ventral.jpg"),
        {"specimens.csv": _rows("specimen_id,species", "A{n},{s}")},
    ),
    Example("The lists that this library writes", _flat("train"), {"train.csv": _rows("photo_id,label", "images/{n}.jpg,{s}")}),
]  # fmt: skip
