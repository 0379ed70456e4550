"""The training session: mesh, data and setup, and for a run also its folder, checkpoints, steps and state."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from butterflyer_jax import runs
from butterflyer_jax.config import Config
from butterflyer_jax.console import RunSummary, say, status
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data import taxonomy
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.distributed import memory, sharding
from butterflyer_jax.runs.changes import NOTHING, Allowed
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.runs.sole_writer import sole_writer
from butterflyer_jax.runs.sync import Mirror
from butterflyer_jax.storage import files, paths
from butterflyer_jax.training import batch_size, compilation, distill, nonfinite, pretrained
from butterflyer_jax.training import state as state_lib
from butterflyer_jax.training.early_stopping import EarlyStopping
from butterflyer_jax.training.profiling import Cost, ProfileWindow, measure_peak_flops
from butterflyer_jax.training.setup import Setup, image_size_at, make_setup
from butterflyer_jax.training.state import TrainState
from butterflyer_jax.training.step import TrainStep


@dataclass(frozen=True, kw_only=True)
class Session:
    """The devices, the open data set, and the setup of a training.

    Attributes:
      config: resolved config; its batch size is not 0.
      dataset: folder of the built data set, or "fake".
      mesh: devices that the training runs on.
      data: open data set.
      setup: network, optimizer and jitted steps.
      start_values: pretrained values by path; `initial_state` moves them into the state and removes them from here.
    """

    config: Config
    dataset: str
    mesh: Mesh
    data: Data
    setup: Setup
    start_values: dict[str, np.ndarray]

    @property
    def total_steps(self) -> int:
        """Number of steps of the whole training."""
        return self.config.num_epochs * self.data.steps_per_epoch

    def image_size_at(self, step: int) -> int:
        """Returns the image side, pixels, of the step after `step` steps."""
        return image_size_at(self.config, step, self.total_steps)

    def initial_state(self) -> TrainState:
        """Returns a new state, sharded over the mesh, with the pretrained values if there are any."""
        state = state_lib.create_state(self.setup.model, self.setup.tx, self.config, self.setup.abstract_state)
        return pretrained.insert(state, self.start_values) if self.start_values else state

    @contextlib.contextmanager
    def batches(self, start_step: int = 0, end_step: int | None = None) -> Iterator[Iterator[dict[str, jax.Array]]]:
        """Opens the training batches of steps `start_step` to `end_step` - 1, prefetched onto the devices."""
        count = None if end_step is None else end_step - start_step
        with contextlib.closing(self.data.train_batches(start_step)) as on_host:
            yield sharding.prefetch(itertools.islice(on_host, count), self.mesh)


@dataclass(frozen=True, kw_only=True)
class RunSession(Session):
    """A session that trains a run, with the run's folder and the state that it starts from.

    Attributes:
      run: run folder.
      mirror: local side of the run folder, where metrics and traces are written.
      checkpointer: checkpoints of the run.
      start_step: number of steps done by earlier sessions.
      state: state after these steps; the loop donates its memory to the next one.
      early_stopping: early-stopping state after these steps.
      train_steps: train steps by image size, pixels, compiled if any step is left to do.
      compilation: rows (label, value) about the compilation.
      peak_flops: floating-point operations per second that one device reached in a product of matrices.
    """

    run: runs.Run
    mirror: Mirror
    checkpointer: Checkpointer
    start_step: int
    state: TrainState
    early_stopping: EarlyStopping
    train_steps: dict[int, TrainStep]
    compilation: list[tuple[str, str]]
    peak_flops: float

    @property
    def is_finished(self) -> bool:
        """Whether no step is left to do."""
        return self.start_step >= self.total_steps

    def step_at(self, step: int) -> TrainStep:
        """Returns the train step to take after `step` steps."""
        return self.train_steps[self.image_size_at(step)]

    def cost_at(self, step: int) -> Cost:
        """Returns the cost of an image in the step after `step` steps."""
        return Cost(self.setup.training_flops(self.image_size_at(step)), self.mesh.size, self.peak_flops)

    def profile_window(self) -> ProfileWindow:
        """Returns the window of steps that the config selects for tracing."""
        return ProfileWindow(self.config.profile, self.mirror.folder / runs.PROFILE)

    def summary(self) -> RunSummary:
        """Returns the summary that the console and the trackers show when the run starts."""
        train, val, test = (self.data.num_photos(split) for split in ("train", "val", "test"))
        return RunSummary(
            photos=(train, val, test),
            num_species=len(self.data.species),
            dataset=self.dataset,
            run=os.fspath(self.run.folder),
            variant=self.config.model.variant,
            num_parameters=self.setup.num_parameters,
            precision=self.setup.dtype.name,
            devices=f"{self.mesh.size} {self.mesh.devices.flat[0].device_kind}",
            start_step=self.start_step,
            total_steps=self.total_steps,
        )


@contextlib.contextmanager
def open_session(
    config: Config,
    input: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    num_devices: int | None = None,
    schedule: optax.Schedule | None = None,
) -> Iterator[Session]:
    """Opens a session, and closes its data set at the end.

    Args:
      config: config of the training.
      input: a raw zip or a folder of photos (built once into a cache), a built data set, or "fake"; local or gs://.
      output: folder of the run that is planned or to be resumed; nothing is written into it. None for no run: the
        state then has no pretrained values.
      num_devices: number of accelerators to use on each host; None uses all.
      schedule: learning rate by step, in place of the config's.

    Raises:
      UserError: the output is no run folder, or the input, the weights or the devices do not fit the config.
    """
    mesh = sharding.make_mesh(num_devices, config.parallel.model_devices)
    weights = teacher = None
    if output is not None:
        runs.refuse_other_folders(output)
        # Before the data set is built, which may take long: what does not fit is reported at once.
        config, weights = pretrained.settle(config, output)
        teacher = distill.open_teacher(config, output)
    dataset = dataset_lib.resolve(input, config.build)

    def open_data(config: Config) -> Data:
        accelerator = not sharding.on_cpu(mesh)
        return dataset_lib.open_data(dataset, config, accelerator, jax.process_index(), jax.process_count())

    if not config.batch_size:
        config = config.replace(batch_size=batch_size.settle(config, output, open_data, mesh)).validate()
    sharding.check(config, mesh)
    with contextlib.closing(open_data(config)) as data:
        setup = make_setup(config, len(data.species), data.steps_per_epoch, mesh, data.class_counts, schedule)
        start_values = {}
        if weights is not None:
            start_values = pretrained.match(weights, setup.abstract_state.variables, config.model, data.species)
            # Else the host would keep them through the whole training.
            del weights
        if teacher is not None:
            start_values = distill.learn(config, data, start_values, teacher)
        yield Session(config=config, dataset=dataset, mesh=mesh, data=data, setup=setup, start_values=start_values)


@contextlib.contextmanager
def open_run(
    config: Config,
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    num_devices: int | None = None,
    allowed: Allowed = NOTHING,
) -> Iterator[RunSession]:
    """Opens a session that trains the run in `output`, which is created, or resumed from its newest checkpoint.

    Everything is closed on the way out: a save under way is finished even if a later step fails.

    Args:
      config, input, num_devices: the same as in `open_session`.
      output: run folder, visible to all hosts.
      allowed: differences allowed from the config that the run was made with. After a non-finite step some fields may
        always differ, as its error advises.

    Raises:
      UserError: `open_session` fails; or the folder holds a run of another config, or a step does not fit into memory.
    """
    with open_session(config, input, output, num_devices) as session, contextlib.ExitStack() as stack:
        data = session.data
        _warn(config, data)
        if nonfinite.broke_after_last_checkpoint(paths.path(output)):
            allowed = dataclasses.replace(allowed, change=True)
        check_lock = stack.enter_context(sole_writer(output))
        run = runs.open_or_create(output, session.config, data.species, session.dataset, data.fingerprint, allowed)
        mirror = stack.enter_context(contextlib.closing(Mirror(run.folder, jax.process_index() == 0, check_lock)))
        # Metrics of the steps before a checkpoint reach the bucket before the checkpoint.
        checkpointer = Checkpointer(run.checkpoints, session.config.checkpoint, before_save=mirror.copy)
        stack.enter_context(contextlib.closing(checkpointer))
        start_step = checkpointer.latest_step() or 0
        table = config.ranks.taxonomy
        if table and (start_step < session.total_steps or files.exists(paths.path(table))):
            # It is used when training ends; an error in it should come before that.
            taxonomy.find(data.species, None, table)
        with status("compiling the step"), ThreadPoolExecutor(1, "butterflyer-initial-state") as beside:
            # Its program compiles in a core that the step's leaves free; accelerators may lack the memory for both.
            is_beside = not start_step and sharding.on_cpu(session.mesh)
            initial = beside.submit(session.initial_state) if is_beside else None
            train_steps, rows = _compile(session, start_step)
        if start_step:
            abstract = session.setup.abstract_state
            state, early_stopping = state_lib.restore_state(checkpointer, start_step, abstract, data)
        else:
            state, early_stopping = initial.result() if initial else session.initial_state(), EarlyStopping()
        yield RunSession(
            **{field.name: getattr(session, field.name) for field in dataclasses.fields(Session)},
            run=run,
            mirror=mirror,
            checkpointer=checkpointer,
            start_step=start_step,
            state=state,
            early_stopping=early_stopping,
            train_steps=train_steps,
            compilation=rows,
            peak_flops=measure_peak_flops(session.setup.dtype),
        )


def _warn(config: Config, data: Data) -> None:
    """Warns of species without training photos, and of a warm-up that outlasts the training."""
    if missing := [name for name, count in zip(data.species, data.class_counts, strict=True) if not count]:
        say(f"no training photos of {', '.join(missing)}: the model will not learn to name these species")
    if config.optim.warmup_epochs > config.num_epochs:
        say(
            f"the warm-up of {config.optim.warmup_epochs:g} epochs (optim.warmup_epochs) is longer than the "
            f"training (num_epochs={config.num_epochs}): the learning rate rises to the end"
        )


def _compile(session: Session, start_step: int) -> tuple[dict[int, Any], list[tuple[str, str]]]:
    """Compiles the train steps that are still needed; returns them by image size, and rows (label, value) about it.

    Raises:
      UserError: a step does not fit into the memory of a device.
    """
    setup, config = session.setup, session.config
    if start_step >= session.total_steps:
        return setup.train_steps, []
    batch = state_lib.abstract_batch(session.data.photo_spec(), config.batch_size, session.mesh)
    smallest = session.image_size_at(start_step)
    with compilation.memory_reported(config):
        compiled = {
            size: compilation.compile_step(step, setup.abstract_state, batch, session.mesh)
            for size, step in setup.train_steps.items()
            if size >= smallest
        }
    largest = compiled[config.data.image_size]
    compilation.check_fits(largest.memory, config)
    if sharding.on_cpu(session.mesh):
        memory.keep_blocks(largest.memory.temporary)
    rows = [("step", f"compiled in {sum(one.seconds for one in compiled.values()):.1f} s")]
    rows.append(("memory", f"per device {largest.memory}"))
    return {size: one.call for size, one in compiled.items()}, rows
