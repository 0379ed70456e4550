"""Builds a raw zip into sharded TFRecords: into a folder of yours, or once into the cache that training uses.

    butterflyer build --input SRC --output DIR [--config FILE --config.build.FIELD=VALUE …]

The same as `tfds build`, in one command that a container can start; both may be local or gs://.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from etils import epath

from butterflyer_jax import cli, console, extras
from butterflyer_jax.config import BuildConfig, require
from butterflyer_jax.console import say
from butterflyer_jax.data.ingest import raw_zip as raw_zip_lib
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import locks, outputs, paths
from butterflyer_jax.storage.errors import access, words_of


def _is_for_users(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not record.getMessage().startswith("Using custom data configuration")


# TFDS warns of its own config; what it raises is translated here.
logging.getLogger("absl").addFilter(_is_for_users)


def build(
    raw_zip: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    config: BuildConfig | None = None,
    beam_options: Any = None,
    min_species: int = 2,
) -> epath.Path:
    """Builds a raw zip into sharded TFRecords; returns at once if they exist, resumes a killed build.

    Args:
      raw_zip: a raw zip or a folder of photos, local or gs://.
      data_dir: local or gs://; the records go to `butterflies/<config>/<version>` in it.
      config: how photos are stored and split.
      beam_options: `apache_beam.options.pipeline_options.PipelineOptions`, to build under Apache Beam.
      min_species: fewest species that are accepted: 2 to train on, 1 to test on.

    Returns:
      The folder with the records and data_card.json.

    Raises:
      UserError: no such zip, nothing usable in it, another build at work there, or no space for the records.
    """
    config = BuildConfig() if config is None else config
    require(config, BuildConfig)
    extras.require("train", "tensorflow_datasets", purpose="building records")
    from butterflyer_jax.data.ingest import manifest

    # Before TFDS, which takes time to import: a wrong place or zip should be reported at once.
    outputs.check_folder(data_dir)
    listing = raw_zip_lib.list_source(raw_zip, config)
    manifest.check_rejects(listing.rejects, listing, config)
    manifest.check_species(listing, listing.members, min_species)
    with console.without_stderr():
        import tensorflow_datasets as tfds
        from google.protobuf import json_format

        from butterflyer_jax.data.butterflies import butterflies_dataset_builder

    tfds.disable_progress_bar()
    # Another zip or another config is another data set, whatever else lies in the folder.
    name = f"size{config.image_size}_{manifest.fingerprint(listing, config)[:8]}"
    builder_config = butterflies_dataset_builder.ButterfliesConfig(
        name=name, archive=os.fspath(raw_zip), min_species=min_species, **dataclasses.asdict(config)
    )
    with (
        access(data_dir, "write", "records"),
        # The raw zip is neither downloaded nor extracted; TFDS wants a local folder for both all the same.
        tempfile.TemporaryDirectory() as unused,
        # TFDS prints its progress on stdout, which is for results.
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            builder = butterflies_dataset_builder.Builder(config=builder_config, data_dir=os.fspath(data_dir))
        except json_format.ParseError as error:
            raise UserError(
                f"a data set of this name in {data_dir} is damaged ({words_of(error)}): remove that folder, and run "
                "the same command again"
            ) from error
        builder.download_and_prepare(
            download_dir=unused, download_config=tfds.download.DownloadConfig(beam_options=beam_options)
        )
    return paths.path(builder.data_path)


def build_cached(raw_zip: str | os.PathLike[str], config: BuildConfig, min_species: int = 2) -> epath.Path:
    """Returns the built data set of a raw zip, building it into the cache the first time.

    The cache lies in `$BUTTERFLYER_CACHE`, else ~/.cache/butterflyer_jax. Its key is the zip's content (the checksums
    that the zip holds) and the config, so a changed zip is built again and a moved one is not.

    Raises:
      UserError: under the same conditions as `build`.
    """
    listing = raw_zip_lib.list_source(raw_zip, config)
    data_dir = paths.cache_dir() / listing.fingerprint[:16]
    say(f"data: {raw_zip} with {len(listing.members)} photos, records in {data_dir}")
    # Several processes of a run, or several runs, may want the same data set at once.
    with locks.hold(data_dir / ".lock", f"data: waiting for another process that builds {data_dir}", wait=True):
        return build(raw_zip, data_dir, config, min_species=min_species)


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer build", description=__doc__)
    parser.add_argument("--input", required=True, metavar="SRC", help="raw zip or folder of photos, local or gs://")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the records, local or gs://")
    parser.add_argument(
        "--config", metavar="CONFIG", help="name or file; its section build is read (default: the defaults)"
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args, rest = parser().parse_known_args(argv)
    config = cli.load_config(args.config, cli.split_overrides(rest))
    print(build(args.input, args.output, config.build))


if __name__ == "__main__":
    cli.run(main)
