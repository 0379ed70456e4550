"""Corrections of a run's answers: its last layer refitted, judged, and written as a run of its own."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from butterflyer_jax import runs
from butterflyer_jax.data import species_map
from butterflyer_jax.data.ingest import duplicates
from butterflyer_jax.data.ingest.split import SPLITS
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.distributed import sharding
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation import feature_cache, fitting, overlap
from butterflyer_jax.evaluation.opening import find_data, open_once
from butterflyer_jax.evaluation.photo_features import last_layer
from butterflyer_jax.metrics import classification
from butterflyer_jax.metrics.last_layer import Images, Layer, refit
from butterflyer_jax.models.features import LAST_LAYER, last_layer_inputs
from butterflyer_jax.preprocessing import images as images_lib
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.storage import files, outputs, paths


@dataclass(frozen=True)
class Row:
    """Share of photos that are named rightly, before and after the correction.

    Attributes:
      photos: title of the photos, such as those of val.
      count: number of these photos.
      before: share that the run's layer names rightly.
      after: share that the new layer does; None where no layer is left that did not learn from them.
    """

    photos: str
    count: int
    before: float
    after: float | None


@dataclass(frozen=True)
class Correction:
    """A fitted last layer, not written into a run yet.

    Attributes:
      rows: what it changes on corrections, val and test.
      left_out: reasons for which photos were left out, with their number.
      replaced: number of training photos that a correction shows too, whose own label no longer counts.
      species: names of the species that the corrections show.
    """

    rows: list[Row]
    left_out: Mapping[str, int]
    replaced: int
    species: list[str]
    _loaded: runs.LoadedModel
    _layer: Layer
    _val: Images
    _taught: list[tuple[str, str]]
    _count: int
    _folder: str
    _source: str

    def take(self, output: str | os.PathLike[str]) -> str:
        """Writes the run with the new layer: config, checkpoint, calibration, typicality, ranks and examples.

        Args:
          output: folder of the new run, local or gs://. A local one has its name when all is there.

        Raises:
          UserError: there is something already, or it cannot be written.
        """
        refuse_occupied(output)
        if paths.is_remote(output):
            self._write(output)
            return os.fspath(output)
        target = Path(paths.path(output))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            self._write(part)
            part.chmod(0o755)
            part.replace(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return os.fspath(output)

    def _write(self, output: str | os.PathLike[str]) -> None:
        old = self._loaded
        run = runs.create_corrected(old.run, output, self._count, self._source)
        files.write_text(run.folder / overlap.CORRECTIONS_FILE, json.dumps(self._taught))
        params = {**old.variables.params, LAST_LAYER: {"kernel": self._layer.kernel, "bias": self._layer.bias}}
        variables = old.variables.replace(params=params)
        variables = jax.tree.map(lambda new, like: jax.device_put(new, like.sharding), variables, old.variables)
        logits = self._layer.logits(self._val.inputs)
        scores = classification.summary(logits, self._val.labels) if len(logits) else None
        with contextlib.closing(Checkpointer(run.checkpoints, run.config.checkpoint)) as checkpointer:
            checkpointer.save(old.step, {"variables": variables}, {}, scores)
        loaded = runs.load_model(run)
        with contextlib.closing(open_once(loaded, self._folder)) as data:
            fitting.fit(loaded, data, self._folder, reuse=True)


def fit(
    run_folder: str | os.PathLike[str],
    source: str | os.PathLike[str],
    species_table: str | os.PathLike[str] | None = None,
    build: Mapping[str, Any] | None = None,
) -> Correction:
    """Refits the last layer of a run on its training photos and on corrections.

    Photos of val and test judge both layers and teach neither; corrections are judged by layers that were fitted
    without them and their near-duplicates.

    Args:
      run_folder: folder of a run with a checkpoint, whose own data set is still there.
      source: photos with their right species: zip, folder or built data set, all splits.
      species_table: table of two columns: a species of the source, and the run's name for it.
      build: fields of the build config by name, by which the source is read.

    Raises:
      UserError: no run or checkpoint there, the data set is gone, or no correction is left.
    """
    table = None if species_table is None else species_map.read_table(species_table)
    loaded = runs.load_model(runs.read(run_folder))
    folder = find_data(loaded.run, None)
    other_folder = find_data(loaded.run, source, build)
    with (
        contextlib.closing(open_once(loaded, folder)) as own,
        contextlib.closing(open_once(loaded, other_folder)) as other,
    ):
        if other.fingerprint == own.fingerprint:
            raise UserError(f"{os.fspath(source)} is the run's own data set: give the corrected photos alone")
        mapped = species_map.label_map(other.species, loaded.run.species, table)
        splits = [split for split in SPLITS if other.num_photos(split)]
        see = _make_see(loaded)
        seen = [see(other, split) for split in splits]
        inputs = np.concatenate([of_split.inputs for of_split in seen])
        labels = mapped[np.concatenate([of_split.labels for of_split in seen])]
        groups_of = _groups(own, other, splits, loaded.config.build.near_duplicate_bits)
        judging = np.isin(groups_of["other"], np.concatenate([groups_of["val"], groups_of["test"]]))
        chosen, left_out = _usable(labels, judging, source)
        corrections, groups = Images(inputs[chosen], labels[chosen]), groups_of["other"][chosen]
        names = ("contents", "hashes")
        of_other = [np.concatenate([_seen(other, split)[name] for split in splits])[chosen] for name in names]
        taught = [*overlap.read_corrections(loaded.run), *zip(*(of_name.tolist() for of_name in of_other), strict=True)]
        kept = ~np.isin(groups_of["train"], groups)
        train = see(own, "train")[kept]
        judges = {split: see(own, split) for split in ("val", "test") if own.num_photos(split)}
    layer = last_layer(loaded)
    val = judges.get("val", train[np.zeros(len(train.labels), bool)])
    found = refit(layer, train, corrections, groups, val, loaded.config.optim.label_smoothing)
    rows = [_row("corrections, each by a layer fitted without it", corrections, layer, found.out_of_fold)]
    rows += [_row(split, images, layer, found.layer.logits(images.inputs)) for split, images in judges.items()]
    return Correction(
        rows,
        left_out,
        int((~kept).sum()),
        [loaded.run.species[label] for label in np.unique(corrections.labels)],
        loaded,
        found.layer,
        val,
        taught,
        len(corrections.labels),
        folder,
        os.fspath(source),
    )


def _usable(
    labels: np.ndarray, judging: np.ndarray, source: str | os.PathLike[str]
) -> tuple[np.ndarray, dict[str, int]]:
    """Returns which corrections may teach, and the reasons for which the others are left out, with their number.

    Args:
      labels: int [count], labels of the run.
      judging: bool [count], near-duplicates of photos of val and test.
      source: source of the corrections, for the error.

    Raises:
      UserError: none may teach.
    """
    unknown = labels == species_map.UNKNOWN
    reasons = {
        "are of species that the run does not know": int(unknown.sum()),
        "are photos of its val or test, which judge": int((judging & ~unknown).sum()),
    }
    left_out = {reason: count for reason, count in reasons.items() if count}
    usable = ~judging & ~unknown
    if not usable.any():
        said = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise UserError(f"no correction is left of {os.fspath(source)}: {said}")
    return usable, left_out


def _row(title: str, images: Images, layer: Layer, logits: np.ndarray | None) -> Row:
    def share(logits: np.ndarray) -> float:
        return float((logits.argmax(axis=1) == images.labels).mean())

    after = None if logits is None else share(logits)
    return Row(title, len(images.labels), share(layer.logits(images.inputs)), after)


def _make_see(loaded: runs.LoadedModel) -> Callable[[Data, str], Images]:
    """Returns the function (data set, split) -> the split as the last layer sees it.

    What a run with the same layers below saw before comes from the cache.
    """
    model: Any = loaded.model
    network = feature_cache.network(loaded)

    @functools.partial(jax.jit, out_shardings=sharding.replicated(loaded.mesh))
    def answer(variables: Any, batch: dict[str, jax.Array]) -> jax.Array:
        return last_layer_inputs(model, variables, images_lib.eval_images(batch, loaded.config))

    def make(data: Data, split: str) -> dict[str, np.ndarray]:
        inputs = []
        with contextlib.closing(data.eval_batches(split)) as batches:
            for batch in sharding.prefetch(batches, loaded.mesh):
                real = np.asarray(batch["mask"]) > 0
                inputs.append(np.asarray(answer(loaded.variables, batch))[real])
        return {"inputs": np.concatenate(inputs)}

    def see(data: Data, split: str) -> Images:
        kept = feature_cache.keep("last_layer", data, [split, network], lambda: make(data, split))
        return Images(kept["inputs"], data.labels(split))

    return see


def _groups(own: Data, other: Data, splits: list[str], max_bits: int) -> dict[str, np.ndarray]:
    """Returns the group of near-duplicates of each photo, by split of the run's data, and of the "other" ones."""
    parts = {split: _seen(own, split)["hashes"].tolist() for split in SPLITS}
    parts["other"] = [one for split in splits for one in _seen(other, split)["hashes"].tolist()]
    groups = duplicates.group([one for part in parts.values() for one in part], max_bits)
    ends = np.cumsum([len(part) for part in parts.values()])
    return dict(zip(parts, np.split(groups, ends[:-1]), strict=True))


def _seen(data: Data, split: str) -> Mapping[str, np.ndarray]:
    """Returns the perceptual hashes and the contents of the photos of a split, see `overlap`."""

    def make() -> dict[str, np.ndarray]:
        jpegs = list(data.jpegs(split, range(data.num_photos(split))))
        return {
            "hashes": np.array([overlap.hash_of(jpeg) for jpeg in jpegs], "U"),
            "contents": np.array([overlap.content_of(jpeg) for jpeg in jpegs], "U"),
        }

    return feature_cache.keep("hashes", data, [split, duplicates.METHOD, "with contents"], make)


def refuse_occupied(output: str | os.PathLike[str]) -> None:
    """Raises a UserError where there is something at the place of a new run, or none can be made."""
    folder = paths.path(output)
    outputs.check_folder(folder.parent)
    if files.exists(folder):
        raise UserError(f"{folder} already exists: take another --output")
