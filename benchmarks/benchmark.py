"""Helpers of the bench scripts: monitoring of a process and its memory, medians, the table, the JSON file."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import select
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psutil

MIB = 1 << 20
# Looking through all processes for children takes milliseconds of a core that is measured.
SAMPLING_SECONDS = 0.25


@dataclass(frozen=True)
class Row:
    """A measured figure; `ratio_to_ours` is None where a ratio says nothing."""

    name: str
    unit: str
    value: float
    ratio_to_ours: float | None = None


def add_options(parser: argparse.ArgumentParser, work_dir: str = "") -> None:
    """Adds --rounds and --json to a parser; with the name of a work folder also --photos and --work_dir."""
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds per method; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the figures and the machine, as JSON")
    if work_dir:
        parser.add_argument("--photos", type=int, default=2400, metavar="N", help="drawn photos; default: %(default)s")
        parser.add_argument(
            "--work_dir",
            type=Path,
            default=Path(tempfile.gettempdir()) / work_dir,
            metavar="DIR",
            help="folder that keeps the drawn photos and their builds for later runs; default: %(default)s",
        )


class Worker:
    """A subprocess that reports in lines of JSON on its stdout, with its memory watched meanwhile."""

    def __init__(self, command: Sequence[str], log: BinaryIO) -> None:
        """Starts `command`; its stderr goes to the file `log`."""
        self._log = log
        # A group of its own, to end it with the children that it may have.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, bufsize=0, start_new_session=True)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def report(self) -> tuple[dict[str, Any], float]:
        """Waits for the next line; returns it, and the peak memory until then of the process and its children, MiB.

        Resident memory, sampled; a page that a process shares with its children counts once for each of them.

        Raises:
          RuntimeError: the process ended without one; the message holds the end of its stderr.
        """
        assert self._process.stdout
        peak = self._memory()
        while not select.select([self._process.stdout], [], [], SAMPLING_SECONDS)[0]:
            peak = max(peak, self._memory())
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            stderr = Path(self._log.name).read_text(errors="replace").splitlines()[-15:]
            raise RuntimeError("\n".join(["a worker failed; the end of its stderr:", *stderr]))
        return json.loads(line), max(peak, self._memory())

    def _memory(self) -> float:
        total = 0
        # One may end while we look: the sum so far is a lower bound, and other samples are better.
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            for one in (process, *process.children(recursive=True)):
                total += one.memory_info().rss
        return total / MIB


def take_stdout() -> BinaryIO:
    """Returns the stdout of this process for its reports; whatever libraries print there goes to stderr from now on."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return reports


def cpu_seconds() -> float:
    """Returns the processor time so far of this process and of its children that have ended, user and system."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def spread(values: Sequence[float]) -> str:
    """Returns the median with the lowest and the highest, `12.3 (11.9-14.0)`; of one value that value."""
    digits = sum(statistics.median(values) < bound for bound in (100, 10))
    median = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return median
    return f"{median} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in plain text, the first column aligned to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for cells in (header, ["-" * width for width in widths], *rows):
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        lines.append("  ".join([cells[0].ljust(widths[0]), *aligned[1:]]))
    return "\n".join(lines)


def machine(libraries: Sequence[str]) -> dict[str, Any]:
    """Returns what the figures depend on: processor, cores, memory, versions of Python and of installed libraries."""
    versions = {}
    for name in libraries:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": versions,
    }


def describe(machine: dict[str, Any]) -> str:
    """Returns the machine in words."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}\n"
        f"Python {machine['python']}, {versions}"
    )


def write_json(path: str | os.PathLike[str], rows: Sequence[Row], machine: dict[str, Any], **settings: Any) -> None:
    """Writes the rows, the machine, and the settings of the run."""
    content = {"rows": [asdict(row) for row in rows], "machine": machine, "settings": settings}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
