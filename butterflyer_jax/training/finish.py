"""What follows training: the calibration on validation photographs, and the export that the config names."""

from __future__ import annotations

import json
import time
from typing import Any

import jax

from butterflyer_jax import runs
from butterflyer_jax.console import say
from butterflyer_jax.data import dataset
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation.evaluate import calibrate


def finish(run: runs.Run, data: Any) -> None:
    """Calibrates a run's best checkpoint and exports it, where that is not done; tells what cannot be.

    Args:
      run: with a checkpoint.
      data: its open data set.
    """
    chosen = run.config.export.format
    if jax.process_count() > 1:
        # Each of them holds a part of the checkpoint, and none is alone to write. Evaluation calibrates it.
        if chosen != "none":
            say(f"export: none, of several processes; python -m butterflyer_jax.export --run {run.folder} makes one")
        return
    model, variables, step, mesh = runs.load_model(run)
    if run.dataset != dataset.FAKE:
        calibrate(run, model, variables, step, mesh, data)
    if chosen == "none":
        return
    from butterflyer_jax.export.exporter import CARD, companion, default_path, export

    target = default_path(run, chosen)
    if _exported_step(companion(target, CARD)) == step:
        return
    start = time.perf_counter()
    try:
        written = export(run.folder, chosen, target, data=data)
    except UserError as error:
        # The run itself is whole.
        say(f"export: none, {error}")
        return
    say(f"export: {written.summary}, {time.perf_counter() - start:.0f} s")


def _exported_step(card: Any) -> int | None:
    try:
        return json.loads(card.read_text())["step"]
    except (OSError, ValueError, KeyError):
        return None
