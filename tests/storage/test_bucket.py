"""Training batches from a data set in a bucket."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from butterflyer_jax import Config, UserError
from butterflyer_jax.config import BuildConfig, DataConfig
from butterflyer_jax.data.build import build
from butterflyer_jax.data.input.record_data import RecordData
from butterflyer_jax.storage import copying, retry
from butterflyer_jax.storage.staging import Staging
from tests.helpers.fake_gcs import SHAKY, ShakyFileSystem


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(copying, "RANGE_BYTES", 1000)
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0)
    fsspec.register_implementation("shaky", ShakyFileSystem, clobber=True)
    ShakyFileSystem.reset()
    yield
    ShakyFileSystem.reset()


@pytest.mark.parametrize("share", [2.0, 0.5])
def test_training_reads_copies_as_it_would_the_bucket(
    raw_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """The same batches over three epochs, with room for all shards or for half of them."""
    config = Config(batch_size=4, data=DataConfig(image_size=32, shuffle_window=8, mode="jpeg"))
    folder = build(raw_zip, tmp_path / "built", BuildConfig(image_size=32, num_shards=12))
    with contextlib.closing(RecordData(folder, config)) as data:
        steps = 3 * data.steps_per_epoch
        wanted = list(itertools.islice(data.train_batches(0), steps))

    files = {path.name: path.read_bytes() for path in Path(folder).glob("butterflies-*")}
    ShakyFileSystem.reset(**files)
    shards = {name: content for name, content in files.items() if "train" in name}
    room = int(sum(map(len, shards.values())) * share)
    monkeypatch.setattr(RecordData, "_open_files", lambda *_: Staging(SHAKY, list(files), room, tmp_path / "staged"))
    with contextlib.closing(RecordData(folder, config)) as data:
        for ours, theirs in zip(itertools.islice(data.train_batches(0), steps), wanted, strict=True):
            assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    on_disk = sum(path.stat().st_size for path in (tmp_path / "staged").rglob("*") if path.is_file())
    assert on_disk <= room
    reads = [read for read in ShakyFileSystem.reads if read[0] in shards and "tfrecord" in read[0]]
    if share > 1:
        assert len(reads) == len(set(reads)), "each range came once"
    else:
        assert len(reads) > len(set(reads)), "what was removed came again"


def test_a_bucket_that_fails_ends_training_with_its_reason(
    raw_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through tf.data, which by itself passes on no more than the text of an exception."""
    config = Config(batch_size=4, data=DataConfig(image_size=32, mode="jpeg"))
    folder = build(raw_zip, tmp_path / "built", BuildConfig(image_size=32))
    files = {path.name: path.read_bytes() for path in Path(folder).glob("butterflies-*")}
    ShakyFileSystem.reset(**files)

    def fail(name: str, start: int) -> None:
        if "tfrecord" in name:
            raise PermissionError("nobody may read this")

    ShakyFileSystem.before_read = fail
    monkeypatch.setattr(RecordData, "_open_files", lambda *_: Staging(SHAKY, list(files), 10**9, tmp_path / "staged"))
    with (
        contextlib.closing(RecordData(folder, config)) as data,
        pytest.raises(UserError, match=r"no permission to read .*tfrecord"),
    ):
        next(data.train_batches(0))
