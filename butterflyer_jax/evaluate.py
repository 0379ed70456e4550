"""Evaluates a run's best checkpoint on a split; every photograph counts once.

python -m butterflyer_jax.evaluate --run DIR [--split test]
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from butterflyer_jax import cli
from butterflyer_jax.callable_module import make_callable

if TYPE_CHECKING:
    import numpy as np
    from jax.sharding import Mesh

    from butterflyer_jax.metrics import Sums
    from butterflyer_jax.step import EvalStep, Variables


def evaluate_batches(
    eval_step: EvalStep, variables: Variables, batches: Iterable[Mapping[str, np.ndarray]], mesh: Mesh
) -> Sums:
    """Returns the sums over masked, padded batches; `Sums.compute` divides them, once."""
    import jax

    from butterflyer_jax import sharding

    total = None
    for batch in sharding.prefetch(batches, mesh):
        sums = eval_step(variables, batch)
        total = sums if total is None else total + sums
        if sharding.on_cpu(mesh):
            # Queued steps deadlock virtual CPU devices, and hold memory on a real one.
            jax.block_until_ready(total)
    if total is None:
        raise ValueError("nothing to evaluate")
    return total


def evaluate(
    run_folder: str | os.PathLike[str], split: str = "test", dataset: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Evaluates a run's best checkpoint; writes `eval/<split>/metrics.json` and `report/index.html` into its folder.

    Args:
      run_folder: of a run with a checkpoint.
      split: train, val or test.
      dataset: built data set to take instead of the one that the run was trained on, with the same species.

    Returns:
      count, loss, top1, top5, balanced_accuracy; expected_calibration_error, of probabilities with the temperature;
      intervals, 95% of a bootstrap; species, with precision, recall, f1 and support of each; temperature, threshold,
      split, and the checkpoint's step.

    Raises:
      UserError: no run or checkpoint there, the data set is gone or has other species, or the split is empty.
    """
    from butterflyer_jax import calibration, evaluation_report, finish, runs, scores, scoring, sharding
    from butterflyer_jax.config import UserError
    from butterflyer_jax.data import source, storage

    run = runs.read(run_folder)
    model, variables, best_step, mesh = runs.load_model(run)
    # Once over a split: neither files on the disk nor more memory than is free are worth it, whatever training took.
    once = dataclasses.replace(run.config, data=dataclasses.replace(run.config.data, mode="auto"))
    if dataset is None or os.fspath(dataset) == source.FAKE:
        folder = run.dataset if dataset is None else source.FAKE
    else:
        folder = source.resolve(dataset, run.config.build)
    data = source.open_data(folder, once, not sharding.on_cpu(mesh))
    with contextlib.closing(data):
        if data.species != run.species:
            raise UserError(f"the data set's species are not the run's: {', '.join(data.species)}")
        if not data.num_photos(split):
            raise UserError(f"the data set has no photographs in split {split}")
        scored = scoring.score(model, variables, data, split, run.config, mesh)
        # What another data set would suggest is not the run's.
        own = folder == run.dataset and folder != source.FAKE
        known = runs.read_calibration(run, best_step)
        calibrated = finish.calibrate(run, model, variables, best_step, mesh, data) if own else known
        probabilities = calibration.softmax(scored.logits / calibrated.temperature)
        confusion = scores.confusion_matrix(scored.labels, scored.logits.argmax(axis=1), len(run.species))
        metrics = scored.metrics | {
            "expected_calibration_error": scores.reliability(probabilities, scored.labels).error,
            "temperature": calibrated.temperature,
            "threshold": calibrated.threshold,
            "intervals": scores.intervals(scored.logits, scored.labels),
            "split": split,
            "step": best_step,
            "species": scores.by_species(confusion, run.species),
        }
        storage.write_text(
            run.folder / "eval" / split / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False)
        )
        evaluation_report.write(run, model, variables, data, folder, scored, metrics, calibrated)
    return metrics


def main(argv: Sequence[str]) -> None:
    """The command."""
    from butterflyer_jax.data.labels import SPLITS

    parser = cli.ArgumentParser(prog="python -m butterflyer_jax.evaluate", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer_jax.train")
    parser.add_argument("--split", default="test", choices=SPLITS, help="which photographs (default: test)")
    parser.add_argument("--input", metavar="DIR", help="built data set, if not the one that the run was trained on")
    args = parser.parse_args(argv)
    metrics = evaluate(args.run, args.split, args.input)
    print(
        f"{metrics['split']}: top1 {metrics['top1']:.1%}  top5 {metrics['top5']:.1%}  "
        f"balanced {metrics['balanced_accuracy']:.1%}  loss {metrics['loss']:.3f}  "
        f"({metrics['count']} photographs, checkpoint of step {metrics['step']})"
    )
    print(f"report: {args.run.rstrip('/')}/report/index.html")


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
