from butterflyer_jax.config import AugmentConfig, Config, DataConfig, ModelConfig, OptimConfig, ExportConfig
def get_config() -> Config:
    return Config(
        batch_size=32,
        num_epochs=40,
        data=DataConfig(image_size=96, eval_crop_fraction=1.0),
        augment=AugmentConfig(crop_min_area=0.3, zoom_out=2.5, blur=0.02, brightness=0.4, contrast=0.4, saturation=0.4, strength="light"),
        model=ModelConfig(variant="vgg11", batch_norm=True, head="gap", width_multiplier=0.25, dropout=0.2, pretrained="drawn"),
        optim=OptimConfig(name="adamw", learning_rate=2e-3, weight_decay=0.05, warmup_epochs=3, label_smoothing=0.1),
        export=ExportConfig(format="none"),
    )
