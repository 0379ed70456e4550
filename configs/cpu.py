"""The Leeds butterflies (832 photographs, 10 species) from scratch on two CPU cores."""

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
