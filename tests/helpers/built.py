"""Built data sets as earlier versions left them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np


def as_built_earlier(dataset: Path, folder: Path) -> Path:
    """Copies a data set without the photo_ids in its indexes, which version 0.2.0 added."""
    shutil.copytree(dataset, folder)
    for index in folder.glob("*.index-*.npy"):
        np.save(index, np.load(index))
    return folder
