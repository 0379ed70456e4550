"""Measures the train step: the library's own, without its formulations, and those of PyTorch and Keras on JAX.

    python benchmarks/bench_step.py [--variant vgg16] [--batch_norm] [--batch_size N] [--methods NAME …] [--json FILE]
    python benchmarks/bench_step.py --cpu     (three tasks on a CPU, with what is done for CPUs taken away step by step)

Forward, backward and update on a batch of noise that stays on the device; uint8 in, normalised there, no augmentation
but where the name says so. On a GPU bfloat16, VGG16, 224 pixels, batch 256; on a CPU float32 and by default a quarter
of the width, 64 pixels, batch 32. 100 classes, the paper's head with dropout, SGD with Nesterov momentum and weight
decay; with `--batch_norm` batch normalisation, the mean of each map and AdamW, as `configs/vgg16.py`. Keras gets its
batches from the host: that is what its fit() does. TFLOP/s count three times the forward convolutions and dense layers,
less the gradient of the input; MFU is their share of what a large matrix product reaches in the same run. Each
measurement runs in a process of its own, the methods in turn in every round.

Memory is what XLA's analysis says that a step needs of the device, state and batches included; with PyTorch on a GPU
its largest allocation; else, marked "host", the resident memory of the process.

PyTorch is not in requirements.lock; put it into an environment of its own.

What was tried for VGG16 on one H100 (224 pixels, batch 256, bfloat16; jax 0.10 to 0.12), ms a step:

  73.4  Keras 3.15 on JAX, mixed_bfloat16
  68.8  Flax, nn.max_pool: its gradient, XLA's select-and-scatter, costs 13 ms and 6 GiB
  56.5  PyTorch 2.11, channels_last, torch.compile
  53.0  2x2 max-pool that keeps a uint8 argmax; stacking the corners in the gradient instead costs 4 ms
  49.4  and 3 input channels padded to 8 inside the step: this library (26 Nov 2026, jax 0.11.2)
  49.1  first layer as uint32 pixels times a matrix, the mean folded into a fourth channel: 1%, not worth its complexity
  no gain: bias and ReLU after the pool, batch 512, 16 channels, no Triton GEMM, latency hiding, no command buffers
  44    the floor with cuDNN's convolutions: convolutions and dense layers alone take 35

The same with batch normalisation; all passes but the convolutions run at the memory's speed, at 3 TB/s:

  69.3  PyTorch 2.11, channels_last, torch.compile
  62.0  Flax's BatchNorm and ReLU, then our max-pool
  57.8  the pool first, and the gradient as one formula (`models.batch_norm`)
  56.5  and corners of the pool kept from the forward pass: this library (27 Nov 2026, jax 0.11.2)
  no gain: the first layer by blocks of two or four neighbouring pixels (its convolution takes 1.3 instead of 2.1 ms,
    but XLA makes as much of it up in passes for the changed shapes)
  37    convolutions alone; the passes that the memory must make take 16 more

What was tried on 2 CPU cores (Zen 5, float32, jax 0.10.2) and stayed: convolutions leave XLA's library of one thread
(`distributed.compiler`), 64 channels and more by Winograd (`models.winograd`), the first layer by four pixels at once
(`models.few_channels`), batch normalisation or bias, ReLU and pool in few passes (`models.batch_norm`,
`models.bias_relu`), parts of a batch without a loop (`training.step.accumulate`), a batch without batch normalisation
in halves (`models.vgg.PARTS`: the memory of two halves fits the caches better, and XLA runs them at the same time), the
gradient's norm by products (`training.optimizer.global_norm`), and the step's working memory kept by the allocator
(`distributed.memory`). What did not help:

  fast math, vectors of 512 bits, scheduler presets, oneDNN flags, fusion emitters off, huge pages, two virtual devices,
  jaxlib 0.12
  im2col, sums of nine products, Winograd F(2x2), Winograd for 32 channels and fewer
  for the gradient by kernels of few channels: im2col in whole (twice the time of XLA's transposed convolution) and by
    four images (6.2 instead of 8.3 ms for 16 -> 16 channels, but 8.8 instead of 6.2 for 16 -> 32)
  a convolution within `lax.cond` or a loop: 40 times slower, as XLA brings the gradients' convolutions into the order
    of axes that its fast kernels take in the main program alone; written in that order by hand they are as fast, but a
    step in a loop of two parts still takes a quarter more time than without the loop, with 86 instead of 104 MiB
  `lax.optimization_barrier`: gone before XLA fuses
  max-pool as one reduction of values and places: 10% slower; XLA's pass tree_reduction_rewriter off: a third of the
    time of a long sum, which the sums of `models.batch_norm` take a tenth of, and sums of 300,000 numbers in a row
  Winograd by parts of the batch in a loop: 10% less processor time on one core (30% for 64 channels of 64 x 64 pixels),
    but more time on two, as what is in a loop is too small to be shared between them
  Winograd's transforms as matrix products with Kronecker products: twice the time of sums, and longer to compile
  Winograd computed again in the backward pass: no less memory, 8% slower
  freed memory kept by mallopt for all threads (no mmap, no trim, one arena): as few page faults,
    but 1,194 instead of 928 MiB of resident memory after 200 steps; M_TOP_PAD: no fewer page faults; the thresholds
    of `distributed.memory` without `run_in_caller`: none fewer either, as the step's thread has an arena of its own
  the gradient of a pool and ReLU without `layers.materialise`: 92 instead of 94 processor ms a step of VGG16 of a
    quarter of the width, but 104 instead of 91 MiB
  on Zen 3, of VGG16 of a quarter of the width: the last block as a whole, or the input of a layer without pool written
    once: 2 to 3% less processor time each, but the same wall time; parts of 4 in the first blocks, 3 and 8 parts, other
    `winograd.GROUPS`: none less. What holds it up is the kernels' gradient of 16 channels: Eigen shares it between two
    cores in 1,000 small tasks, so two halves take 15 ms on two cores and 16 on one. Nor is it faster by groups of
    images, of two or four pixels at once, as sums of 3 or 9 products, or in XLA's library of one thread

Not tried on a GPU: a Pallas kernel that fuses the gradients of ReLU, bias and pool (1.7 ms of the first
layer, which reads the activation where a bit would do), and fp8 convolutions.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import benchmark
from benchmark import Row, Worker
from step_methods import METHODS, Task, seconds_a_step

from butterflyer_jax import cli
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError

LIBRARIES = ("butterflyer-jax", "jax", "jaxlib", "flax", "optax", "torch", "keras")
CPU_TASKS = (
    Task("vgg16", 0.25, 64, 32, accelerator=False),
    Task("vgg11", 0.25, 96, 32, accelerator=False, batch_norm=True),
    Task("vgg16", 1.0, 64, 16, accelerator=False),
)
CPU_METHODS = ("ours", "ours_parts", "no_memory", "no_winograd", "default", "torch", "torch_eager")
GPU_TASK = {"width": 1.0, "image_size": 224, "batch_size": 256, "steps": 50}
CPU_TASK = {"width": 0.25, "image_size": 64, "batch_size": 32, "steps": 10}
WARM_UP_SHARE = 5
PLATFORM = "import jax; d = jax.devices()[0]; print(d.platform, d.device_kind, sep='|')"


@dataclass
class Measured:
    """What a method gave, a value a round.

    Attributes:
      seconds: a step.
      processor: seconds of all threads a step.
      memory: bytes.
      on_host: whether the memory is the process's.
      facts: further facts of the first round.
    """

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    on_host: bool = False
    facts: dict[str, float] = field(default_factory=dict)


def main(argv: Sequence[str]) -> None:
    """The command."""
    if argv[:1] == ["--worker"]:
        _work(*argv[1:])
        return
    parser = cli.ArgumentParser(prog="python benchmarks/bench_step.py", description=__doc__)
    parser.add_argument("--variant", default="vgg16", choices=("vgg11", "vgg13", "vgg16", "vgg19"))
    parser.add_argument("--width", type=float, metavar="X", help="factor on every layer's width")
    parser.add_argument("--image_size", type=int, metavar="N", help="side of the images, pixels; a multiple of 32")
    parser.add_argument("--batch_size", type=int, metavar="N", help="photos per step")
    parser.add_argument("--steps", type=int, metavar="N", help="measured a round")
    parser.add_argument("--batch_norm", action="store_true", help="the network and optimizer of configs/vgg16.py")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--cpu", action="store_true", help="measure three tasks on a CPU, one after another")
    benchmark.add_options(parser)
    args = parser.parse_args(argv)
    if args.cpu:
        own = (args.width, args.image_size, args.batch_size, args.batch_norm, args.json)
        if args.variant != "vgg16" or any(own):
            raise UserError("--cpu has its own tasks: give --methods, --steps or --rounds with it, nothing else")
        os.environ["JAX_PLATFORMS"] = "cpu"
    # In a process that ends: this one must not hold the device.
    found = subprocess.run([sys.executable, "-c", PLATFORM], capture_output=True, text=True, check=True)
    platform, _, device = found.stdout.strip().partition("|")
    if args.cpu:
        for task in CPU_TASKS:
            _compare(task, args.methods or CPU_METHODS, args.steps or int(CPU_TASK["steps"]), args.rounds, device)
        return
    defaults = CPU_TASK if platform == "cpu" else GPU_TASK
    chosen = {name: getattr(args, name) or value for name, value in defaults.items()}
    steps = int(chosen.pop("steps"))
    if min(args.rounds, *chosen.values()) <= 0 or chosen["image_size"] % 32:
        raise UserError("--rounds, --width, --batch_size and --steps must be above 0, --image_size a multiple of 32")
    task = Task(args.variant, accelerator=platform != "cpu", batch_norm=args.batch_norm, **chosen)

    rows, machine = _compare(task, args.methods or tuple(METHODS), steps, args.rounds, device)
    if args.json:
        settings = dataclasses.asdict(task) | {"steps": steps, "rounds": args.rounds}
        benchmark.write_json(args.json, rows, machine, **settings)


def _compare(
    task: Task, names: Sequence[str], steps: int, rounds: int, device: str
) -> tuple[list[Row], dict[str, Any]]:
    """Measures methods in turn, prints their table, and returns its rows and the machine."""
    machine = benchmark.machine(LIBRARIES) | {"device": device}
    print(f"{task.title}, on {device}")
    print(f"{benchmark.describe(machine)}\n", flush=True)
    methods = {}
    for name, method in METHODS.items():
        if name in names:
            reason = method.reason_to_skip(task)
            if reason:
                print(f"skipped: {method.title} ({reason})", flush=True)
            else:
                methods[name] = Measured()
    if not methods:
        raise UserError("no method is left to measure")
    for number in range(rounds):
        for name, measured in methods.items():
            _measure(name, task, steps, measured)
            say(f"round {number + 1}/{rounds}  {METHODS[name].title}: {1000 * measured.seconds[-1]:.1f} ms")
    return _show(methods, task, rounds), machine


def _measure(name: str, task: Task, steps: int, measured: Measured) -> None:
    """Measures once in a fresh process."""
    command = [sys.executable, __file__, "--worker", name, json.dumps(dataclasses.asdict(task)), str(steps)]
    with tempfile.NamedTemporaryFile() as log, Worker(command, log) as worker:  # type: ignore[arg-type]
        result, peak = worker.report()
    measured.seconds.append(result["seconds"])
    measured.processor.append(result["processor"])
    measured.on_host = result["memory"] is None
    measured.memory.append(peak * benchmark.MIB if measured.on_host else result["memory"])
    measured.facts = measured.facts or result["facts"]


def _show(methods: dict[str, Measured], task: Task, rounds: int) -> list[Row]:
    """Prints the table and returns its rows; ratios are to the first method where that is ours."""
    first = next(iter(methods))
    ours = methods[first] if first.startswith("ours") else None
    # The fastest product of all processes that made one: a disturbed one shows less than the device can do.
    peak = max((measured.facts.get("peak_flops", 0.0) for measured in methods.values()), default=0.0)
    flops = next((m.facts["flops_per_image"] for m in methods.values() if m.facts), 0.0) * task.batch_size
    lines, rows = [], []
    for name, measured in methods.items():
        title = METHODS[name].title
        seconds = statistics.median(measured.seconds)
        ratio = seconds / statistics.median(ours.seconds) if ours else None
        memory = statistics.median(measured.memory) / benchmark.MIB
        rows += [
            Row(f"{title}: step", "ms", 1000 * seconds, ratio),
            Row(f"{title}: images per second", "images/s", task.batch_size / seconds, 1 / ratio if ratio else None),
            Row(f"{title}: {'host ' if measured.on_host else ''}memory", "MiB", memory),
        ]
        cells = [benchmark.spread([1000 * value for value in measured.seconds])]
        cells.append(benchmark.spread([1000 * value for value in measured.processor]))
        cells.append(f"{task.batch_size / seconds:,.0f}")
        if flops:
            rows.append(Row(f"{title}: TFLOP/s", "TFLOP/s", flops / seconds / 1e12))
            rows.append(Row(f"{title}: MFU", "share", flops / seconds / peak))
            cells += [f"{flops / seconds / 1e12:.3g}", f"{flops / seconds / peak:.0%}"]
        else:
            cells += ["", ""]
        cells.append(f"{memory:,.0f}" + (" host" if measured.on_host else ""))
        cells.append(f"{ratio:.2f}x" if ratio else "")
        lines.append([title, *cells])
    print(f"medians of {rounds} rounds (lowest-highest); a large matrix product: {peak / 1e12:.3g} TFLOP/s")
    print(
        benchmark.table(
            ("", "ms a step", "processor ms", "images/s", "TFLOP/s", "MFU", "memory MiB", "time to ours"), lines
        )
    )
    return rows


def _work(name: str, task: str, steps: str) -> None:
    """What a worker does."""
    reports = benchmark.take_stdout()
    prepared = METHODS[name].prepare(Task(**json.loads(task)))
    seconds, processor = seconds_a_step(prepared, max(2, int(steps) // WARM_UP_SHARE), int(steps))
    result = {"seconds": seconds, "processor": processor, "memory": prepared.memory, "facts": prepared.facts}
    reports.write(json.dumps(result).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    cli.run(main)
