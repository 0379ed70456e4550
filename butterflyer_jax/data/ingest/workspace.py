"""Workspace of an unfinished build, which keeps finished tasks and admits one build at a time."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from etils import epath

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.console import progress, say
from butterflyer_jax.data.ingest import manifest, photo_tasks, shard_writer
from butterflyer_jax.data.ingest.collection import Listing
from butterflyer_jax.data.ingest.inventory import Reject
from butterflyer_jax.data.ingest.manifest import Collection
from butterflyer_jax.data.ingest.runners import Engine
from butterflyer_jax.data.protocol import NEGATIVE_LABEL
from butterflyer_jax.storage import files as files_lib
from butterflyer_jax.storage import find, locks, paths
from butterflyer_jax.storage.paths import cache_dir

# Format of the files in a workspace; a workspace of another format is discarded.
FORMAT = 4
# Number of rejects beyond the allowed share at which a build stops early.
REJECT_MARGIN = 100


@contextlib.contextmanager
def unfinished(dataset_dir: epath.Path, distributed: bool) -> Iterator[epath.Path]:
    """Yields the work folder of a build into `dataset_dir`, locked against other builds.

    It lies beside the data set; or in the cache, where that is a bucket and no other machine takes part.

    Raises:
      UserError: another build is running there.
    """
    key = sha256(os.fspath(dataset_dir).encode()).hexdigest()[:16]
    beside = dataset_dir.parent / f"incomplete.{dataset_dir.name}"
    folder = cache_dir() / f"incomplete.{key}" if paths.is_remote(dataset_dir) and not distributed else beside
    busy = f"another build is writing to {dataset_dir}: wait until it has ended, or give another folder"
    with locks.hold(dataset_dir.parent / f".{dataset_dir.name}.lock", busy):
        yield folder


def clear(folder: epath.Path) -> None:
    """Removes a folder, its plan first: a remainder without a plan does not count as an unfinished build."""
    files_lib.remove(folder / "plan.json")
    files_lib.remove(folder)


def prepare_photos(
    folder: epath.Path,
    raw_zip: str | os.PathLike[str],
    listing: Listing,
    config: BuildConfig,
    engine: Engine,
    min_species: int = 2,
) -> Collection:
    """Decodes every photo of a zip once, finds near-duplicates, and assigns splits.

    Results of an earlier build of the same zip and config in `folder` are reused. Memory holds one photo per
    thread, and some kilobytes per photo of the zip.

    Raises:
      UserError: too many photos cannot be used, fewer than `min_species` species remain, or the disk is full.
    """
    source = paths.path(raw_zip)
    members = [*listing.members, *listing.negatives]
    # The settings that a prepared photo depends on: a change of splits or shards keeps the results.
    plan = {
        "format": FORMAT,
        "raw_zip": os.fspath(source),
        "zip_fingerprint": listing.fingerprint,
        # A repacked zip has the same content at other offsets.
        "places": sha256(repr(tuple(members)).encode("utf-8", "surrogatepass")).hexdigest(),
        "build": [config.image_size, config.jpeg_quality, config.max_pixels],
    }
    plan_file, tasks_dir = folder / "plan.json", folder / "photographs"
    if not files_lib.exists(plan_file) or json.loads(files_lib.read_text(plan_file)) != plan:
        clear(folder)
        photo_tasks.write_tasks(tasks_dir, source, members, config)
        files_lib.write_text(plan_file, json.dumps(plan))
    tasks = [os.fspath(path) for path in find.glob(tasks_dir, "*.task.json")]
    ready = [task for task in tasks if photo_tasks.is_done(task)]
    if ready:
        say(f"resuming an interrupted build: {len(ready)} of {len(tasks)} parts are done")

    photos: list[photo_tasks.Prepared] = []
    rejects: list[Reject] = []

    def results() -> Iterator[None]:
        """Collects the results of each finished task; yields once per photo."""
        todo = sorted(set(tasks) - set(ready))
        for done in (ready, engine.run(photo_tasks.run_task, todo)):
            for task in done:
                good, bad = photo_tasks.read_results(task)
                photos.extend(good)
                rejects.extend(bad)
                manifest.check_rejects([*listing.rejects, *rejects], listing, config, REJECT_MARGIN)
                yield from [None] * (len(good) + len(bad))

    for _ in progress(results(), len(members), "preparing photos"):
        pass
    return manifest.collect(photos, rejects, listing, config, source.name, min_species)


def write_records(
    folder: epath.Path, photos: Collection, names: Mapping[str, Sequence[str]], engine: Engine
) -> dict[str, list[int]]:
    """Writes the shards of every split to `folder`/records; existing ones stay.

    Args:
      folder: folder of the unfinished build.
      photos: photos to write.
      names: file names of the shards of each split.
      engine: engine that runs the tasks.

    Returns:
      The number of photos in each shard of each split.
    """
    shards_dir = folder / "records"
    labels = {species: number for number, species in enumerate(photos.species)} | {"": NEGATIVE_LABEL}
    plan = json.dumps([manifest.fingerprint(photos.listing, photos.config), names], sort_keys=True)
    plan_file = shards_dir / "plan.json"
    if not files_lib.exists(plan_file) or files_lib.read_text(plan_file) != plan:
        clear(shards_dir)
        files_lib.write_text(plan_file, plan)
    lengths = {
        split: shard_writer.write_tasks(shards_dir, files, photos.of_split(split), labels)
        for split, files in names.items()
    }
    tasks = [os.fspath(shards_dir / f"{file}.task.json") for files in names.values() for file in files]
    todo = [task for task in tasks if not shard_writer.is_done(task)]
    for _ in progress(engine.run(shard_writer.run_task, todo), len(todo), "writing records"):
        pass
    return lengths
