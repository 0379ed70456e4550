"""What `--input` may be: a raw zip, a built data set, or `fake`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from butterflyer_jax.config import BuildConfig, Config
from butterflyer_jax.data import storage
from butterflyer_jax.data.fake import FakeData

if TYPE_CHECKING:
    from butterflyer_jax.data.pipeline import RecordData

    Data: TypeAlias = RecordData | FakeData

FAKE = "fake"


def resolve(source: str | os.PathLike[str], config: BuildConfig) -> str:
    """Returns the folder of the built data set behind `source`; a raw zip is built into the cache the first time.

    Raises:
      UserError: no such input, or it holds no data set.
    """
    from butterflyer_jax.data import build

    if os.fspath(source) == FAKE:
        return FAKE
    path = storage.path(source)
    if path.suffix.lower() == ".zip" or (path.exists() and not path.is_dir()):
        return os.fspath(build.build_cached(path, config))
    return os.fspath(build.find_dataset(path))


def open_data(
    dataset: str | os.PathLike[str],
    config: Config,
    accelerator: bool = False,
    process_index: int = 0,
    process_count: int = 1,
) -> Data:
    """Opens what `resolve` returned, as `RecordData` does.

    Raises:
      UserError: it is gone, or as `RecordData` says.
    """
    if os.fspath(dataset) == FAKE:
        return FakeData(config, process_index, process_count)
    from butterflyer_jax.data import build
    from butterflyer_jax.data.pipeline import RecordData

    return RecordData(build.find_dataset(dataset), config, accelerator, process_index, process_count)
