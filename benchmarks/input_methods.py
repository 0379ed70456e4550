"""The input pipelines that bench_input.py measures: ours in each of its modes, and its peers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import input_peers as peers
from input_formats import RECORDS
from input_peers import Batch


@dataclass(frozen=True)
class Method:
    """A way to read: `batches(path, batch_size)` yields dicts with `image` and `label` from a format of FORMATS."""

    title: str
    delivers: str
    reads: str
    batches: Callable[[Path, int], Iterator[Batch]]
    needs: Sequence[str] = ()

    @property
    def missing(self) -> list[str]:
        """The modules that it needs and that are not installed."""
        return [name for name in self.needs if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


def _ours(mode: str, crop: str) -> Callable[[Path, int], Iterator[Batch]]:
    def batches(dataset_dir: Path, batch_size: int) -> Iterator[Batch]:
        from butterflyer_jax.config import Config
        from butterflyer_jax.data.input.record_data import RecordData

        config = Config(batch_size=batch_size)
        config.data.mode, config.data.crop = mode, crop
        return RecordData(dataset_dir, config.validate()).train_batches(0)

    return batches


TORCH = ("torch", "torchvision")
# The first of ours is what the others are compared with.
METHODS = {
    "ours": Method("butterflyer_jax, jpeg", "uint8 window, crop on device", RECORDS, _ours("jpeg", "device")),
    "ours_host": Method("butterflyer_jax, jpeg, crop on host", "uint8 224", RECORDS, _ours("jpeg", "host")),
    "ours_cache": Method("butterflyer_jax, cache", "uint8 window, crop on device", RECORDS, _ours("cache", "device")),
    "ours_cache_host": Method("butterflyer_jax, cache, crop on host", "uint8 224", RECORDS, _ours("cache", "host")),
    "ours_raw": Method("butterflyer_jax, raw", "uint8 window, crop on device", RECORDS, _ours("raw", "device")),
    "ours_raw_host": Method("butterflyer_jax, raw, crop on host", "uint8 224", RECORDS, _ours("raw", "host")),
    "tf_plain": Method("tf.data, plain", "float32 224", RECORDS, peers.tf_plain),
    "tf_tuned": Method("tf.data, tuned", "uint8 224", RECORDS, peers.tf_tuned),
    "torchvision_pillow": Method(
        "torchvision DataLoader, Pillow", "float32 224", "files", peers.torchvision_pillow, TORCH
    ),
    "torchvision_io": Method(
        "torchvision DataLoader, torchvision.io", "uint8 224", "files", peers.torchvision_io, TORCH
    ),
    "grain_pillow_threads": Method(
        "Grain threads, Pillow",
        "uint8 224",
        "array_record",
        peers.grain(peers.load_with_pillow, processes=False),
        ("grain",),
    ),
    "grain_pillow_processes": Method(
        "Grain processes, Pillow",
        "uint8 224",
        "array_record",
        peers.grain(peers.load_with_pillow, processes=True),
        ("grain",),
    ),
    "grain_threads": Method(
        "Grain threads, simplejpeg + cv2",
        "uint8 224",
        "array_record",
        peers.grain(peers.load_with_opencv, processes=False),
        ("grain", "cv2"),
    ),
    "grain_processes": Method(
        "Grain processes, simplejpeg + cv2",
        "uint8 224",
        "array_record",
        peers.grain(peers.load_with_opencv, processes=True),
        ("grain", "cv2"),
    ),
    "webdataset": Method("webdataset, one process, Pillow", "uint8 224", "tars", peers.webdataset, ("webdataset",)),
    "webdataset_loader": Method(
        "webdataset WebLoader, Pillow", "uint8 224", "tars", peers.webdataset_loader, ("webdataset", "torch")
    ),
    "dali_float": Method("DALI on the CPU, float", "float32 224", "files", peers.dali(True), ("nvidia.dali",)),
    "dali": Method("DALI on the CPU, uint8", "uint8 224", "files", peers.dali(False), ("nvidia.dali",)),
    "ffcv": Method("FFCV, JPEG", "uint8 224", "beton_jpeg", peers.ffcv, ("ffcv",)),
    "ffcv_raw": Method("FFCV, raw", "uint8 224", "beton_raw", peers.ffcv, ("ffcv",)),
}
