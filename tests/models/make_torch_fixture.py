"""Writes tests/models/torch_files: small VGGs as PyTorch saves them, and the logits that PyTorch computes with them.

    python tests/models/make_torch_fixture.py

Needs torch and safetensors; made with torch 2.13. The networks are torchvision's by the names and the order of their
layers, at 1/64 of the width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

FOLDER = Path(__file__).parent / "torch_files"
VGG11 = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NUM_CLASSES = 5


class VGG(nn.Module):
    """torchvision's VGG11; its average pooling to 7x7 maps, which does nothing at 224 pixels, is left out."""

    def __init__(self, batch_norm: bool, image_size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in VGG11:
            if width == "M":
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers.append(nn.Conv2d(channels, channels := width // 64, 3, padding=1))
            layers += [nn.BatchNorm2d(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
        self.features = nn.Sequential(*layers)
        hidden = 4096 // 64
        self.classifier = nn.Sequential(
            nn.Linear(channels * (image_size // 32) ** 2, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, NUM_CLASSES),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [batch, 3, height, width] to logits."""
        return self.classifier(self.features(x).flatten(1))


def make(batch_norm: bool, image_size: int, dtype: torch.dtype) -> VGG:
    """Returns a network with random weights, biases and statistics, all of them numbers that `dtype` holds."""
    model = VGG(batch_norm, image_size).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(17)
        elif tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        else:
            tensor.normal_(1.0 if batch_norm and name.endswith("weight") else 0.1, 0.3)
        tensor.copy_(tensor.to(dtype))
    return model


def main() -> None:
    """Writes the files."""
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    recorded: dict[str, np.ndarray] = {}

    def record(name: str, model: VGG, image_size: int) -> None:
        images = np.random.default_rng(image_size).integers(0, 256, (2, image_size, image_size, 3), np.uint8)
        x = (images / 255 - np.array(MEAN)) / np.array(STD)
        with torch.no_grad():
            logits = model(torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32))
        recorded[f"{name}_images"], recorded[f"{name}_logits"] = images, logits.numpy()

    # Maps of 2x2 before the first dense layer: the order in which they are flattened counts.
    plain = make(False, 64, torch.float32)
    record("plain", plain, 64)
    state = plain.state_dict()
    safetensors.torch.save_file(state, FOLDER / "plain.safetensors")
    # Parameters, not tensors.
    torch.save(dict(plain.named_parameters()), FOLDER / "plain_old.pth", _use_new_zipfile_serialization=False)
    # Not contiguous.
    state["classifier.3.weight"] = state["classifier.3.weight"].t().contiguous().t()
    torch.save(state, FOLDER / "plain.pth")

    normed = make(True, 32, torch.bfloat16)
    record("normed", normed, 32)
    low = {name: x.bfloat16() if x.is_floating_point() else x for name, x in normed.state_dict().items()}
    torch.save(low, FOLDER / "normed.pth")
    safetensors.torch.save_file(low, FOLDER / "normed.safetensors")

    # What a training program saves: beside the weights, of a wrapped network, an optimizer.
    trained = make(True, 32, torch.float16)
    record("trained", trained, 32)
    half = {f"module.{name}": x.half() if x.is_floating_point() else x for name, x in trained.state_dict().items()}
    momentum = {"state": {0: {"momentum_buffer": torch.ones(3, 3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    checkpoint = {"epoch": 3, "optimizer": momentum, "state_dict": half}
    torch.save(checkpoint, FOLDER / "trained_old.pth", _use_new_zipfile_serialization=False)
    torch.save(checkpoint, FOLDER / "trained.pth")
    np.savez_compressed(FOLDER / "recorded.npz", **recorded)


if __name__ == "__main__":
    main()
