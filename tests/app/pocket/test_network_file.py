"""The network as a file for the browser: int8 kernels where the answers stay near enough."""

from __future__ import annotations

import numpy as np
import pytest

from butterflyer_jax.app.pocket import network_file
from butterflyer_jax.export import reference
from tests.helpers.export_networks import KINDS, make_network, noise


@pytest.mark.parametrize("kind", ["vgg11, maps of 2x2", "vgg13 gap", "vgg19 normalised"])
def test_kernels_in_int8_answer_nearly_as_in_float32(kind: str) -> None:
    network = make_network(**KINDS[kind])
    made = network_file.make(network)
    ours, theirs = (reference.answers(one, noise(network)) for one in (network, made.network))
    assert ours.keys() == theirs.keys()
    assert np.abs(ours["probabilities"] - theirs["probabilities"]).max() < 0.05


def test_kernels_stay_in_float32_until_the_answers_are_near_enough() -> None:
    network = make_network(**KINDS["vgg11, maps of 2x2"])
    tried = list(network_file.make_closest(network))
    sizes = [len(made.data) for made in tried]
    assert len(sizes) >= 3 and sizes == sorted(set(sizes))
    assert tried[0].data == network_file.make(network).data
    compared = (network, tried[0].network, tried[-1].network)
    ours, first, last = (reference.answers(one, noise(network))["probabilities"] for one in compared)
    assert np.abs(ours - last).max() < 1e-6 < np.abs(ours - first).max()


def test_int8_takes_a_third_of_the_bytes() -> None:
    network = make_network(**KINDS["vgg11, maps of 2x2"] | {"width_multiplier": 1 / 8})
    made = network_file.make(network)
    assert len(made.data) < network.num_bytes / 3
    ours, theirs = (reference.answers(one, noise(network))["probabilities"] for one in (network, made.network))
    assert 0 < np.abs(ours - theirs).max() < 0.05
