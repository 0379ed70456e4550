"""The libraries that bench_input.py compares ours with, each from photos on disk to batches.

Each cuts a random part of a photo (25% to 100% of its area, 3:4 to 4:3), scales it to 224x224 and mirrors half of
them. Every stream is shuffled and has no end. A batch is a dict of `image` and `label`.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from input_formats import LABEL_BYTES
from PIL import Image, ImageOps

SIZE = 224
CROP_AREA = (0.25, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10
# ImageNet's, of a range of 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHUFFLE_BUFFER = 1000
CORES = os.cpu_count() or 1

Batch = dict[str, Any]


def tf_plain(dataset_dir: Path, batch_size: int) -> Iterator[Batch]:
    """As in the tutorials: photos decoded by TFDS, then shuffled, cropped and scaled in float32."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def crop(example: dict[str, Any]) -> Batch:
        begin, size = _tf_window(tf.shape(example["image"]))
        part = tf.slice(example["image"], begin, size)
        image = tf.image.random_flip_left_right(tf.image.resize(part, (SIZE, SIZE)))
        return {"image": image / 255, "label": example["label"]}

    dataset = tfds.builder_from_directory(os.fspath(dataset_dir)).as_dataset(
        # By default sets of less than 250 MiB are cached, decoded: here each epoch is to decode.
        split="train",
        shuffle_files=True,
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    dataset = dataset.shuffle(SHUFFLE_BUFFER).repeat().map(crop, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE).as_numpy_iterator()


def tf_tuned(dataset_dir: Path, batch_size: int) -> Iterator[Batch]:
    """As the guides to speed have it: shuffled while encoded, only the crop decoded, uint8 out, in any order."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def crop(example: dict[str, Any]) -> Batch:
        begin, size = _tf_window(tf.io.extract_jpeg_shape(example["image"]))
        part = tf.image.decode_and_crop_jpeg(example["image"], tf.concat([begin[:2], size[:2]], 0), channels=3)
        image = tf.image.random_flip_left_right(tf.image.resize(part, (SIZE, SIZE)))
        return {"image": tf.cast(image, tf.uint8), "label": example["label"]}

    options = tf.data.Options()
    options.deterministic = False
    dataset = tfds.builder_from_directory(os.fspath(dataset_dir)).as_dataset(
        split="train",
        shuffle_files=True,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(try_autocache=False, options=options),
    )
    dataset = dataset.shuffle(SHUFFLE_BUFFER).repeat().map(crop, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE).as_numpy_iterator()


def _tf_window(shape: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    begin, size, _ = tf.image.sample_distorted_bounding_box(
        shape,
        bounding_boxes=tf.zeros([1, 0, 4]),
        min_object_covered=0.0,
        aspect_ratio_range=CROP_ASPECT,
        area_range=CROP_AREA,
        max_attempts=CROP_ATTEMPTS,
        use_image_if_no_bounding_boxes=True,
    )
    return begin, size


def torchvision_pillow(folder: Path, batch_size: int) -> Iterator[Batch]:
    """As in the examples of PyTorch: an ImageFolder, decoded and cropped by Pillow, normalised in float32."""

    from torchvision import datasets, transforms

    steps = [
        transforms.RandomResizedCrop(SIZE, scale=CROP_AREA, ratio=CROP_ASPECT),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    return _torch_batches(datasets.ImageFolder(folder, transforms.Compose(steps)), batch_size)


def torchvision_io(folder: Path, batch_size: int) -> Iterator[Batch]:
    """The same decoded by torchvision itself; uint8 all the way."""

    import torchvision
    from torchvision import datasets
    from torchvision.transforms import v2

    def load(path: str) -> Any:
        return torchvision.io.decode_image(path, mode=torchvision.io.ImageReadMode.RGB)

    steps = [v2.RandomResizedCrop(SIZE, scale=CROP_AREA, ratio=CROP_ASPECT, antialias=True), v2.RandomHorizontalFlip()]
    return _torch_batches(datasets.ImageFolder(folder, v2.Compose(steps), loader=load), batch_size)


def _torch_batches(dataset: Any, batch_size: int) -> Iterator[Batch]:
    from torch.utils.data import DataLoader, RandomSampler

    # One epoch that does not end: the workers would fall idle between the short epochs of a small set.
    sampler = RandomSampler(dataset, num_samples=len(dataset) * 1_000_000)
    for images, labels in DataLoader(dataset, batch_size, sampler=sampler, num_workers=CORES):
        yield {"image": images, "label": labels}


def _random_window(rng: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int]:
    """Returns left, top, width, height of a random part, pixels, drawn as torchvision does."""
    for _ in range(CROP_ATTEMPTS):
        area = width * height * rng.uniform(*CROP_AREA)
        aspect = np.exp(rng.uniform(*np.log(CROP_ASPECT)))
        part_width, part_height = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < part_width <= width and 0 < part_height <= height:
            left, top = rng.integers(width - part_width + 1), rng.integers(height - part_height + 1)
            return int(left), int(top), part_width, part_height
    return 0, 0, width, height


def _crop_with_pillow(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    left, top, width, height = _random_window(rng, *image.size)
    box = (left, top, left + width, top + height)
    scaled = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box)
    return np.asarray(ImageOps.mirror(scaled) if rng.random() < 0.5 else scaled)


def load_with_pillow(jpeg: bytes, rng: np.random.Generator) -> np.ndarray:
    """Returns a random crop, uint8 [224, 224, 3]."""
    return _crop_with_pillow(Image.open(io.BytesIO(jpeg)).convert("RGB"), rng)


def load_with_opencv(jpeg: bytes, rng: np.random.Generator) -> np.ndarray:
    """Returns a random crop, uint8 [224, 224, 3]; simplejpeg decodes."""
    import simplejpeg

    image = simplejpeg.decode_jpeg(jpeg)
    left, top, width, height = _random_window(rng, image.shape[1], image.shape[0])
    scaled = _opencv().resize(image[top : top + height, left : left + width], (SIZE, SIZE))
    return _opencv().flip(scaled, 1) if rng.random() < 0.5 else scaled


@functools.cache
def _opencv() -> Any:
    import cv2

    # The photos are shared out among threads already.
    cv2.setNumThreads(0)
    return cv2


def grain(
    load: Callable[[bytes, np.random.Generator], np.ndarray], processes: bool
) -> Callable[[Path, int], Iterator[Batch]]:
    """Returns how Grain reads, in threads of this process or in processes of its own; `load` makes the crop."""

    def load_record(record: bytes, rng: np.random.Generator) -> Batch:
        return {"image": load(record[LABEL_BYTES:], rng), "label": int.from_bytes(record[:LABEL_BYTES], "little")}

    def batches(folder: Path, batch_size: int) -> Iterator[Batch]:
        import grain
        from absl import flags

        # Grain reads its flags when it starts processes.
        flags.FLAGS.mark_as_parsed()
        source = grain.sources.ArrayRecordDataSource(sorted(map(os.fspath, folder.iterdir())))
        dataset = grain.MapDataset.source(source).seed(0).shuffle().repeat().random_map(load_record)
        threads = 1 if processes else CORES
        stream = dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * batch_size))
        stream = stream.batch(batch_size, drop_remainder=True)
        if processes:
            stream = stream.mp_prefetch(grain.MultiprocessingOptions(num_workers=CORES, per_worker_buffer_size=2))
        return iter(stream)

    return batches


def webdataset(folder: Path, batch_size: int) -> Iterator[Batch]:
    """In this process alone, as it goes without PyTorch."""
    return _as_batches(_webdataset_samples(folder).batched(batch_size, partial=False))


def webdataset_loader(folder: Path, batch_size: int) -> Iterator[Batch]:
    """In processes of PyTorch's DataLoader."""

    import webdataset

    batched = _webdataset_samples(folder).batched(batch_size, partial=False)
    return _as_batches(webdataset.WebLoader(batched, batch_size=None, num_workers=CORES))


def _webdataset_samples(folder: Path) -> Any:
    import webdataset

    rng = np.random.default_rng()
    shards = sorted(map(os.fspath, folder.iterdir()))
    dataset = webdataset.WebDataset(shards, resampled=True, shardshuffle=False).shuffle(SHUFFLE_BUFFER).decode("pil")
    return dataset.to_tuple("jpg", "cls").map_tuple(lambda image: _crop_with_pillow(image, rng), int)


def _as_batches(pairs: Iterable[tuple[Any, Any]]) -> Iterator[Batch]:
    return ({"image": images, "label": labels} for images, labels in pairs)


def dali(as_float: bool) -> Callable[[Path, int], Iterator[Batch]]:
    """DALI without a GPU; `as_float` normalises as in NVIDIA's example for ImageNet."""

    def batches(folder: Path, batch_size: int) -> Iterator[Batch]:
        from nvidia.dali import fn, pipeline_def, types

        @pipeline_def(batch_size=batch_size, num_threads=CORES, device_id=None, seed=0)
        def pipeline() -> Any:
            jpegs, labels = fn.readers.file(
                file_root=os.fspath(folder), random_shuffle=True, initial_fill=SHUFFLE_BUFFER
            )
            parts = fn.decoders.image_random_crop(
                jpegs, random_area=CROP_AREA, random_aspect_ratio=CROP_ASPECT, num_attempts=CROP_ATTEMPTS
            )
            images = fn.resize(parts, size=(SIZE, SIZE))
            mirror = fn.random.coin_flip()
            if not as_float:
                return fn.flip(images, horizontal=mirror), labels
            mean, std = ([255 * value for value in values] for values in (MEAN, STD))
            return fn.crop_mirror_normalize(images, mirror=mirror, mean=mean, std=std, dtype=types.FLOAT), labels

        built = pipeline()
        built.build()
        while True:
            images, labels = built.run()
            # Views, good until the next batch.
            yield {"image": np.asarray(images.as_tensor()), "label": np.asarray(labels.as_tensor())}

    return batches


def ffcv(folder: Path, batch_size: int) -> Iterator[Batch]:
    """As in FFCV's example for ImageNet, up to the copy to the GPU."""

    from ffcv import transforms
    from ffcv.fields import decoders
    from ffcv.loader import Loader, OrderOption

    crop = decoders.RandomResizedCropRGBImageDecoder((SIZE, SIZE), scale=CROP_AREA, ratio=CROP_ASPECT)
    columns = {
        "image": [crop, transforms.RandomHorizontalFlip(), transforms.ToTensor()],
        "label": [decoders.IntDecoder(), transforms.ToTensor(), transforms.Squeeze()],
    }
    beton = os.fspath(folder / "photos.beton")
    loader = Loader(beton, batch_size, num_workers=CORES, order=OrderOption.RANDOM, drop_last=True, pipelines=columns)
    while True:
        yield from _as_batches(loader)
