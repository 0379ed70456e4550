"""Losses of twenty steps that no refactoring may change, kept in a file.

Written anew where a change is meant: python -m tests.training.test_golden
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
    everything = AugmentConfig(strength="strong", erase_probability=0.5, mixup=0.4, cutmix=1.0)
    return {"plain": plain, "everything": trainings.small_config(augment=everything, gradient_accumulation=2)}


@pytest.mark.parametrize("name", ["plain", "everything"])
def test_losses_are_those_of_the_file(name: str) -> None:
    # Other processors round otherwise, and twenty steps multiply it.
    losses = trainings.losses(configs()[name], NUM_STEPS)
    np.testing.assert_allclose(losses, json.loads(FILE.read_text())[name], rtol=2e-3)


if __name__ == "__main__":
    losses = {name: trainings.losses(config, NUM_STEPS) for name, config in configs().items()}
    FILE.write_text(json.dumps(losses, indent=1) + "\n")
