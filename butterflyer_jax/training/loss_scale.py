"""Dynamic loss scaling for float16, whose smallest numbers many gradients fall below (Micikevicius et al. 2018,
arXiv:1710.03740).

`flax.training.dynamic_scale.DynamicScale` scales inside its own `value_and_grad`, of one call: it can neither wait for
the sum of accumulated parts nor for the gradients that frozen layers leave, where this step decides. It grows a step
later and would fall below 1, from where a step counts here as broken.
"""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Bool

INITIAL = 2.0**15
SMALLEST = 1.0
FACTOR = 2.0
GROWTH_INTERVAL = 2000


class LossScale(flax.struct.PyTreeNode):
    """Factor on the loss, by which the gradient is divided again.

    Attributes:
      value: float32 [], the factor.
      good_steps: int32 [], steps with finite gradients since the factor last changed.
    """

    value: jax.Array
    good_steps: jax.Array

    @classmethod
    def create(cls) -> LossScale:
        """Returns the scale of a new run."""
        return cls(jnp.float32(INITIAL), jnp.int32(0))

    def update(self, finite: Bool[jax.Array, ""]) -> LossScale:
        """Returns the scale after a step: twice after 2,000 steps without an overflow, half after an overflow.

        Args:
          finite: bool [], whether all gradients were finite.
        """
        grows = self.good_steps + 1 >= GROWTH_INTERVAL
        value = jnp.where(
            finite,
            jnp.where(grows, self.value * FACTOR, self.value),
            jnp.maximum(self.value / FACTOR, SMALLEST),
        )
        return LossScale(value, jnp.where(finite & ~grows, self.good_steps + 1, 0))
