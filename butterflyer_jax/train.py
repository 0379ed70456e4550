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

from butterflyer_jax import cli
from butterflyer_jax.config import Config
from butterflyer_jax.console import TrainingDisplay, say


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
) -> Summary:
    """Trains, or goes on with, the run in `output`.

    Args:
      config: what to train and how.
      input: a raw zip (built once into a cache), a built data set, or "fake"; local or gs://.
      output: run folder.
      num_devices: the first so many local accelerators; by default all.

    Raises:
      UserError: what the caller can mend, in one line.
    """
    start = time.perf_counter()
    config.validate()
    # Imported here, not above: `--help` and a wrong path should answer at once.
    import jax

    from butterflyer_jax import loop, losses, optim, pretrained, runs, sharding, step, tracking
    from butterflyer_jax.checkpoint import Checkpointer
    from butterflyer_jax.data import source
    from butterflyer_jax.models import create_model

    mesh = sharding.make_mesh(num_devices)
    sharding.check_batch_size(config.batch_size, mesh)
    runs.refuse_other_folders(output)
    # Before the data set is built: that may take long, and this tells at once what does not fit.
    config, start_weights = pretrained.settle(config, output)
    dataset = source.resolve(input, config.build)
    data = source.open_data(dataset, config, not sharding.on_cpu(mesh), jax.process_index(), jax.process_count())
    try:
        dtype = sharding.compute_dtype(config.precision, mesh)
        model = create_model(config.model, len(data.species), dtype)
        initial_values = {}
        if start_weights is not None:
            abstract = step.abstract_variables(model, config, mesh)
            initial_values = pretrained.match(start_weights, abstract, config.model, data.species)
            del start_weights
        run = runs.open_or_create(output, config, data.species, dataset, data.fingerprint)
    except BaseException:
        data.close()
        raise

    total_steps = config.num_epochs * data.steps_per_epoch
    schedule = optim.make_schedule(config.optim, data.steps_per_epoch, total_steps)
    tx = optim.make_optimizer(config.optim, schedule)
    weights = (
        losses.class_weights(data.class_counts, config.optim.class_balance) if config.optim.class_balance else None
    )

    say(
        f"data: {data.num_photos('train')} train, {data.num_photos('val')} val, {data.num_photos('test')} test "
        f"photographs of {len(data.species)} species in {dataset}"
    )
    # Closed whatever happens: a save under way is finished even when a later step fails.
    with (
        contextlib.closing(data),
        contextlib.closing(Checkpointer(run.checkpoints, config.checkpoint.keep_last)) as checkpointer,
    ):
        start_step = checkpointer.latest_step() or 0
        if start_step:
            state = loop.restore_state(checkpointer, start_step, step.abstract_state(model, tx, config, mesh), data)
        else:
            state = step.create_state(model, tx, config, mesh)
            if initial_values:
                state = pretrained.insert(state, initial_values)
        num_parameters = sum(x.size for x in jax.tree.leaves(state.variables.params))
        say(
            f"run: {run.folder}, {config.model.variant} with {num_parameters:,} parameters in {dtype.name} on "
            f"{mesh.size} {mesh.devices.flat[0].device_kind}, "
            + (f"going on from step {start_step} of {total_steps}" if start_step else f"{total_steps} steps")
        )

        with (
            tracking.JsonlTracker(run.folder / runs.METRICS_FILE, start_step) as tracker,
            TrainingDisplay(total_steps, start_step) as display,
        ):
            result = loop.fit(
                state=state,
                data=data,
                train_step=step.make_train_step(model.apply, tx, config, mesh, data.steps_per_epoch, weights),
                eval_step=step.make_eval_step(model.apply, config, mesh),
                schedule=schedule,
                checkpointer=checkpointer,
                tracker=tracker,
                display=display,
                config=config,
                mesh=mesh,
            )
        best_step = checkpointer.best_step() or total_steps
        summary = Summary(
            run=os.fspath(output),
            best_step=best_step,
            val=checkpointer.metrics(best_step),
            images_per_second=result.images_per_second,
            seconds=time.perf_counter() - start,
        )
    return summary


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python -m butterflyer_jax.train", description=__doc__, epilog=cli.config_help())
    parser.add_argument("--config", required=True, metavar="FILE", help="config file, such as configs/vgg16.py")
    parser.add_argument(
        "--input", required=True, metavar="SRC", help="raw zip, built data set, or fake; local or gs://"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="run folder; made, or gone on with")
    parser.add_argument("--gpu", type=int, metavar="N", help="take the first N local accelerators (default: all)")
    args, rest = parser.parse_known_args(argv)
    config = cli.load_config(args.config, cli.split_overrides(rest))
    summary = train(config, args.input, args.output, args.gpu)
    accuracy = f"best val top1 {summary.val['top1']:.1%} at step {summary.best_step}" if summary.val else "no val split"
    minutes, seconds = divmod(round(summary.seconds), 60)
    print(f"done: {accuracy}, {summary.images_per_second:,.0f} images/s, {minutes} min {seconds} s in all")
    print(f"next: python -m butterflyer_jax.evaluate --run {summary.run}")


if __name__ == "__main__":
    cli.run(main)
