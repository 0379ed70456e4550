"""First features from drawn butterflies: the network of configs/cpu.py on random species that this library draws.

butterflyer synthetic --species 480 --photos 86 --long_side 160 --output drawn.zip
butterflyer train --config pretrain_drawn --input drawn.zip --output runs/drawn
python scripts/pack_weights.py runs/drawn/export/model.safetensors

Makes the weights that `model.pretrained=drawn` names; with --config.model.width_multiplier=0.5 those of half the width.
On Leeds with 10 photos per species, 682 test photos, one run each, they name 87.5%, and at half the width 89.4%, where
that width from scratch names 79.0% (docs/guides/weights.md). Training takes 1 min 42 s on one H100 in bfloat16, without
the drawing, and names 99.9% of 1,920 val images. On a quarter of the drawings, 10,200 images, it took 44 min on 2 cores
of an AMD EPYC (Zen 4) beside much other work.
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
