"""Weights by name: where `imagenet`, `timm:NAME`, `torchvision:NAME` and `hf://OWNER/NAME` lie, and of which VGG."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import cast

from butterflyer_jax.config import VARIANTS
from butterflyer_jax.errors import UserError
from butterflyer_jax.models.weights.translate import Colour
from butterflyer_jax.storage import hub
from butterflyer_jax.storage.hub import HubFile

IMAGENET = "imagenet"
# torchvision's weights, as timm keeps them on the Hub; the tag says who trained them, and on what.
TAG = "tv_in1k"
DEFAULT_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
KNOWN = "imagenet, timm:NAME, torchvision:NAME, hf://OWNER/NAME and drawn"
ARCHITECTURES = tuple(f"{variant}{norm}" for variant in VARIANTS for norm in ("", "_bn"))
_TIMM = re.compile(rf"({'|'.join(ARCHITECTURES)})(\.\w+)?")


@dataclass(frozen=True)
class NamedWeights:
    """Pretrained weights that are downloaded by name.

    Attributes:
      file: their file in a repository of the Hub.
      variant, batch_norm: architecture of the network; None if the name does not contain it.
    """

    file: HubFile
    variant: str | None = None
    batch_norm: bool | None = None


def find(name: str, variant: str, batch_norm: bool) -> NamedWeights | None:
    """Returns the weights that a name stands for, None where it is a path or an address of another kind.

    Args:
      name: config field model.pretrained.
      variant, batch_norm: architecture of our network; `imagenet` stands for the weights of that one.

    Raises:
      UserError: the name is of such a kind, and there is no such network.
    """
    if name == IMAGENET:
        return _timm(f"{variant}{'_bn' if batch_norm else ''}", name)
    kind, _, rest = name.partition(":")
    if kind == "timm":
        return _timm(rest, name)
    if kind == "torchvision":
        if rest not in ARCHITECTURES:
            raise UserError(f"{name} names no VGG of torchvision: write torchvision: and {_any_of(ARCHITECTURES)}")
        return _timm(rest, name)
    if name.startswith(hub.SCHEME):
        file = hub.parse(name)
        owner, _, model = file.repo.partition("/")
        if owner == "timm" and not file.file and _TIMM.fullmatch(model):
            known = _timm(model, name)
            return NamedWeights(HubFile(file.repo, DEFAULT_FILE, file.revision), known.variant, known.batch_norm)
        return NamedWeights(HubFile(file.repo, file.file or DEFAULT_FILE, file.revision))
    return None


def colours(text: str, origin: str) -> tuple[Colour | None, Colour | None]:
    """Returns mean and standard deviation of the RGB input, from the config.json of a repository of timm's kind.

    Args:
      text: the file's content.
      origin: where it came from, for messages.

    Returns:
      Each three values from 0 to 1, red, green and blue, or None where the file does not say.

    Raises:
      UserError: the file is damaged.
    """
    try:
        about = json.loads(text).get("pretrained_cfg", {})
        mean, std = (tuple(map(float, about[name])) if name in about else None for name in ("mean", "std"))
        if {len(x) for x in (mean, std) if x is not None} - {3}:
            raise ValueError("it is not of three colours")
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{CONFIG_FILE} of {origin} is damaged: {error}") from error
    return cast("tuple[Colour | None, Colour | None]", (mean, std))


def _timm(model: str, name: str) -> NamedWeights:
    match = _TIMM.fullmatch(model)
    if not match:
        raise UserError(f"{name} names no VGG of timm: write timm: and {_any_of(ARCHITECTURES)}, perhaps with .{TAG}")
    architecture, tag = match[1], match[2] or f".{TAG}"
    variant, _, norm = architecture.partition("_")
    return NamedWeights(HubFile(f"timm/{architecture}{tag}", DEFAULT_FILE), variant, bool(norm))


def _any_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
