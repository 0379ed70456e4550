"""VGG16's convolutions from scratch, for accelerators; batch normalisation makes them train without a staged start.

butterflyer train --config vgg16 --input SRC --output DIR

The mean of each map goes to the last layer. With the paper's dense layers (model.head=fc) and this learning rate
nothing is learned: Leeds stays at chance (16.8% of val after 25 epochs), and a checkpoint has 1.1 GB instead of 0.1.

Machine: one H100, bfloat16, jax 0.11.2. Leeds Butterfly data set (832 photos, 10 species), a checkpoint per epoch:
100 epochs within 65 s, 0.15 s of each in training; best val top-1 96.8%, after the last epoch 94.4%; test not run. For
so few photos batch_size=64 learns faster: 90.4% of val after 28 epochs, where 256 has 85.6%.
"""

from butterflyer_jax.config import CheckpointConfig, Config, ModelConfig, OptimConfig


def get_config() -> Config:
    """Returns the config."""
    return Config(
        batch_size=256,
        num_epochs=100,
        model=ModelConfig(variant="vgg16", batch_norm=True, head="gap"),
        optim=OptimConfig(name="sgd", learning_rate=0.05, momentum=0.9, weight_decay=5e-4, warmup_epochs=5),
        # Small data sets have epochs shorter than the writing of a checkpoint, large ones have hours of steps in each.
        checkpoint=CheckpointConfig(every_epochs=5, every_steps=2000),
    )
