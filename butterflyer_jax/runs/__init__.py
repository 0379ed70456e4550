"""Runs on disk or in a bucket: folders, checkpoints, and the models that they hold."""

from butterflyer_jax.runs.folder import (
    CHECK_FILES,
    CHECKPOINTS,
    CONFIG_FILE,
    PROFILE,
    Run,
    create_corrected,
    made_by,
    open_or_create,
    read,
    refuse_other_folders,
    remember_dataset,
    saved_batch_size,
)
from butterflyer_jax.runs.model import LoadedModel, load_model, model_files

__all__ = [
    "CHECKPOINTS",
    "CHECK_FILES",
    "CONFIG_FILE",
    "LoadedModel",
    "PROFILE",
    "Run",
    "create_corrected",
    "load_model",
    "made_by",
    "model_files",
    "open_or_create",
    "read",
    "refuse_other_folders",
    "remember_dataset",
    "saved_batch_size",
]
