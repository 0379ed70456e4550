"""The weights that come with this package: features learned from drawn butterflies, by the name `drawn`."""

from __future__ import annotations

import re
from pathlib import Path

from butterflyer_jax.errors import UserError

DRAWN = "drawn"
FOLDER = Path(__file__).with_name("drawn")
# Such as vgg11_bn_0.25.safetensors: variant, batch norm, width multiplier.
_NAME = re.compile(r"(?P<variant>vgg\d+)(?P<norm>_bn)?_(?P<width>[\d.]+)")


def file_of(variant: str, batch_norm: bool, width_multiplier: float) -> Path:
    """Returns the file of the weights for a network.

    Args:
      variant, batch_norm, width_multiplier: config fields of the network.

    Raises:
      UserError: there is none for it; the message says for which networks there is one.
    """
    networks = {file: match for file in sorted(FOLDER.iterdir()) if (match := _NAME.fullmatch(file.stem))}
    for file, match in networks.items():
        if (match["variant"], bool(match["norm"])) == (variant, batch_norm) and float(
            match["width"]
        ) == width_multiplier:
            return file
    wanted = " or ".join(
        f"--config.model.variant={match['variant']} --config.model.batch_norm={bool(match['norm'])} "
        f"--config.model.width_multiplier={match['width']}"
        for match in networks.values()
    )
    norm = "with" if batch_norm else "without"
    raise UserError(
        f"no drawn weights for {variant} {norm} batch norm at width_multiplier {width_multiplier:g}: set {wanted}, "
        "train your own with --config pretrain_drawn, or start from scratch with --config.model.pretrained="
    )
