"""Trains a config with many values of some fields, on Optuna, and writes one table.

    butterflyer sweep --config FILE --input SRC --output DIR [--config.FIELD=VALUE …]
    butterflyer sweep --config FILE --input SRC --output DIR --wandb_file sweep.yaml

The config file defines, beside get_config(), a function get_sweep() that returns a
butterflyer_jax.config.search.Sweep. Each trial is a run of its own, DIR/trial_000 and so on; the table is
DIR/results.csv, best first. The same command resumes a sweep that was stopped; started several times at once, on one
machine or on hosts that share DIR, the processes divide the trials among themselves.
"""

from __future__ import annotations

import contextlib
import math
import os
import runpy
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from butterflyer_jax import cli
from butterflyer_jax.config import Config
from butterflyer_jax.config.search import Sweep
from butterflyer_jax.console import say
from butterflyer_jax.data.dataset import FAKE
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics.classification import rank
from butterflyer_jax.storage import files, outputs, paths
from butterflyer_jax.training import study as study_lib
from butterflyer_jax.training.preemption import SIGNALS
from butterflyer_jax.training.study import RUN
from butterflyer_jax.training.trial import StoppedError, train_trial

if TYPE_CHECKING:
    import optuna

RESULTS_FILE = "results.csv"
# In each file that `wandb sweep` reads, near its start.
WANDB_MARK = b"metric:\n  name: val/"


def load_sweep(path: str | os.PathLike[str], config: Config) -> Sweep:
    """Returns what `get_sweep()` of a config file returns.

    Raises:
      UserError: there is no such function, or its sweep does not fit the config.
    """
    try:
        get_sweep = runpy.run_path(os.fspath(path)).get("get_sweep")
        sweep = get_sweep() if get_sweep else None
    except Exception as error:
        raise UserError(f"cannot read the sweep of {path}: {error}") from error
    if not isinstance(sweep, Sweep):
        raise UserError(
            f"{path} must define get_sweep() that returns a butterflyer_jax.config.search.Sweep, as that of cpu_sweep"
        )
    sweep.check(config)
    return sweep


def run(
    sweep: Sweep,
    config: Config,
    config_file: str,
    input: str,
    output: str,
    overrides: Sequence[str] = (),
    retry_failed: bool = False,
) -> list[dict[str, Any]]:
    """Trains all trials that are neither finished nor under way in another process.

    Args:
      sweep: values to try.
      config: config that the trials vary, for its metric.
      config_file: file that defines the config.
      input: data set, as for `train`.
      output: local folder of the trials.
      overrides: config fields set for every trial, such as "num_epochs=10".
      retry_failed: also train again the trials that failed.

    Returns:
      The rows of the table, best first; a trial that failed has its error.

    Raises:
      UserError: the folder holds another sweep, there is no such input, or Optuna is missing.
      StoppedError: a signal or a time limit ended the trial under way; the same call resumes it.
    """
    if output.startswith("gs://"):
        raise UserError(f"--output {output}: a sweep keeps its trials on a disk; processes share it by locks")
    # One line now, not one for each trial.
    if input != FAKE and not files.exists(paths.path(input)):
        raise UserError(f"no such zip or folder: {paths.path(input)}")
    folder = Path(output)
    outputs.check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _noting_signals() as received:
        study = study_lib.open_study(folder, sweep, config, overrides)
        with study_lib.locked(folder / study_lib.LOCK_FILE):
            study_lib.enqueue(study, sweep, retry_failed)
        while (found := study_lib.next_trial(study, folder, sweep, config)) is not None:
            trial, lock = found
            with lock:
                name, values = trial.user_attrs[RUN], trial.params
                say(f"{name} of {len(sweep.combinations())}: {_shown(values)}")
                train_trial(study, trial, folder / name, config, config_file, input, overrides, received, lock.fileno())
            with study_lib.locked(folder / study_lib.LOCK_FILE):
                _write_results(folder / RESULTS_FILE, rows_of(study, config))
        return rows_of(study, config)


@contextlib.contextmanager
def _noting_signals() -> Iterator[list[int]]:
    """Yields a list of the signals that came, in place of their effect."""
    received: list[int] = []
    try:
        before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in SIGNALS}
    except ValueError:
        # Not the main thread: handlers stay as they are.
        before = {}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def rows_of(study: optuna.Study, config: Config) -> list[dict[str, Any]]:
    """Returns a row of each trial that has ended, best first, failed ones last."""
    metric = config.checkpoint.metric
    rows: list[dict[str, Any]] = []
    for name, trial in study_lib.latest_trials(study).items():
        if trial.state.is_finished():
            state = "failed" if trial.state.name == "FAIL" else trial.state.name.lower()
            result = {key: value for key, value in trial.user_attrs.items() if key != RUN}
            rows.append({"trial": name, "state": state, **trial.params, **result})

    def key(row: dict[str, Any]) -> tuple[float, ...]:
        return rank(row, metric) if "loss" in row else (-math.inf, -math.inf)

    return sorted(rows, key=key, reverse=True)


def _write_results(file: Path, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    files.write_csv(file, names, [[row.get(name, "") for name in names] for row in rows])


def _shown(values: dict[str, Any]) -> str:
    """Returns values on a line, floats with four digits."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer sweep", description=__doc__, epilog=cli.config_help())
    parser.add_argument(
        "--config", required=True, metavar="CONFIG", help="name or file of a config that defines get_sweep()"
    )
    parser.add_argument("--input", required=True, metavar="SRC", help="raw zip, built data set, or fake")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the trials; made, or resumed")
    parser.add_argument("--retry_failed", action="store_true", help="train again the trials that failed")
    parser.add_argument("--wandb_file", metavar="FILE", help="only write the sweep for `wandb sweep FILE`")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    args, rest = parser().parse_known_args(argv)
    overrides = cli.split_overrides(rest)
    args.config = cli.find_config(args.config)
    config = cli.load_config(args.config, overrides)
    sweep = load_sweep(args.config, config)
    if args.wandb_file:
        import yaml

        outputs.check_file(args.wandb_file, WANDB_MARK, "--wandb_file")
        content = sweep.wandb(config, args.config, args.input, args.output, overrides)
        files.write_text(args.wandb_file, yaml.safe_dump(content, sort_keys=False, width=1000))
        print(f"wrote {args.wandb_file}: give it to `wandb sweep {args.wandb_file}`")
        return
    try:
        rows = run(sweep, config, args.config, args.input, args.output, overrides, args.retry_failed)
    except StoppedError as stopped:
        say(f"{stopped}; the same command resumes")
        sys.exit(stopped.exit_code)
    for row in rows:
        result = f"top1 {row['top1']:.1%}  loss {row['loss']:.3f}" if "loss" in row else row["error"]
        state = "" if row["state"] == "complete" else f"{row['state']}  "
        print(f"{row['trial']}  {state}{result}  {_shown({name: row[name] for name in sweep.fields})}")
    if under_way := len(sweep.combinations()) - len(rows):
        say(f"{under_way} trials are under way in other processes")
    print(f"the table is {args.output}/{RESULTS_FILE}")
    if rows and all(row["state"] == "failed" for row in rows):
        raise UserError(f"no trial could be trained, the first ended with: {rows[0]['error']}; then add --retry_failed")


if __name__ == "__main__":
    cli.run(main)
