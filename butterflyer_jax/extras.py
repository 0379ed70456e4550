"""Optional parts of the installation: which extra brings which packages, and one message where they are missing."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shlex
from importlib import metadata
from urllib.parse import urlsplit
from urllib.request import url2pathname

from butterflyer_jax.errors import UserError

DISTRIBUTION = "butterflyer-jax"
# What each extra is for, in the order in which `butterflyer doctor` and the install guide list them.
PURPOSES = {
    "train": "build data sets and train",
    "app": "the web page, its chat and its service",
    "export": "Keras, SavedModel, ONNX, LiteRT and safetensors",
    "cloud": "gs:// paths and Vertex AI",
    "wandb": "Weights & Biases",
    "tensorboard": "TensorBoard",
    "sweep": "hyperparameter search",
    "gpu": "JAX for NVIDIA GPUs",
    "tpu": "JAX for TPUs",
}


def is_installed(module: str) -> bool:
    """Returns whether a module can be imported, without importing it."""
    with contextlib.suppress(ValueError, ImportError):
        return importlib.util.find_spec(module) is not None
    return False


def require(extra: str, *modules: str, purpose: str) -> None:
    """Checks that the packages of an extra are there before they are imported.

    Args:
      extra: name of the extra that brings them.
      *modules: names that will be imported.
      purpose: what needs them, the subject of the message: "building records".

    Raises:
      UserError: one of them is missing; the message names the extra.
    """
    missing = [module for module in modules if not is_installed(module)]
    if missing:
        names = " and ".join(missing) if len(missing) < 3 else f"{', '.join(missing[:-1])} and {missing[-1]}"
        raise UserError(f"{purpose} needs {names}; install it with: {install_command(extra)}")


def install_command(extra: str) -> str:
    """Returns the shell command that installs an extra, from where this package was installed."""
    # An environment made by uv has no pip of its own; another one's would install there.
    pip = "pip" if is_installed("pip") else "uv pip"
    try:
        source = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        source = {}
    url = str(source.get("url", ""))
    if not url:
        return f"{pip} install '{DISTRIBUTION}[{extra}]'"
    if "dir_info" not in source:
        return f"{pip} install '{DISTRIBUTION}[{extra}] @ {url}'"
    folder = url2pathname(urlsplit(url).path)
    editable = "--editable " if source["dir_info"].get("editable") else ""
    return f"{pip} install {editable}{shlex.quote(f'{folder}[{extra}]')}"
