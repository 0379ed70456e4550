"""What data parallel training of VGG16 on 1 to 64 GPUs should reach, by arithmetic from one measured step.

    python benchmarks/scaling.py [--step_ms 49.4] [--batch_size 256] [--check]

No run on several GPUs stands behind the table. It takes the step of one GPU as given and adds what an exchange of the
gradients costs beyond what the backward pass hides:

  exchange   2 (n - 1) / n x bytes / bandwidth, a ring or tree all-reduce of the float32 gradients; within a host of
             eight GPUs over NVLink, then between hosts, each host's network shared by its GPUs
  hidden     the gradients of the dense layers, nine tenths of all, are ready when the backward pass has done 4% of its
             work (counted below), so that nearly all of it, two thirds of the step, runs beside the exchange
  efficiency step of one GPU / (step + what is not hidden)

--check compiles the step of the library for eight virtual CPU devices, and compares the bytes that devices exchange in
the compiled program with those of the arithmetic.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark import table

from butterflyer_jax import cli

GPUS_A_HOST = 8
GPU_COUNTS = (1, 2, 4, 8, 16, 32, 64)
# Bytes a second that an all-reduce moves: of each GPU within a host (NVLink 4 behind NVSwitch), of each host.
NVLINK = 400e9
NETWORKS = {"8 x 400 Gb/s": 400e9, "200 GB/s": 200e9, "100 Gb/s": 12.5e9}
BACKWARD_SHARE = 2 / 3
CHECKED_DEVICES = 8


@dataclass(frozen=True)
class Network:
    """What matters here of a VGG16 with 100 classes.

    Attributes:
      title: for the table.
      parameters: of it.
      late: share of the backward pass after the gradients of the dense layers are ready.
    """

    title: str
    parameters: int
    late: float


def networks() -> list[Network]:
    """Returns VGG16 with each head."""
    import jax
    import jax.numpy as jnp

    from butterflyer_jax.models import VGG, forward_flops

    found = []
    for head in ("fc", "gap"):
        model = VGG(num_classes=100, head=head)
        init = jax.eval_shape(lambda model=model: model.init(jax.random.key(0), jnp.zeros((1, 224, 224, 3)), False))
        flops = forward_flops(init["params"], 224)
        convolutions = sum(value for name, value in flops.items() if name.startswith("block"))
        parameters = sum(x.size for x in jax.tree.leaves(init["params"]))
        found.append(Network(head, parameters, convolutions / sum(flops.values())))
    return found


def exchange_seconds(num_bytes: float, gpus: int, network: float) -> float:
    """Returns the time of an all-reduce within hosts and then between them."""
    within, hosts = min(gpus, GPUS_A_HOST), -(-gpus // GPUS_A_HOST)
    return 2 * num_bytes * ((within - 1) / within / NVLINK + (hosts - 1) / hosts / network)


def efficiency(network: Network, gpus: int, bandwidth: float, step: float) -> tuple[float, float]:
    """Returns the exchange's time, seconds, and the share of n times one GPU's speed that is left."""
    exchange = exchange_seconds(4 * network.parameters, gpus, bandwidth)
    exposed = max(0.0, exchange - BACKWARD_SHARE * network.late * step)
    return exchange, step / (step + exposed)


def check() -> None:
    """Prints what devices exchange in the compiled step beside what the arithmetic says."""
    import jax
    import numpy as np

    from butterflyer_jax.config import Config, DataConfig, ModelConfig, ParallelConfig
    from butterflyer_jax.data.input.position import photo_spec
    from butterflyer_jax.distributed import sharding
    from butterflyer_jax.training import compilation
    from butterflyer_jax.training import state as state_lib
    from butterflyer_jax.training.setup import make_setup

    rows = []
    for head, parallel in (
        ("fc", ParallelConfig()),
        ("gap", ParallelConfig()),
        ("fc", ParallelConfig(model_devices=8)),
        ("fc", ParallelConfig(fsdp=True)),
    ):
        config = Config(batch_size=64, data=DataConfig(image_size=224), model=ModelConfig(head=head), parallel=parallel)
        mesh = sharding.make_mesh(CHECKED_DEVICES, parallel.model_devices)
        setup = make_setup(config, 100, 100, mesh)
        batch = state_lib.abstract_batch(photo_spec(224), config.batch_size, mesh)
        compiled = compilation.compile_step(setup.train_step, setup.abstract_state, batch, mesh)
        state = sum(
            int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize
            for x in jax.tree.leaves(setup.abstract_state)
        )
        layout = "fsdp" if parallel.fsdp else f"model_devices={parallel.model_devices}"
        exchanged = ", ".join(f"{kind} {size / 2**20:,.0f}" for kind, size in compiled.exchanged_bytes().items())
        rows.append([head, layout, f"{4 * setup.num_parameters / 2**20:,.0f}", f"{state / 2**20:,.0f}", exchanged])
    print(f"the compiled step on {CHECKED_DEVICES} virtual CPU devices, MiB a device:")
    print(table(("head", "layout", "all gradients", "state", "exchanged"), rows))


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python benchmarks/scaling.py", description=__doc__)
    parser.add_argument(
        "--step_ms", type=float, default=49.4, metavar="MS", help="one GPU's step; default: %(default)s"
    )
    parser.add_argument("--batch_size", type=int, default=256, metavar="N", help="a GPU's; default: %(default)s")
    parser.add_argument("--check", action="store_true", help="compare with the program that XLA makes")
    args = parser.parse_args(argv)
    if args.check:
        if "XLA_FLAGS" not in os.environ:
            flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={CHECKED_DEVICES}", "JAX_PLATFORMS": "cpu"}
            sys.exit(subprocess.run([sys.executable, __file__, "--check"], env=os.environ | flags).returncode)
        check()
        return
    step = args.step_ms / 1000
    rows = []
    for gpus in GPU_COUNTS:
        row = [str(gpus), f"{gpus * args.batch_size / step:,.0f}"]
        for network in networks():
            for bandwidth in NETWORKS.values():
                exchange, share = efficiency(network, gpus, bandwidth, step)
                row.append(f"{1000 * exchange:.1f} ms {share:.0%}")
        rows.append(row)
    print(f"step of one GPU {args.step_ms:g} ms, {args.batch_size} photos; exchange and efficiency over networks")
    header = ["GPUs", "ideal images/s", *(f"{n.title}, {title}" for n in networks() for title in NETWORKS)]
    print(table(header, rows))


if __name__ == "__main__":
    cli.run(main)
