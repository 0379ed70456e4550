"""First features from drawn butterflies: the network of configs/cpu.py on random species that this library draws.

butterflyer synthetic --species 120 --photos 90 --long_side 160 --output drawn.zip
butterflyer train --config pretrain_drawn --input drawn.zip --output runs/drawn
butterflyer train --config cpu --input SRC --output DIR --config.model.pretrained=runs/drawn

Worth it where photographs are few. A trial with a set of this kind, one run each: Leeds with 10 photographs a species,
test top-1 85.0% against 79.6% from scratch; with all of them 96.0% against 96.8%; an iNaturalist set of 8 species 68.9%
against 78.0%, so worse. The trial drew other species than this command does, and it has not been repeated with them.
"""

from butterflyer_jax.config import (
    AugmentConfig,
    BuildConfig,
    Config,
    DataConfig,
    ExportConfig,
    ModelConfig,
    OptimConfig,
)


def get_config() -> Config:
    """Returns the config."""
    return Config(
        batch_size=64,
        num_epochs=12,
        build=BuildConfig(image_size=112, val_fraction=0.05, test_fraction=0.0),
        data=DataConfig(image_size=96, eval_crop_fraction=1.0),
        augment=AugmentConfig(crop_min_area=0.3),
        model=ModelConfig(variant="vgg11", batch_norm=True, head="gap", width_multiplier=0.25, dropout=0.2),
        optim=OptimConfig(name="adamw", learning_rate=2e-3, weight_decay=0.05, warmup_epochs=1, label_smoothing=0.1),
        export=ExportConfig(format="none"),
    )
