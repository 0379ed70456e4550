"""The model of a run's best checkpoint, with its calibration and typicality, and the files to predict with."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh

from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.data import taxonomy
from butterflyer_jax.distributed import batch_parts, memory, processes, sharding
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics import calibration, ranks, typicality
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.metrics.ranks import Ranks
from butterflyer_jax.metrics.typicality import Typicality
from butterflyer_jax.models import VGG, create_model
from butterflyer_jax.models import variables as variables_lib
from butterflyer_jax.models.features import make_features
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.runs.folder import CHECKPOINTS, CONFIG_FILE, Run, read_fitted
from butterflyer_jax.storage import files as files_lib
from butterflyer_jax.storage import paths

FeaturesOf: TypeAlias = Callable[[variables_lib.Variables, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
# Working memory of a batch, bytes: 60 MiB for 32 images of 96 pixels, with features, through VGG11 of a quarter width.
KEPT_MEMORY = 256 << 20
# Without them the answers differ from those of the run.
ANSWER_FILES = (calibration.FILE, typicality.FILE, ranks.FILE)


@dataclass(frozen=True)
class LoadedModel:
    """The model of a run's best checkpoint.

    Attributes:
      model: network.
      variables: parameters and batch statistics, on the devices of `mesh`.
      step: training step of the checkpoint.
      mesh: devices that hold the variables.
      run: run that was loaded.
    """

    model: VGG
    variables: variables_lib.Variables
    step: int
    mesh: Mesh
    run: Run

    @property
    def config(self) -> Config:
        """The config of the run."""
        return self.run.config

    @property
    def name(self) -> str:
        """The name of the run with the step, and the corrections that its last layer was refitted on."""
        corrected = f", last layer of {self.run.corrections} corrections" if self.run.corrections else ""
        return f"{self.run.folder.name}, step {self.step}{corrected}"

    @functools.cached_property
    def features_of(self) -> FeaturesOf:
        """The function of `models.features.make_features`, compiled once for all that asks for features."""
        return batch_parts.in_parts(make_features(self.model, self.config), self.model.for_cpu)

    def calibration(self) -> Calibration:
        """Returns the calibration of this checkpoint; by default temperature 1 and threshold 0.

        Raises:
          UserError: its file is damaged, as in `typicality` and `ranks`.
        """
        found = read_fitted(self.run.folder / calibration.FILE, lambda data: Calibration.from_json(data.decode()))
        return found if found and found.step == self.step else Calibration(step=self.step)

    def report_missing(self) -> None:
        """Logs what was not fitted to this checkpoint: its run still trains, was stopped or is copied in part."""
        count = self.calibration().count
        if not count:
            refuses = "" if self.typicality() else ", and no image is refused"
            say(
                f"{self.name}: the probabilities are not calibrated{refuses}: the training has not ended, or a file of "
                f"the run is missing; `butterflyer evaluate --run {self.run.folder}` calibrates them if there are val "
                "photos"
            )
            return
        if count < typicality.MIN_VAL:
            return
        remedy = f"copy it, or `butterflyer evaluate --run {self.run.folder}` recreates it from the run's data set"
        if self.run.config.refusal.typicality and self.typicality() is None:
            say(
                f"{self.name}: {typicality.FILE} is missing or of another checkpoint, so images are refused by their "
                f"highest probability alone, and more that show none of the species are named; {remedy}"
            )
        if self.ranks() is None and self._has_taxa():
            say(
                f"{self.name}: {ranks.FILE} is missing or of another checkpoint, so the answer is always a species, "
                f"also where it is not sure enough; {remedy}"
            )

    def _has_taxa(self) -> bool:
        """Returns whether the names of the species, or the table of the config, give them ranks."""
        try:
            return bool(taxonomy.find(self.run.species, table=self.run.config.ranks.taxonomy))
        except UserError:
            # The table is gone; it was read when the run was trained.
            return True

    def typicality(self) -> Typicality | None:
        """Returns the typicality that was fitted for this checkpoint, None where there is none."""
        if not self.run.config.refusal.typicality:
            return None
        found = read_fitted(self.run.folder / typicality.FILE, Typicality.from_bytes)
        return found if found and found.step == self.step else None

    def ranks(self) -> Ranks | None:
        """Returns the ranks that were fitted for this checkpoint, None where there are none."""
        found = read_fitted(self.run.folder / ranks.FILE, lambda data: Ranks.from_json(data.decode()))
        return found if found and found.step == self.step else None


def load_model(run: Run) -> LoadedModel:
    """Loads the model of a run's best checkpoint.

    Raises:
      UserError: the run has no checkpoint yet, or there is no such platform as JAX_PLATFORMS names.
    """
    # A batch takes 7 to 10% less processor time than when it is handed to a thread of JAX's.
    memory.run_in_caller()
    processes.require_platform()
    # Number of devices that can share a batch evenly: the run may have been trained on another machine.
    mesh = sharding.make_mesh(math.gcd(run.config.batch_size, jax.local_device_count()))
    dtype = sharding.compute_dtype(run.config.precision, mesh)
    model = create_model(run.config.model, len(run.species), dtype, for_cpu=sharding.on_one_cpu(mesh))
    abstract = variables_lib.abstract_variables(model, run.config, mesh)
    item = "variables" if run.config.optim.average == "none" else "averaged"
    restored = None
    if files_lib.exists(run.checkpoints):
        with contextlib.closing(Checkpointer(run.checkpoints, run.config.checkpoint, read_only=True)) as checkpointer:
            restored = checkpointer.restore_best({item: abstract})
    if restored is None:
        raise UserError(f"no checkpoint in {run.folder} yet: train for an epoch first")
    best_step, trees = restored
    if sharding.on_cpu(mesh):
        memory.keep_blocks(KEPT_MEMORY)
    return LoadedModel(model, trees[item], best_step, mesh, run)


def model_files(run: Run, best_step: int, local: Path) -> dict[str, Path]:
    """Returns the files needed to predict with a checkpoint, by path in the run folder; not the optimizer's state.

    Files of a run in a bucket are copied to a hidden folder in `local`.
    """
    folder = Path(run.folder)
    if paths.is_remote(run.folder):
        folder = local / ".model"
        for name in (CONFIG_FILE, *ANSWER_FILES, f"{CHECKPOINTS}/{best_step}"):
            if files_lib.exists(run.folder / name):
                files_lib.copy(run.folder / name, folder / name)
    checkpoint = folder / CHECKPOINTS / str(best_step)
    files = [folder / CONFIG_FILE, *sorted(path for path in checkpoint.rglob("*") if path.is_file())]
    files += [folder / name for name in ANSWER_FILES if (folder / name).exists()]
    # The evaluated variables are in one of two trees; see `load_model`.
    rest = ["optimizer", *(["variables"] if run.config.optim.average != "none" else [])]
    left_out = [checkpoint / name for name in rest]
    return {
        path.relative_to(folder).as_posix(): path
        for path in files
        if not any(path.is_relative_to(one) for one in left_out)
    }
