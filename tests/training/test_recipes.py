"""What a config does to a training: frozen layers, averages, a plateau; and every recipe of configs/ trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from butterflyer_jax import load_config
from butterflyer_jax.config import Config, OptimConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.errors import UserError
from butterflyer_jax.models import vgg
from butterflyer_jax.training import state as state_lib
from tests.conftest import ROOT
from tests.helpers import trainings

RECIPES = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vgg.VARIANTS, *trainings.SHALLOW)


def train(config: Config, num_steps: int) -> tuple[list[Any], list[float]]:
    """States after each step, as numpy arrays, and losses."""
    setup, mesh = trainings.setup_on(config)
    state = state_lib.create_state(setup.model, setup.tx, config, setup.abstract_state)
    states, losses = [jax.tree.map(np.array, state)], []
    for number in range(num_steps):
        state, metrics = setup.train_step(state, sharding.put_batch(trainings.make_batch(config, number), mesh))
        states.append(jax.tree.map(np.array, state))
        losses.append(float(metrics["loss"]))
    return states, losses


def optimised(**changes: Any) -> Config:
    optim = OptimConfig(learning_rate=0.01, warmup_epochs=0, **changes)
    return trainings.small_config(optim=optim, augment=trainings.NO_AUGMENTATION)


def changed(before: Any, after: Any) -> set[str]:
    """Names of layers of which something changed."""
    names = set()
    for one, other in (
        (before.variables.params, after.variables.params),
        (before.variables.batch_stats, after.variables.batch_stats),
    ):
        names |= {
            name
            for name in one
            if not all(map(np.array_equal, jax.tree.leaves(one[name]), jax.tree.leaves(other[name])))
        }
    return names


@pytest.mark.parametrize(
    ("freeze", "fault"),
    [("^/conv", "matches no layer: nothing would be frozen"), ("/", "freezes all layers: none would be trained")],
)
def test_a_freeze_of_nothing_or_everything_is_refused(freeze: str, fault: str) -> None:
    with pytest.raises(UserError) as error:
        trainings.setup_on(optimised(freeze=freeze))
    assert f"optim.freeze = {freeze!r} {fault}. The layers are block1_bn1, block1_conv1" in str(error.value)


def test_a_freeze_without_weights_to_start_from_is_refused() -> None:
    with pytest.raises(UserError, match=r"optim\.freeze = '\^/block1_' needs model\.pretrained"):
        optimised(freeze="^/block1_").validate()


@pytest.mark.usefixtures("shallow")
def test_frozen_layers_stay_and_their_statistics() -> None:
    states, _ = train(optimised(freeze="^/block[1-4]_"), 2)
    moved = changed(states[0], states[2])
    assert {"block5_conv1", "block5_bn1", "fc1", "logits"} <= moved
    assert not [name for name in moved if name.startswith(("block1", "block2", "block3", "block4"))]


def test_frozen_layers_cost_no_gradient() -> None:
    def flops(config: Config) -> float:
        setup, mesh = trainings.setup_on(config)
        spec = {name: (x.shape[1:], x.dtype) for name, x in trainings.make_batch(config, 0).items()}
        batch = state_lib.abstract_batch(spec, config.batch_size, mesh)
        return setup.train_step.lower(setup.abstract_state, batch).compile().cost_analysis()["flops"]

    assert flops(optimised(freeze="^/block")) < 0.5 * flops(optimised())


@pytest.mark.usefixtures("shallow")
def test_frozen_layers_move_after_their_epoch_without_a_jump() -> None:
    # Four steps an epoch.
    states, _ = train(optimised(freeze="^/(block|fc1)", unfreeze_epoch=1, momentum=0.9), 5)
    assert changed(states[0], states[4]) == {"fc2", "logits"}
    assert "block1_conv1" in changed(states[4], states[5])
    trace = [
        x
        for path, x in jax.tree.leaves_with_path(states[4].opt_state)
        if "['fc1']['kernel']" in jax.tree_util.keystr(path)
    ]
    # Momentum that grew meanwhile would be let loose.
    assert len(trace) == 1
    assert np.abs(trace[0]).max() < 1e-3


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averages_are_of_the_weights_and_what_is_evaluated(kind: str) -> None:
    config = optimised(average=kind, ema_decay=0.5, swa_start_epoch=1)
    states, _ = train(config, 8)
    kernels = [state.variables.params["fc2"]["kernel"] for state in states]
    found = states[8].evaluated.params["fc2"]["kernel"]
    if kind == "swa":
        expected = (kernels[4] + kernels[8]) / 2
    else:
        expected = kernels[0]
        for number in range(1, 9):
            decay = min(0.5, (1 + number) / (10 + number))
            expected = decay * expected + (1 - decay) * kernels[number]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert set(state_lib.checkpoint_trees(states[8])) == {"variables", "optimizer", "averaged"}


@pytest.mark.usefixtures("shallow")
def test_a_plateau_scales_the_update() -> None:
    config = optimised(schedule="plateau", momentum=0.0, weight_decay=0.0)
    setup, mesh = trainings.setup_on(config)
    batch = sharding.put_batch(trainings.make_batch(config, 0), mesh)
    moves = []
    for scale in (1.0, 0.25):
        state = state_lib.create_state(setup.model, setup.tx, config, setup.abstract_state)
        before = np.array(state.variables.params["logits"]["kernel"])
        state, _ = setup.train_step(state_lib.with_rate_scale(state, scale, mesh), batch)
        moves.append(np.array(state.variables.params["logits"]["kernel"]) - before)
    np.testing.assert_allclose(moves[1], 0.25 * moves[0], rtol=1e-3, atol=1e-8)


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_twenty_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a small size: the recipe is what is tried, not the machine."""
    monkeypatch.chdir(ROOT)
    config = load_config(Path("configs") / f"{name}.py")
    config = config.replace(
        batch_size=16,
        num_epochs=5,
        data=dataclasses.replace(config.data, image_size=32, start_image_size=0),
        model=dataclasses.replace(config.model, variant="vgg11", width_multiplier=0.0625),
    ).validate()
    states, losses = train(config, 20)
    assert np.isfinite(losses).all()
    assert int(states[-1].step) == 20
    assert changed(states[0], states[-1]) >= {"logits"}
