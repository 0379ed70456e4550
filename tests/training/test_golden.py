"""Losses of twenty steps that no refactoring may change, kept in a file.

Rewritten where a change is meant: python -m tests.training.test_golden
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from butterflyer_jax.config import AugmentConfig, Config
from tests.helpers import trainings

FILE = Path(__file__).parent / "golden" / "vgg_losses.json"
NUM_STEPS = 20


def configs() -> dict[str, Config]:
    plain = trainings.small_config(augment=AugmentConfig())
    plain.model.batch_norm, plain.optim.learning_rate = False, 0.003
    augment = AugmentConfig(strength="strong", erase_probability=0.5, mixup=0.4, cutmix=1.0)
    everything = trainings.small_config(augment=augment, gradient_accumulation=2)
    # With batch normalisation over 16 images, ten times this rate multiplies rounding by 100,000 in twenty steps: 1e-7
    # in the initial weights, or another version of JAX, becomes 1%.
    everything.optim.learning_rate, everything.optim.weight_decay = 0.001, 0.1
    return {"plain": plain, "everything": everything}


@pytest.mark.parametrize("name", ["plain", "everything"])
def test_losses_are_those_of_the_file(name: str) -> None:
    losses = trainings.losses(configs()[name], NUM_STEPS)
    # Other processors and versions of JAX round otherwise: by up to 5e-7 so far.
    np.testing.assert_allclose(losses, json.loads(FILE.read_text())[name], rtol=1e-4)


if __name__ == "__main__":
    losses = {name: trainings.losses(config, NUM_STEPS) for name, config in configs().items()}
    FILE.write_text(json.dumps(losses, indent=1) + "\n")
