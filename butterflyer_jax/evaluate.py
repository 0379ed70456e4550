"""Evaluates a run's best checkpoint on a split; every photograph counts once.

    python -m butterflyer_jax.evaluate --run DIR [--split test] [--slices FILE.csv --by camera season]

With --slices every number is also given by the values of columns of a CSV that names photographs in a column filename
or photo_id, as a label file does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from butterflyer_jax import cli
from butterflyer_jax.callable_module import make_callable

if TYPE_CHECKING:
    import numpy as np
    from jax.sharding import Mesh

    from butterflyer_jax.data import attributes
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
    run_folder: str | os.PathLike[str],
    split: str = "test",
    dataset: str | os.PathLike[str] | None = None,
    slices: str | os.PathLike[str] | None = None,
    by: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluates a run's best checkpoint; writes `eval/<split>/metrics.json` and `report/index.html` into its folder.

    Args:
      run_folder: of a run with a checkpoint.
      split: train, val or test.
      dataset: built data set to take instead of the one that the run was trained on, with the same species.
      slices: CSV, local or gs://, with a column filename or photo_id that names photographs as a label file does.
      by: its columns to give the numbers by; ranges of many different numbers, the 30 most frequent of other values.

    Returns:
      count, loss, top1, top5, balanced_accuracy; expected_calibration_error, of probabilities with the temperature;
      intervals, 95% of a bootstrap; species, with precision, recall, f1 and support of each; temperature, threshold,
      split, and the checkpoint's step. With `slices` also slices: by column and value, what the first line lists, and
      intervals.

    Raises:
      UserError: no run or checkpoint there, the data set is gone or has other species, the split is empty, or the CSV
        or a column of it is not there or names none of the photographs.
    """
    from butterflyer_jax import calibration, evaluation_report, finish, runs, scores, scoring, sharding
    from butterflyer_jax import slices as by_slice
    from butterflyer_jax.config import UserError
    from butterflyer_jax.data import attributes, source, storage

    if (slices is None) == bool(by):
        raise UserError("slices need both: --slices, a CSV, and --by, columns of it")
    # Told at once, before the run is loaded.
    known_of_photos = None if slices is None else attributes.read(slices, by)
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
        columns = {} if known_of_photos is None else _columns(known_of_photos, folder, split)
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
        if columns:
            _check_order(folder, split, [run.species[label] for label in scored.labels])
            metrics["slices"] = by_slice.score(scored.logits, scored.labels, columns)
        storage.write_text(
            run.folder / "eval" / split / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False)
        )
        evaluation_report.write(run, model, variables, data, folder, scored, metrics, calibrated)
    return metrics


def _columns(known: attributes.Attributes, dataset: str, split: str) -> dict[str, list[str]]:
    """Returns what a CSV says of the photographs of a split, in the order of the records."""
    from butterflyer_jax.config import UserError
    from butterflyer_jax.data import photo_ids
    from butterflyer_jax.data.labels import SPLITS

    names = {one: [name for name, _ in photo_ids.listed(dataset, one)] for one in SPLITS}
    if not names[split]:
        raise UserError(f"slices need the names of the photographs, and there is no {split}.csv in {dataset}")
    return known.of(names[split], itertools.chain(*names.values()))


def _check_order(dataset: str, split: str, species: Sequence[str]) -> None:
    from butterflyer_jax.config import UserError
    from butterflyer_jax.data import photo_ids

    if [label for _, label in photo_ids.listed(dataset, split)] != species:
        raise UserError(f"{split}.csv in {dataset} lists other photographs than the records beside it")


def main(argv: Sequence[str]) -> None:
    """The command."""
    from butterflyer_jax.data.labels import SPLITS

    parser = cli.ArgumentParser(prog="python -m butterflyer_jax.evaluate", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer_jax.train")
    parser.add_argument("--split", default="test", choices=SPLITS, help="which photographs (default: test)")
    parser.add_argument("--input", metavar="DIR", help="built data set, if not the one that the run was trained on")
    parser.add_argument("--slices", metavar="FILE.csv", help="what else is known of the photographs, local or gs://")
    parser.add_argument("--by", nargs="+", default=(), metavar="COLUMN", help="of it, to give the numbers by")
    args = parser.parse_args(argv)
    metrics = evaluate(args.run, args.split, args.input, args.slices, args.by)
    print(
        f"{metrics['split']}: top1 {metrics['top1']:.1%}  top5 {metrics['top5']:.1%}  "
        f"balanced {metrics['balanced_accuracy']:.1%}  loss {metrics['loss']:.3f}  "
        f"({metrics['count']} photographs, checkpoint of step {metrics['step']})"
    )
    for column, values in metrics.get("slices", {}).items():
        print(f"{column}:")
        for value, of_it in values.items():
            low, high = of_it["intervals"]["top1"]
            print(f"  {value}: top1 {of_it['top1']:.1%} ({low:.1%} to {high:.1%}) of {of_it['count']}")
    print(f"report: {args.run.rstrip('/')}/report/index.html")


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
