"""The config of a run: its fields with units and ranges, and the search space of a sweep."""

from butterflyer_jax.config.data_sections import AugmentConfig, BuildConfig, DataConfig
from butterflyer_jax.config.schema import Config, describe, flatten, require
from butterflyer_jax.config.sections import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    VARIANTS,
    CheckpointConfig,
    DistillConfig,
    ExamplesConfig,
    ExportConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    ProfileConfig,
    RanksConfig,
    RefusalConfig,
    StopConfig,
    TrackingConfig,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "VARIANTS",
    "AugmentConfig",
    "BuildConfig",
    "CheckpointConfig",
    "Config",
    "DataConfig",
    "DistillConfig",
    "ExamplesConfig",
    "ExportConfig",
    "ModelConfig",
    "OptimConfig",
    "ParallelConfig",
    "ProfileConfig",
    "RanksConfig",
    "RefusalConfig",
    "StopConfig",
    "TrackingConfig",
    "describe",
    "flatten",
    "require",
]
