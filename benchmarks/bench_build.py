"""Measures whole builds of a raw zip into records: ours, plain TFDS + Pillow, webdataset + Pillow.

    python benchmarks/bench_build.py [--memory] [--zip PATH] [--json FILE]

Each build runs in a process and a folder of its own, the methods in turn in every round. Imports (TensorFlow takes 5 to
7 s of plain TFDS) and a first build of 32 photos come before the clock starts. Whole builds: ours also finds
near-duplicates, balances the splits and draws the data card, which the others do not. CPU seconds are user and system
time of the process and its ended children. Peak memory is resident memory of the process and its children, sampled 20
times a second; some 500 MiB of plain TFDS are TensorFlow. PSNR is that of the JPEGs in the
records, against the photo decoded by Pillow and scaled by its Lanczos in float32.

Measured on 2 cores of an AMD EPYC (a virtual machine, its cores shared with other work), Python 3.11, Pillow 12.3,
simplejpeg 1.9, cykooz-resizer 4.0, tensorflow-datasets 4.9.10, webdataset 1.0.2; medians, in parentheses the lowest and
the highest:

    2,400 drawn photos, long side 600 to 1,200 pixels, 283 MiB (--rounds 3 --memory, 26 November 2026;
    other figures are of an earlier version, which built 549 a second, on a faster day)
                               photos/s         photos/CPU-s       peak MiB  PSNR dB
    butterflyer_jax            492 (477-513)      291 (290-301)       172    38.90
    plain TFDS + Pillow        116 (112-116)      116 (112-117)       669    38.84
    webdataset + Pillow, Pool  221 (215-222)      112 (109-112)       174    38.84

    The earlier version and the present one in turn, four rounds each, 26 November 2026: 482 (427-503) and 512 (494-551)
    photos/s, 295 and 306 per CPU second.

    6,000 of them (--photos 6000, 3 rounds): 549, 115 and 216 photos/s, 317, 115 and 111 per CPU second.

    832 photos of the Leeds Butterfly data set (--zip), about 500x346 pixels, 43 MiB (3 rounds)
    butterflyer_jax            537 (534-547)      360 (357-371)       694    39.96
    plain TFDS + Pillow        325 (312-334)      325 (313-334)       636    39.96
    webdataset + Pillow, Pool  532 (532-541)      277 (276-279)       148    39.96

    96 drawn photos of 3000 to 4000 pixels (--photos 96 --long_side 3000 4000 --psnr_photos 16; 3 rounds)
    butterflyer_jax           88.6 (86.0-89.7)   51.9 (51.9-53.6)     716    38.52
    plain TFDS + Pillow        8.2 (8.2-8.3)      8.2 (8.2-8.3)       741    38.52
    webdataset + Pillow, Pool 15.8 (15.7-15.9)    8.1 (8.0-8.1)       343    38.52

    Peak memory (--memory): 148 MiB for 400 photos in 16.6 MiB, 180 MiB for 4,000 in 165.6 MiB, of the present version.

Of ours 0.3 s are the data card, whatever the number of photos (in a fresh process 0.8 s more, to import matplotlib
and Jinja), most of it beside the writing of the records.

Tried, in ms of one core on the drawn photos (on others in parentheses):
  - Decode and resize by Pillow: 7.3 (3 to 8 for its Lanczos alone). Decode by simplejpeg, Lanczos by cykooz: 2.2, of
    which 0.5 (0.5 to 1) resize, at the same PSNR.
  - Encode by simplejpeg: 15% quicker than Pillow's 0.2, but 0.3 to 0.4 dB worse. So Pillow encodes.
  - A JPEG decoded at k/8 of its size, at least 1.5 times the target, had been measured to lose 1 to 4 dB. That was a
    shift by a part of a pixel, as the decoder rounds the size up: with the exact fractional crop box for the resizer it
    loses nothing at most sizes and 0.3 dB where the decoded side is just above 1.5 times the target, and 12 megapixels
    went from 7 to 67 photos per second and core (decode and resize alone).
  - Decoding at 5/8 to 7/8 takes as long as a full decode or half as long again: libjpeg-turbo has vector code for 1/8,
    2/8, 4/8 and 8/8 only. Full 2.2; 7/8 3.3, 6/8 2.7, 5/8 2.2, 4/8 1.3.
  - Threads: Pillow's encode into a BytesIO keeps the interpreter's lock (two threads: 0.9 times as fast as one), into a
    file that has a descriptor it does not (1.8 times), for the same bytes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import benchmark
import build_methods
import psutil
from benchmark import MIB, Row, Worker
from build_methods import METHODS

from butterflyer_jax import cli
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError

LIBRARIES = (
    "butterflyer-jax",
    "numpy",
    "pillow",
    "simplejpeg",
    "cykooz-resizer",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-datasets",
    "webdataset",
)
WARM_UP_PHOTOS = 32
MEMORY_LONG_SIDE = (400, 600)
MEMORY_TIMES = 10


@dataclass
class Measured:
    """What the builds of one method gave, a value a round; the PSNR is that of the first."""

    per_second: list[float] = field(default_factory=list)
    per_cpu_second: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    psnr: float = 0.0


def main(argv: Sequence[str]) -> None:
    """The command."""
    if argv[:1] == ["--worker"]:
        _work(*argv[1:])
        return
    about = (__doc__ or "").partition("\n\nMeasured on")[0]
    parser = cli.ArgumentParser(prog="python benchmarks/bench_build.py", description=about)
    parser.add_argument("--zip", type=Path, metavar="PATH", help="measure this raw zip; default: drawn photos")
    parser.add_argument(
        "--long_side",
        type=int,
        nargs=2,
        default=(600, 1200),
        metavar=("LO", "HI"),
        help="long side of drawn photos, pixels; default: 600 1200",
    )
    parser.add_argument(
        "--psnr_photos", type=int, default=48, metavar="N", help="photos compared; default: %(default)s"
    )
    parser.add_argument(
        "--memory", action="store_true", help="also our peak memory on a zip and on one 10 times as large"
    )
    parser.add_argument(
        "--memory_photos", type=int, default=400, metavar="N", help="in the smaller of these; default: %(default)s"
    )
    benchmark.add_options(parser, "bench_build")
    args = parser.parse_args(argv)
    if min(args.photos, args.rounds, args.psnr_photos, args.memory_photos) < 1:
        raise UserError("--photos, --rounds, --psnr_photos and --memory_photos must be at least 1")
    if not 16 <= args.long_side[0] <= args.long_side[1]:
        raise UserError("--long_side takes two numbers, at least 16, the smaller first")
    if args.zip and not args.zip.is_file():
        raise UserError(f"no such zip: {args.zip}")
    args.work_dir.mkdir(parents=True, exist_ok=True)

    raw_zip = args.zip or _drawn(args.work_dir, args.photos, tuple(args.long_side))
    machine = benchmark.machine(LIBRARIES)
    print(f"{_describe_zip(raw_zip)}\n{benchmark.describe(machine)}\n", flush=True)
    rows = _compare(raw_zip, args.work_dir, args.rounds, args.psnr_photos)
    if args.memory:
        print(flush=True)
        rows += _compare_memory(args.work_dir, args.memory_photos)
    if args.json:
        settings = {"zip": raw_zip.name, "photos": len(build_methods.photo_names(raw_zip)), "rounds": args.rounds}
        benchmark.write_json(args.json, rows, machine, **settings)


def _drawn(work_dir: Path, photos: int, long_side: tuple[int, int]) -> Path:
    """Returns a zip of drawn photos, drawn the first time."""
    path = work_dir / f"drawn_{photos}_{long_side[0]}_{long_side[1]}.zip"
    if not path.exists():
        say(f"drawing {photos} photos into {path}")
        build_methods.draw_zip(path, photos, long_side)
    return path


def _describe_zip(raw_zip: Path) -> str:
    names = build_methods.photo_names(raw_zip)
    return f"{raw_zip.name}: {len(names)} photos, {raw_zip.stat().st_size / MIB:.1f} MiB"


def _compare(raw_zip: Path, work_dir: Path, rounds: int, psnr_photos: int) -> list[Row]:
    """Measures every method in turn, round by round, and prints the table."""
    for method in METHODS.values():
        if not method.available:
            print(f"skipped: {method.title} ({method.needs} is not installed: uv pip install {method.needs})")
    measured = {name: Measured() for name, method in METHODS.items() if method.available}
    for round_number in range(rounds):
        for name, results in measured.items():
            title = METHODS[name].title
            photos_compared = psnr_photos if round_number == 0 else 0
            result = _measure(name, raw_zip, work_dir, photos_compared)
            results.per_second.append(result["photos"] / result["seconds"])
            results.per_cpu_second.append(result["photos"] / result["cpu_seconds"])
            results.memory.append(result["peak"])
            results.psnr = result["psnr"] or results.psnr
            say(
                f"round {round_number + 1}/{rounds}  {title}: {result['photos']} photos in "
                f"{result['seconds']:.2f} s, {result['cpu_seconds']:.2f} CPU seconds"
            )
    ours = measured["ours"]
    lines, rows = [], []
    for name, results in measured.items():
        title = METHODS[name].title
        figures = [
            ("photos a second", "photos/s", results.per_second, ours.per_second),
            ("photos a CPU second", "photos/CPU-s", results.per_cpu_second, ours.per_cpu_second),
            ("peak memory", "MiB", results.memory, ours.memory),
        ]
        ratios = []
        for figure, unit, values, our_values in figures:
            ratios.append(statistics.median(values) / statistics.median(our_values))
            rows.append(Row(f"{title}: {figure}", unit, statistics.median(values), ratios[-1]))
        rows.append(Row(f"{title}: PSNR", "dB", results.psnr))
        cells = [
            f"{benchmark.spread(values)}  {ratio:.2f}x" for (*_, values, _), ratio in zip(figures, ratios, strict=True)
        ]
        lines.append([title, *cells, f"{results.psnr:.2f}"])
    header = ("", "photos/s, to ours", "photos/CPU-s, to ours", "peak MiB, to ours", "PSNR dB")
    print(f"medians of {rounds} rounds (lowest-highest), PSNR of {psnr_photos} photos")
    print(benchmark.table(header, lines), flush=True)
    return rows


def _compare_memory(work_dir: Path, photos: int) -> list[Row]:
    """Measures the peak memory of our build on a zip and on one with each photo 10 times, and prints the table."""
    small = _drawn(work_dir, photos, MEMORY_LONG_SIDE)
    large = small.with_name(f"{small.stem}_{MEMORY_TIMES}_times.zip")
    if not large.exists():
        build_methods.repeat_zip(small, large, MEMORY_TIMES)
    lines, rows = [], []
    for raw_zip in (small, large):
        result = _measure("ours", raw_zip, work_dir, 0)
        peak = result["peak"]
        rows.append(Row(f"{METHODS['ours'].title}: peak memory, {result['photos']} photos", "MiB", peak))
        zip_size = raw_zip.stat().st_size / MIB
        lines.append(
            [f"{result['photos']:,}", f"{zip_size:.1f}", f"{peak:.0f}", f"{peak - result['memory_before']:.0f}"]
        )
        say(f"memory  {result['photos']} photos in {result['seconds']:.2f} s")
    print(f"peak memory of {METHODS['ours'].title}; the larger zip holds every photo {MEMORY_TIMES} times")
    print(benchmark.table(("photos", "zip MiB", "peak MiB", "more than before the build, MiB"), lines), flush=True)
    return rows


def _measure(name: str, raw_zip: Path, work_dir: Path, psnr_photos: int) -> dict[str, Any]:
    """Builds once in a fresh process and folder; returns what the worker reports, and the peak memory in MiB."""
    with tempfile.TemporaryDirectory(dir=work_dir) as folder:
        command = [sys.executable, __file__, "--worker", name, raw_zip, folder, psnr_photos]
        with (Path(folder) / "log.txt").open("wb") as log, Worker([*map(str, command)], log) as worker:
            # What comes before, imports and a small build, is in neither time nor peak; nor is what comes after.
            before, _ = worker.report()
            times, peak = worker.report()
            stored, _ = worker.report()
    return {**before, **times, **stored, "peak": peak}


def _work(name: str, raw_zip_name: str, folder_name: str, psnr_photos: str) -> None:
    """What a worker does: a small build to warm up, the build that counts, then the comparison of photos."""
    reports = benchmark.take_stdout()

    def report(**values: Any) -> None:
        reports.write(json.dumps(values).encode() + b"\n")

    method, raw_zip, folder = METHODS[name], Path(raw_zip_name), Path(folder_name)
    warm_up, records = folder / "warm_up", folder / "records"
    warm_up.mkdir()
    records.mkdir()
    build_methods.part_of_zip(raw_zip, warm_up / "raw.zip", WARM_UP_PHOTOS)
    method.build(warm_up / "raw.zip", warm_up)
    report(memory_before=psutil.Process().memory_info().rss / MIB)

    start, cpu_start = time.perf_counter(), benchmark.cpu_seconds()
    method.build(raw_zip, records)
    seconds, cpu_seconds = time.perf_counter() - start, benchmark.cpu_seconds() - cpu_start
    report(seconds=seconds, cpu_seconds=cpu_seconds)

    names = [photo_id for photo_id, _ in method.stored(records)]
    with zipfile.ZipFile(raw_zip) as archive:
        chosen = build_methods.evenly(sorted(set(names) & set(archive.namelist())), int(psnr_photos))
        originals = {photo_id: archive.read(photo_id) for photo_id in chosen}
    # Those that EXIF turns are left out: only we turn them.
    originals = {photo_id: data for photo_id, data in originals.items() if not build_methods.is_turned(data)}
    stored = method.stored(records) if originals else ()
    values = [build_methods.psnr(originals[photo_id], jpeg) for photo_id, jpeg in stored if photo_id in originals]
    report(photos=len(names), psnr=statistics.fmean(values) if values else None)


if __name__ == "__main__":
    cli.run(main)
