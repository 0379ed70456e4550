"""Metrics as sums over masked batches, divided once: each image counts once on any number of devices."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer


class Sums(flax.struct.PyTreeNode):
    """Sums over images; `a + b` merges two.

    Attributes:
      loss: float32 [], sum of the images' losses.
      top1, top5: int32 [], number of images whose class is the most probable one, or among the first five.
      confusion: int32 [num_classes, num_classes], images by (species, prediction).
    """

    loss: jax.Array
    top1: jax.Array
    top5: jax.Array
    confusion: jax.Array

    @classmethod
    def of_batch(
        cls,
        losses: Float[jax.Array, " batch"],
        logits: Float[jax.Array, "batch num_classes"],
        labels: Integer[jax.Array, " batch"],
        mask: Float[jax.Array, " batch"],
    ) -> Sums:
        """Returns the sums of one batch.

        Args:
          losses: float32 [batch].
          logits: float32 [batch, num_classes].
          labels: int32 [batch].
          mask: float32 [batch], 0 where an image does not count.
        """
        num_classes = logits.shape[-1]
        counts = mask.astype(jnp.int32)
        top = jax.lax.top_k(logits, min(5, num_classes))[1]
        hits = (top == labels[:, None]).astype(jnp.int32) * counts[:, None]
        confusion = jnp.zeros((num_classes, num_classes), jnp.int32).at[labels, top[:, 0]].add(counts)
        return cls((losses * mask).sum(), hits[:, 0].sum(), hits.sum(), confusion)

    def __add__(self, other: Sums) -> Sums:
        return jax.tree.map(jnp.add, self, other)

    def compute(self) -> dict[str, Any]:
        """Returns count, loss, top1, top5 and balanced_accuracy (mean recall of the species that occur).

        Raises:
          ValueError: no image counts.
        """
        confusion = np.asarray(self.confusion)
        support = confusion.sum(axis=1)
        count = int(support.sum())
        if not count:
            raise ValueError("metrics of no photos")
        present = support > 0
        recall = confusion.diagonal()[present] / support[present]
        return {
            "count": count,
            "loss": float(self.loss) / count,
            "top1": int(self.top1) / count,
            "top5": int(self.top5) / count,
            "balanced_accuracy": float(recall.mean()),
        }
