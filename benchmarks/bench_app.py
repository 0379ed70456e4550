"""Measures the application under load: requests per second, and how long they take, with many visitors at once.

    python benchmarks/bench_app.py --run demo/run --picture demo/photos/*/0001.jpg [--users 32] [--json FILE]

Each visitor sends a picture, waits for the answer, and sends the next one, over a connection of its own on the loopback
address. Two services run side by side and are loaded in turn in every round: the application as it is, which answers in
one batch what comes at the same time, and the same with batches of one. Visitors, all in this process, and services
share the machine's cores, so the figures are lower bounds. With --heat_map every answer has its heat map.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import benchmark
from benchmark import Row

from butterflyer_jax import cli
from butterflyer_jax.app.settings import Settings
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError

METHODS = {"ours, batches": Settings().max_batch, "batches of one": 1}
LIBRARIES = ("butterflyer-jax", "jax", "fastapi", "uvicorn")
BOUNDARY = b"butterflyer"
START_SECONDS = 120
MAX_REQUESTS = 20_000


@dataclass
class Measured:
    """Figures of each round."""

    per_second: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python benchmarks/bench_app.py", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder")
    parser.add_argument("--picture", required=True, type=Path, metavar="FILE", help="that every visitor sends")
    parser.add_argument("--users", type=int, default=32, metavar="N", help="at once (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, metavar="S", help="of each round (default: %(default)s)")
    parser.add_argument("--heat_map", action="store_true", help="ask for heat maps")
    benchmark.add_options(parser)
    args = parser.parse_args(argv)
    if min(args.users, args.seconds, args.rounds) <= 0:
        raise UserError("--users, --seconds and --rounds must be above 0")
    if not args.picture.is_file():
        raise UserError(f"no such picture: {args.picture}")
    machine = benchmark.machine(LIBRARIES)
    picture = args.picture.read_bytes()
    print(f"{args.users} visitors, {len(picture):,} bytes a picture; {benchmark.describe(machine)}\n", flush=True)
    request = _request(picture, args.heat_map)
    measured = {name: Measured() for name in METHODS}
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(_service(args.run, size)) for name, size in METHODS.items()}
        for number in range(args.rounds):
            for name, port in ports.items():
                # What is cold the first time is no visitor's.
                asyncio.run(_load(port, request, args.users, min(1.0, args.seconds)))
                seconds, elapsed = asyncio.run(_load(port, request, args.users, args.seconds))
                _note(measured[name], seconds, elapsed)
                say(f"round {number + 1}/{args.rounds}  {name}: {len(seconds) / elapsed:,.0f} requests/s")
    rows = _show(measured, args.rounds)
    if args.json:
        settings = {"users": args.users, "seconds": args.seconds, "rounds": args.rounds, "heat_map": args.heat_map}
        benchmark.write_json(args.json, rows, machine, **settings)


@contextlib.contextmanager
def _service(run: str, max_batch: int) -> Iterator[int]:
    """Runs the command; yields its port."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w+") as log:
        command = [sys.executable, "-m", "butterflyer_jax.app", "--run", run, "--port", "0"]
        command += ["--max_batch", str(max_batch), "--pictures_per_minute", "0", "--feedback", f"{folder}/f.sqlite"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield _port(process, Path(log.name))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r'"ready": ".*:(\d+)"', log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.1)
    raise UserError(f"the application did not start: {log.read_text().strip()[-500:]}")


def _request(picture: bytes, heat_map: bool) -> bytes:
    body = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n%b\r\n--%b--\r\n' % (
        BOUNDARY,
        picture,
        BOUNDARY,
    )
    path = b"/api/predict?heat_map=true" if heat_map else b"/api/predict"
    head = (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=%b\r\n"
        b"Content-Length: %d\r\n\r\n" % (path, BOUNDARY, len(body))
    )
    return head + body


async def _load(port: int, request: bytes, users: int, seconds: float) -> tuple[list[float], float]:
    """Returns the seconds of each request that was answered, and those of all together."""
    taken: list[float] = []
    start = time.perf_counter()

    async def visit() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - start < seconds and len(taken) < MAX_REQUESTS:
            begun = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise UserError(f"the application answers: {body.decode(errors='replace')[:200]}")
            taken.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(visit() for _ in range(users)))
    return taken, time.perf_counter() - start


def _note(measured: Measured, seconds: Sequence[float], elapsed: float) -> None:
    ordered = sorted(seconds)
    measured.per_second.append(len(ordered) / elapsed)
    measured.p50.append(1000 * statistics.median(ordered))
    measured.p99.append(1000 * ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))])


def _show(measured: dict[str, Measured], rounds: int) -> list[Row]:
    """Prints the table and returns its rows."""
    ours = next(iter(measured.values()))
    lines, rows = [], []
    for name, figures in measured.items():
        cells = [name]
        for title, unit in (("per_second", "requests/s"), ("p50", "ms"), ("p99", "ms")):
            values, of_ours = getattr(figures, title), getattr(ours, title)
            ratio = statistics.median(values) / statistics.median(of_ours)
            rows.append(Row(f"{name}: {title}", unit, statistics.median(values), ratio))
            cells.append(f"{benchmark.spread(values)}  {ratio:.2f}x")
        lines.append(cells)
    print(f"medians of {rounds} rounds (lowest-highest), and their ratio to ours")
    print(benchmark.table(("", "requests/s", "p50 ms", "p99 ms"), lines))
    return rows


if __name__ == "__main__":
    cli.run(main)
