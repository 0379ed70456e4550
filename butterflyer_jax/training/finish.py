"""What follows the last step of a run: calibration, refusal, ranks, example photos, export and upload."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping

import jax

from butterflyer_jax import runs
from butterflyer_jax.console import TrainingDisplay, say
from butterflyer_jax.data.dataset import FAKE
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation import fitting
from butterflyer_jax.export import exporter
from butterflyer_jax.export.exporter import default_path, export
from butterflyer_jax.export.places import CARD, companion
from butterflyer_jax.metrics.typicality import MIN_VAL
from butterflyer_jax.tracking import Model, Tracker
from butterflyer_jax.training.session import RunSession


def finish(
    session: RunSession,
    tracker: Tracker,
    display: TrainingDisplay,
    best_step: int,
    scores: Mapping[str, float] | None,
) -> None:
    """Makes the best checkpoint ready to use, where that is not done yet.

    Args:
      session: run whose last step is done.
      tracker: receives the model, if the config asks for its upload.
      display: shows on the console what is done.
      best_step: step of the best checkpoint.
      scores: metrics of its evaluation; None if there was none.
    """
    run, config = session.run, session.config
    if jax.process_count() == 1:
        # Restored once, for all that follows.
        loaded = runs.load_model(run)
        export_due = _export_due(loaded, session)
        with contextlib.ExitStack() as stack:
            processes = None
            if export_due:
                # They import what the export needs while this process does the rest.
                processes = stack.enter_context(contextlib.closing(exporter.start(config.export.format)))
            if run.dataset != FAKE:
                display.note("fitting the refusal of unknown images")
                _say_what_is_missing(fitting.fit(loaded, session.data, session.dataset), session)
            # Another refusal or other ranks may just have been fitted to the same checkpoint.
            if export_due or _export_due(loaded, session):
                display.note("exporting")
                _export(loaded, session, processes)
    elif config.export.format != "none":
        # Each process holds a part of the checkpoint, and none is alone to write. Evaluation calibrates it.
        say(f"export: none, of several processes; butterflyer export --run {run.folder} makes one")
    if config.tracking.wandb_artifact:
        tracker.keep_model(Model(best_step, scores, runs.model_files(run, best_step, session.mirror.folder)))


def _say_what_is_missing(fitted: fitting.Fitted, session: RunSession) -> None:
    """Logs what was asked for, and could not be fitted to so few photos."""
    count = session.data.num_photos("val")
    few = f"{count} val photos are too few (fewer than {MIN_VAL})" if count < MIN_VAL else ""
    if fitted.typical is None and session.config.refusal.typicality:
        say(f"typicality: none, {few}; an image is refused by its highest probability alone")
    if fitted.ranks is None and session.config.ranks.taxonomy:
        say(f"ranks: none, {few or 'the taxonomy has no taxon of several species'}")


def _export_due(loaded: runs.LoadedModel, session: RunSession) -> bool:
    """Returns whether the config asks for an export, and there is none that answers as the run does."""
    from butterflyer_jax.export import card

    chosen = session.config.export.format
    if chosen == "none":
        return False
    file = companion(default_path(loaded.run, chosen), CARD)
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        found = {}
    return not (isinstance(found, dict) and card.is_current(found, loaded, exporter.writer_of(chosen)))


def _export(loaded: runs.LoadedModel, session: RunSession, processes: exporter.Processes | None) -> None:
    chosen = session.config.export.format
    start = time.perf_counter()
    try:
        written = export(loaded, chosen, default_path(loaded.run, chosen), data=session.data, processes=processes)
    except UserError as error:
        # The run itself is whole.
        say(f"export: none, {error}")
        return
    say(f"export: {written.summary}, {time.perf_counter() - start:.0f} s")
