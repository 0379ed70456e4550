"""A teacher for few photos: the network of configs/cpu.py, from drawn weights, learns an ONNX network, then labels.

butterflyer train --config distill --input my_butterflies.zip --output DIR --config.distill.teacher=teacher.onnx

Leeds with 10 photos per species, an EfficientNet-Lite0 of ImageNet's weights as teacher, one run: 95.2% of 682 test
photos (93.3 to 96.5%), in 27 min on 2 cores of an AMD EPYC (Zen 4) beside much other work; the same weights without a
teacher 88.1%, from scratch 80.9% (docs/guides/weights.md). The drawn weights were those of 120 species;
the package now has those of 480.
"""

from butterflyer_jax.config import AugmentConfig, Config, DataConfig, DistillConfig, ModelConfig, OptimConfig


def get_config() -> Config:
    """Returns the config."""
    return Config(
        batch_size=32,
        num_epochs=20,
        data=DataConfig(image_size=96),
        augment=AugmentConfig(crop_min_area=0.2, brightness=0.3, contrast=0.3, saturation=0.3, strength="medium"),
        model=ModelConfig(
            variant="vgg11",
            batch_norm=True,
            head="gap",
            width_multiplier=0.25,
            dropout=0.2,
            pretrained="drawn",
        ),
        # A small rate stays near what the teacher taught.
        optim=OptimConfig(name="adamw", learning_rate=3e-4, weight_decay=0.05, warmup_epochs=1, label_smoothing=0.1),
        distill=DistillConfig(teacher="teacher.onnx", views=8000, steps=2400),
    )
