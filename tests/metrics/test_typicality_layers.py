"""The score as layers of a network, against the score of the run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from butterflyer_jax.metrics import typicality_layers
from butterflyer_jax.metrics.typicality import fit


def drawn(count: int, seed: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of three classes that vary together, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    means, mixing = np.random.default_rng(9).normal(0, 2, (3, 40)), np.random.default_rng(8).normal(0, 1, (40, 40))
    features = 5 + means[labels] + spread * rng.normal(0, 1, (count, 40)) @ mixing
    return features.astype(np.float32), labels


def test_layers_score_as_the_run_does_near_and_far() -> None:
    features, labels = drawn(200, 1)
    sure = np.random.default_rng(6).normal(0, 6, (100, 3)).astype(np.float32)
    negatives, held_out = drawn(200, 2, spread=3.0)[0], drawn(100, 3)[0]
    found = fit(features, labels, negatives, held_out, sure, num_held_out=100, false_refusals=0.05, step=1)
    layers = typicality_layers.to_layers(found)
    for spread in (0.0, 1.0, 100.0):
        given, _ = drawn(50, 4, spread)
        # From doubt to more certainty than float32 resolves beside 1; and two classes alike.
        logits = np.linspace([0, 0, 0], [30, 1, -30], 50).astype(np.float32)
        expected = found.score(given, logits)
        scored = jax.jit(lambda x, y: typicality_layers.score(jnp, layers, x, y))(given, logits)
        np.testing.assert_allclose(np.asarray(scored), expected, atol=1e-4)
        assert expected.std() > 0.01
    assert layers.limit == float(found.limit)
