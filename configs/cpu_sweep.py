"""Sweep over the recipe for real photos on a CPU: the optimizer's rate and decay, and the augmentation.

butterflyer sweep --config cpu_sweep --input leeds_butterflies.zip --output DIR

Machine: 2 cores of an AMD EPYC, about a minute a trial of ten epochs.
"""

from butterflyer_jax import load_config
from butterflyer_jax.config import Config
from butterflyer_jax.config.search import Sweep, Uniform


def get_config() -> Config:
    """Returns the config that is varied."""
    return load_config("cpu", ["num_epochs=10"])


def get_sweep() -> Sweep:
    """Returns the values that trials take."""
    return Sweep(
        grid={"augment.strength": ["none", "light"]},
        random={"optim.learning_rate": Uniform(5e-4, 5e-3, log=True), "optim.weight_decay": Uniform(0.01, 0.1)},
        num_trials=4,
    )
