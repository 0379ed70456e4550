"""VGG16 as in the paper, from scratch, for accelerators; batch normalisation makes it train without a staged start.

butterflyer train --config vgg16 --input SRC --output DIR

Machine: one GPU or more, bfloat16. Time and accuracy: not measured yet.
"""

from butterflyer_jax.config import Config, ModelConfig, OptimConfig


def get_config() -> Config:
    """Returns the config."""
    return Config(
        batch_size=256,
        num_epochs=100,
        model=ModelConfig(variant="vgg16", batch_norm=True),
        optim=OptimConfig(name="sgd", learning_rate=0.05, momentum=0.9, weight_decay=5e-4, warmup_epochs=5),
    )
