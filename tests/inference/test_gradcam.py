from __future__ import annotations

import jax
import numpy as np
import pytest

from butterflyer_jax.config import Config, DataConfig, ModelConfig
from butterflyer_jax.inference import gradcam
from butterflyer_jax.models import create_model
from butterflyer_jax.models.variables import Variables
from tests.helpers.random_variables import random_variables


@pytest.mark.parametrize(("size", "layer"), [(224, "block5_conv3"), (64, "block4_conv3"), (32, "block3_conv3")])
def test_the_layer_is_the_last_that_shows_anything(size: int, layer: str) -> None:
    assert gradcam.layer_for(Config(data=DataConfig(image_size=size))) == layer


@pytest.mark.parametrize("batch_norm", [False, True])
def test_maps_depend_on_the_species_that_is_asked_for_and_on_nothing_else_in_the_batch(batch_norm: bool) -> None:
    model_config = ModelConfig(variant="vgg11", batch_norm=batch_norm, head="gap", width_multiplier=1 / 32)
    config = Config(data=DataConfig(image_size=32), model=model_config)
    model = create_model(model_config, 4)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    collections = random_variables(model, jax.numpy.zeros((1, 32, 32, 3)))
    variables = Variables(collections["params"], collections.get("batch_stats", {}))
    heat_maps = gradcam.make_heat_maps(model, config)
    maps = heat_maps(variables, images, np.array([0, 3]))
    assert maps.shape == (2, 8, 8)
    assert maps.min() >= 0 and maps.max() <= 1
    assert np.isfinite(maps).all()
    other = heat_maps(variables, images, np.array([1, 3]))
    assert not np.allclose(maps[0], other[0])
    np.testing.assert_allclose(maps[1], other[1], atol=1e-6)
