"""Measures input pipelines, from JPEGs on disk to training batches: ours in each mode, and those of other libraries.

    python benchmarks/bench_input.py [--input PATH] [--methods NAME …] [--json FILE]

All read the same photos, the training split of a built data set (short side 256 pixels, JPEG quality 95), each
library in the format that is natural to it, written before anything is measured. All deliver shuffled batches of random
crops (25% to 100% of the area, 3:4 to 4:3) of 224x224 pixels, half of them mirrored, with as many threads or processes
as there are cores; what differs stands in the column "delivers". "Crop on device": the host delivers the part of the
photo and its window, and the accelerator scales it; every crop of ours is mirrored there.

Each measurement runs in a process of its own, the methods in turn in every round, so that a slow minute of the machine
meets all of them. A process warms up over a whole epoch, and at least half of --seconds, and continues without a pause
into what counts: batches that were ready before the clock starts are made up for by those that are ready when it stops,
and a pipeline never idles between rounds with its queues full. What is left of that error is a batch or two of the 40
or more that are measured. CPU seconds are user and system time of the process and its children, those alive too. On
cores shared with other work they are the figure to trust, though a busy neighbour on the same physical core slows them
too. Peak memory is resident memory of the process and its children from start to end, sampled four times a second; a
page that processes share counts for each of them.

The last column is the number of cores that deliver 1,000 images per second.

What it is not: a measurement of disks. The photos fit into memory, and after the warm-up every file is in the page
cache. "cache" and "raw" decode nothing while they are measured: that is what they are for. webdataset and TFDS's own
cache would let their users keep decoded photos in memory too; here they decode each epoch.

A method whose library is not installed is skipped. None of them but webdataset is in requirements.lock; beside it, in
an environment of its own:

    uv pip install torch torchvision grain opencv-python-headless nvidia-dali-cuda120
    uv pip install --no-deps ffcv numba llvmlite fastargs assertpy terminaltables pytorch-pfn-extras

(PyTorch is 3 GB with its CUDA libraries; DALI's CPU operators need no GPU.) FFCV has no wheel: its build needs the
headers of OpenCV (core and imgproc) and libturbojpeg with their pkg-config files, `apt-get install libopencv-dev
libturbojpeg0-dev` on Debian. It takes pixels only and encodes them again, without chroma subsampling: its JPEGs are a
third larger than everybody else's, and take longer to decode.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import benchmark
import build_methods
import input_formats
import psutil
from benchmark import Row, Worker
from input_formats import FORMATS, RECORDS
from input_methods import METHODS, Method

from butterflyer_jax import cli
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.console import say
from butterflyer_jax.data.dataset import resolve
from butterflyer_jax.errors import UserError

LIBRARIES = (
    "butterflyer-jax",
    "numpy",
    "pillow",
    "simplejpeg",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-datasets",
    "torch",
    "torchvision",
    "grain",
    "opencv-python-headless",
    "webdataset",
    "nvidia-dali-cuda120",
    "ffcv",
)
LONG_SIDE = (600, 1200)
# Images a second that the last column gives the cores for.
IMAGES_PER_SECOND = 1000


@dataclass
class Measured:
    """What the pipeline of one method gave, a value a round."""

    per_second: list[float] = field(default_factory=list)
    per_cpu_second: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def main(argv: Sequence[str]) -> None:
    """The command."""
    if argv[:1] == ["--worker"]:
        _work(*argv[1:])
        return
    about = (__doc__ or "").partition("\n\nA method whose")[0]
    parser = cli.ArgumentParser(prog="python benchmarks/bench_input.py", description=about)
    parser.add_argument(
        "--input", type=Path, metavar="PATH", help="a raw zip or a built data set; default: drawn photos"
    )
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=[*METHODS], metavar="NAME", help=f"of {', '.join(METHODS)}"
    )
    parser.add_argument("--batch_size", type=int, default=128, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--batches", type=int, default=40, metavar="N", help="measured at least, a round; default: %(default)s"
    )
    parser.add_argument(
        "--seconds", type=float, default=5, metavar="S", help="measured at least, a round; default: %(default)s"
    )
    benchmark.add_options(parser, "bench_input")
    args = parser.parse_args(argv)
    if min(args.photos, args.rounds, args.batch_size, args.batches) < 1 or args.seconds < 0:
        raise UserError("--photos, --rounds, --batch_size and --batches must be at least 1, --seconds at least 0")
    args.work_dir.mkdir(parents=True, exist_ok=True)
    # Of the workers too: what a mode of ours keeps between runs does not go among the user's own.
    os.environ["BUTTERFLYER_CACHE"] = os.fspath(args.work_dir / "cache")

    methods = {name: METHODS[name] for name in METHODS if name in args.methods}
    dataset_dir = _dataset(args.input, args.work_dir, args.photos)
    photos = input_formats.training_photos(dataset_dir)
    if len(photos) < args.batch_size:
        raise UserError(f"--batch_size {args.batch_size} is more than the {len(photos)} training photos")
    machine = benchmark.machine(LIBRARIES)
    size = sum(len(jpeg) for jpeg, _ in photos) / benchmark.MIB
    print(f"{len(photos)} training photos, {size:.1f} MiB of JPEG\n{benchmark.describe(machine)}\n", flush=True)
    for name, method in [*methods.items()]:
        if method.missing:
            print(f"skipped: {method.title} (not installed: {', '.join(method.missing)})", flush=True)
            del methods[name]
    if not methods:
        raise UserError("none of the methods is installed")

    with tempfile.TemporaryDirectory(dir=args.work_dir) as folder:
        paths = {RECORDS: dataset_dir}
        for name in {method.reads: None for method in methods.values() if method.reads != RECORDS}:
            paths[name] = Path(folder, name)
            paths[name].mkdir()
            FORMATS[name](photos, paths[name])
        wanted = (args.batch_size, len(photos), args.batches, args.seconds)
        measured = {name: Measured() for name in methods}
        for round_number in range(args.rounds):
            for name, method in methods.items():
                speeds = _measure(name, paths[method.reads], Path(folder), wanted, measured[name])
                say(f"round {round_number + 1}/{args.rounds}  {method.title}: {speeds}")
    rows = _show(methods, measured, args.rounds)
    if args.json:
        settings = {"photos": len(photos), "rounds": args.rounds, "batch_size": args.batch_size}
        benchmark.write_json(args.json, rows, machine, batches=args.batches, seconds=args.seconds, **settings)


def _dataset(source: Path | None, work_dir: Path, photos: int) -> Path:
    """Returns the folder of the built data set; draws and builds it the first time."""
    if source is None:
        source = work_dir / f"drawn_{photos}.zip"
        if not source.exists():
            say(f"drawing {photos} photos into {source}")
            build_methods.draw_zip(source, photos, LONG_SIDE)
    return Path(resolve(source, BuildConfig()))


def _measure(name: str, path: Path, folder: Path, wanted: tuple[float, ...], measured: Measured) -> str:
    """Measures once in a fresh process, adds the figures to `measured`, and returns them in words."""
    command = [sys.executable, __file__, "--worker", name, path, *wanted]
    with (folder / "log.txt").open("wb") as log, Worker([*map(str, command)], log) as worker:
        result, peak = worker.report()
    measured.per_second.append(result["images"] / result["seconds"])
    measured.per_cpu_second.append(result["images"] / result["cpu_seconds"])
    measured.memory.append(peak)
    return f"{result['images']} images in {result['seconds']:.2f} s, {result['cpu_seconds']:.2f} CPU seconds"


def _show(methods: dict[str, Method], measured: dict[str, Measured], rounds: int) -> list[Row]:
    """Prints the table and returns its rows; ratios are to the first method where that is ours."""
    first = next(iter(methods))
    ours = measured[first] if first.startswith("ours") else None
    lines, rows = [], []
    for name, results in measured.items():
        title = methods[name].title
        cores = [IMAGES_PER_SECOND / value for value in results.per_cpu_second]
        figures = (
            ("images per second", "images/s", results.per_second, ours and ours.per_second),
            ("images per CPU second", "images/CPU-s", results.per_cpu_second, ours and ours.per_cpu_second),
            ("peak memory", "MiB", results.memory, ours and ours.memory),
            (f"cores for {IMAGES_PER_SECOND} images per second", "cores", cores, None),
        )
        cells = []
        for figure, unit, values, reference in figures:
            value = statistics.median(values)
            ratio = value / statistics.median(reference) if reference else None
            rows.append(Row(f"{title}: {figure}", unit, value, ratio))
            cells.append(benchmark.spread(values) + (f"  {ratio:.2f}x" if ratio else ""))
        lines.append([title, methods[name].delivers, *cells])
    to_ours = f", to {methods[first].title}" if ours else ""
    print(f"medians of {rounds} rounds (lowest-highest){to_ours}")
    header = ("", "delivers", "images/s", "images/CPU-s", "peak MiB", f"cores for {IMAGES_PER_SECOND:,}/s")
    print(benchmark.table(header, lines), flush=True)
    return rows


def _work(name: str, path: str, batch_size: str, photos: str, batches: str, seconds: str) -> None:
    """What a worker does: a stretch to warm up, and at once the one that counts."""
    reports = benchmark.take_stdout()
    stream = METHODS[name].batches(Path(path), int(batch_size))
    # At least an epoch: what keeps photos in memory is to have them, and every file is in the page cache.
    _consume(stream, -(-int(photos) // int(batch_size)), float(seconds) / 2)
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    images = _consume(stream, int(batches), float(seconds))
    elapsed, cpu_elapsed = time.perf_counter() - start, _cpu_seconds() - cpu_start
    reports.write(json.dumps({"images": images, "seconds": elapsed, "cpu_seconds": cpu_elapsed}).encode() + b"\n")
    # Without farewell: some libraries take seconds to end their threads.
    os._exit(0)


def _consume(stream: Iterator[dict[str, Any]], batches: int, seconds: float) -> int:
    """Takes `batches` batches, and more until the time is over; returns the number of photos in them."""
    end = time.perf_counter() + seconds
    images = taken = 0
    while taken < batches or time.perf_counter() < end:
        images += len(next(stream)["label"])
        taken += 1
    return images


def _cpu_seconds() -> float:
    """Returns the processor time so far of this process and of all its children, those alive too."""
    total = 0.0
    process = psutil.Process()
    for one in (process, *process.children(recursive=True)):
        total += sum(one.cpu_times()[:4])
    return total


if __name__ == "__main__":
    cli.run(main)
