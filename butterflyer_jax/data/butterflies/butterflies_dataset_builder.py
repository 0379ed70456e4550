"""TFDS builder: a raw zip of labelled photographs becomes sharded TFRecords with a data card beside them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

# Absolute imports only: `tfds build FOLDER` imports this file as a package of its own.
from butterflyer_jax.config import BuildConfig, UserError
from butterflyer_jax.data import archive, prepare, storage

if not __name__.startswith("butterflyer_jax."):
    # Loaded by `tfds build`, whose own manner with an error is a traceback.
    from butterflyer_jax.cli import install_excepthook

    install_excepthook()


@dataclasses.dataclass
class ButterfliesConfig(tfds.core.BuilderConfig):
    """A TFDS builder config.

    Attributes:
      archive: the raw zip, local or gs://; empty means the only zip in the manual folder.
      build: how photographs are stored and split.
    """

    archive: str = ""
    build: BuildConfig = dataclasses.field(default_factory=BuildConfig)


class Builder(tfds.core.GeneratorBasedBuilder):
    """Butterfly photographs: `image` (JPEG), `label` (species) and `photo_id` (the member's path in the zip)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [ButterfliesConfig(name="default", description="256 pixels on the short side, JPEG quality 95.")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put one raw zip of labelled photographs into the manual folder."

    def _info(self) -> tfds.core.DatasetInfo:
        # Species are known once the zip is read; _split_generators names them.
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(),
                    "photo_id": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def download_and_prepare(self, **kwargs: Any) -> None:
        """Builds, as TFDS does; refuses to pass off what lies there already as built from another zip.

        Raises:
          UserError: the data set is there, and of another raw zip.
        """
        card = storage.path(self.data_dir) / "data_card.json"
        manual_dir = getattr(kwargs.get("download_config"), "manual_dir", None)
        if card.exists() and manual_dir:
            with archive.open_zip(_only_zip(storage.path(manual_dir))) as raw:
                fingerprint = archive.read_listing(raw).fingerprint
            if json.loads(card.read_text())["zip_fingerprint"] != fingerprint:
                raise UserError(f"{self.data_dir} was built from another zip: take another --data_dir, or remove it")
        super().download_and_prepare(**kwargs)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[str, Any]]]:
        source = self.builder_config.archive or _only_zip(_manual_dir(dl_manager))
        with archive.open_zip(source) as raw:
            preparation = prepare.prepare_photos(raw, archive.read_listing(raw), self.builder_config.build)
        self.info.features["label"].names = preparation.species
        self._write_card(preparation)
        present = {photo.split for photo in preparation.photos}
        return {split: self._generate_examples(preparation, split) for split in archive.SPLITS if split in present}

    def _generate_examples(self, preparation: prepare.Preparation, split: str) -> Iterator[tuple[str, Any]]:
        for photo in preparation.photos:
            if photo.split == split:
                jpeg = preparation.read(photo)
                yield photo.photo_id, {"image": jpeg, "label": photo.species, "photo_id": photo.photo_id}

    def _write_card(self, preparation: prepare.Preparation) -> None:
        """Writes the data card and the lists into the folder that TFDS renames when everything is in it."""
        folder = storage.path(self.data_dir)
        storage.write_text(folder / "data_card.json", json.dumps(preparation.data_card(), indent=2, ensure_ascii=False))
        for split in archive.SPLITS:
            rows = [(photo.photo_id, photo.species) for photo in preparation.photos if photo.split == split]
            storage.write_csv(folder / f"{split}.csv", ("photo_id", "label"), rows)
        rejects = [*preparation.rejects, *preparation.listing.missing]
        storage.write_csv(folder / "rejects.csv", ("member", "reason"), ((r.member, r.reason) for r in rejects))


def _manual_dir(dl_manager: tfds.download.DownloadManager) -> epath.Path:
    try:
        return dl_manager.manual_dir
    except AssertionError as error:
        raise UserError("no raw zip: give its folder with --manual_dir") from error


def _only_zip(folder: epath.Path) -> epath.Path:
    zips = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".zip") if folder.exists() else []
    if len(zips) != 1:
        found = ", ".join(path.name for path in zips) or "none"
        raise UserError(f"--manual_dir {folder} must hold exactly one .zip; found: {found}")
    return zips[0]
