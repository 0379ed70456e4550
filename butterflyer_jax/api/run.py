"""A run folder as a notebook uses it: its config and metrics, and evaluate, predict and export."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from butterflyer_jax import runs
from butterflyer_jax.config import Config
from butterflyer_jax.tracking.jsonl import read_records
from butterflyer_jax.tracking.trackers import METRICS_FILE

if TYPE_CHECKING:
    from butterflyer_jax.evaluation.eval_step import Scored
    from butterflyer_jax.export import Written
    from butterflyer_jax.inference.predictor import Look, Predictor
    from butterflyer_jax.inference.views import Source


class Run:
    """A trained run.

        run = bj.Run("runs/first")
        run.evaluate()["top1"]
        run.predict("photo.jpg")["species"]

    Attributes:
      folder: the run folder, local or gs://.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Opens a run folder; the model is loaded when it is first needed.

        Raises:
          UserError: no run there, or it is damaged.
        """
        self._run = runs.read(folder)
        self.folder: str = os.fspath(self._run.folder)

    def __repr__(self) -> str:
        return f"Run({self.folder!r})"

    @property
    def config(self) -> Config:
        """The config that the run was trained with."""
        return self._run.config

    @property
    def species(self) -> tuple[str, ...]:
        """Species names; the position is the label."""
        return self._run.species

    @property
    def dataset(self) -> str:
        """Folder of the data set that the run was trained on, for `bj.open_data`."""
        return self._run.dataset

    def metrics(self) -> list[dict[str, Any]]:
        """Returns metrics.jsonl as rows, one per logged step and evaluation; a table by `pandas.DataFrame(rows)`."""
        return read_records(self._run.folder / METRICS_FILE)

    def evaluate(self, split: str | None = None, **options: Any) -> dict[str, Any]:
        """Evaluates the best checkpoint, as `bj.evaluate` with the same options; writes the report.

        By default it takes test of the run's own data set, and all photos of any other.

        Raises:
          UserError: no checkpoint yet, or the data set is gone or does not fit.
        """
        from butterflyer_jax.evaluate import evaluate

        return evaluate(self.folder, split, **options)

    def logits(self, split: str = "test") -> Scored:
        """Returns the labels (int32 [count]) and logits (float32 [count, num_classes]) of a split, in its order.

        Raises:
          UserError: no checkpoint yet, or the data set is gone.
        """
        from butterflyer_jax.api.data import open_data
        from butterflyer_jax.evaluation.eval_step import score

        with open_data(self.dataset, self.config) as data:
            return score(self._loaded, data.source, split)

    def photo_ids(self, split: str = "test") -> list[str]:
        """Returns the paths of the photos of a split in the zip, in the order of `logits`.

        Raises:
          UserError: the data set is gone.
        """
        from butterflyer_jax.api.data import open_data

        with open_data(self.dataset, self.config) as data:
            return data.photo_ids(split)

    @cached_property
    def predictor(self) -> Predictor:
        """The model of the best checkpoint, ready to name images.

        Raises:
          UserError: no checkpoint yet.
        """
        from butterflyer_jax.inference.classifier import TrainedClassifier
        from butterflyer_jax.inference.predictor import Predictor

        return Predictor(TrainedClassifier(self._loaded, self._loaded.calibration()))

    @cached_property
    def _loaded(self) -> runs.LoadedModel:
        return runs.load_model(self._run)

    def predict(self, images: Source | Iterable[Source], **options: Any) -> Any:
        """Returns the answer to one image, or a list of answers, as `bj.Predictor.predict` with the same options."""
        return self.predictor.predict(images, **options)

    def look(self, images: Iterable[Source], **options: Any) -> list[Look]:
        """Returns one answer per image with its heat map, as `bj.Predictor.look`; `.picture()` draws both."""
        return list(self.predictor.look(images, **options))

    def heat_maps(self, images: Iterable[Source]) -> list[Float32[np.ndarray, "side side"] | None]:
        """Returns one heat map per image, float32 [side, side] from 0 to 1; None for an image that cannot be read."""
        return self.predictor.heat_maps(images)

    def export(self, format: str = "keras", to: str | os.PathLike[str] | None = None) -> Written:
        """Writes the best checkpoint for another runtime, as `bj.export`.

        Raises:
          UserError: unknown format, its runtime is missing, or the target cannot be written.
        """
        from butterflyer_jax.export import export

        return export(self._loaded, format, to)


class TrainedRun(Run):
    """A run as `bj.train` returns it: a `Run`, and how the training ended.

    Attributes:
      best_step: step of the best checkpoint by checkpoint.metric.
      val: that checkpoint's metrics on val (top1, loss and so on), None where there are no val photos.
      images_per_second: speed of training, 0 where no step was left to do.
      seconds: wall-clock time of this process, compilation and evaluation included.
      steps: steps done by all processes of the run so far.
      num_test_images: number of images in the test split, which `evaluate` scores by default.
      stopped: why it ended before its last step, None where it did not.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        best_step: int,
        val: dict[str, float] | None,
        images_per_second: float,
        seconds: float,
        steps: int,
        num_test_images: int,
        stopped: str | None,
    ) -> None:
        """Opens the run folder; see the class for the rest."""
        super().__init__(folder)
        self.best_step = best_step
        self.val = val
        self.images_per_second = images_per_second
        self.seconds = seconds
        self.steps = steps
        self.num_test_images = num_test_images
        self.stopped = stopped

    @property
    def run(self) -> str:
        """The run folder, as a string."""
        return self.folder
