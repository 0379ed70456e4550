"""Memory of a step before it runs, what does not fit, and the batch size that does."""

from __future__ import annotations

import dataclasses

import jax
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import Config
from butterflyer_jax.training import batch_size, compilation
from butterflyer_jax.training import state as state_lib
from butterflyer_jax.training.compilation import GIB, CompiledStep, Memory
from tests.helpers import trainings


def compiled(config: Config) -> CompiledStep:
    setup, mesh = trainings.setup_on(config)
    spec = {name: (x.shape[1:], x.dtype) for name, x in trainings.make_batch(config, 0).items()}
    batch = state_lib.abstract_batch(spec, config.batch_size, mesh)
    return compilation.compile_step(setup.train_step, setup.abstract_state, batch, mesh)


def test_memory_is_state_batches_and_activations() -> None:
    config = trainings.small_config(augment=trainings.NO_AUGMENTATION)
    small, large = compiled(config).memory, compiled(config.replace(batch_size=128)).memory
    setup, _ = trainings.setup_on(config)
    state = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(setup.abstract_state))
    photos = 3 * 32 * (32 * 32 * 3 + 8)
    assert small.arguments == pytest.approx(state + photos, rel=0.01)
    assert large.temporary > 2 * small.temporary
    assert small.needed < small.limit


def test_what_does_not_fit_says_what_to_change() -> None:
    memory = Memory(arguments=3 * GIB, temporary=9 * GIB, limit=10 * GIB)
    config = Config(batch_size=512)
    with pytest.raises(
        UserError, match=r"needs 12.0 GiB of 10.0 GiB .*\. Lower batch_size = 512, .*model.remat=blocks"
    ):
        compilation.check_fits(memory, config)
    compilation.check_fits(dataclasses.replace(memory, limit=12 * GIB), config)


def test_a_device_that_runs_out_of_memory_is_one_line() -> None:
    with (
        pytest.raises(UserError, match=r"memory does not suffice: RESOURCE_EXHAUSTED: 9 GiB.*Lower batch_size = 512"),
        compilation.memory_reported(Config(batch_size=512)),
    ):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB\nmore")
    with pytest.raises(jax.errors.JaxRuntimeError), compilation.memory_reported(Config()):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


@pytest.mark.parametrize("fixed", [0, 2000])
@pytest.mark.parametrize("bend", [0.0, 0.3])
@pytest.mark.parametrize("limit", [3_000, 10_000, 100_000])
def test_the_batch_found_fits_and_nearly_fills(fixed: int, bend: float, limit: int) -> None:
    asked = []

    def needed(size: int) -> int:
        asked.append(size)
        return int(fixed + 10 * size * (1 + bend * (size % 64 == 0)))

    found = batch_size.largest(needed, limit, unit=8, most=1_000_000)
    assert found % 8 == 0
    assert needed(found) <= limit
    assert needed(found) > 0.8 * limit
    assert len(asked) < 10, "each costs a compilation"


def test_the_batch_found_is_not_more_than_wanted() -> None:
    assert batch_size.largest(lambda size: size, limit=10**9, unit=8, most=100) == 96
    assert batch_size.largest(lambda size: size, limit=10**9, unit=8, most=8) == 8


def test_no_batch_fits() -> None:
    with pytest.raises(UserError, match="not even 8 photos fit"):
        batch_size.largest(lambda size: 100 + size, limit=100, unit=8, most=64)
    with pytest.raises(UserError, match="and the largest allowed one 4"):
        batch_size.largest(lambda size: size, limit=100, unit=8, most=4)


def test_parts_of_a_batch_on_a_cpu_are_computed_outside_of_loops() -> None:
    """XLA's CPU backend computes convolutions within a loop 25 times slower."""
    config = trainings.small_config(augment=trainings.NO_AUGMENTATION, gradient_accumulation=2)
    program = compiled(config).program.as_text()
    assert program.count(" convolution(") > 2 * 8
    # Random bits are drawn in loops over integers; nothing else loops.
    states = [line.split(" while(")[0] for line in program.splitlines() if " while(" in line]
    assert not any("f32[" in state for state in states), states
