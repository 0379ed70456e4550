"""The folder of an unfinished build: what was done stays, and only one build at a time works there."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

import filelock
from etils import epath

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.console import progress, say
from butterflyer_jax.data.ingest import manifest, photo_tasks, shard_writer
from butterflyer_jax.data.ingest.collection import Listing, Reject
from butterflyer_jax.data.ingest.manifest import Collection
from butterflyer_jax.data.ingest.runners import Engine
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files as files_lib
from butterflyer_jax.storage import paths
from butterflyer_jax.storage.paths import cache_dir

# Of the files in the folder of an unfinished build; another one begins anew.
FORMAT = 3
# A build whose photographs are mostly unusable stops early, but not before so many were seen.
REJECT_MARGIN = 100


@contextlib.contextmanager
def unfinished(dataset_dir: epath.Path, distributed: bool) -> Iterator[epath.Path]:
    """Yields the folder that a build into `dataset_dir` works in, for as long as no other build does.

    It lies beside the data set; where that is a bucket and no other machine takes part, in the cache.

    Raises:
      UserError: another build is at work there.
    """
    key = sha256(os.fspath(dataset_dir).encode()).hexdigest()[:16]
    local = not paths.is_remote(dataset_dir)
    beside = dataset_dir.parent / f"incomplete.{dataset_dir.name}"
    folder = beside if local or distributed else cache_dir() / f"incomplete.{key}"
    lock_file = dataset_dir.parent / f".{dataset_dir.name}.lock" if local else cache_dir() / f".{key}.lock"
    with files_lib.writing(f"to {lock_file.parent}", "give another folder"):
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        # The operating system lets go of the lock when the process dies, however it does.
        lock = filelock.FileLock(os.fspath(lock_file), timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise UserError(
                f"another build is writing to {dataset_dir}: wait until it has ended, or give another folder"
            ) from error
    try:
        yield folder
    finally:
        # The file stays: without it, a build that waits for this one and a third could both hold a lock.
        lock.release()


def clear(folder: epath.Path) -> None:
    """Removes a folder, its plan first: what a kill leaves of it has none, and is not taken for an unfinished build."""
    (folder / "plan.json").unlink(missing_ok=True)
    folder.rmtree(missing_ok=True)


def prepare_photos(
    folder: epath.Path, raw_zip: str | os.PathLike[str], listing: Listing, config: BuildConfig, engine: Engine
) -> Collection:
    """Decodes every photograph of a zip once, finds near-duplicates, and assigns splits.

    What an earlier build of the same zip and config left in `folder` is taken as it is. Memory holds a photograph a
    thread, and some kilobytes for each photograph of the zip.

    Raises:
      UserError: too many photographs cannot be used, fewer than two species are left, or the disk is full.
    """
    source = paths.path(raw_zip)
    # What a prepared photograph depends on: another split or another shard is no reason to begin anew.
    plan = {
        "format": FORMAT,
        "raw_zip": os.fspath(source),
        "zip_fingerprint": listing.fingerprint,
        # A zip packed anew has the same content elsewhere.
        "places": sha256(repr(listing.members).encode("utf-8", "surrogatepass")).hexdigest(),
        "build": [config.image_size, config.jpeg_quality, config.max_pixels],
    }
    plan_file, tasks_dir = folder / "plan.json", folder / "photographs"
    with files_lib.writing(f"to {folder}", "give another folder, or make space"):
        if not plan_file.exists() or json.loads(plan_file.read_text()) != plan:
            clear(folder)
            photo_tasks.write_tasks(tasks_dir, source, listing.members, config)
            files_lib.write_text(plan_file, json.dumps(plan))
    tasks = sorted(os.fspath(path) for path in tasks_dir.glob("*.task.json"))
    ready = [task for task in tasks if photo_tasks.is_done(task)]
    if ready:
        say(f"going on with a build that was broken off: {len(ready)} of {len(tasks)} parts are done")

    photos: list[photo_tasks.Prepared] = []
    rejects: list[Reject] = []

    def results() -> Iterator[None]:
        """Takes in the results of each task as it ends; yields once a photograph."""
        todo = sorted(set(tasks) - set(ready))
        for done in (ready, engine.run(photo_tasks.run_task, todo)):
            for task in done:
                good, bad = photo_tasks.read_results(task)
                photos.extend(good)
                rejects.extend(bad)
                manifest.check_rejects([*listing.rejects, *rejects], listing, config, REJECT_MARGIN)
                yield from [None] * (len(good) + len(bad))

    for _ in progress(results(), len(listing.members), "preparing photographs"):
        pass
    return manifest.collect(photos, rejects, listing, config, source.name)


def write_records(
    folder: epath.Path, photos: Collection, names: Mapping[str, Sequence[str]], engine: Engine
) -> dict[str, list[int]]:
    """Writes the shards of every split into `folder`/records; those that are there already stay.

    Args:
      folder: of the unfinished build.
      photos: what goes into the records.
      names: file names of the shards of each split.
      engine: where the work is done.

    Returns:
      The number of photographs in each shard of each split.
    """
    shards_dir = folder / "records"
    labels = {species: number for number, species in enumerate(photos.species)}
    plan = json.dumps([manifest.fingerprint(photos.listing, photos.config), names], sort_keys=True)
    with files_lib.writing(f"records to {folder}", "the same command goes on once there is space"):
        plan_file = shards_dir / "plan.json"
        if not plan_file.exists() or plan_file.read_text() != plan:
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
