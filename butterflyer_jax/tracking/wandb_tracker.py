"""The W&B tracker: metrics, system metrics, confusion matrix, samples and the model, online or for `wandb sync`.

wandb finds the API key itself (WANDB_API_KEY, `wandb login`): no key is read, kept or asked for here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

# Read when wandb is imported: no reports of its own errors, which a machine without network would wait for.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import wandb

from butterflyer_jax.config import TrackingConfig
from butterflyer_jax.report import drawing
from butterflyer_jax.storage import files
from butterflyer_jax.tracking.tracker import Model, Pictures, Tracker, in_one_line, numbers_by_name

ID_FILE = "wandb.json"
# Longest waits for the network: at the start, at the end, and at the end with a model to upload, seconds.
INIT_SECONDS = 20.0
FINISH_SECONDS = 60.0
FINISH_MODEL_SECONDS = 600.0
# Longest time of data that a kill can lose, seconds.
FLUSH_SECONDS = 1.0
_REFUSED = re.compile(r"filestream: fatal error: .*?failed to upload: (4\d\d [A-Za-z ]+?) url=")


class WandbTracker(Tracker):
    """Tracker of a run at W&B; resuming the run folder resumes the same W&B run."""

    def __init__(
        self, folder: Path, config: TrackingConfig, about: Mapping[str, Any], say: Callable[[str], None]
    ) -> None:
        """Opens the run: online if configured and possible, else offline, which is logged by `say`.

        Raises:
          Exception: any error of wandb if offline mode fails, too.
        """
        self._config, self._say = config, say
        self._run_id = _id_of(folder / ID_FILE)
        self._longest_finish = FINISH_MODEL_SECONDS if config.wandb_artifact else FINISH_SECONDS
        self._sync = f"cd {shlex.quote(os.fspath(folder))} && wandb sync"
        wandb.setup(wandb.Settings(silent=True))
        reason = ""
        if config.wandb == "online":
            try:
                if not wandb.login(prompt=False, verify=False):
                    raise ValueError("no key, give it with `wandb login` or WANDB_API_KEY")
                self._run = self._init(folder, about, "online")
                say(f"W&B: {self._run.url}")
            except Exception as error:
                reason = in_one_line(error)
                # The service still tries to open the run, and would refuse a second one with its id.
                wandb.teardown()
        if config.wandb == "offline" or reason:
            self._run = self._init(folder, about, "offline")
            because = f", as the server cannot be had: {reason}" if reason else ""
            say(f"W&B: offline{because}; to upload: {self._sync}")
        # Steps that a killed run did are repeated and logged twice: W&B's own step count must not be used.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def _init(self, folder: Path, about: Mapping[str, Any], mode: Literal["online", "offline"]) -> Any:
        settings = wandb.Settings(
            root_dir=os.fspath(folder),
            silent=True,
            console="off",
            # The revision is in `about`; a remote's address may hold a password.
            disable_git=True,
            save_code=False,
            disable_job_creation=True,
            x_transaction_log_flush_interval=FLUSH_SECONDS,
            init_timeout=INIT_SECONDS,
            finish_timeout=self._longest_finish,
            finish_timeout_raises=True,
        )
        return wandb.init(
            mode=mode,
            project=self._config.wandb_project or None,
            entity=self._config.wandb_entity or None,
            name=self._config.wandb_name or folder.name,
            tags=[tag.strip() for tag in self._config.wandb_tags.split(",") if tag.strip()],
            id=self._run_id,
            # Files cannot ask the server for it; `wandb sync` takes those with one id in their order.
            resume="allow" if mode == "online" else None,
            config=dict(about),
            settings=settings,
        )

    def log(self, record: Mapping[str, Any]) -> None:
        """Logs the numbers of a record."""
        self._run.log({"step": record["step"], "epoch": record["epoch"], **numbers_by_name(record)})

    def show(self, pictures: Pictures) -> None:
        """Logs the confusion matrix, and the samples with captions."""
        # W&B's own chart of the matrix is a table, and so an artifact: if the network fails, everything logged after
        # one waits for it, and is missing from the files, too.
        matrix = drawing.confusion_matrix(pictures.confusion, pictures.species)
        samples = [
            wandb.Image(sample.pixels, caption=f"{sample.species}: {sample.verdict}", file_type="jpg")
            for sample in pictures.samples
        ]
        media: dict[str, Any] = {"val/confusion": wandb.Image(matrix)}
        if samples:
            media["val/samples"] = samples
        self._run.log({"step": pictures.step, **media})

    def keep_model(self, model: Model) -> None:
        """Keeps the best scores as the run's summary, and the model's files as an artifact if the config says so."""
        scores = {f"best/val_{name}": value for name, value in (model.scores or {}).items()}
        self._run.summary.update({"best/step": model.step, **scores})
        if not self._config.wandb_artifact:
            return
        artifact = wandb.Artifact(f"model-{self._run_id}", "model", metadata={"step": model.step, **scores})
        for place, path in model.files.items():
            # The files stay as they are: no copies in W&B's cache and staging area.
            artifact.add_file(os.fspath(path), name=place, policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact, aliases=["best"])

    def close(self, failed: bool = False) -> None:
        """Ends the run, and waits a bounded time for uploads; data not uploaded by then stays in the files."""
        if not self._run.offline:
            self._say("W&B: uploading what is left")
        is_late = False
        try:
            self._run.finish(exit_code=int(failed))
        except TimeoutError:
            is_late = True
        except Exception:
            # The service is lost, which W&B would report again when Python exits.
            with contextlib.suppress(Exception):
                wandb.teardown()
            raise
        upload = f"to upload: {self._sync} --include-online"
        if not self._run.offline and (reason := _why_refused(Path(self._run.settings.log_internal))):
            self._say(f"W&B: the server refused rows of the run: {reason}; {upload}")
        elif is_late:
            self._say(f"W&B: not all was uploaded within {self._longest_finish:.0f} s; {upload}")


def _why_refused(log: Path) -> str:
    """Returns why the server took no rows, "" where it took them: W&B writes it into its own log alone."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = [_REFUSED.search(line) for line in lines]
    return next((match[1] for match in found if match), "")


def _id_of(file: Path) -> str:
    """Returns the run's id at W&B; creates and stores it the first time."""
    try:
        run_id = json.loads(file.read_text(encoding="utf-8"))["id"]
        if isinstance(run_id, str) and run_id:
            return run_id
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    # An agent of a W&B sweep chooses the id.
    run_id = os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:16]
    files.write_text(file, json.dumps({"id": run_id}))
    return run_id
