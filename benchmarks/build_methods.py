"""Builds that bench_build.py measures, each from a raw zip into records."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import itertools
import math
import multiprocessing
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from butterflyer_jax.storage import files as files_lib
from butterflyer_jax.synthetic import SPECIES, draw_photo

SHORT_SIDE = 256
QUALITY = 95
SHARD_BYTES = 128 << 20
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
SPLITS = ("train", "val", "test")
ASPECTS = (4 / 3, 3 / 2, 5 / 4, 1, 3 / 4, 4 / 5)
SIZES_PER_DRAWING = 8
# Drawing is slow: what is to be larger is drawn at this long side, pixels, and enlarged.
MAX_DRAWN_SIDE = 1600


@dataclass(frozen=True)
class Method:
    """A way to build: `build(zip, folder)`, and `stored(folder)`, which yields (photo_id, JPEG) from the records."""

    title: str
    build: Callable[[Path, Path], None]
    stored: Callable[[Path], Iterator[tuple[str, bytes]]]
    needs: str = ""

    @property
    def available(self) -> bool:
        """Whether the library that it needs is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None


def photo_names(raw_zip: Path) -> list[str]:
    """Returns the members of a zip that are photos, by their suffix."""
    with zipfile.ZipFile(raw_zip) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    return sorted(n for n in names if n.lower().endswith(PHOTO_SUFFIXES) and not n.startswith("__MACOSX"))


def _ours(raw_zip: Path, folder: Path) -> None:
    from butterflyer_jax.config import BuildConfig
    from butterflyer_jax.data.build import build

    build(raw_zip, folder, BuildConfig(image_size=SHORT_SIDE, jpeg_quality=QUALITY))


def scale_with_pillow(data: bytes) -> bytes:
    """Returns a photo as the JPEG to be stored, scaled by Pillow as most programs do."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    scale = SHORT_SIDE / min(image.size)
    width, height = (max(SHORT_SIDE, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _split(name: str) -> str:
    share = zlib.crc32(name.encode()) % 100
    return "train" if share < 70 else "val" if share < 85 else "test"


def _species(name: str) -> str:
    return PurePosixPath(name).parent.name or "none"


def _plain_tfds(raw_zip: Path, folder: Path) -> None:
    _plain_builder()(raw_zip, data_dir=os.fspath(folder)).download_and_prepare()


@functools.cache
def _plain_builder() -> Callable[..., Any]:
    import tensorflow_datasets as tfds
    from etils import epath

    tfds.disable_progress_bar()

    class PlainButterflies(tfds.core.GeneratorBasedBuilder):
        """One loop in one process, as in the tutorials of TFDS."""

        VERSION = tfds.core.Version("1.0.0")
        # TFDS looks for it through the package that the class is in, and a script is in none.
        pkg_dir_path = epath.Path(__file__).parent

        def __init__(self, raw_zip: Path, **kwargs: Any) -> None:
            self._raw_zip = raw_zip
            super().__init__(**kwargs)

        def _info(self) -> tfds.core.DatasetInfo:
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                        "label": tfds.features.ClassLabel(names=sorted({*map(_species, photo_names(self._raw_zip))})),
                        "photo_id": tfds.features.Text(),
                    }
                )
            )

        def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
            names = photo_names(self._raw_zip)
            return {split: self._generate_examples([n for n in names if _split(n) == split]) for split in SPLITS}

        def _generate_examples(self, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
            with zipfile.ZipFile(self._raw_zip) as archive:
                for name in names:
                    image = scale_with_pillow(archive.read(name))
                    yield name, {"image": image, "label": _species(name), "photo_id": name}

    return PlainButterflies


def _stored_in_tfrecords(folder: Path) -> Iterator[tuple[str, bytes]]:
    import tensorflow as tf

    files = sorted(os.fspath(path) for path in folder.rglob("*.tfrecord*"))
    for record in tf.data.TFRecordDataset(files).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        yield features["photo_id"].bytes_list.value[0].decode(), features["image"].bytes_list.value[0]


# Of a process of the pool: each opens the zip once.
_archive: zipfile.ZipFile


def _open_archive(raw_zip: Path) -> None:
    global _archive
    _archive = zipfile.ZipFile(raw_zip)


def _read_and_scale(name: str) -> tuple[str, bytes]:
    return name, scale_with_pillow(_archive.read(name))


def _webdataset(raw_zip: Path, folder: Path) -> None:
    import webdataset

    names = photo_names(raw_zip)
    labels = {species: number for number, species in enumerate(sorted({*map(_species, names)}))}
    patterns = {split: os.fspath(folder / f"{split}-%05d.tar") for split in SPLITS}
    writers = {s: webdataset.ShardWriter(p, maxsize=SHARD_BYTES, verbose=0) for s, p in patterns.items()}
    with multiprocessing.Pool(os.cpu_count(), _open_archive, (raw_zip,)) as pool:
        for number, (name, jpeg) in enumerate(pool.imap(_read_and_scale, names, chunksize=8)):
            sample = {"__key__": f"{number:08}", "jpg": jpeg, "cls": labels[_species(name)], "txt": name}
            writers[_split(name)].write(sample)
        # Ended and waited for, so that their processor time is counted.
        pool.close()
        pool.join()
    for writer in writers.values():
        writer.close()


def _stored_in_tars(folder: Path) -> Iterator[tuple[str, bytes]]:
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            contents = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        for name, jpeg in contents.items():
            if name.endswith(".jpg"):
                yield contents[name.replace(".jpg", ".txt")].decode(), jpeg


METHODS = {
    "ours": Method("butterflyer_jax", _ours, _stored_in_tfrecords),
    "plain": Method("plain TFDS + Pillow", _plain_tfds, _stored_in_tfrecords),
    "webdataset": Method("webdataset + Pillow, Pool", _webdataset, _stored_in_tars, needs="webdataset"),
}


def is_turned(data: bytes) -> bool:
    """Returns whether EXIF says that a photo is to be turned."""
    return Image.open(io.BytesIO(data)).getexif().get(ExifTags.Base.Orientation, 1) != 1


def psnr(original: bytes, jpeg: bytes) -> float:
    """Returns the PSNR, dB, of a stored photo against the original decoded and scaled in full precision."""
    stored = Image.open(io.BytesIO(jpeg))
    planes = Image.open(io.BytesIO(original)).convert("RGB").split()
    scaled = [np.asarray(p.convert("F").resize(stored.size, Image.Resampling.LANCZOS)) for p in planes]
    # The filter overshoots beside edges; no picture of 8 bits holds that.
    difference = np.asarray(stored, np.float32) - np.stack(scaled, -1).clip(0, 255)
    return 10 * math.log10(255**2 / max(float(np.mean(np.square(difference))), 1e-9))


def draw_zip(path: Path, photos: int, long_side: tuple[int, int]) -> None:
    """Writes a raw zip of drawn butterflies, `<Species>/<photo>.jpg`; the same arguments give the same photos.

    Each drawing is saved in several sizes, as drawing takes longer than anything that is measured here.
    """
    drawings = -(-photos // SIZES_PER_DRAWING)
    with _whole_zip(path) as archive, ThreadPoolExecutor(os.cpu_count()) as pool:
        drawn = pool.map(lambda number: list(_draw(number, long_side)), range(drawings))
        for name, data in itertools.islice(itertools.chain.from_iterable(drawn), photos):
            archive.writestr(zipfile.ZipInfo(name, (2024, 6, 1, 12, 0, 0)), data)


def repeat_zip(source: Path, path: Path, times: int) -> None:
    """Writes a zip with every photo of another one `times` times, each time under another name."""
    with zipfile.ZipFile(source) as original, _whole_zip(path) as archive:
        for info in original.infolist():
            data = original.read(info)
            for copy in range(times):
                name = PurePosixPath(info.filename)
                renamed = name.with_name(f"{name.stem}_{copy}{name.suffix}").as_posix()
                archive.writestr(zipfile.ZipInfo(renamed, info.date_time), data)


def part_of_zip(source: Path, path: Path, photos: int) -> None:
    """Writes a zip with at most `photos` photos of another one, spread evenly."""
    names = photo_names(source)
    with zipfile.ZipFile(source) as original, _whole_zip(path) as archive:
        chosen = evenly(names, photos)
        for name in chosen:
            archive.writestr(name, original.read(name))
        # CSVs may hold the labels: the header, and the rows that name one of the photos.
        files = {name.rpartition("/")[2].encode() for name in chosen}
        for name in (name for name in original.namelist() if name.lower().endswith(".csv")):
            lines = original.read(name).splitlines(keepends=True)
            cells = [re.split(rb"[,;\t/\r\n\"]", line) for line in lines]
            rows = [line for line, own in zip(lines[1:], cells[1:], strict=True) if not files.isdisjoint(own)]
            archive.writestr(name, b"".join([*lines[:1], *rows]))


def evenly(names: list[str], count: int) -> list[str]:
    """Returns at most `count` of the names, spread evenly."""
    return [names[n * len(names) // count] for n in range(count)] if len(names) > count else names


def _draw(number: int, long_side: tuple[int, int]) -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng([20240601, number])
    species, aspect = SPECIES[number % len(SPECIES)], ASPECTS[rng.integers(len(ASPECTS))]

    def size(side: float) -> tuple[int, int]:
        return round(side * min(1, aspect)), round(side * min(1, 1 / aspect))

    picture = draw_photo(species, rng, *size(min(MAX_DRAWN_SIDE, long_side[1])))
    for copy in range(SIZES_PER_DRAWING):
        buffer = io.BytesIO()
        scaled = picture.resize(size(rng.uniform(*long_side)), Image.Resampling.LANCZOS)
        scaled.save(buffer, "JPEG", quality=90)
        yield f"{species.name}/{number:05}_{copy}.jpg", buffer.getvalue()


@contextlib.contextmanager
def _whole_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip that takes its name once it is complete."""
    with files_lib.whole_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        yield archive
