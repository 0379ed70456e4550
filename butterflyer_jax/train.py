"""Trains a species classifier.

    butterflyer train --config demo --input SRC --output DIR [--config.FIELD=VALUE …]
    butterflyer train --config demo --input SRC --output DIR --folds 5

The same command with the same --output resumes where the run stopped, and ends with the same weights.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from butterflyer_jax import cli
from butterflyer_jax.cli import make_callable
from butterflyer_jax.cloud import secret
from butterflyer_jax.config import Config, TrackingConfig, require
from butterflyer_jax.console import RunSummary, TrainingDisplay, say
from butterflyer_jax.distributed import processes
from butterflyer_jax.errors import UserError
from butterflyer_jax.training.preemption import EXIT_CODES, Interrupted, Preemption

if TYPE_CHECKING:
    from butterflyer_jax.api.run import TrainedRun
    from butterflyer_jax.runs.changes import Allowed
    from butterflyer_jax.tracking import Trackers
    from butterflyer_jax.training.session import RunSession


def train(
    config: Config,
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    num_devices: int | None = None,
    place: processes.Place | None = None,
    allowed: Allowed | None = None,
) -> TrainedRun:
    """Trains the run in `output`, or resumes it.

    Args:
      config: what to train and how.
      input: a raw zip or a folder of photos (built once into a cache), a built data set, or "fake"; local or gs://.
      output: run folder; one that all hosts see.
      num_devices: the first accelerators of each host to use; None uses all.
      place: place of this process among several; None reads the environment.
      allowed: what may differ from the config that the run in `output` was made with; None allows nothing.

    Returns:
      The run, with the metrics of its best checkpoint and how the training ended.

    Raises:
      UserError: what the user can mend, in one line.
      Interrupted: Ctrl-C, after the run was saved.
    """
    began = time.perf_counter()
    require(config, Config)
    config.validate()
    preemption = Preemption(config.stop.max_minutes)
    is_main = processes.prepare(config, place)
    # Imported here, not above: `--help` and a wrong path should answer at once.
    from butterflyer_jax.api.run import TrainedRun
    from butterflyer_jax.distributed import sharding
    from butterflyer_jax.runs.changes import Allowed
    from butterflyer_jax.training import compilation, loop, validation_images
    from butterflyer_jax.training.session import open_run

    if num_devices is not None:
        sharding.require_accelerators(num_devices)
    with open_run(config, input, output, num_devices, allowed or Allowed()) as session, contextlib.ExitStack() as stack:
        summary, config = session.summary(), session.config
        summary.show(session.compilation)
        tracker = stack.enter_context(_open_trackers(session, summary, is_main))
        display = stack.enter_context(TrainingDisplay(session.total_steps, session.start_step, config.num_epochs))
        stack.enter_context(compilation.memory_reported(config))
        gallery = validation_images.open_gallery(
            session.setup.model.apply, session.data.species, tracker, config, session.mesh
        )
        with preemption:
            result = loop.fit(session, tracker, display, preemption, gallery)
        best_step = session.checkpointer.best_step() or session.total_steps
        scores = session.checkpointer.metrics(best_step)
        # A process that was asked to stop ends soon: the resumed run does what follows.
        if result.stopped not in EXIT_CODES:
            from butterflyer_jax.training.finish import finish

            finish(session, tracker, display, best_step, scores)
    run = TrainedRun(
        output,
        best_step=best_step,
        val=scores,
        images_per_second=result.images_per_second,
        seconds=time.perf_counter() - began,
        steps=result.steps,
        num_test_images=summary.photos[2],
        stopped=result.stopped,
    )
    if result.stopped == signal.SIGINT.name:
        raise Interrupted(run)
    return run


def _open_trackers(session: RunSession, summary: RunSummary, is_main: bool) -> Trackers:
    """Opens the trackers of a run; one that is finished has nothing more to report."""
    from butterflyer_jax import runs, tracking

    config = session.config
    about = {**config.to_dict(), "start": dataclasses.asdict(summary), "made_by": runs.made_by(session.run)}
    to = TrackingConfig() if session.is_finished else config.tracking
    return tracking.open_trackers(session.mirror.folder, to, about, session.start_step, say, writes=is_main)


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer train", description=__doc__, epilog=cli.config_help())
    parser.add_argument(
        "--config", required=True, metavar="CONFIG", help="name, such as cpu, or file, such as my_config.py"
    )
    parser.add_argument(
        "--input",
        required=True,
        metavar="SRC",
        help="raw zip, folder of photos, built data set, or fake; local or gs://",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="run folder; made, or resumed")
    parser.add_argument("--gpu", type=int, metavar="N", help="take the first N local accelerators (default: all)")
    parser.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where process 0 listens, if a run has several processes"
    )
    parser.add_argument("--num_processes", type=int, metavar="N", help="processes of this run, over all hosts")
    parser.add_argument("--process_id", type=int, metavar="I", help="which of them this is, from 0")
    parser.add_argument(
        "--find_lr", action="store_true", help="only look for a learning rate: 100 steps, a plot in the run folder"
    )
    parser.add_argument(
        "--sanity", action="store_true", help="only check whether one batch can be learned; a plot in the run folder"
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="only repeat the step whose loss or gradient was not finite, and name the layer",
    )
    parser.add_argument(
        "--change",
        action="store_true",
        help="resume with a changed learning rate, augmentation and so on",
    )
    parser.add_argument("--extend", action="store_true", help="train the run for more epochs than it was made for")
    parser.add_argument(
        "--folds", type=int, metavar="K", help="cross-validation: a run for each of K folds, DIR/fold-1 and so on"
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args, rest = parser().parse_known_args(argv)
    config = cli.load_config(args.config, cli.split_overrides(rest))
    place = processes.from_flags(args.coordinator, args.num_processes, args.process_id)
    secret.resolve(os.environ)
    if args.folds is not None and args.folds < 3:
        raise UserError(f"--folds {args.folds}: take 3 or more, one to test on, one for val, and the rest to train on")
    if args.find_lr or args.sanity or args.replay:
        if args.folds is not None:
            raise UserError("--folds trains whole runs; leave it out of --find_lr, --sanity and --replay")
        _check(config, args)
        return
    from butterflyer_jax.runs.changes import Allowed

    allowed = Allowed(args.change, args.extend)
    try:
        if args.folds is not None:
            trained = _train_folds(config, args, place, allowed)
            if trained is None:
                return
            run = trained
        else:
            run = train(config, args.input, args.output, args.gpu, place, allowed)
    except Interrupted as interrupted:
        run = interrupted.run
    if place and place.process_id:
        return
    _print(run)
    if run.stopped in EXIT_CODES:
        sys.exit(EXIT_CODES[run.stopped])


def _print(run: TrainedRun) -> None:
    """Prints how the training ended, and what to do next."""
    accuracy = f"best val top1 {run.val['top1']:.1%} at step {run.best_step}" if run.val else "no evaluation on val"
    minutes, seconds = divmod(round(run.seconds), 60)
    word = f"stopped at step {run.steps}, {run.stopped}" if run.stopped else "done"
    # A run that was done before took no step.
    speed = f", {run.images_per_second:,.0f} images/s" if run.images_per_second else ""
    print(f"{word}: {accuracy}{speed}, {minutes} min {seconds} s in all")
    if run.stopped in EXIT_CODES:
        print(f"next: the same command resumes from step {run.steps}")
    elif run.num_test_images:
        print(f"next: butterflyer evaluate --run {shlex.quote(run.folder)}")


def _train_folds(
    config: Config, args: argparse.Namespace, place: processes.Place | None, allowed: Allowed
) -> TrainedRun | None:
    """Trains every fold and prints the table; returns the run that was stopped before its last step, if one was."""
    if place and place.num_processes > 1:
        raise UserError(
            "--folds trains in one process; on several, train the folds one by one: "
            f"--config.data.num_folds={args.folds} --config.data.fold=1 and so on"
        )
    processes.prepare(config, None)
    from butterflyer_jax.training import folds

    def train_fold(of_fold: Config, folder: str) -> TrainedRun:
        return train(of_fold, args.input, folder, args.gpu, None, allowed)

    found = folds.train_folds(train_fold, config, args.output, args.folds)
    if not isinstance(found, dict):
        return found
    for line in folds.lines(found):
        print(line)
    print(f"table: {args.output}/{folds.RESULTS_FILE}")
    return None


def _check(config: Config, args: argparse.Namespace) -> None:
    """Runs a diagnosis, before a run or after it broke."""
    processes.prepare(config, None)
    from butterflyer_jax.training import diagnostics

    input, output = args.input, args.output
    if args.replay:
        print(diagnostics.replay(config, output))
        return
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
