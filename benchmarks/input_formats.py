"""The photos that bench_input.py measures on, in the format of each library that does not read our TFRecords."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from butterflyer_jax.data.input.shard_reader import Photos, Reader
from butterflyer_jax.storage.folder import LocalFiles

Photo = tuple[bytes, int]

# The data set as it was built; every other format is written from it.
RECORDS = "records"
# At least; webdataset shares them out among the processes that read.
TAR_SHARDS = 16
LABEL_BYTES = 4


def training_photos(dataset_dir: Path) -> list[Photo]:
    """Returns the JPEG and the label of every training photo of a built data set."""
    shards = sorted(path.name for path in dataset_dir.glob("*-train.tfrecord-*"))
    splits = json.loads((dataset_dir / "dataset_info.json").read_text())["splits"]
    lengths = next([int(length) for length in split["shardLengths"]] for split in splits if split["name"] == "train")
    photos = Photos(LocalFiles(dataset_dir), shards, lengths)
    with contextlib.closing(Reader(photos)) as reader:
        return [(reader.jpeg(number), int(photos.label[number])) for number in range(len(photos))]


def _write_files(photos: Iterable[Photo], folder: Path) -> None:
    for number, (jpeg, label) in enumerate(photos):
        path = folder / f"{label:05}" / f"{number:08}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jpeg)


def _write_tars(photos: Sequence[Photo], folder: Path) -> None:
    shards = min(len(photos), max(TAR_SHARDS, os.cpu_count() or 1))
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as tar:
            for number in range(shard, len(photos), shards):
                jpeg, label = photos[number]
                for suffix, content in (("jpg", jpeg), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{number:08}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def _write_array_record(photos: Iterable[Photo], folder: Path) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(os.fspath(folder / "photos.array_record"), "group_size:1")
    for jpeg, label in photos:
        writer.write(label.to_bytes(LABEL_BYTES, "little") + jpeg)
    writer.close()


def _write_beton(mode: str) -> Callable[[Sequence[Photo], Path], None]:
    def write(photos: Sequence[Photo], folder: Path) -> None:
        from ffcv import fields, writer

        class Decoded:
            """What FFCV indexes; it takes pixels alone, and encodes them again."""

            def __len__(self) -> int:
                return len(photos)

            def __getitem__(self, number: int) -> tuple[np.ndarray, int]:
                jpeg, label = photos[number]
                return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")), label

        image = fields.RGBImageField(write_mode=mode, jpeg_quality=95)
        columns = {"image": image, "label": fields.IntField()}
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            target = writer.DatasetWriter(os.fspath(folder / "photos.beton"), columns, num_workers=1)
            target.from_indexed_dataset(Decoded())

    return write


# Each writes into an empty folder.
FORMATS: dict[str, Callable[[Sequence[Photo], Path], None]] = {
    "files": _write_files,
    "tars": _write_tars,
    "array_record": _write_array_record,
    "beton_jpeg": _write_beton("jpg"),
    "beton_raw": _write_beton("raw"),
}
