"""All that is fitted to a checkpoint on the run's own photos: calibration, typicality, ranks and example photos."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from butterflyer_jax import runs
from butterflyer_jax.console import say
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.evaluation import eval_step, examples, refusal
from butterflyer_jax.evaluation import ranks as ranks_lib
from butterflyer_jax.evaluation.eval_step import Scored
from butterflyer_jax.metrics import calibration
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.metrics.ranks import Ranks
from butterflyer_jax.metrics.typicality import Typicality
from butterflyer_jax.report import left_out
from butterflyer_jax.storage import files


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What turns the outputs of a network into answers.

    Attributes:
      calibrated: temperature and threshold of the probabilities.
      typical: what refuses images; None for the threshold of the probability.
      ranks: thresholds of each rank; None where no taxonomy is known.
    """

    calibrated: Calibration
    typical: Typicality | None
    ranks: Ranks | None


def fit(loaded: runs.LoadedModel, data: Data, dataset: str, keep: bool = True, reuse: bool = False) -> Fitted:
    """Returns what is fitted to a checkpoint; fits what is not there yet, and writes it into the run folder.

    Args:
      loaded: the model of a run.
      data: the run's open data set.
      dataset: its folder.
      keep: whether to write files, and so whether to choose example photos.
      reuse: whether features of photos come from the cache, and go there; see `feature_cache`.

    Raises:
      UserError: the table of the taxonomy is not there, or does not fit.
    """
    is_new = not loaded.calibration().count
    # With features: the compiled program that `evaluate` takes later.
    val = functools.cache(lambda: eval_step.score(loaded, data, "val", with_features=loaded.config.refusal.typicality))
    calibrated = _calibrate(loaded, data, val, keep)
    typical = refusal.fit(loaded, data, keep, reuse)
    ranks = ranks_lib.fit(loaded, data, dataset, calibrated, typical, val, keep)
    if is_new and calibrated.count and (found := refusal.left_out(calibrated, typical, val(), "val")):
        say(left_out.verdict(found))
    if keep:
        examples.choose(loaded, data, reuse)
    return Fitted(calibrated, typical, ranks)


def read(loaded: runs.LoadedModel) -> Fitted:
    """Returns what was fitted to a checkpoint, as the run folder has it; logs what is missing."""
    loaded.report_missing()
    return Fitted(loaded.calibration(), loaded.typicality(), loaded.ranks())


def _calibrate(loaded: runs.LoadedModel, data: Data, val: Callable[[], Scored], keep: bool) -> Calibration:
    known = loaded.calibration()
    if known.count or not data.num_photos("val"):
        return known
    scored = val()
    chosen = calibration.fit(scored.logits, scored.labels, loaded.step)
    if keep:
        files.write_text(loaded.run.folder / calibration.FILE, chosen.to_json())
    return chosen
