"""The sections build, data and augment of a config: each field with default, meaning, unit and range."""

# No `from __future__ import annotations`: overrides are parsed by the real types of the fields.

from dataclasses import dataclass

from butterflyer_jax.config.fields import POSITIVE, SHARE, Section, option


@dataclass
class BuildConfig(Section):
    """How a raw zip becomes records."""

    image_size: int = option(256, "short side of a stored photo, pixels", within=(8, 8192))
    jpeg_quality: int = option(95, "JPEG quality of a stored photo", within=(1, 100))
    val_fraction: float = option(
        0.15, "share of each species that goes to val, where the input gives no splits", within=SHARE
    )
    test_fraction: float = option(
        0.15, "share of each species that goes to test, where the input gives no splits", within=SHARE
    )
    salt: str = option("butterflyer", "changes which photos go to which split")
    max_reject_fraction: float = option(0.05, "share of unusable photos above which the build stops", within=SHARE)
    # Pillow itself refuses more than twice this limit of its own.
    max_pixels: int = option(100_000_000, "largest photo that is decoded, pixels", within=(1, 178_956_970))
    # From about 30 on, photos of different museum specimens look the same.
    near_duplicate_bits: int = option(
        12, "photos whose 256-bit hashes differ in at most this many bits share a split", within=(0, 40)
    )
    num_shards: int = option(0, "record files per split; 0: as many of about 128 MiB as it takes", within=(0, 100_000))
    layout: str = option(
        "",
        "source of labels: table; folders: leaf (innermost), top (outermost), path (all); name (file); empty: detected",
    )
    table: str = option(
        "",
        "tables with the labels, comma-separated, elsewhere by their absolute path; empty: every one that names photos",
    )
    file_column: str = option("", "column that names photos, or its number; empty: detected")
    label_column: str = option("", "column of the label, or its number; table_name: names of tables; empty: detected")
    split_column: str = option(
        "", "column of the split; folder: the folders'; file_name: the names'; none: new splits; empty: detected"
    )
    group_column: str = option(
        "", "columns whose equal values share a split, comma-separated; none: no groups; empty: detected"
    )
    bursts: str = option(
        "exif",
        "what else shares a split: exif (one camera, seconds apart), name (x_001, x_002), or none",
        one_of=("exif", "name", "none"),
    )
    name_encoding: str = option("", "code page of file names and tables that do not state theirs; empty: detected")
    ignore: str = option("", "files or labels to leave out, such as *.zip,masks/*,label:unknown, comma-separated")
    box_format: str = option(
        "auto",
        "numbers of a box: xyxy (two corners), xywh (corner and size), cxcywh (centre and size) or auto (detected)",
        one_of=("auto", "xyxy", "xywh", "cxcywh"),
    )
    negatives: str = option("", "photos that show no species, such as background/*,label:empty, comma-separated")


@dataclass
class DataConfig(Section):
    """How records become batches."""

    # Five max-pools halve the side five times.
    image_size: int = option(224, "side of the square network input, pixels", within=(32, 8192))
    start_image_size: int = option(
        0,
        "side that training starts with, pixels; it grows to image_size in four stages; 0: image_size throughout",
        within=(0, 8192),
    )
    eval_crop_fraction: float = option(
        0.875, "side of the central evaluation crop, as a share of the short side", within=(0.1, 1.0)
    )
    mode: str = option(
        "auto",
        "jpeg: decode each epoch; cache: keep in memory; raw: decode once to the local disk; auto: cache if it fits",
        one_of=("auto", "jpeg", "cache", "raw"),
    )
    cache_gib: float = option(4.0, "most memory for photos: decoded, else (mode cache) encoded, GiB", within=(0.0, 1e6))
    boxes: str = option(
        "use",
        "boxes of butterflies, where photos have some: use (train and evaluate on them), train (alone) or ignore",
        one_of=("use", "train", "ignore"),
    )
    crop: str = option(
        "auto",
        "what makes the crops: host, device, or auto (device for a GPU or TPU, else host)",
        one_of=("auto", "host", "device"),
    )
    shuffle_window: int = option(20_000, "photos that are shuffled together, in whole shards", within=POSITIVE)
    class_balance: float = option(
        0.0, "what an epoch draws equally often: 0: photos, 1: species, or between", within=SHARE
    )
    negatives: float = option(
        0.0, "share of a batch whose photos turn into images of no species, drawn from them; 0: off", within=(0.0, 0.9)
    )
    staging_gib: float = option(
        200.0, "most disk for copies of gs:// data sets, of all runs together, GiB", within=(0.1, 1e6)
    )
    num_threads: int = option(0, "threads that decode and crop; 0: one per core", within=(0, 1024))
    num_folds: int = option(
        0, "folds of a cross-validation over all photos, 3 or more; 0: the data set's splits", within=(0, 1000)
    )
    fold: int = option(
        0, "fold that is the test split, 1 to num_folds; the next one is val, the others train", within=(0, 1000)
    )


@dataclass
class AugmentConfig(Section):
    """What happens to a training photo; every draw depends on (seed, epoch, index) alone."""

    crop_min_area: float = option(
        0.25, "smallest random crop, as a share of the photo's area; 1 takes all", within=(0.01, 1.0)
    )
    crop_max_aspect: float = option(
        4 / 3, "widest random crop, width over height, and its inverse the tallest", within=(1.0, 10.0)
    )
    flip: bool = option(True, "mirror half of the photos left to right")
    brightness: float = option(0.2, "largest relative change of brightness", within=SHARE)
    contrast: float = option(0.2, "largest relative change of contrast", within=SHARE)
    saturation: float = option(0.2, "largest relative change of saturation", within=SHARE)
    strength: str = option(
        "none",
        "random warps and colour changes beside these: none, light, medium or strong",
        one_of=("none", "light", "medium", "strong"),
    )
    erase_probability: float = option(
        0.0, "share of the photos that lose a random box of 2% to 33% of their area", within=SHARE
    )
    zoom_out: float = option(
        1.0, "largest factor by which half of the photos get smaller in the frame; 1: off", within=(1.0, 10.0)
    )
    blur: float = option(
        0.0, "largest Gaussian blur of half of the photos, standard deviation / side; 0: off", within=(0.0, 0.2)
    )
    mixup: float = option(
        0.0, "alpha of mixup: photos blended in pairs, shares from Beta(alpha, alpha); 0: off", within=(0.0, 10.0)
    )
    cutmix: float = option(
        0.0,
        "alpha of cutmix: a pasted box of area share Beta(alpha, alpha); 0: off; both: half each",
        within=(0.0, 10.0),
    )

    @property
    def mixes(self) -> bool:
        """Whether neighbours in a batch, and their labels, are mixed."""
        return self.mixup > 0 or self.cutmix > 0
