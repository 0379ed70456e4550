"""How arrays lie on devices, and that it changes nothing."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import ParallelConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.models import vgg
from butterflyer_jax.training import compilation
from butterflyer_jax.training import state as state_lib
from tests.conftest import QUICKLY_COMPILED, on_devices
from tests.helpers import trainings

NUM_STEPS = 3
# (fsdp, model_devices, gradient_accumulation, remat), in every combination.
LAYOUTS = [*itertools.product((False, True), (1, 2), (1, 2), ("none", "blocks"))]


def on_eight_devices(expression: str) -> Any:
    """The value of an expression, as JSON, in a process that has eight devices."""
    code = f"import json\nfrom tests.distributed import test_sharding as t\nprint(json.dumps({expression}))"
    environment = os.environ | on_devices(8, QUICKLY_COMPILED["XLA_FLAGS"]) | {"JAX_PLATFORMS": "cpu"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def config_of(fsdp: bool, model_devices: int, accumulation: int, remat: str) -> Any:
    config = trainings.small_config(
        gradient_accumulation=accumulation, parallel=ParallelConfig(fsdp=fsdp, model_devices=model_devices)
    )
    return config.replace(model=dataclasses.replace(config.model, remat=remat))


def losses_of_layouts() -> tuple[dict[int, list[float]], list[list[float]]]:
    """The losses of one device, by gradient accumulation; and those of eight in every layout."""
    vgg.VARIANTS.update([trainings.SHALLOW])
    # Made once: to compile the initialisation takes longer than all steps.
    initial = trainings.initial_arrays(trainings.small_config())
    alone = {parts: trainings.losses(config_of(False, 1, parts, "none"), NUM_STEPS, 1, initial) for parts in (1, 2)}
    return alone, [trainings.losses(config_of(*layout), NUM_STEPS, 8, initial) for layout in LAYOUTS]


def shares() -> dict[str, list[Any]]:
    """Share of each kernel and its momentum that one of eight devices holds, with fsdp, model_devices=2 and both."""
    found: dict[str, list[Any]] = {}
    for parallel in (ParallelConfig(fsdp=True), ParallelConfig(model_devices=2), ParallelConfig(True, 2)):
        setup, _ = trainings.setup_on(trainings.small_config(parallel=parallel), 8)
        state = setup.abstract_state
        for name in ("fc1", "fc2", "block5_conv2"):
            kernel = state.variables.params[name]["kernel"]
            momentum = [
                x
                for path, x in jax.tree.leaves_with_path(state.opt_state)
                if f"['{name}']['kernel']" in jax.tree_util.keystr(path)
            ]
            part = kernel.sharding.shard_shape(kernel.shape)
            assert [x.sharding for x in momentum] == [kernel.sharding]
            found.setdefault(name, []).append(int(np.prod(kernel.shape) // np.prod(part)))
    return found


def exchanges() -> list[dict[str, int]]:
    """What devices exchange in a step: data parallel, with model_devices=2; and the bytes of all and of fc kernels."""
    found = []
    for parallel in (ParallelConfig(), ParallelConfig(model_devices=2)):
        config = trainings.small_config(parallel=parallel)
        setup, mesh = trainings.setup_on(config, 8)
        spec = {name: (x.shape[1:], x.dtype) for name, x in trainings.make_batch(config, 0).items()}
        batch = state_lib.abstract_batch(spec, config.batch_size, mesh)
        compiled = compilation.compile_step(setup.train_step, setup.abstract_state, batch, mesh)
        params = setup.abstract_state.variables.params
        split = sum(4 * params[name]["kernel"].size for name in ("fc1", "fc2"))
        found.append(compiled.exchanged_bytes() | {"parameters": 4 * setup.num_parameters, "split": split})
    return found


def test_eight_devices_give_the_losses_of_one_in_every_layout() -> None:
    alone, together = on_eight_devices("t.losses_of_layouts()")
    assert all(len(set(losses)) == NUM_STEPS for losses in alone.values())
    for layout, losses in zip(LAYOUTS, together, strict=True):
        _, _, accumulation, _ = layout
        np.testing.assert_allclose(losses, alone[str(accumulation)], rtol=2e-4, err_msg=str(layout))


def test_kernels_and_their_momentum_are_split_by_rule() -> None:
    # Of fsdp, model_devices=2, both.
    assert on_eight_devices("t.shares()") == {"fc1": [8, 2, 8], "fc2": [8, 2, 8], "block5_conv2": [8, 1, 4]}


def test_devices_exchange_gradients_and_little_else() -> None:
    whole, split = on_eight_devices("t.exchanges()")
    # Beside gradients: sums of batch normalisation, the metrics.
    assert whole["parameters"] <= whole["all-reduce"] < 1.05 * whole["parameters"]
    assert "all-gather" not in whole
    # Half of each split kernel, and no kernel whole.
    expected = whole["parameters"] - split["split"] / 2
    assert split["all-reduce"] == pytest.approx(expected, rel=0.2)
    assert split["all-gather"] < 0.1 * split["split"]


@pytest.mark.parametrize(
    ("devices", "parallel", "reason"),
    [
        (1, ParallelConfig(model_devices=2), "must divide the number of devices, 1"),
        (2, ParallelConfig(), "this machine has 1 device"),
    ],
)
def test_what_devices_cannot_do_is_reported(devices: int, parallel: ParallelConfig, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        sharding.make_mesh(devices, parallel.model_devices)


def test_parts_of_a_batch_that_do_not_come_out_even_are_reported() -> None:
    mesh = sharding.make_mesh(1)
    with pytest.raises(UserError, match="batch_size = 32 must be a multiple of the 1 devices times the 3 parts"):
        sharding.check(trainings.small_config(gradient_accumulation=3), mesh)
    with pytest.raises(UserError, match="must be even on each"):
        sharding.check(trainings.small_config(gradient_accumulation=32), mesh)
    sharding.check(trainings.small_config(gradient_accumulation=16), mesh)
