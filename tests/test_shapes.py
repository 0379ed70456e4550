"""Shapes and dtypes in signatures are checked in this process: a wrong one fails where it is given."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from butterflyer_jax.metrics import classification
from butterflyer_jax.preprocessing import zoom_out


@pytest.mark.parametrize("labels", [np.zeros(4, np.int32), np.zeros(3), np.zeros((3, 1), np.int32)])
def test_numpy_arrays(labels: np.ndarray) -> None:
    with pytest.raises(TypeCheckError, match="labels"):
        classification.summary(np.zeros((3, 2), np.float32), labels)


def test_jax_arrays_and_keys() -> None:
    images, keys = np.zeros((2, 8, 8, 3), np.float32), jax.random.split(jax.random.key(0), 2)
    assert zoom_out.blur(images, keys, 0.1).shape == images.shape
    for wrong in ((images[..., :1], keys), (images.astype(np.uint8), keys), (images, keys[:1])):
        with pytest.raises(TypeCheckError):
            zoom_out.blur(*wrong, 0.1)
