"""Measures inference of a trained run on a CPU: the library's own, its ONNX export in onnxruntime, and PyTorch.

    python benchmarks/bench_inference.py --run runs/first [--batch_sizes 1 8 32] [--methods NAME …] [--json FILE]

The input is a batch of noise, uint8 as in the application and `predict`. The output is NumPy arrays: probabilities, and
with "refusal" the score by which images are refused, where the run has one. All methods have the run's weights, and
probabilities are compared with those of the first. Each measurement runs in a process of its own, the methods in turn
in every round: threads of one library that wait for work take the cores from the next.

PyTorch is not in requirements.lock; put it into an environment of its own.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import benchmark
import numpy as np
from benchmark import Row, Worker

from butterflyer_jax import cli
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError

LIBRARIES = ("butterflyer-jax", "jax", "jaxlib", "onnxruntime", "torch")
WARM_UP_CALLS = 3
# uint8 [batch, side, side, 3] -> probabilities float32 [batch, species].
Answer: TypeAlias = Callable[[np.ndarray], np.ndarray]


def ours(run: str, refusal: bool) -> Answer:
    """The classifier of `predict` and the application."""
    from butterflyer_jax import runs
    from butterflyer_jax.distributed import memory
    from butterflyer_jax.inference.classifier import TrainedClassifier

    # As `TrainedClassifier.load` does.
    memory.share_heap()
    read = runs.read(run)
    if not refusal:
        config = dataclasses.replace(read.config, refusal=dataclasses.replace(read.config.refusal, typicality=False))
        read = dataclasses.replace(read, config=config)
    loaded = runs.load_model(read)
    classifier = TrainedClassifier(loaded, loaded.calibration())
    return lambda images: classifier.classify(images)[0]


def onnx(run: str, refusal: bool) -> Answer:
    """The file of `butterflyer_jax.export --formats onnx`, in onnxruntime with its own settings."""
    import onnxruntime

    from butterflyer_jax.export import onnx as writer
    from butterflyer_jax.export.network import PROBABILITIES

    network = _network(run)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, writer.NAME)
        writer.write(network if refusal else dataclasses.replace(network, typicality=None), path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def answer(images: np.ndarray) -> np.ndarray:
        found: np.ndarray = dict(zip(names, session.run(None, {"image": images}), strict=True))[PROBABILITIES]
        return found

    return answer


def torch(run: str, compiled: bool) -> Answer:
    """PyTorch as its users write it: channels_last, `inference_mode`; probabilities alone."""
    import torch

    network = _network(run)
    layers: list[Any] = []

    def add(module: Any, **arrays: np.ndarray) -> None:
        state = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        module.load_state_dict(state, strict=False)
        layers.append(module)

    for block in network.blocks:
        for name in block:
            of_layer = network.layers[name]
            kernel = of_layer["kernel"].transpose(3, 2, 0, 1)
            bias = {"bias": of_layer["bias"]} if "bias" in of_layer else {}
            add(torch.nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1, bias=bool(bias)), weight=kernel, **bias)
            if norm := network.layers.get(name.replace("conv", "bn")):
                statistics = {"running_mean": norm["mean"], "running_var": norm["var"]}
                add(torch.nn.BatchNorm2d(len(kernel)), weight=norm["scale"], bias=norm["bias"], **statistics)
            layers.append(torch.nn.ReLU(inplace=True))
        layers.append(torch.nn.MaxPool2d(2))
    if network.model.head == "gap":
        layers.append(torch.nn.AdaptiveAvgPool2d(1))
    layers.append(torch.nn.Flatten())
    for name in network.dense:
        kernel, bias_of_layer = network.dense_channels_first(name)
        add(torch.nn.Linear(*kernel.shape), weight=kernel.T, bias=bias_of_layer)
        if name != "logits":
            layers.append(torch.nn.ReLU(inplace=True))
    model = torch.nn.Sequential(*layers).to(memory_format=torch.channels_last).eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (network.model.mean, network.model.std))

    def forward(images: Any) -> Any:
        logits = model((images.permute(0, 3, 1, 2).float() / 255 - mean) / std)
        return torch.softmax(logits / network.temperature, dim=-1)

    function = torch.compile(forward) if compiled else forward

    def answer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = function(torch.from_numpy(images)).numpy()
        return found

    return answer


def _network(run: str) -> Any:
    from butterflyer_jax import runs
    from butterflyer_jax.export import reference

    return reference.network_of(runs.load_model(runs.read(run)))


@dataclass(frozen=True)
class Method:
    """A way to compute answers.

    Attributes:
      title: for the table.
      prepare: loads the run.
      needs: modules.
    """

    title: str
    prepare: Callable[[str], Answer]
    needs: tuple[str, ...] = ()


METHODS = {
    "ours": Method("butterflyer_jax, refusal", lambda run: ours(run, refusal=True)),
    "onnx": Method("onnxruntime, refusal", lambda run: onnx(run, refusal=True), ("onnx", "onnxruntime")),
    "ours_alone": Method("butterflyer_jax", lambda run: ours(run, refusal=False)),
    "onnx_alone": Method("onnxruntime", lambda run: onnx(run, refusal=False), ("onnx", "onnxruntime")),
    "torch": Method("PyTorch, torch.compile", lambda run: torch(run, compiled=True), ("torch",)),
    "torch_eager": Method("PyTorch, eager", lambda run: torch(run, compiled=False), ("torch",)),
}


def main(argv: Sequence[str]) -> None:
    """The command."""
    if argv[:1] == ["--worker"]:
        _work(*argv[1:])
        return
    parser = cli.ArgumentParser(prog="python benchmarks/bench_inference.py", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=(1, 8, 32), metavar="N", help="default: 1 8 32")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help=f"of {', '.join(METHODS)}")
    parser.add_argument(
        "--seconds", type=float, default=1, metavar="S", help="of each measurement (default: %(default)s)"
    )
    benchmark.add_options(parser)
    args = parser.parse_args(argv)
    if min(args.rounds, args.seconds, *args.batch_sizes) <= 0:
        raise UserError("--batch_sizes, --seconds and --rounds must be above 0")
    os.environ["JAX_PLATFORMS"] = "cpu"
    machine = benchmark.machine(LIBRARIES)
    print(f"{benchmark.describe(machine)}\n", flush=True)
    names = []
    for name in args.methods or METHODS:
        missing = [module for module in METHODS[name].needs if importlib.util.find_spec(module) is None]
        if missing:
            print(f"skipped: {METHODS[name].title} (not installed: {', '.join(missing)})", flush=True)
        else:
            names.append(name)
    if not names:
        raise UserError("no method is left to measure")
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(args.rounds):
        for name in names:
            measured[name].append(_measure(name, args.run, args.batch_sizes, args.seconds))
            say(f"round {number + 1}/{args.rounds}  {METHODS[name].title}")
    rows = _show(measured, args.batch_sizes, args.rounds)
    if args.json:
        benchmark.write_json(args.json, rows, machine, rounds=args.rounds, seconds=args.seconds)


def _measure(name: str, run: str, batch_sizes: Sequence[int], seconds: float) -> dict[str, Any]:
    """Measures once in a fresh process."""
    command = [sys.executable, __file__, "--worker", name, run, json.dumps(batch_sizes), str(seconds)]
    with tempfile.NamedTemporaryFile() as log, Worker(command, log) as worker:  # type: ignore[arg-type]
        return worker.report()[0]


def _work(name: str, run: str, batch_sizes: str, seconds: str) -> None:
    """What a worker does."""
    reports = benchmark.take_stdout()
    answer = METHODS[name].prepare(run)
    from butterflyer_jax import runs

    side = runs.read(run).config.data.image_size
    result: dict[str, Any] = {"wall": [], "processor": []}
    for size in json.loads(batch_sizes):
        images = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), np.uint8)
        result["probabilities"] = answer(images).tolist()
        wall, processor = _milliseconds(answer, images, float(seconds))
        result["wall"].append(wall)
        result["processor"].append(processor)
    reports.write(json.dumps(result).encode() + b"\n")
    os._exit(0)


def _milliseconds(answer: Answer, images: np.ndarray, seconds: float) -> tuple[float, float]:
    """Returns the median time of a call, and the mean processor time of all threads, milliseconds."""
    for _ in range(WARM_UP_CALLS):
        answer(images)
    taken: list[float] = []
    start, processor = time.perf_counter(), time.process_time()
    while not taken or time.perf_counter() - start < seconds:
        begun = time.perf_counter()
        answer(images)
        taken.append(time.perf_counter() - begun)
    return 1000 * statistics.median(taken), 1000 * (time.process_time() - processor) / len(taken)


def _show(measured: dict[str, list[dict[str, Any]]], batch_sizes: Sequence[int], rounds: int) -> list[Row]:
    """Prints a table for each batch size, and returns their rows; ratios and differences are to the first method."""
    first = next(iter(measured.values()))
    rows = []
    print(f"medians of {rounds} rounds (lowest-highest)")
    for place, size in enumerate(batch_sizes):
        lines = []
        for name, results in measured.items():
            title = METHODS[name].title
            wall, processor = ([result[kind][place] for result in results] for kind in ("wall", "processor"))
            ratio = statistics.median(wall) / statistics.median(result["wall"][place] for result in first)
            apart = np.abs(np.array(results[0]["probabilities"]) - first[0]["probabilities"]).max()
            rows.append(Row(f"{title}: batch of {size}", "ms", statistics.median(wall), ratio))
            rows.append(Row(f"{title}: batch of {size}, processor", "ms", statistics.median(processor)))
            lines.append(
                [title, *(f"{benchmark.spread(v)}" for v in (wall, processor)), f"{ratio:.2f}x", f"{apart:.0e}"]
            )
        print(f"\nbatch of {size}")
        print(benchmark.table(("", "ms", "processor ms", "time to first", "difference"), lines))
    return rows


if __name__ == "__main__":
    cli.run(main)
