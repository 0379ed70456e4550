"""First features from drawn butterflies: the network of configs/cpu.py on random species that this library draws.

butterflyer synthetic --species 120 --photos 90 --long_side 160 --output drawn.zip
butterflyer train --config pretrain_drawn --input drawn.zip --output runs/drawn
python scripts/pack_weights.py runs/drawn/export/model.safetensors

Makes the weights that `model.pretrained=drawn` names. Measured with them, one run each: Leeds with 10 photos per
species, 100 epochs of configs/cpu.py, test top-1 85.1% (82.0 to 87.8%) against 79.9% (76.4 to 83.0%) from scratch. With
all photos a trial found no gain (docs/guides/weights.md). 44 min on 2 cores of an AMD EPYC (Zen 4) beside much
other work; 99.8% of 600 val images.
"""

from butterflyer_jax.config import (
    AugmentConfig,
    BuildConfig,
    Config,
    DataConfig,
    ExportConfig,
    ModelConfig,
    OptimConfig,
    RefusalConfig,
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
        export=ExportConfig(format="safetensors"),
        # Nobody asks such a run for names.
        refusal=RefusalConfig(typicality=False),
    )
