from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.config import VARIANTS, ModelConfig
from butterflyer_jax.models import VGG, create_model, forward_flops
from tests.helpers.random_variables import random_variables


def num_parameters(model: VGG, image_size: int = 224) -> int:
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, image_size, image_size, 3)), False))
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("variant", "batch_norm", "count"),
    # As torchvision documents them.
    [
        ("vgg11", False, 132_863_336),
        ("vgg13", False, 133_047_848),
        ("vgg16", False, 138_357_544),
        ("vgg19", False, 143_667_240),
        ("vgg11", True, 132_868_840),
        ("vgg16", True, 138_365_992),
    ],
)
def test_parameter_counts_are_the_known_ones(variant: str, batch_norm: bool, count: int) -> None:
    # torchvision keeps a bias in a convolution before batch normalisation, which has one itself; we do not.
    widths = (64, 128, 256, 512, 512)
    idle = sum(n * w for n, w in zip(VARIANTS[variant], widths, strict=True)) if batch_norm else 0
    assert num_parameters(VGG(1000, variant, batch_norm)) == count - idle


def test_logits_equal_keras() -> None:
    """The same random weights in Keras's VGG16 and ours: fixes padding, order of layers and flattening."""
    import keras

    theirs = keras.applications.VGG16(
        weights=None, input_shape=(64, 96, 3), classes=10, classifier_activation=None, include_top=True
    )
    rng = np.random.default_rng(0)
    params = {}
    for layer in theirs.layers:
        if not layer.weights:
            continue
        kernel, bias = (w.shape for w in layer.weights)
        weights = rng.normal(0, (2 / np.prod(kernel[:-1])) ** 0.5, kernel), rng.normal(0, 0.1, bias)
        layer.set_weights(weights)
        name = "logits" if layer.name == "predictions" else layer.name
        params[name] = {"kernel": jnp.asarray(weights[0], jnp.float32), "bias": jnp.asarray(weights[1], jnp.float32)}

    images = rng.normal(size=(2, 64, 96, 3)).astype(np.float32)
    logits = jax.jit(lambda p: create_model(ModelConfig(), 10).apply(p, images, train=False))({"params": params})
    expected = np.asarray(theirs(images))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=1e-4)


def test_width_and_head() -> None:
    model = create_model(ModelConfig(variant="vgg11", width_multiplier=0.25, head="gap"), num_classes=7)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False))["params"]
    assert params["block1_conv1"]["kernel"].shape == (3, 3, 3, 16)
    assert params["logits"]["kernel"].shape == (128, 7)
    assert "fc1" not in params


def test_dropout_and_batch_statistics_act_in_training_alone() -> None:
    model = create_model(ModelConfig(variant="vgg11", width_multiplier=0.125, batch_norm=True), num_classes=3)
    images = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
    variables = random_variables(model, images)
    evaluate = jax.jit(lambda: model.apply(variables, images, train=False))
    np.testing.assert_array_equal(evaluate(), evaluate())

    @jax.jit
    def train(key: int) -> tuple[jax.Array, dict]:
        return model.apply(
            variables, images, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(key)}
        )

    (first, updates), (second, _) = train(1), train(2)
    assert not np.allclose(first, second)
    before, after = variables["batch_stats"]["block1_bn1"]["mean"], updates["batch_stats"]["block1_bn1"]["mean"]
    assert not np.allclose(before, after)


def test_bfloat16_computes_low_and_keeps_float32_parameters_and_logits() -> None:
    model = create_model(ModelConfig(variant="vgg11", width_multiplier=0.125), num_classes=3, dtype=jnp.bfloat16)
    images = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
    assert {x.dtype for x in jax.tree.leaves(shapes)} == {jnp.dtype(jnp.float32)}
    variables = random_variables(model, images)
    same = create_model(ModelConfig(variant="vgg11", width_multiplier=0.125), 3)
    low, full = (jax.jit(lambda m=m: m.apply(variables, images, train=False))() for m in (model, same))
    assert low.dtype == jnp.float32
    assert not np.array_equal(low, full)
    np.testing.assert_allclose(low, full, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_blocks_computed_again_give_the_same_loss_gradients_and_statistics(batch_norm: bool) -> None:
    images = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
    config = ModelConfig(variant="vgg13", width_multiplier=0.125, batch_norm=batch_norm)

    @functools.partial(jax.jit, static_argnums=1)
    def train(variables: Any, model: VGG) -> Any:
        def loss(params: Any) -> Any:
            rngs = {"dropout": jax.random.key(3)}
            logits, updates = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"], rngs=rngs
            )
            return jnp.square(logits).sum(), updates

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    plain = create_model(config, 3)
    again = create_model(dataclasses.replace(config, remat="blocks"), 3)
    variables = random_variables(plain, images)
    shapes = jax.eval_shape(lambda: again.init(jax.random.key(0), images, train=True))
    assert jax.tree.structure(shapes) == jax.tree.structure(variables)
    ours, theirs = (train.lower(variables, model).compile() for model in (again, plain))
    for found, expected in zip(*(jax.tree.leaves(program(variables)) for program in (ours, theirs)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert temporary_bytes(ours) < temporary_bytes(theirs)


def temporary_bytes(program: Any) -> int:
    return program.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("head", ["fc", "gap"])
def test_counted_flops_are_those_that_xla_counts(head: str) -> None:
    model = create_model(ModelConfig(variant="vgg11", width_multiplier=0.25, head=head), num_classes=10)
    image = jnp.zeros((1, 64, 64, 3))
    variables = random_variables(model, image)
    compiled = jax.jit(lambda v, x: model.apply(v, x, train=False)).lower(variables, image).compile()
    flops = forward_flops(variables["params"], 64)
    assert set(flops) == set(variables["params"])
    # XLA leaves out multiplications with the padding, and counts biases, ReLU and pooling.
    for name in flops:
        if name.startswith("block"):
            side = 64 >> (int(name[5]) - 1)
            flops[name] *= ((3 * side - 2) / (3 * side)) ** 2
    assert sum(flops.values()) == pytest.approx(compiled.cost_analysis()["flops"], rel=0.02)


def test_vgg16_costs_what_the_literature_says() -> None:
    shapes = jax.eval_shape(lambda: VGG(1000).init(jax.random.key(0), jnp.zeros((1, 224, 224, 3)), False))
    # 15.5 billion multiplications with additions (torchvision's table of models: 15.47 GFLOPS).
    assert sum(forward_flops(shapes["params"], 224).values()) / 2 == pytest.approx(15.47e9, rel=1e-3)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_gradient_is_the_slope_of_the_loss(batch_norm: bool) -> None:
    model = create_model(ModelConfig(variant="vgg13", width_multiplier=0.0625, batch_norm=batch_norm, dropout=0.0), 3)
    images = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
    variables = random_variables(model, images)

    @jax.jit
    def loss(params: Any) -> jax.Array:
        logits, _ = model.apply({**variables, "params": params}, images, train=True, mutable=["batch_stats"])
        return -jax.nn.log_softmax(logits)[:, 0].mean()

    # Sums in NumPy, which compiles none of them.
    params, gradient = jax.device_get((variables["params"], jax.jit(jax.grad(loss))(variables["params"])))
    norm = sum((x**2).sum() for x in jax.tree.leaves(gradient)) ** 0.5
    # Along the gradient itself the slope is its length, and largest.
    ahead, behind = (
        loss(jax.tree.map(lambda x, g, s=sign: x + s * np.float32(1e-3) * g / norm, params, gradient))
        for sign in (1, -1)
    )
    assert float(ahead - behind) / 2e-3 == pytest.approx(float(norm), rel=0.02)


def test_on_a_cpu_a_batch_in_parts_trains_as_a_whole() -> None:
    config = ModelConfig(variant="vgg11", width_multiplier=0.03125, dropout=0.5)
    images = jax.random.normal(jax.random.key(0), (5, 32, 32, 3))
    plain, in_parts = (create_model(config, 5, for_cpu=flag) for flag in (False, True))
    variables = plain.init(jax.random.key(0), images, train=False)

    def loss(model: VGG, images: jax.Array, variables: Any) -> jax.Array:
        return (model.apply(variables, images, train=True, rngs={"dropout": jax.random.key(1)}) ** 2).sum()

    expected, actual = (
        jax.jit(jax.value_and_grad(functools.partial(loss, model, images)))(variables) for model in (plain, in_parts)
    )
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), actual, expected)

    # One image has no halves; the largest kernel of this network is larger than the activations of half of three.
    for batch_size, parts in ((1, 1), (3, 1), (5, 2)):
        traced = str(jax.make_jaxpr(functools.partial(loss, in_parts, images[:batch_size]))(variables))
        assert traced.count("conv_general_dilated") == 8 * parts
