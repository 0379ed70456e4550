"""A run folder: config.json, metrics.jsonl, checkpoints/, eval/, report/, export/."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
from etils import epath
from jax.experimental import multihost_utils

from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics import ranks, typicality
from butterflyer_jax.runs import changes
from butterflyer_jax.runs.checkpoint import check_name
from butterflyer_jax.storage import files as files_lib
from butterflyer_jax.storage import find, outputs, paths

T = TypeVar("T")

CONFIG_FILE = "config.json"
CHECKPOINTS = "checkpoints"
PROFILE = "profile"
# Results of diagnostics before a run starts, written into its future folder.
CHECK_FILES = ("find_lr.json", "find_lr.png", "sanity.json", "sanity.png")
# Runs that an error names, and folders above that may be the run that was meant.
SHOWN_RUNS = 3
SHOWN_PARENTS = 3
# Sections of the config that say what answers a run gives, whatever it was trained with.
OF_ANSWERS = ("refusal", "ranks", "examples")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclass(frozen=True)
class Run:
    """A run folder and its config.json.

    Attributes:
      folder: run folder.
      config: resolved config.
      species: names of the species, in the order of the labels.
      dataset: folder of the built data set, or "fake".
      fingerprint: fingerprint of the data set.
      corrections: number of photos that the last layer was refitted on, see `butterflyer_jax.correct`; 0 if it was
        not.
    """

    folder: epath.Path
    config: Config
    species: tuple[str, ...]
    dataset: str
    fingerprint: str
    corrections: int = 0

    @property
    def checkpoints(self) -> epath.Path:
        """The folder of checkpoints."""
        return self.folder / CHECKPOINTS


def open_or_create(
    output: str | os.PathLike[str],
    config: Config,
    species: tuple[str, ...],
    dataset: str,
    fingerprint: str,
    allowed: changes.Allowed = changes.NOTHING,
) -> Run:
    """Returns the run in a folder: created if it is new, else checked to be the same run.

    Args:
      output: run folder, local or gs://.
      config: resolved config.
      species: names of the species, in the order of the labels.
      dataset: folder of the built data set, or "fake".
      fingerprint: fingerprint of the data set.
      allowed: differences allowed from the config that the run was made with.

    Raises:
      UserError: the folder holds a run of another config or data set (the message shows the difference), or something
        other than a run.
    """
    run = Run(paths.path(output), config, species, dataset, fingerprint)
    identity = {"config": config.to_dict(), "species": list(species), "fingerprint": fingerprint}
    file = run.folder / CONFIG_FILE
    if files_lib.exists(file):
        saved = _read_json(file)
        if saved.get("corrected"):
            raise UserError(
                f"{run.folder} holds a corrected run, which cannot be trained on: take another --output, with "
                f"--config.model.pretrained={run.folder} to start from its weights"
            )
        # Fields that are newer than the run take their defaults.
        saved["config"] = _config_of(saved, file).to_dict()
        then, now = (json.loads(json.dumps({key: about[key] for key in identity})) for about in (saved, identity))
        if changed := changes.check(run.folder, then, now, allowed):
            say(f"changed from the last checkpoint on: {'; '.join(changed)}")
        # What answers the run gives, later commands read from its config.
        others = [section for section in OF_ANSWERS if then["config"][section] != now["config"][section]]
        if changed or others:
            _update(run, saved, now, changed)
            if "refusal" in others and jax.process_index() == 0:
                # Fitted again when training ends, or by an evaluation; ranks to the photos that are not refused.
                for name in (typicality.FILE, ranks.FILE):
                    files_lib.remove(run.folder / name)
        return run
    refuse_other_folders(output)
    # No process may find files that another has just created.
    multihost_utils.sync_global_devices("the run folder was looked at")
    if jax.process_index() == 0:
        _create(run, identity)
    multihost_utils.sync_global_devices("the run folder was made")
    if not files_lib.exists(file):
        raise UserError(f"{run.folder} is not the folder that process 0 sees: take one that all hosts share")
    return run


def _update(run: Run, saved: dict[str, Any], now: dict[str, Any], changed: list[str]) -> None:
    """Writes the new config of a run, and records each change in it."""
    multihost_utils.sync_global_devices("the run's config was compared")
    if jax.process_index() == 0:
        about = saved | now | {"changes": [*saved.get("changes", []), *changed]}
        files_lib.write_json(run.folder / CONFIG_FILE, about)


def remember_dataset(run: Run, dataset: str) -> Run:
    """Returns the run with the new place of its data set, which its config.json names from now on."""
    saved = _read_json(run.folder / CONFIG_FILE) | {"dataset": dataset}
    files_lib.write_json(run.folder / CONFIG_FILE, saved)
    say(f"the run's data set has moved: {run.folder} now names {dataset}")
    return dataclasses.replace(run, dataset=dataset)


def _create(run: Run, identity: dict[str, Any]) -> None:
    about = {
        "dataset": run.dataset,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version(), "butterflyer_jax": importlib.metadata.version("butterflyer-jax")},
        "git_revision": _git_revision(),
        "devices": sorted({device.device_kind for device in jax.local_devices()}),
    }
    files_lib.write_json(run.folder / CONFIG_FILE, identity | about)


def create_corrected(run: Run, output: str | os.PathLike[str], corrections: int, source: str) -> Run:
    """Creates the folder of a run that differs from another in its last layer alone; returns the new run.

    Args:
      run: the run that is corrected.
      output: folder of the new one, without a run.
      corrections: number of photos that the layer is fitted on beside the training photos.
      source: source of the corrections, such as a zip.
    """
    # The averaged weights are the run's own.
    config = run.config.replace(optim=dataclasses.replace(run.config.optim, average="none"))
    new = dataclasses.replace(run, folder=paths.path(output), config=config, corrections=corrections)
    about = _read_json(run.folder / CONFIG_FILE) | {
        "config": config.to_dict(),
        "dataset": run.dataset,
        "corrected": {"run": os.fspath(run.folder), "photos": run.corrections + corrections, "from": source},
    }
    files_lib.write_json(new.folder / CONFIG_FILE, about)
    return read(new.folder)


def saved_batch_size(output: str | os.PathLike[str]) -> int | None:
    """Returns the batch size of the run in a folder, or None if there is no run yet."""
    folder = paths.path(output)
    return read(folder).config.batch_size if files_lib.exists(folder / CONFIG_FILE) else None


def refuse_other_folders(output: str | os.PathLike[str]) -> None:
    """Raises a UserError if a folder holds files but no run, or cannot be made."""
    folder = paths.path(output)
    check_name(folder)
    if not files_lib.exists(folder):
        outputs.check_folder(folder)
        return
    if files_lib.exists(folder / CONFIG_FILE):
        return
    # A run that was killed while it wrote its config leaves a hidden file; a job's config lies in a hidden folder.
    if not files_lib.is_folder(folder):
        raise UserError(f"{folder} is a file, not a run folder; take another --output")
    if any(not path.name.startswith(".") and path.name not in CHECK_FILES for path in find.glob(folder, "*")):
        raise UserError(f"{folder} is not empty and holds no run; take another --output")


def read(folder: str | os.PathLike[str]) -> Run:
    """Returns the run in a folder.

    Raises:
      UserError: the folder holds no run.
    """
    path = paths.path(folder)
    if not files_lib.exists(path / CONFIG_FILE):
        raise UserError(f"no run in {path}: {_what_instead(path)}")
    saved = _read_json(path / CONFIG_FILE)
    return Run(
        path,
        _config_of(saved, path / CONFIG_FILE),
        tuple(saved["species"]),
        saved["dataset"],
        saved["fingerprint"],
        (saved.get("corrected") or {}).get("photos", 0),
    )


def _what_instead(path: epath.Path) -> str:
    """Returns what is there in place of a run, and the nearest runs below it."""
    if not files_lib.exists(path):
        return "there is no such folder"
    is_file = not files_lib.is_folder(path)
    what = "it is a file" if is_file else f"it has no {CONFIG_FILE}"
    above = () if paths.is_remote(path) else path.parents[:SHOWN_PARENTS]
    if run := next((folder for folder in above if files_lib.exists(folder / CHECKPOINTS)), None):
        return f"{what}; the run that it is part of is {run}"
    if is_file:
        return f"{what}; an export goes to --model, of butterflyer predict or app"
    below = [file.parent for level in ("*", "*/*") for file in find.glob(path, f"{level}/{CONFIG_FILE}")]
    runs = [os.fspath(folder) for folder in sorted(below) if files_lib.exists(folder / CHECKPOINTS)][:SHOWN_RUNS]
    return what + (f"; did you mean {' or '.join(runs)}?" if runs else "")


def read_fitted(file: epath.Path, parse: Callable[[bytes], T]) -> T | None:
    """Returns the content of a file that an evaluation can make again, None where there is none.

    Raises:
      UserError: the file cannot be read, or is damaged.
    """
    if not files_lib.exists(file):
        return None
    data = files_lib.read_bytes(file)
    try:
        return parse(data)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} is damaged: {error}; remove it, and `butterflyer evaluate` recreates it") from error


def made_by(run: Run) -> dict[str, Any]:
    """Returns the versions of packages and the git revision that a run was started with."""
    saved = _read_json(run.folder / CONFIG_FILE)
    return {name: saved.get(name) for name in ("versions", "git_revision")}


def _config_of(saved: dict[str, Any], file: epath.Path) -> Config:
    try:
        return Config.from_dict(saved["config"])
    except UserError as error:
        made_with = (saved.get("versions") or {}).get("butterflyer_jax", "another version")
        raise UserError(
            f"{file} does not fit this version of butterflyer_jax: {error}; the run was made with {made_with}: "
            "install that version or a newer one"
        ) from error


def _read_json(file: epath.Path) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = json.loads(files_lib.read_text(file))
        missing = [key for key in ("config", "species", "dataset", "fingerprint") if key not in saved]
        if missing or not isinstance(saved["config"], dict):
            raise ValueError(f"it lacks {', '.join(missing) or 'a config'}")
        species, versions = saved["species"], saved.get("versions") or {}
        if not isinstance(species, list) or not all(isinstance(name, str) for name in species):
            raise ValueError("its species are not a list of names")
        if not isinstance(versions, dict):
            raise ValueError("its versions are not a table")
    except UserError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{file} is damaged: {error}") from error
    return saved


def _git_revision() -> str | None:
    """Returns the git revision of the package's checkout, or None if it is installed otherwise."""
    folder = Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"], cwd=folder, capture_output=True, text=True
        )
    except OSError:
        return None
    return result.stdout.strip() or None
