"""The config of a run: its fields with units and ranges, and the search space of a sweep."""

from butterflyer_jax.config.schema import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    AugmentConfig,
    BuildConfig,
    CheckpointConfig,
    Config,
    DataConfig,
    ExportConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    ProfileConfig,
    StopConfig,
    TrackingConfig,
    describe,
    flatten,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "AugmentConfig",
    "BuildConfig",
    "CheckpointConfig",
    "Config",
    "DataConfig",
    "ExportConfig",
    "ModelConfig",
    "OptimConfig",
    "ParallelConfig",
    "ProfileConfig",
    "StopConfig",
    "TrackingConfig",
    "describe",
    "flatten",
]
