"""Trains a species classifier.

    python -m butterflyer_jax.train --config configs/demo.py --input SRC --output DIR [--config.FIELD=VALUE …]

The same command on the same --output goes on where the run stopped, and ends with the same weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from butterflyer_jax import cli
from butterflyer_jax.config import Config, TrackingConfig
from butterflyer_jax.console import TrainingDisplay, say
from butterflyer_jax.startup import Start


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
    began = time.perf_counter()
    config.validate()
    # Imported here, not above: `--help` and a wrong path should answer at once.
    import jax

    from butterflyer_jax import gallery, loop, losses, optim, runs, sharding, step, tracking
    from butterflyer_jax.checkpoint import Checkpointer
    from butterflyer_jax.data import source
    from butterflyer_jax.models import create_model

    mesh = sharding.make_mesh(num_devices)
    sharding.check_batch_size(config.batch_size, mesh)
    runs.refuse_other_folders(output)
    dataset = source.resolve(input, config.build)
    data = source.open_data(dataset, config, not sharding.on_cpu(mesh), jax.process_index(), jax.process_count())
    try:
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
    dtype = sharding.compute_dtype(config.precision, mesh)
    model = create_model(config.model, len(data.species), dtype)

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
        start = Start(
            photographs=(data.num_photos("train"), data.num_photos("val"), data.num_photos("test")),
            num_species=len(data.species),
            dataset=dataset,
            run=os.fspath(run.folder),
            variant=config.model.variant,
            num_parameters=sum(x.size for x in jax.tree.leaves(state.variables.params)),
            precision=dtype.name,
            devices=f"{mesh.size} {mesh.devices.flat[0].device_kind}",
            start_step=start_step,
            total_steps=total_steps,
        )
        start.show()

        about = {**config.to_dict(), "start": dataclasses.asdict(start), "made_by": runs.made_by(run)}
        # A finished run has nothing more to tell.
        where = config.tracking if start_step < total_steps else TrackingConfig()
        with (
            tracking.open_trackers(
                Path(run.folder), where, about, start_step, say, writes=jax.process_index() == 0
            ) as trackers,
            TrainingDisplay(total_steps, start_step, config.num_epochs) as display,
        ):
            result = loop.fit(
                state=state,
                data=data,
                train_step=step.make_train_step(model.apply, tx, config, mesh, data.steps_per_epoch, weights),
                eval_step=step.make_eval_step(model.apply, config, mesh),
                schedule=schedule,
                checkpointer=checkpointer,
                tracker=trackers,
                display=display,
                config=config,
                mesh=mesh,
                gallery=gallery.open_gallery(model.apply, data.species, trackers, config, mesh),
            )
            best_step = checkpointer.best_step() or total_steps
            scores = checkpointer.metrics(best_step)
            trackers.keep_model(tracking.Model(best_step, scores, runs.model_files(run, best_step)))
        summary = Summary(
            run=os.fspath(output),
            best_step=best_step,
            val=scores,
            images_per_second=result.images_per_second,
            seconds=time.perf_counter() - began,
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
