"""The other sections of a config, from model to export: each field with default, meaning, unit and range."""

# No `from __future__ import annotations`: overrides are parsed by the real types of the fields.

from dataclasses import dataclass

from butterflyer_jax.config.fields import POSITIVE, SHARE, Section, option

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Convolutions in each of the five blocks of a VGG; a block ends with a 2x2 max-pool.
VARIANTS: dict[str, tuple[int, ...]] = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


@dataclass
class ModelConfig(Section):
    """Which VGG."""

    variant: str = option("vgg16", "vgg11, vgg13, vgg16 or vgg19", one_of=tuple(VARIANTS))
    batch_norm: bool = option(False, "batch normalisation after every convolution")
    batch_norm_momentum: float = option(0.9, "share of the running mean and variance that a step keeps", within=SHARE)
    head: str = option(
        "fc", "fc: the paper's two hidden dense layers; gap: global average pooling", one_of=("fc", "gap")
    )
    width_multiplier: float = option(1.0, "factor on every layer's width", within=(0.01, 16))
    dropout: float = option(0.5, "share of activations dropped before each dense layer of the head", within=(0.0, 0.99))
    remat: str = option(
        "none",
        "blocks: compute each block again for its gradient, a third slower, in far less memory",
        one_of=("none", "blocks"),
    )
    pretrained: str = option(
        "",
        "weights to start from: drawn, imagenet, timm:NAME, torchvision:NAME, hf://OWNER/NAME, a file (.safetensors, "
        ".h5, .keras, .pth) or a run; local, gs:// or URL",
    )
    pretrained_species: str = option(
        "", "CSV table with the columns source,species: what pretrained calls a species, and what the data set does"
    )
    pretrained_allow: str = option(r"^/logits/", "regex of layers of pretrained that may be re-initialised or left out")
    pretrained_input: str = option(
        "auto",
        "what pretrained was trained on: caffe (BGR), imagenet, config (mean and std below), auto (by format)",
        one_of=("auto", "caffe", "imagenet", "config"),
    )
    mean: tuple[float, float, float] = option(IMAGENET_MEAN, "RGB mean taken off the input, of a range of 0 to 1")
    std: tuple[float, float, float] = option(IMAGENET_STD, "RGB standard deviation that the input is divided by")


@dataclass
class DistillConfig(Section):
    """A teacher whose outputs the network learns before the run starts."""

    teacher: str = option("", "ONNX classifier or embedding network, local, gs:// or URL; empty: none")
    output: str = option("", "name of its output to learn, where it has several")
    image_size: int = option(0, "side of its input, pixels; 0: what its file says, else 224", within=(0, 8192))
    mean: tuple[float, float, float] = option(IMAGENET_MEAN, "RGB mean taken off its input, of a range of 0 to 1")
    std: tuple[float, float, float] = option(IMAGENET_STD, "RGB standard deviation that its input is divided by")
    views: int = option(
        2400,
        "random views of the training photos that it sees, half of them mixed with another",
        within=(1, 10_000_000),
    )
    steps: int = option(1200, "steps of learning its outputs, of 32 views each", within=POSITIVE)
    learning_rate: float = option(2e-3, "peak learning rate of these steps, by adamw", within=(0.0, 1e3))


@dataclass
class OptimConfig(Section):
    """How the parameters move."""

    name: str = option("sgd", "sgd (Nesterov momentum), adamw, lion or lamb", one_of=("sgd", "adamw", "lion", "lamb"))
    learning_rate: float = option(0.01, "peak learning rate", within=(0.0, 1e3))
    schedule: str = option(
        "cosine",
        "after the warm-up: cosine or polynomial (to zero), step, plateau or constant",
        one_of=("cosine", "polynomial", "step", "plateau", "constant"),
    )
    decay_epochs: float = option(30.0, "epochs between the decays of schedule step", within=(0.001, 1e6))
    decay_factor: float = option(
        0.1, "what a decay of schedule step or plateau multiplies the learning rate by", within=SHARE
    )
    plateau_epochs: int = option(
        5, "epochs without a better checkpoint.metric before schedule plateau decays", within=POSITIVE
    )
    polynomial_power: float = option(1.0, "power of schedule polynomial; 1: a straight line", within=(0.01, 100.0))
    warmup_epochs: float = option(1.0, "length of the linear warm-up, epochs", within=(0.0, 1e6))
    momentum: float = option(0.9, "momentum of sgd", within=SHARE)
    weight_decay: float = option(5e-4, "decay of kernels; biases and normalisation are left alone", within=(0.0, 1e3))
    label_smoothing: float = option(0.0, "probability spread evenly over all species", within=(0.0, 0.99))
    class_balance: float = option(
        0.0, "what counts equally in the training loss: 0: photos, 1: species, or between", within=SHARE
    )
    negatives_weight: float = option(
        0.5,
        "weight of the loss on negatives, against the same probability for all species; see data.negatives",
        within=(0.0, 1e3),
    )
    gradient_clip_norm: float = option(0.0, "largest global norm of the gradient; 0: no limit", within=(0.0, 1e9))
    freeze: str = option("", "regex of layers that stay as they are, such as ^/block[123]_")
    unfreeze_epoch: float = option(
        0.0, "epochs after which frozen layers move too; 0: never, which saves their gradient", within=(0.0, 1e6)
    )
    layer_decay: float = option(
        1.0, "factor on the learning rate of each layer further from the last", within=(0.01, 1.0)
    )
    average: str = option(
        "none", "weights that are evaluated: none (the trained ones), ema or swa", one_of=("none", "ema", "swa")
    )
    ema_decay: float = option(0.9999, "share of the average that a step of ema keeps", within=SHARE)
    swa_start_epoch: float = option(
        0.0, "epoch after which swa averages the weights at the end of each epoch", within=(0.0, 1e6)
    )


@dataclass
class ParallelConfig(Section):
    """How devices share the parameters; the batch is split over all of them in any case."""

    fsdp: bool = option(False, "split parameters and optimizer state over the devices; each layer is gathered for use")
    model_devices: int = option(
        1, "devices that split the kernels of fc1 and fc2 and compute a part each", within=POSITIVE
    )


@dataclass
class ProfileConfig(Section):
    """A window of steps whose trace goes to `profile/` in the run folder, for TensorBoard or Perfetto."""

    start_step: int = option(10, "steps before the trace starts", within=(0, 2**31))
    num_steps: int = option(0, "length of the window, steps; 0: no trace", within=(0, 10_000))


@dataclass
class CheckpointConfig(Section):
    """What is kept of a run."""

    every_epochs: int = option(
        1, "epochs from one evaluation on val and checkpoint to the next; the last has both", within=POSITIVE
    )
    every_steps: int = option(0, "save every N steps too, without an evaluation; 0: off", within=(0, 2**31))
    keep_last: int = option(
        2, "newest checkpoints kept: where one is damaged, the run resumes from the other", within=POSITIVE
    )
    keep_best: int = option(1, "best checkpoints kept beside them", within=POSITIVE)
    metric: str = option(
        "top1",
        "val metric that ranks checkpoints: top1, top5, balanced_accuracy or loss",
        one_of=("top1", "top5", "balanced_accuracy", "loss"),
    )


@dataclass
class StopConfig(Section):
    """What ends a run before its last epoch."""

    patience: int = option(
        0, "epochs without a better checkpoint.metric after which the run stops; 0: off", within=(0, 2**31)
    )
    target: float = option(0.0, "value of checkpoint.metric that is good enough; 0: none is", within=(0.0, 1e9))
    max_minutes: float = option(
        0.0, "wall-clock time of a process, minutes; the same command resumes; 0: no limit", within=(0.0, 1e9)
    )


@dataclass
class TrackingConfig(Section):
    """Where the numbers of a run go, beside its metrics.jsonl. A key is no field: W&B finds its own."""

    wandb: str = option(
        "off",
        "W&B: off, online, or offline (files in the run folder, for `wandb sync`)",
        one_of=("off", "online", "offline"),
    )
    wandb_project: str = option("butterflyer", "project of the run at W&B")
    wandb_entity: str = option("", "user or team at W&B; empty: the one that the key belongs to")
    wandb_name: str = option("", "name of the run at W&B; empty: that of the run folder")
    wandb_tags: str = option("", "tags of the run at W&B, between commas")
    wandb_artifact: bool = option(False, "upload the best checkpoint to W&B at the end")
    tensorboard: bool = option(False, "event files for TensorBoard in the run folder's tensorboard/")

    @property
    def takes_pictures(self) -> bool:
        """Whether something here can show a picture."""
        return self.wandb != "off" or self.tensorboard


@dataclass
class RefusalConfig(Section):
    """When an answer is "none of these"."""

    typicality: bool = option(True, "fit a score of how typical an image is, when training ends; needs 20 val photos")
    false_refusals: float = option(
        0.05, "share of val photos, in changed light as well, that the score refuses", within=(0.001, 0.5)
    )


@dataclass
class ExamplesConfig(Section):
    """Photos that a run keeps for the application to show beside an answer."""

    photos_per_species: int = option(
        3,
        "small training photos of each species, chosen when training ends; 0: none, where their licence forbids it",
        within=(0, 12),
    )


@dataclass
class RanksConfig(Section):
    """When an answer is a genus or a family instead of a species."""

    precision: float = option(
        0.95, "share of the answers of each rank that should be right, by which val decides", within=(0.5, 0.999)
    )
    taxonomy: str = option(
        "", "table with a column species and others such as genus and family; empty: from folders, columns and names"
    )


@dataclass
class ExportConfig(Section):
    """What a run leaves in `export/` when it ends, for other programs."""

    format: str = option(
        "keras",
        "none, keras, savedmodel, onnx, stablehlo, safetensors, litert or litert_int8",
        one_of=("none", "keras", "savedmodel", "onnx", "stablehlo", "safetensors", "litert", "litert_int8"),
    )
