"""Which values the fields of a config may have."""

from __future__ import annotations

from typing import Any

_POSITIVE = (1, 2**31)
_SHARE = (0.0, 1.0)
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "batch_size": (0, 2**31),
    "gradient_accumulation": _POSITIVE,
    "num_epochs": _POSITIVE,
    "log_every_steps": _POSITIVE,
    "build.image_size": (8, 8192),
    "build.jpeg_quality": (1, 100),
    "build.val_fraction": _SHARE,
    "build.test_fraction": _SHARE,
    "build.max_reject_fraction": _SHARE,
    # Pillow itself refuses more than twice this limit of its own.
    "build.max_pixels": (1, 178_956_970),
    # From about 30 on, photos of museum specimens that are not the same look alike.
    "build.near_duplicate_bits": (0, 40),
    "build.num_shards": (0, 100_000),
    "examples.photos_per_species": (0, 12),
    "refusal.false_refusals": (0.001, 0.5),
    "ranks.precision": (0.5, 0.999),
    # Five max-pools halve the side five times.
    "data.image_size": (32, 8192),
    "data.start_image_size": (0, 8192),
    "data.eval_crop_fraction": (0.1, 1.0),
    "data.cache_gib": (0.0, 1e6),
    "data.shuffle_window": _POSITIVE,
    "data.class_balance": _SHARE,
    "data.negatives": (0.0, 0.9),
    "data.staging_gib": (0.1, 1e6),
    "data.num_threads": (0, 1024),
    "data.num_folds": (0, 1000),
    "data.fold": (0, 1000),
    "augment.crop_min_area": (0.01, 1.0),
    "augment.crop_max_aspect": (1.0, 10.0),
    "augment.zoom_out": (1.0, 10.0),
    "augment.blur": (0.0, 0.2),
    "augment.brightness": _SHARE,
    "augment.contrast": _SHARE,
    "augment.saturation": _SHARE,
    "augment.erase_probability": _SHARE,
    "augment.mixup": (0.0, 10.0),
    "augment.cutmix": (0.0, 10.0),
    "model.batch_norm_momentum": _SHARE,
    "model.width_multiplier": (0.01, 16),
    "model.dropout": (0.0, 0.99),
    "distill.image_size": (0, 8192),
    "distill.views": (1, 10_000_000),
    "distill.steps": _POSITIVE,
    "distill.learning_rate": (0.0, 1e3),
    "optim.learning_rate": (0.0, 1e3),
    "optim.warmup_epochs": (0.0, 1e6),
    "optim.momentum": _SHARE,
    "optim.weight_decay": (0.0, 1e3),
    "optim.label_smoothing": (0.0, 0.99),
    "optim.class_balance": _SHARE,
    "optim.negatives_weight": (0.0, 1e3),
    "optim.gradient_clip_norm": (0.0, 1e9),
    "optim.decay_epochs": (0.001, 1e6),
    "optim.decay_factor": _SHARE,
    "optim.plateau_epochs": _POSITIVE,
    "optim.polynomial_power": (0.01, 100.0),
    "optim.unfreeze_epoch": (0.0, 1e6),
    "optim.layer_decay": (0.01, 1.0),
    "optim.ema_decay": _SHARE,
    "optim.swa_start_epoch": (0.0, 1e6),
    "parallel.model_devices": _POSITIVE,
    "checkpoint.every_epochs": _POSITIVE,
    "checkpoint.every_steps": (0, 2**31),
    "checkpoint.keep_last": _POSITIVE,
    "checkpoint.keep_best": _POSITIVE,
    "stop.patience": (0, 2**31),
    "stop.target": (0.0, 1e9),
    "stop.max_minutes": (0.0, 1e9),
    "profile.start_step": (0, 2**31),
    "profile.num_steps": (0, 10_000),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "data.mode": ("auto", "jpeg", "cache", "raw"),
    "data.crop": ("auto", "host", "device"),
    "precision": ("auto", "float32", "bfloat16", "float16"),
    "augment.strength": ("none", "light", "medium", "strong"),
    "model.variant": ("vgg11", "vgg13", "vgg16", "vgg19"),
    "model.head": ("fc", "gap"),
    "model.pretrained_input": ("auto", "caffe", "imagenet", "config"),
    "model.remat": ("none", "blocks"),
    "export.format": ("none", "keras", "savedmodel", "onnx", "stablehlo", "safetensors", "litert", "litert_int8"),
    "optim.name": ("sgd", "adamw", "lion", "lamb"),
    "optim.schedule": ("cosine", "polynomial", "step", "plateau", "constant"),
    "optim.average": ("none", "ema", "swa"),
    "tracking.wandb": ("off", "online", "offline"),
    "checkpoint.metric": ("top1", "top5", "balanced_accuracy", "loss"),
}


def problem(name: str, value: Any, field_type: Any) -> str:
    """Returns what is wrong with the value of a field, as the end of a sentence; empty where nothing is.

    Args:
      name: of the field, with its section.
      value: that it has.
      field_type: bool, int, float, str, or the type of an RGB triple.
    """
    if isinstance(value, str) and not value.isprintable():
        return "has letters that cannot be printed"
    if not _has_type(value, field_type):
        return f"must be of type {field_type.__name__ if field_type in (bool, str, int, float) else field_type}"
    if name in RANGES:
        low, high = RANGES[name]
        if not low <= value <= high:
            return f"must lie between {low} and {high}"
    if name in CHOICES and value not in CHOICES[name]:
        return f"must be one of {', '.join(CHOICES[name])}"
    return ""


def _has_type(value: Any, field_type: Any) -> bool:
    if field_type is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if field_type is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if field_type in (bool, str):
        return isinstance(value, field_type)
    # An RGB triple.
    return isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, (int, float)) for v in value)
