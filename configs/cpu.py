"""Real photos on a CPU: VGG11 with batch norm at a quarter of its width, from scratch, 96 pixels.

butterflyer train --config cpu --input leeds_butterflies.zip --output DIR

Machine: 2 cores of an AMD EPYC (Zen 4), jax 0.10.2. Leeds Butterfly data set (832 photos, 10 species; 582 train,
125 val, 125 test): best val top-1 97.6%, test top-1 96.8%, in 2 min 28 s, the build of the
records, the fit of what is refused and the export to Keras included (an earlier version: 98.4%, 96.0%).

Heliconius collection (1,704 photos, 16 subspecies, 680 of one and 1 of another), --config.num_epochs=30: best val
top-1 98.0%, test top-1 98.4%, balanced 84.5%, in 4 min 43 s beside other work; with --config.optim.class_balance=0.5
98.8%, 97.6% and 86.8%, in 2 min 43 s.

data.eval_crop_fraction is 1.0 for the sake of photos that the specimen fills: with 0.875 the network names 1.6 to 6
points more of Leeds, but 18.5% instead of 29.9% of 859 museum photos of one species (docs/guides/weights.md).
"""

from butterflyer_jax.config import AugmentConfig, Config, DataConfig, ModelConfig, OptimConfig


def get_config() -> Config:
    """Returns the config."""
    return Config(
        batch_size=32,
        num_epochs=60,
        data=DataConfig(image_size=96, eval_crop_fraction=1.0),
        augment=AugmentConfig(crop_min_area=0.3),
        model=ModelConfig(variant="vgg11", batch_norm=True, head="gap", width_multiplier=0.25, dropout=0.2),
        optim=OptimConfig(name="adamw", learning_rate=2e-3, weight_decay=0.05, warmup_epochs=3, label_smoothing=0.1),
    )
