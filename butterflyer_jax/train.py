"""Trains a species classifier.

    python -m butterflyer_jax.train --config configs/demo.py --input SRC --output DIR [--config.FIELD=VALUE …]

The same command on the same --output goes on where the run stopped, and ends with the same weights.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from butterflyer_jax import cli
from butterflyer_jax.cli import make_callable
from butterflyer_jax.cloud import secret
from butterflyer_jax.config import Config, TrackingConfig
from butterflyer_jax.console import Start, TrainingDisplay, say
from butterflyer_jax.distributed import processes
from butterflyer_jax.errors import UserError
from butterflyer_jax.training.preemption import EXIT_CODES, Preemption


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
      run: its folder.
      best_step: of the best checkpoint by checkpoint.metric.
      val: that checkpoint's metrics (top1, loss), None where there are no val photographs.
      images_per_second: of training, 0 where no step was left to do.
      seconds: of this process, compilation and evaluation included.
      steps: done by all processes of the run so far.
      stopped: why it ended before its last step, None where it did not.
    """

    run: str
    best_step: int
    val: dict[str, float] | None
    images_per_second: float
    seconds: float
    steps: int = 0
    stopped: str | None = None


def train(
    config: Config,
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    num_devices: int | None = None,
    place: processes.Place | None = None,
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
    began = time.perf_counter()
    config.validate()
    preemption = Preemption(config.stop.max_minutes)
    speaks = processes.prepare(config, place)
    # Imported here, not above: `--help` and a wrong path should answer at once.
    import jax

    from butterflyer_jax import runs, tracking
    from butterflyer_jax.data import dataset as dataset_lib
    from butterflyer_jax.distributed import sharding
    from butterflyer_jax.runs import sync
    from butterflyer_jax.runs.checkpoint import Checkpointer
    from butterflyer_jax.training import batch_size, compilation, finish, loop, pretrained, validation_images
    from butterflyer_jax.training import state as state_lib
    from butterflyer_jax.training.early_stopping import Progress
    from butterflyer_jax.training.profiling import Cost, ProfileWindow, measure_peak_flops
    from butterflyer_jax.training.setup import image_size_at, make_program

    mesh = sharding.make_mesh(num_devices, config.parallel.model_devices)
    runs.refuse_other_folders(output)
    # Before the data set is built: that may take long, and this tells at once what does not fit.
    config, start_weights = pretrained.settle(config, output)
    dataset = dataset_lib.resolve(input, config.build)

    def open_data(config: Config) -> dataset_lib.Data:
        return dataset_lib.open_data(
            dataset, config, not sharding.on_cpu(mesh), jax.process_index(), jax.process_count()
        )

    if not config.batch_size:
        config = config.replace(batch_size=batch_size.settle(config, output, open_data, mesh))
    sharding.check(config, mesh)
    # All that is opened is closed whatever happens: a save under way is finished even when a later step fails.
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(contextlib.closing(open_data(config)))
        program = make_program(config, len(data.species), data.steps_per_epoch, mesh, data.class_counts)
        initial_values = {}
        if start_weights is not None:
            shapes = program.abstract_state.variables
            initial_values = pretrained.match(start_weights, shapes, config.model, data.species)
            del start_weights
        run = runs.open_or_create(output, config, data.species, dataset, data.fingerprint)
        local = stack.enter_context(contextlib.closing(sync.Mirror(run.folder, speaks)))
        # What is told of steps is in a bucket before their checkpoint is.
        checkpointer = Checkpointer(run.checkpoints, config.checkpoint, before_save=local.copy)
        stack.enter_context(contextlib.closing(checkpointer))
        start_step = checkpointer.latest_step() or 0
        total_steps = config.num_epochs * data.steps_per_epoch
        train_steps, more = program.train_steps, []
        if start_step < total_steps:
            batch = state_lib.abstract_batch(data.photo_spec(), config.batch_size, mesh)
            first_size = image_size_at(config, start_step, total_steps)
            compiled = {
                size: compilation.compile_step(program.train_steps[size], program.abstract_state, batch, mesh)
                for size in program.train_steps
                if size >= first_size
            }
            largest = compiled[config.data.image_size]
            compilation.check_fits(largest.memory, config)
            seconds = sum(one.seconds for one in compiled.values())
            more = [("step", f"compiled in {seconds:.1f} s"), ("memory", f"a device {largest.memory}")]
            train_steps = {size: one.call for size, one in compiled.items()}
        if start_step:
            state, progress = state_lib.restore_state(checkpointer, start_step, program.abstract_state, data)
        else:
            state, progress = state_lib.create_state(program.model, program.tx, config, mesh), Progress()
            if initial_values:
                state = pretrained.insert(state, initial_values)
        start = Start(
            photographs=(data.num_photos("train"), data.num_photos("val"), data.num_photos("test")),
            num_species=len(data.species),
            dataset=dataset,
            run=os.fspath(run.folder),
            variant=config.model.variant,
            num_parameters=program.num_parameters,
            precision=program.dtype.name,
            devices=f"{mesh.size} {mesh.devices.flat[0].device_kind}",
            start_step=start_step,
            total_steps=total_steps,
        )
        start.show(more)
        about = {**config.to_dict(), "start": dataclasses.asdict(start), "made_by": runs.made_by(run)}
        # A finished run has nothing more to tell.
        where = config.tracking if start_step < total_steps else TrackingConfig()
        trackers = stack.enter_context(
            tracking.open_trackers(local.folder, where, about, start_step, say, writes=speaks)
        )
        peak_flops = measure_peak_flops(program.dtype)
        display = stack.enter_context(TrainingDisplay(total_steps, start_step, config.num_epochs))
        stack.enter_context(compilation.telling_of_memory(config))
        with preemption:
            result = loop.fit(
                state=state,
                data=data,
                step_at=lambda done: train_steps[image_size_at(config, done, total_steps)],
                eval_step=program.eval_step,
                schedule=program.schedule,
                checkpointer=checkpointer,
                tracker=trackers,
                display=display,
                profile=ProfileWindow(config.profile, local.folder / runs.PROFILE),
                cost_at=lambda done: Cost(
                    program.training_flops(image_size_at(config, done, total_steps)), mesh.size, peak_flops
                ),
                progress=progress,
                preemption=preemption,
                config=config,
                mesh=mesh,
                gallery=validation_images.open_gallery(program.model.apply, data.species, trackers, config, mesh),
                folder=run.folder,
            )
        best_step = checkpointer.best_step() or total_steps
        scores = checkpointer.metrics(best_step)
        # Whoever stops the process wants it to end soon.
        if result.stopped not in EXIT_CODES:
            finish.finish(run, data)
            if config.tracking.wandb_artifact:
                files = runs.model_files(run, best_step, local.folder)
                trackers.keep_model(tracking.Model(best_step, scores, files))
    return Summary(
        run=os.fspath(output),
        best_step=best_step,
        val=scores,
        images_per_second=result.images_per_second,
        seconds=time.perf_counter() - began,
        steps=result.steps,
        stopped=result.stopped,
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
    parser.add_argument(
        "--find_lr", action="store_true", help="only look for a learning rate: 100 steps, a plot in the run folder"
    )
    parser.add_argument(
        "--sanity", action="store_true", help="only see whether one batch can be learned; a plot in the run folder"
    )
    parser.add_argument(
        "--replay", action="store_true", help="only do a step again after which the network was not finite"
    )
    args, rest = parser.parse_known_args(argv)
    config = cli.load_config(args.config, cli.split_overrides(rest))
    place = processes.from_flags(args.coordinator, args.num_processes, args.process_id)
    secret.resolve(os.environ)
    if args.find_lr or args.sanity or args.replay:
        _check(config, args)
        return
    summary = train(config, args.input, args.output, args.gpu, place)
    if place and place.process_id:
        return
    accuracy = f"best val top1 {summary.val['top1']:.1%} at step {summary.best_step}" if summary.val else "no val split"
    minutes, seconds = divmod(round(summary.seconds), 60)
    word = f"stopped at step {summary.steps}, {summary.stopped}" if summary.stopped else "done"
    print(f"{word}: {accuracy}, {summary.images_per_second:,.0f} images/s, {minutes} min {seconds} s in all")
    if summary.stopped in EXIT_CODES:
        print(f"next: the same command goes on from step {summary.steps}")
        sys.exit(EXIT_CODES[summary.stopped])
    print(f"next: python -m butterflyer_jax.evaluate --run {summary.run}")


def _check(config: Config, args: argparse.Namespace) -> None:
    """Does what is asked for before a run, or after it broke."""
    processes.prepare(config, None)
    from butterflyer_jax import runs
    from butterflyer_jax.training import diagnostics

    input, output = args.input, args.output
    if args.replay:
        print(diagnostics.replay(config, output))
        return
    runs.refuse_other_folders(output)
    if not config.batch_size:
        raise UserError("--find_lr and --sanity need a batch_size, not 0")
    if args.find_lr:
        found = diagnostics.find_learning_rate(config, input, output)
        print(f"the loss fell fastest at learning rate {found.suggestion:.2g}: see {output}/find_lr.png")
        print(f"next: --config.optim.learning_rate={found.suggestion:.2g}")
    if args.sanity:
        fit = diagnostics.overfit_one_batch(config, input, output)
        word = "learned" if fit.learned else "not learned"
        print(f"one batch {word}: loss {fit.losses[0]:.3f} to {fit.losses[-1]:.3f} in {len(fit.losses)} steps")
        if not fit.learned:
            print("next: try --find_lr, or a smaller optim.learning_rate")
            sys.exit(1)


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
