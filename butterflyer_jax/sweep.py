"""Trains a config with many values of some fields, one after another, and writes one table.

    python -m butterflyer_jax.sweep --config FILE --input SRC --output DIR [--config.FIELD=VALUE …]
    python -m butterflyer_jax.sweep --config FILE --input SRC --output DIR --wandb_file sweep.yaml

The config file defines, beside get_config(), a function get_sweep() that returns a
butterflyer_jax.config.search.Sweep. Each trial is a run of its own, DIR/trial_000 and so on; the table is
DIR/results.csv, best first. The same command resumes where it was stopped.
"""

from __future__ import annotations

import json
import math
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from butterflyer_jax import cli
from butterflyer_jax.config import Config, flatten
from butterflyer_jax.config.search import Sweep, Uniform
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics.classification import rank
from butterflyer_jax.storage import files
from butterflyer_jax.training.preemption import EXIT_CODES

SWEEP_FILE, RESULTS_FILE = "sweep.json", "results.csv"


def load_sweep(path: str | os.PathLike[str], config: Config) -> Sweep:
    """Returns what `get_sweep()` of a config file returns.

    Raises:
      UserError: there is no such function, it names fields that a config has not, or tries nothing.
    """
    try:
        get_sweep = runpy.run_path(os.fspath(path)).get("get_sweep")
        sweep = get_sweep() if get_sweep else None
    except Exception as error:
        raise UserError(f"cannot read the sweep of {path}: {error}") from error
    if not isinstance(sweep, Sweep):
        raise UserError(f"{path} must define get_sweep() that returns a butterflyer_jax.config.search.Sweep")
    for name in (*sweep.grid, *sweep.random):
        if name not in flatten(config):
            raise UserError(f"the sweep of {path} tries an unknown config field {name}")
    if not (sweep.grid or sweep.random) or not sweep.trials():
        raise UserError(f"the sweep of {path} tries nothing")
    return sweep


def wandb_sweep(
    sweep: Sweep, config_file: str, input: str, output: str, metric: str, overrides: Sequence[str]
) -> dict[str, Any]:
    """Returns the sweep as `wandb sweep FILE` takes it; its agents run our training command."""
    parameters: dict[str, Any] = {f"config.{name}": {"values": list(values)} for name, values in sweep.grid.items()}
    for name, one in sweep.random.items():
        if isinstance(one, Uniform):
            kind = "log_uniform_values" if one.log else "uniform"
            parameters[f"config.{name}"] = {"distribution": kind, "min": one.low, "max": one.high}
        else:
            parameters[f"config.{name}"] = {"values": list(one)}
    # The agent gives each run its id, which names the run folder too.
    command = (
        f'exec python -m butterflyer_jax.train --config "{config_file}" --input "{input}" '
        f'--output "{output}/$WANDB_RUN_ID" --config.tracking.wandb=online "$@"'
    )
    return {
        "method": "random" if sweep.random else "grid",
        "metric": {"name": f"val/{metric}", "goal": "minimize" if metric == "loss" else "maximize"},
        "parameters": parameters,
        "command": ["bash", "-c", command, "bash", *(f"--config.{one}" for one in overrides), "${args}"],
    }


def run(
    sweep: Sweep, config: Config, config_file: str, input: str, output: str, overrides: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Trains all trials that are not done yet; returns the rows of the table, best first.

    Args:
      sweep: what is tried.
      config: of which it is tried.
      config_file: where that stands.
      input: as of `train`.
      output: folder of the trials.
      overrides: of config fields, for all trials.

    Raises:
      UserError: the folder holds another sweep, or a trial was stopped.
    """
    folder = Path(output)
    trials = sweep.trials()
    identity = {"trials": trials, "overrides": list(overrides)}
    file = folder / SWEEP_FILE
    if file.exists():
        if json.loads(file.read_text()) != json.loads(json.dumps(identity)):
            raise UserError(f"{folder} holds another sweep; take another --output, or the same config")
    else:
        files.write_text(file, json.dumps(identity, indent=2))
    rows = []
    for number, values in enumerate(trials):
        name = f"trial_{number:03}"
        shown = ", ".join(f"{field_name}={value}" for field_name, value in values.items())
        say(f"{name} of {len(trials)}: {shown}")
        rows.append({"trial": name, **values, **_train(folder / name, config, config_file, input, overrides, values)})
        _write_results(folder / RESULTS_FILE, _ranked(rows, config))
    return _ranked(rows, config)


def _train(
    folder: Path,
    config: Config,
    config_file: str,
    input: str,
    overrides: Sequence[str],
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """Trains one trial to its end; returns its best evaluation."""
    done = folder / "trial.json"
    if not done.exists():
        settings = [*overrides, *(f"{name}={value}" for name, value in values.items())]
        line = [sys.executable, "-m", "butterflyer_jax.train", "--config", config_file, "--input", input]
        line += ["--output", os.fspath(folder), *(f"--config.{one}" for one in settings)]
        # A process of its own: what one leaves in memory, or breaks, is not the next one's.
        code = subprocess.run(line, stdout=subprocess.DEVNULL).returncode
        if code in EXIT_CODES.values() or code < 0:
            raise UserError(f"{folder.name} was stopped; the same command goes on from there")
        # Imported here: `--help` should answer at once.
        from butterflyer_jax.training import nonfinite

        # A trial that broke, by a rate that is too high say, has shown what it has to.
        broke = (folder / nonfinite.FOLDER).exists()
        if code and not broke:
            raise UserError(f"{folder.name} could not be trained, as said above; the same command tries again")
        best = {} if broke else _best_evaluation(folder, config)
        files.write_text(done, json.dumps({"exit_code": code, **best}))
    return json.loads(done.read_text())


def _best_evaluation(folder: Path, config: Config) -> dict[str, Any]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if line["split"] == "val"]
    if not evaluations:
        return {}
    best = max(evaluations, key=lambda line: rank(line, config.checkpoint.metric))
    return {name: best[name] for name in ("step", "top1", "balanced_accuracy", "loss")}


def _ranked(rows: list[dict[str, Any]], config: Config) -> list[dict[str, Any]]:
    def key(row: dict[str, Any]) -> tuple[float, ...]:
        return rank(row, config.checkpoint.metric) if "loss" in row else (-math.inf, -math.inf)

    return sorted(rows, key=key, reverse=True)


def _write_results(file: Path, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    files.write_csv(file, names, [[row.get(name, "") for name in names] for row in rows])


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python -m butterflyer_jax.sweep", description=__doc__, epilog=cli.config_help())
    parser.add_argument("--config", required=True, metavar="FILE", help="config file that defines get_sweep()")
    parser.add_argument("--input", required=True, metavar="SRC", help="raw zip, built data set, or fake")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the trials; made, or gone on with")
    parser.add_argument("--wandb_file", metavar="FILE", help="only write the sweep for `wandb sweep FILE`")
    args, rest = parser.parse_known_args(argv)
    overrides = cli.split_overrides(rest)
    config = cli.load_config(args.config, overrides)
    sweep = load_sweep(args.config, config)
    if args.wandb_file:
        content = wandb_sweep(sweep, args.config, args.input, args.output, config.checkpoint.metric, overrides)
        # JSON is YAML.
        files.write_text(args.wandb_file, json.dumps(content, indent=2) + "\n")
        print(f"wrote {args.wandb_file}: give it to `wandb sweep {args.wandb_file}`")
        return
    rows = run(sweep, config, args.config, args.input, args.output, overrides)
    fields = [*sweep.grid, *sweep.random]
    for row in rows:
        shown = ", ".join(f"{name}={row[name]}" for name in fields)
        result = f"top1 {row['top1']:.1%}  loss {row['loss']:.3f}" if "loss" in row else "broke"
        print(f"{row['trial']}  {result}  {shown}")
    print(f"the table is {args.output}/{RESULTS_FILE}")


if __name__ == "__main__":
    cli.run(main)
