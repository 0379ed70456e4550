"""VGG16 on noise that costs nothing to read: the speed of the train step alone. Needs no TensorFlow.

butterflyer train --config fake_benchmark --input fake --output DIR

Machine: one GPU or more, bfloat16. Images a second: not measured yet.
"""

from butterflyer_jax.config import Config, ExportConfig, ModelConfig, OptimConfig


def get_config() -> Config:
    """Returns the config."""
    return Config(
        batch_size=256,
        num_epochs=1,
        model=ModelConfig(variant="vgg16"),
        optim=OptimConfig(name="sgd", learning_rate=0.01),
        # What noise has taught is of no use to anybody.
        export=ExportConfig(format="none"),
    )
