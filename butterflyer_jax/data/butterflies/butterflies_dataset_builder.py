"""The TFDS builder: from a raw zip of labelled photos to sharded TFRecords with a data card."""

from __future__ import annotations

import dataclasses
import glob
import json
import operator
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

# Absolute imports only: `tfds build FOLDER` imports this file as a package of its own.
from butterflyer_jax.config import BuildConfig, Config
from butterflyer_jax.console import say
from butterflyer_jax.data import image_format, shard_format
from butterflyer_jax.data.ingest import raw_zip as raw_zip_lib
from butterflyer_jax.data.ingest import runners, shard_writer, workspace
from butterflyer_jax.data.ingest.manifest import Collection
from butterflyer_jax.data.ingest.tables import outside
from butterflyer_jax.data.ingest.words import NEGATIVES, SPLITS
from butterflyer_jax.errors import UserError
from butterflyer_jax.report import findings, summary
from butterflyer_jax.report.data_card import render_data_card
from butterflyer_jax.storage import files as files_lib
from butterflyer_jax.storage import find, paths

if not __name__.startswith("butterflyer_jax."):
    # Loaded by `tfds build`, which itself shows a traceback for every error.
    from butterflyer_jax.cli import install_excepthook

    install_excepthook()


class ButterfliesConfig(tfds.core.BuilderConfig):
    """A TFDS builder config: `tfds build --config '{"archive": "raw.zip", "image_size": 128}'`, or from Python.

    Attributes:
      archive: raw zip, local or gs://; empty means the only zip in the manual folder.
      build: build config: how photos are stored and split.
      min_species: fewest species that are accepted; training needs 2.
    """

    def __init__(
        self, name: str = "", archive: str = "", description: str = "", min_species: int = 2, **build: Any
    ) -> None:
        """Takes the fields of `BuildConfig` by name; by default its own name is made from them.

        Raises:
          UserError: an unknown field, a value of a wrong type or out of range.
        """
        known = [field.name for field in dataclasses.fields(BuildConfig)]
        unknown = sorted(build.keys() - set(known))
        if unknown:
            raise UserError(
                f"unknown field {', '.join(unknown)} of the builder config; there are archive, name, {', '.join(known)}"
            )
        for field, value in {"name": name, "archive": archive}.items():
            if not isinstance(value, str):
                raise UserError(f"field {field} of the builder config must be a text, not {value!r}")
        if name and not re.fullmatch(r"\w[\w.-]*", name):
            raise UserError(f"name {name!r} of the builder config: it names a folder, so letters, digits, _, - and .")
        self.build = BuildConfig(**build)
        Config(build=self.build).validate()
        values = json.dumps(outside.values(self.build), sort_keys=True)
        self.archive, self.min_species = archive, min_species
        name = name or f"size{self.build.image_size}_{sha256(values.encode()).hexdigest()[:8]}"
        super().__init__(name=name, description=description or f"Built with {values}.")


class Builder(FileReaderBuilder):
    """Butterfly photos: `image` (JPEG), `label` (species), `photo_id` (the member's path in the zip) and `bbox`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [ButterfliesConfig(name="default", description="256 pixels on the short side, JPEG quality 95.")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put one raw zip of labelled photos, or their folders, into the manual folder."

    def _info(self) -> tfds.core.DatasetInfo:
        # Species are known once the zip is read; _download_and_prepare names them.
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(),
                    "photo_id": tfds.features.Text(),
                    # One where the source says where the butterfly is, else none.
                    "bbox": tfds.features.Sequence(tfds.features.BBoxFeature()),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def download_and_prepare(self, **kwargs: Any) -> None:
        """Builds the data set, and resumes a killed build.

        Raises:
          UserError: another build is running there, or the data set there was built from another zip or config.
        """
        download_config = kwargs.get("download_config") or tfds.download.DownloadConfig()
        dataset_dir = paths.path(self.data_dir)
        if _is_whole(dataset_dir) and not download_config.download_mode.overwrite_dataset:
            self._check_same(dataset_dir, download_config)
            _log_summary(dataset_dir)
            return
        if source := self._source(download_config.manual_dir):
            # The old data set is removed only if the new one can be built.
            raw_zip_lib.list_source(source, self.builder_config.build)
        with workspace.unfinished(dataset_dir, _is_distributed(download_config)) as folder:
            # Leftovers of a killed build, which TFDS itself never uses again.
            for left in find.glob(dataset_dir.parent, f"incomplete.*_{glob.escape(dataset_dir.name)}"):
                left.rmtree()
            if dataset_dir.exists() and not _is_whole(dataset_dir):
                dataset_dir.rmtree()
            self._work_dir = folder
            super().download_and_prepare(**kwargs)
        _log_summary(dataset_dir)

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: tfds.download.DownloadConfig
    ) -> None:
        """Fills `self.data_dir`, which TFDS renames when everything is in it."""
        if download_config.max_examples_per_split is not None:
            raise UserError("--max_examples_per_split is not supported: nothing would say which photos are missing")
        if self.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise UserError("only --file_format=tfrecord is supported")
        raw_zip = self._source(download_config.manual_dir or _manual_dir(dl_manager))
        if raw_zip is None:
            raise UserError("no raw zip: give its folder with --manual_dir, or its path as archive in --config")
        workers = _engine(download_config, raw_zip)
        listing = raw_zip_lib.list_source(raw_zip, self.builder_config.build)
        config = self.builder_config
        photos = workspace.prepare_photos(self._work_dir, raw_zip, listing, config.build, workers, config.min_species)
        wanted = download_config.num_shards or self.builder_config.build.num_shards
        names = {
            split: self._shard_names(split, shard_writer.num_shards(of_split, wanted))
            for split in (*SPLITS, NEGATIVES)
            if (of_split := photos.of_split(split))
        }
        folder = paths.path(self.data_dir)
        with ThreadPoolExecutor(1) as beside:
            # Drawn by one core, as shards are mostly written by the disk.
            card = beside.submit(self._write_card, folder, photos)
            lengths = workspace.write_records(self._work_dir, photos, names, workers)
            card.result()
        for shard in (file for files in names.values() for file in files):
            for file in (shard, shard_format.index_name(shard)):
                files_lib.move(self._work_dir / "records" / file, folder / file)
        # Before the data set takes its name: nobody would look for leftovers beside a whole one.
        workspace.clear(self._work_dir)
        self.info.features["label"].names = photos.species
        self.info.set_splits(tfds.core.SplitDict([self._split_info(split, lengths[split], photos) for split in names]))

    def _shard_names(self, split: str, count: int) -> list[str]:
        template = self._get_filename_template(split_name=split)
        return [template.sharded_filepath(shard_index=n, num_shards=count).name for n in range(count)]

    def _split_info(self, split: str, lengths: Sequence[int], photos: Collection) -> tfds.core.SplitInfo:
        return tfds.core.SplitInfo(
            name=split,
            shard_lengths=list(lengths),
            num_bytes=sum(photo.num_bytes for photo in photos.of_split(split)),
            filename_template=self._get_filename_template(split_name=split),
        )

    def _write_card(self, folder: epath.Path, photos: Collection) -> None:
        card = photos.data_card()
        rejects = [(reject.member, reject.reason) for reject in (*photos.rejects, *photos.listing.missing)]
        card["findings"] = [dataclasses.asdict(finding) for finding in findings.find(card, photos.photos)]
        page = render_data_card(card, photos.photos, rejects, read_jpeg=operator.methodcaller("read"))
        files_lib.write_json(folder / "data_card.json", card)
        files_lib.write_text(folder / "data_card.html", page)
        photos.write_lists(folder)

    def _source(self, manual_dir: epath.PathLike | None) -> epath.Path | None:
        """Returns the raw zip or the folder of photos, or None if neither is named."""
        if self.builder_config.archive:
            return paths.path(self.builder_config.archive)
        return _in_manual_dir(paths.path(manual_dir)) if manual_dir else None

    def _check_same(self, dataset_dir: epath.Path, download_config: tfds.download.DownloadConfig) -> None:
        """Raises a UserError if the data set in a folder is not the requested one."""
        card = json.loads((dataset_dir / "data_card.json").read_text())
        wanted = outside.values(self.builder_config.build)
        # The card of an earlier version lacks fields that were added since.
        built = outside.values(BuildConfig()) | card["build"]
        differences = [f"{name}={built[name]!r}" for name in wanted if built[name] != wanted[name]]
        if differences:
            raise UserError(f"{dataset_dir} was built with {', '.join(differences)}: take another name, or remove it")
        source = self._source(download_config.manual_dir)
        if source is None:
            return
        listing = raw_zip_lib.list_source(source, self.builder_config.build)
        if card["zip_fingerprint"] != listing.fingerprint:
            raise UserError(f"{dataset_dir} was built from another zip: take another --data_dir, or remove it")


def _log_summary(dataset_dir: epath.Path) -> None:
    card = json.loads((dataset_dir / "data_card.json").read_text())
    for line in summary.lines(card, str(dataset_dir)):
        say(line)


def _manual_dir(dl_manager: tfds.download.DownloadManager) -> epath.Path | None:
    """Returns TFDS's manual folder, or None if there is none."""
    try:
        return dl_manager.manual_dir
    except AssertionError:
        # TFDS raises this if the folder does not exist.
        return None


def _is_distributed(download_config: tfds.download.DownloadConfig) -> bool:
    return download_config.beam_options is not None or download_config.beam_runner is not None


def _engine(download_config: tfds.download.DownloadConfig, raw_zip: epath.Path) -> runners.Engine:
    if _is_distributed(download_config):
        return runners.BeamEngine(download_config.beam_options, download_config.beam_runner)
    return runners.LocalEngine(runners.REMOTE_THREADS_PER_CORE if paths.is_remote(raw_zip) else 1)


def _is_whole(dataset_dir: epath.Path) -> bool:
    """Returns whether a data set is there, with all shards that it names and their indexes.

    A bucket renames file by file, so the folder's name alone proves nothing.
    """
    info = dataset_dir / "dataset_info.json"
    if not info.exists():
        return False
    num_shards = sum(len(split["shardLengths"]) for split in json.loads(info.read_text())["splits"])
    files = [len(find.glob(dataset_dir, pattern)) for pattern in ("*.tfrecord-*", "*.index-*.npy")]
    return files == [num_shards, num_shards] and (dataset_dir / "data_card.json").exists()


def _in_manual_dir(folder: epath.Path) -> epath.Path:
    """Returns the only zip in the manual folder, or the folder itself if it holds the photos."""
    if folder.suffix.lower() == ".zip" and folder.exists() and not folder.is_dir():
        return folder
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    zips = [path for path in names if path.suffix.lower() == ".zip"]
    if len(zips) == 1:
        return zips[0]
    if not zips and any(path.is_dir() or path.suffix.lower() in image_format.SUFFIXES for path in names):
        return folder
    found = ", ".join(path.name for path in zips) or "none"
    raise UserError(f"--manual_dir {folder} must hold exactly one .zip, or folders of photos; found: {found}")
