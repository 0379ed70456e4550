"""Which values the fields of a config may have."""

from __future__ import annotations

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
    # From about 30 on, photographs of museum specimens that are not the same look alike.
    "build.near_duplicate_bits": (0, 40),
    "build.num_shards": (0, 100_000),
    # Five max-pools halve the side five times.
    "data.image_size": (32, 8192),
    "data.eval_crop_fraction": (0.1, 1.0),
    "data.cache_gib": (0.0, 1e6),
    "data.shuffle_window": _POSITIVE,
    "data.class_balance": _SHARE,
    "data.staging_gib": (0.1, 1e6),
    "data.num_threads": (0, 1024),
    "augment.crop_min_area": (0.01, 1.0),
    "augment.crop_max_aspect": (1.0, 10.0),
    "augment.brightness": _SHARE,
    "augment.contrast": _SHARE,
    "augment.saturation": _SHARE,
    "augment.erase_probability": _SHARE,
    "augment.mixup": (0.0, 10.0),
    "augment.cutmix": (0.0, 10.0),
    "model.batch_norm_momentum": _SHARE,
    "model.width_multiplier": (0.01, 16),
    "model.dropout": (0.0, 0.99),
    "optim.learning_rate": (0.0, 1e3),
    "optim.warmup_epochs": (0.0, 1e6),
    "optim.momentum": _SHARE,
    "optim.weight_decay": (0.0, 1e3),
    "optim.label_smoothing": (0.0, 0.99),
    "optim.class_balance": _SHARE,
    "optim.gradient_clip_norm": (0.0, 1e9),
    "parallel.model_devices": _POSITIVE,
    "checkpoint.every_steps": (0, 2**31),
    "checkpoint.keep_last": _POSITIVE,
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
    "export.format": ("none", "keras", "savedmodel", "onnx", "stablehlo", "safetensors"),
    "optim.name": ("sgd", "adamw", "lion", "lamb"),
    "optim.schedule": ("cosine", "constant"),
}
