"""Shard writer: prepared photos to TFRecord shards, each with an index, one task per shard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import google_crc32c
import simplejpeg
from etils import epath

from butterflyer_jax.data.ingest.photo_tasks import Prepared
from butterflyer_jax.data.shard_format import index_name, write_index
from butterflyer_jax.storage import files, paths

SHARD_BYTES = 128 << 20
# Number of JPEGs read ahead of the record being written.
_WINDOW = 64
# Framing of a TFRecord, bytes: the length and its checksum before the content, the content's checksum after it.
_HEADER_BYTES, _FOOTER_BYTES = 12, 4
_CHECKSUM_MASK = 0xA282EAD8


def num_shards(photos: Sequence[Prepared], wanted: int) -> int:
    """Returns the number of shards of a split: `wanted`, or if that is 0, one per 128 MiB or so."""
    return max(1, min(len(photos), wanted or -(-sum(photo.num_bytes for photo in photos) // SHARD_BYTES)))


def write_tasks(
    folder: epath.Path, names: Sequence[str], photos: Iterable[Prepared], labels: Mapping[str, int]
) -> list[int]:
    """Writes one task per shard of a split.

    Photos are shuffled over the shards by a hash of their names, so that each shard is a random sample.

    Args:
      folder: folder of tasks and shards.
      names: file names of the shards.
      photos: photos of one split, in any order.
      labels: label of each species.

    Returns:
      The number of photos in each shard.
    """
    shuffled = sorted(photos, key=lambda photo: sha256(photo.photo_id.encode("utf-8", "surrogatepass")).digest())
    lengths = []
    for number, name in enumerate(names):
        first, end = (len(shuffled) * n // len(names) for n in (number, number + 1))
        rows = [(p.photo_id, labels[p.species], p.jpegs, p.offset, p.num_bytes, p.box) for p in shuffled[first:end]]
        files.write_text(folder / f"{name}.task.json", json.dumps({"photos": rows}))
        lengths.append(len(rows))
    return lengths


def run_task(task: str) -> None:
    """Writes the shard of a task and its index; does nothing if the shard exists.

    A record is a `tf.train.Example` with image (JPEG), label, photo_id and bbox, if known, in the format of TFDS. It is
    written without TensorFlow, which takes seconds to import.

    Raises:
      UserError: the shard cannot be written.
    """
    if is_done(task):
        return
    # Imported here: preparing photos does not need it.
    from tensorflow_datasets.proto import tf_example_pb2
    from tensorflow_datasets.proto import tf_feature_pb2 as proto

    def bytes_of(value: bytes) -> proto.Feature:
        return proto.Feature(bytes_list=proto.BytesList(value=[value]))

    rows = json.loads(files.read_text(task))["photos"]
    shard = _shard(task)
    with (
        files.writing(shard) as writer,
        ThreadPoolExecutor(files.parallel_reads(shard)) as pool,
    ):
        entries: list[tuple[int, ...]] = []
        end = 0
        for start in range(0, len(rows), _WINDOW):
            window = rows[start : start + _WINDOW]
            jpegs = pool.map(lambda row: files.read_range(*row[2:5]), window)
            for (photo_id, label, *_, box), jpeg in zip(window, jpegs, strict=True):
                features = {"image": bytes_of(jpeg), "photo_id": bytes_of(photo_id.encode("utf-8", "replace"))}
                features["label"] = proto.Feature(int64_list=proto.Int64List(value=[label]))
                if box:
                    left, top, right, bottom = box
                    # In the order of tfds.features.BBoxFeature.
                    features["bbox"] = proto.Feature(float_list=proto.FloatList(value=[top, left, bottom, right]))
                example = tf_example_pb2.Example(features=proto.Features(feature=features))
                record = example.SerializeToString(deterministic=True)
                writer.write(_framed(record))
                height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
                offset = end + _HEADER_BYTES + record.index(jpeg)
                # Varints are unsigned: the label of negatives, -1, becomes the largest number.
                entries.append((offset, len(jpeg), google_crc32c.value(jpeg), height, width, label % 2**32))
                end += _HEADER_BYTES + len(record) + _FOOTER_BYTES
        # Written before the shard gets its name: a shard that exists has an index.
        with files.writing(shard.with_name(index_name(shard.name))) as file:
            write_index(file, entries, [row[0] for row in rows], [row[-1] for row in rows])


def _framed(record: bytes) -> bytes:
    """Returns the bytes of a record in a TFRecord file."""
    length = len(record).to_bytes(8, "little")
    return length + _masked_checksum(length) + record + _masked_checksum(record)


def _masked_checksum(content: bytes) -> bytes:
    """Returns CRC-32C as TFRecord files have it: turned by 15 bits, plus a constant."""
    checksum: int = google_crc32c.value(content)
    return ((((checksum >> 15) | (checksum << 17)) + _CHECKSUM_MASK) & 0xFFFFFFFF).to_bytes(4, "little")


def is_done(task: str) -> bool:
    """Returns whether a task's shard exists; it gets its name only when complete."""
    return files.exists(_shard(task))


def _shard(task: str) -> epath.Path:
    return paths.path(task.removesuffix(".task.json"))
