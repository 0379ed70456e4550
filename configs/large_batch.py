"""VGG16 with batch norm from scratch in large batches, for many GPUs: LAMB (You et al. 2020, arXiv:1904.00962).

butterflyer train --config large_batch --input SRC --output DIR

Machine: 8 GPUs or more, bfloat16, parameters and optimizer state split over them. Time and accuracy: not measured yet.
"""

from butterflyer_jax.config import AugmentConfig, Config, ModelConfig, OptimConfig, ParallelConfig


def get_config() -> Config:
    """Returns the config."""
    return Config(
        batch_size=4096,
        num_epochs=100,
        augment=AugmentConfig(strength="medium", mixup=0.2, cutmix=1.0),
        model=ModelConfig(variant="vgg16", batch_norm=True),
        optim=OptimConfig(
            name="lamb",
            learning_rate=8e-3,
            weight_decay=0.02,
            warmup_epochs=5,
            label_smoothing=0.1,
            gradient_clip_norm=1.0,
        ),
        parallel=ParallelConfig(fsdp=True),
    )
