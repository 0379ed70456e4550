"""The sections of a run's config: every field with its default, its meaning and its unit."""

# No `from __future__ import annotations`: overrides are parsed by the real types of the fields.

import difflib
from dataclasses import dataclass, field
from typing import Any, TypeVar

from butterflyer_jax.errors import UserError

T = TypeVar("T")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def option(default: T, doc: str) -> T:
    """Returns a dataclass field with its documentation, which `--help` prints."""
    return field(default=default, metadata={"doc": doc})


class Section:
    """Fields of a config; setting one that does not exist raises."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets a field.

        Raises:
          UserError: there is no such field.
        """
        known = type(self).__dataclass_fields__  # type: ignore[attr-defined]
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise UserError(f"unknown config field {name}" + (f"; did you mean {close[0]}?" if close else ""))
        super().__setattr__(name, value)


@dataclass
class BuildConfig(Section):
    """How a raw zip becomes records."""

    image_size: int = option(256, "short side of a stored photo, pixels")
    jpeg_quality: int = option(95, "JPEG quality of a stored photo, 1 to 100")
    val_fraction: float = option(0.15, "share of each species that goes to val, where the zip gives no splits")
    test_fraction: float = option(0.15, "share of each species that goes to test, where the zip gives no splits")
    salt: str = option("butterflyer", "changes which photos go to which split")
    max_reject_fraction: float = option(0.05, "share of unusable photos above which the build stops")
    max_pixels: int = option(100_000_000, "largest photo that is decoded, pixels")
    near_duplicate_bits: int = option(12, "photos whose 256-bit hashes differ in at most this many bits share a split")
    num_shards: int = option(0, "record files per split; 0: as many of about 128 MiB as it takes")
    layout: str = option(
        "",
        "what gives labels: table; folders: leaf (innermost), top (outermost), path (all); name of file; empty: found",
    )
    table: str = option(
        "",
        "tables with the labels, comma-separated, elsewhere by their absolute path; empty: every one that names photos",
    )
    file_column: str = option("", "column that names photos, or its number; empty: found")
    label_column: str = option("", "column of the label, or its number; empty: found")
    split_column: str = option("", "column of the split; folder: the folders'; none: new splits; empty: detected")
    group_column: str = option(
        "", "columns whose equal values share a split, comma-separated; none: no groups; empty: found"
    )
    bursts: str = option(
        "exif", "what shares a split beside: exif (one camera, seconds apart), name (x_001, x_002), or none"
    )
    name_encoding: str = option("", "code page of file names and tables that do not state theirs; empty: detected")
    ignore: str = option("", "files to leave out, patterns such as *.zip or masks/*, comma-separated")
    negatives: str = option("", "photos that show no species, patterns such as background/*, comma-separated")


@dataclass
class DataConfig(Section):
    """How records become batches."""

    image_size: int = option(224, "side of the square network input, pixels")
    start_image_size: int = option(
        0, "side that training starts with, pixels; it grows to image_size in four stages; 0: image_size throughout"
    )
    eval_crop_fraction: float = option(0.875, "side of the central evaluation crop, as a share of the short side")
    mode: str = option(
        "auto",
        "jpeg: decode each epoch; cache: keep in memory; raw: decode once to the local disk; auto: cache if it fits",
    )
    cache_gib: float = option(4.0, "most memory for photos: decoded, else (mode cache) encoded, GiB")
    crop: str = option("auto", "who makes the crops: host, device, or auto (a GPU or TPU does, a CPU leaves it here)")
    shuffle_window: int = option(20_000, "photos that are shuffled together, in whole shards")
    class_balance: float = option(0.0, "what is drawn as often in an epoch, 0: photos, 1: species, or between")
    negatives: float = option(
        0.0, "share of a batch whose photos turn into images of no species, drawn from them; 0: off"
    )
    staging_gib: float = option(200.0, "most disk for copies of gs:// data sets, of all runs together, GiB")
    num_threads: int = option(0, "threads that decode and crop; 0: one per core")
    num_folds: int = option(0, "folds of a cross-validation over all photos, 3 or more; 0: the data set's splits")
    fold: int = option(0, "fold that is the test split, 1 to num_folds; the next one is val, the others train")


@dataclass
class AugmentConfig(Section):
    """What happens to a training photo; every draw depends on (seed, epoch, index) alone."""

    crop_min_area: float = option(0.25, "smallest random crop, as a share of the photo's area; 1 takes all")
    crop_max_aspect: float = option(4 / 3, "widest random crop, width over height, and its inverse the tallest")
    flip: bool = option(True, "mirror half of the photos left to right")
    brightness: float = option(0.2, "largest relative change of brightness")
    contrast: float = option(0.2, "largest relative change of contrast")
    saturation: float = option(0.2, "largest relative change of saturation")
    strength: str = option("none", "random warps and colour changes beside these: none, light, medium or strong")
    erase_probability: float = option(0.0, "share of the photos that lose a random box of 2% to 33% of their area")
    zoom_out: float = option(1.0, "largest factor by which half of the photos get smaller in the frame; 1: off")
    blur: float = option(0.0, "largest Gaussian blur of half of the photos, standard deviation / side; 0: off")
    mixup: float = option(0.0, "alpha of mixup: photos blended in pairs, shares from Beta(alpha, alpha); 0: off")
    cutmix: float = option(
        0.0, "alpha of cutmix: a pasted box of area share Beta(alpha, alpha); 0: off; both: half each"
    )

    @property
    def mixes(self) -> bool:
        """Whether neighbours in a batch, and their labels, are mixed."""
        return self.mixup > 0 or self.cutmix > 0


@dataclass
class ModelConfig(Section):
    """Which VGG."""

    variant: str = option("vgg16", "vgg11, vgg13, vgg16 or vgg19")
    batch_norm: bool = option(False, "batch normalisation after every convolution")
    batch_norm_momentum: float = option(0.9, "share of the running mean and variance that a step keeps")
    head: str = option("fc", "fc: the paper's two hidden dense layers; gap: global average pooling")
    width_multiplier: float = option(1.0, "factor on every layer's width")
    dropout: float = option(0.5, "share of activations dropped before each dense layer of the head")
    remat: str = option("none", "blocks: compute each block again for its gradient, a third slower, in far less memory")
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
        "auto", "what pretrained was trained on: caffe (BGR), imagenet, config (mean and std below), auto (by format)"
    )
    mean: tuple[float, float, float] = option(IMAGENET_MEAN, "RGB mean taken off the input, of a range of 0 to 1")
    std: tuple[float, float, float] = option(IMAGENET_STD, "RGB standard deviation that the input is divided by")


@dataclass
class DistillConfig(Section):
    """A teacher whose outputs the network learns before the run starts."""

    teacher: str = option("", "ONNX classifier or embedding network, local, gs:// or URL; empty: none")
    output: str = option("", "name of its output to learn, where it has several")
    image_size: int = option(0, "side of its input, pixels; 0: what its file says, else 224")
    mean: tuple[float, float, float] = option(IMAGENET_MEAN, "RGB mean taken off its input, of a range of 0 to 1")
    std: tuple[float, float, float] = option(IMAGENET_STD, "RGB standard deviation that its input is divided by")
    views: int = option(2400, "random views of the training photos that it sees, half of them blended with another")
    steps: int = option(1200, "steps of learning its outputs, of 32 views each")
    learning_rate: float = option(2e-3, "peak learning rate of these steps, by adamw")


@dataclass
class OptimConfig(Section):
    """How the parameters move."""

    name: str = option("sgd", "sgd (Nesterov momentum), adamw, lion or lamb")
    learning_rate: float = option(0.01, "peak learning rate")
    schedule: str = option("cosine", "after the warm-up: cosine or polynomial (to zero), step, plateau or constant")
    decay_epochs: float = option(30.0, "epochs between the decays of schedule step")
    decay_factor: float = option(0.1, "what a decay of schedule step or plateau multiplies the learning rate by")
    plateau_epochs: int = option(5, "epochs without a better checkpoint.metric before schedule plateau decays")
    polynomial_power: float = option(1.0, "of schedule polynomial; 1: a straight line")
    warmup_epochs: float = option(1.0, "length of the linear warm-up, epochs")
    momentum: float = option(0.9, "momentum of sgd")
    weight_decay: float = option(5e-4, "decay of kernels; biases and normalisation are left alone")
    label_smoothing: float = option(0.0, "probability spread evenly over all species")
    class_balance: float = option(0.0, "what counts the same in the training loss, 0: photos, 1: species, or between")
    negatives_weight: float = option(
        0.5, "weight of the loss on negatives, against the same probability for all species; see data.negatives"
    )
    gradient_clip_norm: float = option(0.0, "largest global norm of the gradient; 0: no limit")
    freeze: str = option("", "regex of layers that stay as they are, such as ^/block[123]_")
    unfreeze_epoch: float = option(
        0.0, "epochs after which frozen layers move too; 0: never, which saves their gradient"
    )
    layer_decay: float = option(1.0, "factor on the learning rate of each layer further from the last")
    average: str = option("none", "weights that are evaluated: none (the trained ones), ema or swa")
    ema_decay: float = option(0.9999, "share of the average that a step of ema keeps")
    swa_start_epoch: float = option(0.0, "epoch after which swa averages the weights of each epoch's end")


@dataclass
class ParallelConfig(Section):
    """How devices share the parameters; the batch is split over all of them in any case."""

    fsdp: bool = option(False, "split parameters and optimizer state over the devices; each layer is gathered for use")
    model_devices: int = option(1, "devices that split the kernels of fc1 and fc2 and compute a part each")


@dataclass
class ProfileConfig(Section):
    """A window of steps whose trace goes to `profile/` in the run folder, for TensorBoard or Perfetto."""

    start_step: int = option(10, "steps that are done before")
    num_steps: int = option(0, "length of the window, steps; 0: no trace")


@dataclass
class CheckpointConfig(Section):
    """What is kept of a run."""

    every_epochs: int = option(1, "epochs from one evaluation on val and checkpoint to the next; the last has both")
    every_steps: int = option(0, "save every N steps too, without an evaluation; 0: off")
    keep_last: int = option(2, "newest checkpoints kept: where one is damaged, the run resumes from the other")
    keep_best: int = option(1, "best checkpoints kept beside them")
    metric: str = option("top1", "val metric that ranks checkpoints: top1, top5, balanced_accuracy or loss")


@dataclass
class StopConfig(Section):
    """What ends a run before its last epoch."""

    patience: int = option(0, "epochs without a better checkpoint.metric; 0: no end")
    target: float = option(0.0, "value of checkpoint.metric that is good enough; 0: none is")
    max_minutes: float = option(0.0, "wall-clock time of a process, minutes; the same command resumes; 0: no limit")


@dataclass
class TrackingConfig(Section):
    """Where the numbers of a run go, beside its metrics.jsonl. A key is no field: W&B finds its own."""

    wandb: str = option("off", "W&B: off, online, or offline (files in the run folder, for `wandb sync`)")
    wandb_project: str = option("butterflyer", "project of the run at W&B")
    wandb_entity: str = option("", "user or team at W&B; empty: the one that the key belongs to")
    wandb_name: str = option("", "name of the run at W&B; empty: that of the run folder")
    wandb_tags: str = option("", "tags of the run at W&B, between commas")
    wandb_artifact: bool = option(False, "give the best checkpoint to W&B at the end")
    tensorboard: bool = option(False, "event files for TensorBoard in the run folder's tensorboard/")

    @property
    def takes_pictures(self) -> bool:
        """Whether something here can show a picture."""
        return self.wandb != "off" or self.tensorboard


@dataclass
class RefusalConfig(Section):
    """When an answer is "none of these"."""

    typicality: bool = option(True, "fit a score of how typical an image is when training ends; needs 20 val photos")
    false_refusals: float = option(0.05, "share of val photos, in changed light as well, that the score refuses")


@dataclass
class ExamplesConfig(Section):
    """Photos that a run keeps for the application to show beside an answer."""

    photos_per_species: int = option(
        3, "small training photos of each species, chosen when training ends; 0: none, where their licence forbids it"
    )


@dataclass
class RanksConfig(Section):
    """When an answer is a genus or a family instead of a species."""

    precision: float = option(0.95, "share of the answers of each rank that should be right, by which val decides")
    taxonomy: str = option(
        "", "table with a column species and others such as genus and family; empty: from folders, columns and names"
    )


@dataclass
class ExportConfig(Section):
    """What a run leaves in `export/` when it ends, for other programs."""

    format: str = option("keras", "none, keras, savedmodel, onnx, stablehlo or safetensors")
