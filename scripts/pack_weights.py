"""Packs the features of an exported run as the weights that this package ships: float16, without the last layer.

    butterflyer synthetic --species 480 --photos 86 --long_side 160 --output drawn.zip
    butterflyer train --config pretrain_drawn --input drawn.zip --output runs/drawn
    python scripts/pack_weights.py runs/drawn/export/model.safetensors

Writes butterflyer_jax/models/weights/drawn/<network>.safetensors, which `model.pretrained=drawn` names.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import safe_open

from butterflyer_jax.models.vgg import WIDTHS
from butterflyer_jax.models.weights import shipped
from butterflyer_jax.storage import files

LICENSE = "MIT, as butterflyer_jax; learned from images that butterflyer_jax draws, no photo was used"


def main() -> None:
    """Runs the command with its arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="model.safetensors that a run of configs/pretrain_drawn.py leaves")
    args = parser.parse_args()
    with safe_open(args.export, "numpy") as file:
        metadata = file.metadata()
    tensors = {
        name: array.astype(np.float16)
        for name, array in safetensors.numpy.load_file(args.export).items()
        if name.startswith("features.") and array.dtype == np.float32
    }
    finite = all(np.isfinite(array).all() for array in tensors.values())
    if not finite:
        raise SystemExit(f"{args.export}: a value is out of float16's range")
    norm = "_bn" if json.loads(metadata["batch_norm"]) else ""
    width = [x for x in json.loads(metadata["features"]) if x != "M"][-1] / WIDTHS[-1]
    target = shipped.FOLDER / f"{json.loads(metadata['variant'])}{norm}_{width:g}.safetensors"
    # The species of the drawings mean nothing elsewhere.
    metadata |= {"species": "[]", "license": json.dumps(LICENSE)}
    with files.whole_file(target) as part:
        part.write_bytes(safetensors.numpy.save(tensors, metadata=metadata))
    print(f"{target}: {len(tensors)} tensors, {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
