"""The workspace of an unfinished build: finished tasks are kept, and only one build at a time works there."""

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
from butterflyer_jax.data.ingest.collection import Listing, Reject
from butterflyer_jax.data.ingest.manifest import Collection
from butterflyer_jax.data.ingest.runners import Engine
from butterflyer_jax.data.protocol import NEGATIVE_LABEL
from butterflyer_jax.storage import files as files_lib
from butterflyer_jax.storage import find, locks, paths
from butterflyer_jax.storage.paths import cache_dir

# Format of the files in a workspace; a workspace of another format is started anew.
FORMAT = 3
# Number of rejects beyond the allowed share before a build stops early.
REJECT_MARGIN = 100


@contextlib.contextmanager
def unfinished(dataset_dir: epath.Path, distributed: bool) -> Iterator[epath.Path]:
    """Yields the folder that a build into `dataset_dir` works in, for as long as no other build does.

    It lies beside the data set; where that is a bucket and no other machine takes part, in the cache.

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
    """Removes a folder, its plan first: what a kill leaves of it has none, and is not taken for an unfinished build."""
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

    Results that an earlier build of the same zip and config left in `folder` are kept. Memory holds one photo per
    thread, and some kilobytes for each photo of the zip.

    Raises:
      UserError: too many photos cannot be used, fewer than `min_species` species are left, or the disk is full.
    """
    source = paths.path(raw_zip)
    members = [*listing.members, *listing.negatives]
    # What a prepared photo depends on: another split or another shard is no reason to begin anew.
    plan = {
        "format": FORMAT,
        "raw_zip": os.fspath(source),
        "zip_fingerprint": listing.fingerprint,
        # A zip packed anew has the same content elsewhere.
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
        """Collects the results of each task as it ends; yields once per photo."""
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
    """Writes the shards of every split into `folder`/records; those that are there already stay.

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
