"""VGG16 from ImageNet's weights, on photos of another kind: the usual start where there are few of them.

butterflyer train --config vgg16_finetune --input SRC --output DIR

The weights are fetched once, 528 MiB; --config.model.pretrained takes other ones (docs/guides/weights.md).
The first three blocks stay as they are for three epochs; every layer moves 0.8 times as fast as the one above it.
Machine: one GPU or more, bfloat16. Time and accuracy: not measured yet.
"""

from butterflyer_jax.config import AugmentConfig, Config, ModelConfig, OptimConfig, StopConfig


def get_config() -> Config:
    """Returns the config."""
    return Config(
        batch_size=64,
        num_epochs=30,
        augment=AugmentConfig(strength="light"),
        model=ModelConfig(variant="vgg16", pretrained="imagenet"),
        optim=OptimConfig(
            name="adamw",
            learning_rate=1e-4,
            weight_decay=0.05,
            label_smoothing=0.1,
            warmup_epochs=1,
            freeze="^/block[123]_",
            unfreeze_epoch=3,
            layer_decay=0.8,
            average="ema",
            ema_decay=0.999,
        ),
        stop=StopConfig(patience=10),
    )
