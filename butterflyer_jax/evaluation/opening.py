"""The data set of an evaluation or an audit, and the name of its results in the run folder."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from etils import epath

from butterflyer_jax import runs
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.console import say
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data.ingest.split import SPLITS
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.distributed import sharding
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import outputs, paths

ALL = "all"
# Fields of the build config that are about one source of photos.
_OF_SOURCE = (
    "layout",
    "table",
    "file_column",
    "label_column",
    "split_column",
    "group_column",
    "negatives",
    "ignore",
    "box_format",
)
# Folders of a built data set below the one that the user named: …/butterflies/size256_0123abcd/1.0.0.
_INNER = re.compile(r"butterflies|default|size\d+_[0-9a-f]{8}|\d+\.\d+\.\d+")


def writable(run: runs.Run, to: str | os.PathLike[str] | None) -> epath.Path:
    """Returns the folder that results go to: `to`, by default the run folder.

    Raises:
      UserError: the folder cannot be written.
    """
    if to is not None:
        outputs.check_folder(to)
        return paths.path(to)
    if not paths.is_remote(run.folder) and not os.access(run.folder, os.W_OK):
        raise UserError(f"{run.folder} may only be read: name a folder for the results, --to DIR")
    return run.folder


def labelled_by(table: str | os.PathLike[str], build: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the fields of a build config by which a table alone labels photos, wherever it lies.

    Its columns are detected: those in the run's config belong to another table.

    Args:
      table: path of the table, local or gs://.
      build: further fields by name, which count before these.

    Raises:
      UserError: no `build.table` can name it.
    """
    path = os.fspath(paths.path(table))
    if "," in path:
        raise UserError(f"{path}: a comma stands between tables, so no path of one can have it: rename it")
    columns = dict.fromkeys(("file_column", "label_column", "split_column", "group_column"), "")
    return {"table": path, "layout": "table", **columns, **(build or {})}


def find_data(run: runs.Run, dataset: str | os.PathLike[str] | None, build: Mapping[str, Any] | None = None) -> str:
    """Returns the folder of a data set: a given one, built if need be, or the run's own.

    Args:
      run: the run, whose build config counts for other photos too, but for what names files or columns that these lack.
      dataset: a raw zip, a folder or a built data set; None for the run's own.
      build: fields of the build config that count instead, by name.

    Raises:
      UserError: it is not there, cannot be built, or is built already and `build` would change nothing.
    """
    if build and (dataset is None or dataset_lib.is_built(dataset)):
        what = "the run's own data set" if dataset is None else os.fspath(dataset)
        raise UserError(
            f"build.{next(iter(build))} says how photos are read, and {what} is built already: name a zip or a folder "
            "of photos with --input"
        )
    if dataset is not None:
        return _resolve(run, dataset, build or {})
    if run.dataset == dataset_lib.FAKE:
        return run.dataset
    try:
        return str(dataset_lib.find_dataset(run.dataset))
    except UserError as error:
        raise UserError(f"the run's data set is gone: {error}. Name its new place, or another, with --input") from error


def _resolve(run: runs.Run, dataset: str | os.PathLike[str], build: Mapping[str, Any]) -> str:
    config, defaults = dataclasses.replace(run.config.build, **build), BuildConfig()
    run.config.replace(build=config).validate()
    own = {field for field in _OF_SOURCE if getattr(config, field) != getattr(defaults, field)} - build.keys()
    left_out = []
    while True:
        try:
            found = dataset_lib.resolve(dataset, config, min_species=1)
            break
        except UserError as error:
            # It says which option names what is not there.
            field = next((field for field in own if str(error).startswith(f"build.{field}=")), None)
            if field is None or field == "layout":
                if not own or "build." not in str(error):
                    raise
                kept = " ".join(f"--config.build.{field}=" for field in _OF_SOURCE if field in own)
                raise UserError(
                    f"{error} (the run's own config says how photos are read; {kept} detects it)"
                ) from error
            fields = {field} | ({"layout"} & own if field == "table" else set())
            left_out += [f"build.{one}={getattr(config, one)}" for one in sorted(fields)]
            config = dataclasses.replace(config, **{one: getattr(defaults, one) for one in fields})
            own -= fields
    if left_out:
        say(f"{os.fspath(dataset)} is read without the run's own {', '.join(left_out)}: there is nothing of that name")
    return found


def open_once(loaded: runs.LoadedModel, folder: str) -> Data:
    """Opens a data set for one pass.

    The run's own has the splits of the run's fold, any other its own ones.

    Args:
      loaded: the model of the run.
      folder: folder of the data set, or "fake".
    """
    run = loaded.run
    # It is worth neither files on the disk nor more memory than is free, whatever training used.
    section = dataclasses.replace(run.config.data, mode="auto")
    accelerator = not sharding.on_cpu(loaded.mesh)
    once = run.config.replace(data=section)
    data = dataset_lib.open_data(folder, once, accelerator, for_training=False)
    if folder == dataset_lib.FAKE or data.fingerprint == run.fingerprint or not section.num_folds:
        return data
    data.close()
    once = run.config.replace(data=dataclasses.replace(section, num_folds=0, fold=0))
    return dataset_lib.open_data(folder, once, accelerator, for_training=False)


@dataclasses.dataclass(frozen=True)
class About:
    """What a result is about; another one is another result.

    Attributes:
      fingerprint: fingerprint of the data set.
      is_own: whether it is the run's own.
      splits: splits that the result is of.
      is_part: whether the data set has photos in other splits too.
      species: species that can occur; None for all.
    """

    fingerprint: str
    is_own: bool
    splits: Sequence[str]
    is_part: bool = False
    species: Sequence[str] | None = None

    @property
    def split(self) -> str:
        """The split, or "all"."""
        return self.splits[0] if len(self.splits) == 1 else ALL

    def is_of(self, saved: Mapping[str, Any]) -> bool:
        """Returns whether a saved result is about the same."""
        own = {"fingerprint": self.fingerprint, "split": self.split, "species_list": self.species}
        # Audits, and evaluations of earlier versions, say less.
        return all(saved.get(key, value) == value for key, value in own.items())

    def digest(self) -> str:
        """Returns eight hexadecimal digits that differ from those of others."""
        identity = json.dumps([self.fingerprint, self.split, self.species])
        return sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def folder_name(
    place: epath.Path,
    file: str,
    name: str | None,
    source: str | os.PathLike[str] | None,
    about: About,
    species_list: str | os.PathLike[str] | None = None,
) -> str:
    """Returns the folder name of a result: its split, or the name of other data, with that of a list of species.

    It is never the name of a result about something else.

    Args:
      place: folder of all such results.
      file: file of a result that says what it is about.
      name: the user's choice, None for the default.
      source: the zip, folder or data set as the user named it; None for the run's own.
      about: what the result is about.
      species_list: list of the species that are answered, None for all.

    Raises:
      UserError: the name given is kept for the run's own photos, or is that of another result.
    """
    suffix = "" if species_list is None else "-" + (re.sub(r"[^\w.-]+", "-", paths.path(species_list).stem) or "list")
    if name is not None:
        if name in (*SPLITS, ALL) and (not about.is_own or suffix or name != about.split):
            raise UserError(
                f"--name {name}: this name is kept for the run's own photos{'' if name == ALL else f' of {name}'}"
            )
        if name not in (*SPLITS, ALL) and not about.is_of(_saved(place / name / file)):
            raise UserError(
                f"{place / name} holds the results of other photos, another split or another list of species: take "
                "another --name, or remove that folder"
            )
        return name
    if about.is_own and not suffix:
        return about.split
    if about.is_own or source is None:
        slug = about.split
    else:
        parts = [part for part in re.split(r"[/\\]", os.fspath(paths.path(source))) if part]
        base = next((part for part in reversed(parts) if not _INNER.fullmatch(part)), "")
        slug = re.sub(r"[^\w.-]+", "-", re.sub(r"\.zip$", "", base, flags=re.IGNORECASE)).strip("-.") or "other"
        slug = f"{slug}-data" if slug in (*SPLITS, ALL) else slug
        slug += f"-{about.split}" if about.is_part else ""
    slug += suffix
    return slug if about.is_of(_saved(place / slug / file)) else f"{slug}-{about.digest()}"


def check_name(name: str | None) -> None:
    """Raises a UserError where a name that the user chose is no name of a folder."""
    if name is not None and (not re.fullmatch(r"[\w.-]+", name) or name.strip(".") == ""):
        raise UserError(f"--name {name!r}: take letters, digits, '-', '_' and '.'")


def _saved(path: epath.Path) -> Mapping[str, Any]:
    """Returns a saved result, an empty dict where there is none, or a damaged one."""
    try:
        saved = json.loads(path.read_text()) if path.exists() else {}
    except ValueError:
        return {}
    return saved if isinstance(saved, dict) else {}
