"""Trains a species classifier.

    python -m butterflyer_jax.train --config configs/demo.py --input SRC --output DIR [--config.FIELD=VALUE …]

The same command on the same --output goes on where the run stopped, and ends with the same weights.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from butterflyer_jax import cli, distributed
from butterflyer_jax.callable_module import make_callable
from butterflyer_jax.config import Config
from butterflyer_jax.console import TrainingDisplay, say

DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
      run: its folder.
      best_step: of the checkpoint with the best val top-1.
      val: that checkpoint's metrics (top1, loss), None where there are no val photographs.
      images_per_second: of training, 0 where no step was left to do.
      seconds: of this process, compilation and evaluation included.
    """

    run: str
    best_step: int
    val: dict[str, float] | None
    images_per_second: float
    seconds: float


def train(
    config: Config,
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    num_devices: int | None = None,
    place: distributed.Place | None = None,
) -> Summary:
    """Trains, or goes on with, the run in `output`.

    Args:
      config: what to train and how.
      input: a raw zip (built once into a cache), a built data set, or "fake"; local or gs://.
      output: run folder; one that all hosts see.
      num_devices: the first so many accelerators of each host; by default all.
      place: of this process among several; by default what the environment says.

    Raises:
      UserError: what the caller can mend, in one line.
    """
    start = time.perf_counter()
    config.validate()
    if config.deterministic and DETERMINISTIC_FLAG not in os.environ.get("XLA_FLAGS", ""):
        # Read when JAX looks for devices for the first time.
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC_FLAG}".strip()
    distributed.start(place)
    # Imported here, not above: `--help` and a wrong path should answer at once.
    import jax

    from butterflyer_jax import (
        batch_size,
        compilation,
        console,
        finish,
        loop,
        pretrained,
        profiling,
        runs,
        sharding,
        step,
        tracking,
    )
    from butterflyer_jax.checkpoint import Checkpointer
    from butterflyer_jax.data import source, work
    from butterflyer_jax.program import make_program

    first_process = jax.process_index() == 0
    if not first_process:
        console.be_quiet()
    if config.compilation_cache:
        compilation.keep_compiled(work.cache_dir() / "xla")
    mesh = sharding.make_mesh(num_devices, config.parallel.model_devices)
    runs.refuse_other_folders(output)
    # Before the data set is built: that may take long, and this tells at once what does not fit.
    config, start_weights = pretrained.settle(config, output)
    dataset = source.resolve(input, config.build)

    def open_data(config: Config) -> source.Data:
        return source.open_data(dataset, config, not sharding.on_cpu(mesh), jax.process_index(), jax.process_count())

    if not config.batch_size:
        size = runs.saved_batch_size(output)
        if not size:
            with contextlib.closing(open_data(config.replace(batch_size=batch_size.unit(config, mesh)))) as data:
                size = batch_size.find(config, len(data.species), data.num_photos("train"), data.photo_spec(), mesh)
            say(f"batch_size: {size}, found for {mesh.size} device(s)")
        config = config.replace(batch_size=size)
    sharding.check(config, mesh)
    data = open_data(config)
    # Closed whatever happens: a save under way is finished even when a later step fails.
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(data))
        program = make_program(config, len(data.species), data.steps_per_epoch, mesh, data.class_counts)
        initial_values = {}
        if start_weights is not None:
            shapes = program.abstract_state.variables
            initial_values = pretrained.match(start_weights, shapes, config.model, data.species)
            del start_weights
        run = runs.open_or_create(output, config, data.species, dataset, data.fingerprint)
        say(
            f"data: {data.num_photos('train')} train, {data.num_photos('val')} val, {data.num_photos('test')} test "
            f"photographs of {len(data.species)} species in {dataset}"
        )
        checkpointer = Checkpointer(run.checkpoints, config.checkpoint.keep_last)
        stack.enter_context(contextlib.closing(checkpointer))
        start_step = checkpointer.latest_step() or 0
        total_steps = config.num_epochs * data.steps_per_epoch
        say(
            f"run: {run.folder}, {config.model.variant} with {program.num_parameters:,} parameters in "
            f"{program.dtype.name} on {mesh.size} {mesh.devices.flat[0].device_kind}, "
            + (f"going on from step {start_step} of {total_steps}" if start_step else f"{total_steps} steps")
        )
        train_step = program.train_step
        if start_step < total_steps:
            batch = step.abstract_batch(data.photo_spec(), config.batch_size, mesh)
            compiled = compilation.compile_step(train_step, program.abstract_state, batch, mesh)
            compilation.check_fits(compiled.memory, config)
            say(f"step: compiled in {compiled.seconds:.1f} s; memory a device {compiled.memory}")
            train_step = compiled.call
        if start_step:
            state = loop.restore_state(checkpointer, start_step, program.abstract_state, data)
        else:
            state = step.create_state(program.model, program.tx, config, mesh)
            if initial_values:
                state = pretrained.insert(state, initial_values)
        cost = profiling.Cost(
            program.training_flops(config.data.image_size), mesh.size, profiling.measure_peak_flops(program.dtype)
        )
        metrics_file = run.folder / runs.METRICS_FILE
        tracker: tracking.Tracker
        tracker = tracking.JsonlTracker(metrics_file, start_step) if first_process else tracking.NoTracker()
        stack.enter_context(tracker)
        display = stack.enter_context(TrainingDisplay(total_steps, start_step))
        stack.enter_context(compilation.telling_of_memory(config))
        result = loop.fit(
            state=state,
            data=data,
            train_step=train_step,
            eval_step=program.eval_step,
            schedule=program.schedule,
            checkpointer=checkpointer,
            tracker=tracker,
            display=display,
            profile=profiling.ProfileWindow(config.profile, run.folder / runs.PROFILE),
            cost=cost,
            config=config,
            mesh=mesh,
        )
        finish.finish(run, data)
        best_step = checkpointer.best_step() or total_steps
        return Summary(
            run=os.fspath(output),
            best_step=best_step,
            val=checkpointer.metrics(best_step),
            images_per_second=result.images_per_second,
            seconds=time.perf_counter() - start,
        )


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python -m butterflyer_jax.train", description=__doc__, epilog=cli.config_help())
    parser.add_argument("--config", required=True, metavar="FILE", help="config file, such as configs/vgg16.py")
    parser.add_argument(
        "--input", required=True, metavar="SRC", help="raw zip, built data set, or fake; local or gs://"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="run folder; made, or gone on with")
    parser.add_argument("--gpu", type=int, metavar="N", help="take the first N local accelerators (default: all)")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 of several listens (see README)")
    parser.add_argument("--num_processes", type=int, metavar="N", help="processes of this run, over all hosts")
    parser.add_argument("--process_id", type=int, metavar="I", help="which of them this is, from 0")
    args, rest = parser.parse_known_args(argv)
    config = cli.load_config(args.config, cli.split_overrides(rest))
    place = distributed.from_flags(args.coordinator, args.num_processes, args.process_id)
    summary = train(config, args.input, args.output, args.gpu, place)
    if place and place.process_id:
        return
    accuracy = f"best val top1 {summary.val['top1']:.1%} at step {summary.best_step}" if summary.val else "no val split"
    minutes, seconds = divmod(round(summary.seconds), 60)
    print(f"done: {accuracy}, {summary.images_per_second:,.0f} images/s, {minutes} min {seconds} s in all")
    print(f"next: python -m butterflyer_jax.evaluate --run {summary.run}")


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
