"""Shows augmented batches as the network sees them, and measures how fast they come, stage by stage.

    butterflyer preview --input SRC --benchmark
    butterflyer preview --input SRC --grid batch.png --config FILE [--config.FIELD=VALUE …]

Give --benchmark, --grid FILE, or both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from butterflyer_jax import cli
from butterflyer_jax.config import Config
from butterflyer_jax.data.protocol import NEGATIVE_LABEL
from butterflyer_jax.errors import UserError

# Batches that pass before a stage is timed: those that were ready, and compilation.
WARM_UP = 4
MAX_GRID_PHOTOS = 32


@dataclass(frozen=True)
class StageSpeed:
    """How fast photos come out of a stage, with all stages before it at work.

    Attributes:
      stage: what is done.
      images_per_second: images per second of wall time.
      images_per_cpu_second: images per second of processor time, over all threads.
    """

    stage: str
    images_per_second: float
    images_per_cpu_second: float


def stage_speeds(dataset: str | os.PathLike[str], config: Config, num_batches: int) -> Iterator[StageSpeed]:
    """Measures the input stage by stage, as a run with this config on this machine would have it.

    Args:
      dataset: folder of a built data set.
      config: config of the run.
      num_batches: number of batches timed in each stage.

    Raises:
      UserError: `RecordData` raises one.
    """
    import jax

    from butterflyer_jax.data.input.record_data import RecordData
    from butterflyer_jax.training.session import open_session
    from butterflyer_jax.training.step import make_augment

    def measure(stage: str, batches: Iterator[Any], count: Callable[[Any], int]) -> StageSpeed:
        for _ in itertools.islice(batches, WARM_UP):
            pass
        start, cpu_start = time.perf_counter(), time.process_time()
        images = sum(count(batch) for batch in itertools.islice(batches, num_batches))
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        return StageSpeed(stage, images / seconds, images / cpu_seconds)

    def labels(batch: Any) -> int:
        return len(batch["label"])

    with open_session(config, dataset) as session:
        assert isinstance(session.data, RecordData)
        with contextlib.closing(session.data.train_jpegs()) as read:
            yield measure("read JPEGs", read, len)
    crop_left = dataclasses.replace(config, data=dataclasses.replace(config.data, crop="device"))
    with open_session(crop_left, dataset) as session:
        assert isinstance(session.data, RecordData)
        work = "decode the crop" if session.data.mode in ("jpeg", "encoded") else "copy the crop"
        with contextlib.closing(session.data.train_batches(0)) as batches:
            yield measure(work, batches, labels)
    with open_session(config, dataset) as session:
        assert isinstance(session.data, RecordData)
        if not session.data.crop_on_device:
            with contextlib.closing(session.data.train_batches(0)) as batches:
                yield measure("scale on the host", batches, labels)
        with session.batches() as on_device:
            augment = make_augment(session.config)
            augmented = (augment(batch, 0) for batch in on_device)
            kind = session.mesh.devices.flat[0].device_kind
            yield measure(f"augment on {session.mesh.size} {kind}", augmented, lambda x: len(jax.block_until_ready(x)))


def write_grid(dataset: str | os.PathLike[str], config: Config, path: str | os.PathLike[str]) -> int:
    """Writes a picture of the first training batch as the network sees it, each photo over its species' name.

    Args:
      dataset: folder of a built data set.
      config: config of the run.
      path: path of the image to write, .png or .jpg.

    Returns:
      The number of photos shown, at most 32.

    Raises:
      UserError: `RecordData` raises one, or as `pictures.check`.
    """
    from butterflyer_jax.preprocessing.images import denormalise
    from butterflyer_jax.report import drawing
    from butterflyer_jax.storage import pictures
    from butterflyer_jax.training.session import open_session
    from butterflyer_jax.training.step import make_augment

    pictures.check(path, "--grid")
    with open_session(config, dataset, num_devices=1) as session, session.batches(0, 1) as batches:
        batch = next(batches)
        labels = np.asarray(batch["label"])[:MAX_GRID_PHOTOS]
        names = ["no species" if label == NEGATIVE_LABEL else session.data.species[label] for label in labels]
        pixels = denormalise(np.asarray(make_augment(session.config)(batch, 0)), config.model)[: len(names)]
    pictures.write(drawing.grid(pixels, names), path)
    return len(names)


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer preview", description=__doc__, epilog=cli.config_help())
    parser.add_argument("--input", required=True, metavar="SRC", help="raw zip or built data set, local or gs://")
    parser.add_argument("--config", metavar="CONFIG", help="name or file (default: the defaults of all fields)")
    parser.add_argument("--benchmark", action="store_true", help="print images per second, stage by stage")
    parser.add_argument(
        "--batches", type=int, default=50, metavar="N", help="batches timed of each stage (default: 50)"
    )
    parser.add_argument("--grid", metavar="FILE", help="write a picture of an augmented batch, .png or .jpg")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args, rest = parser().parse_known_args(argv)
    if not (args.benchmark or args.grid):
        raise UserError("nothing to do: give --benchmark, --grid FILE, or both (see --help)")
    if args.batches < 1:
        raise UserError("--batches must be at least 1")
    config = cli.load_config(args.config, cli.split_overrides(rest))
    from butterflyer_jax.data import dataset as dataset_lib
    from butterflyer_jax.storage import pictures

    if args.grid:
        # Before the data set is built, which may take long.
        pictures.check(args.grid, "--grid")

    dataset = dataset_lib.resolve(args.input, config.build)
    if dataset == dataset_lib.FAKE:
        raise UserError("--input fake has no stages: give a raw zip or a built data set")
    if args.grid:
        print(f"wrote {args.grid}: {write_grid(dataset, config, args.grid)} photos of the first batch")
    if args.benchmark:
        print(f"{'stage, with those before it':<36}{'images/s':>10}{'per CPU second':>16}")
        for row in stage_speeds(dataset, config, args.batches):
            print(f"{row.stage:<36}{row.images_per_second:>10,.0f}{row.images_per_cpu_second:>16,.0f}", flush=True)


if __name__ == "__main__":
    cli.run(main)
