"""A file of weights, whatever wrote it."""

from __future__ import annotations

from pathlib import Path

from butterflyer_jax.errors import UserError
from butterflyer_jax.models.weights import translate
from butterflyer_jax.models.weights.keras_file import read_keras
from butterflyer_jax.models.weights.torch_file import read_pth, read_safetensors
from butterflyer_jax.models.weights.translate import Weights

TORCH_SUFFIXES = (".pth", ".pt", ".safetensors")
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
SUFFIXES = (*TORCH_SUFFIXES, *KERAS_SUFFIXES)


def read(path: Path, origin: str, colours: str = "auto") -> Weights:
    """Returns the weights in a file, in our terms.

    Args:
      path: of a local file.
      origin: where it came from, for messages.
      colours: that it was trained on, "caffe", "imagenet" or "config"; "auto" takes what its framework's VGG has.

    Raises:
      UserError: the suffix is unknown, the file is damaged, or it holds no VGG.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{origin} is no file of weights: its name must end with {', '.join(SUFFIXES)}")
    auto = colours == "auto"
    try:
        if suffix in KERAS_SUFFIXES:
            arrays, epsilon = read_keras(path)
            return translate.from_keras(arrays, origin, "caffe" if auto else colours, epsilon)
        arrays = read_safetensors(path) if suffix == ".safetensors" else read_pth(path)
        return translate.from_torch(arrays, origin, "imagenet" if auto else colours)
    except (UserError, MemoryError, PermissionError):
        raise
    except Exception as error:
        # Whatever a library says of bytes that are not what the suffix promises.
        raise UserError(f"{origin} is damaged, or no {suffix} file: {error or type(error).__name__}") from error
