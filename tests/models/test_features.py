"""The features of a network's layers: mean and spread of every map."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from butterflyer_jax.config import ModelConfig
from butterflyer_jax.models import create_model
from butterflyer_jax.models.features import apply_with_features
from butterflyer_jax.models.variables import Variables


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("side", [32, 44])
def test_features_on_a_cpu_are_those_of_the_plain_formulation(batch_norm: bool, side: int) -> None:
    config = ModelConfig(variant="vgg11", head="gap", width_multiplier=0.1, batch_norm=batch_norm)
    plain, for_cpu = (create_model(config, 5, for_cpu=flag) for flag in (False, True))
    # Flat areas, whose maps hardly vary, beside noise.
    x = np.random.default_rng(0).normal(0, 1, (3, side, side, 3)).astype(np.float32)
    x[1] = 0.5
    x[2, : side // 2] = -1
    variables = Variables(**{"batch_stats": {}, **plain.init(jax.random.key(0), x, train=False)})
    expected, found = (
        [np.asarray(array) for array in apply_with_features(model, variables, x, batch_norm)]
        for model in (plain, for_cpu)
    )
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6 * np.abs(other).max())
