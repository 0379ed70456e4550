"""The train steps that bench_step.py compares: each trains VGG on one batch that lies on the device."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

NUM_CLASSES = 100
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
      variant: vgg11, vgg13, vgg16 or vgg19.
      width: factor on every layer's width.
      image_size: side of the images, pixels.
      batch_size: images per step.
      accelerator: whether a GPU computes, in bfloat16, or a CPU, in float32.
      batch_norm: as configs/cpu.py and configs/vgg16.py: batch normalisation, the mean of each map, AdamW and label
        smoothing; else no batch normalisation, two dense layers and SGD.
    """

    variant: str
    width: float
    image_size: int
    batch_size: int
    accelerator: bool
    batch_norm: bool = False

    @property
    def title(self) -> str:
        """The task in words."""
        words = f"{self.variant}, width {self.width:g}, {self.image_size} pixels, batch {self.batch_size}"
        return f"{words}, batch normalisation" if self.batch_norm else words

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns noise: images uint8 [batch_size, image_size, image_size, 3] and labels int32 [batch_size]."""
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (self.batch_size, self.image_size, self.image_size, 3), np.uint8)
        return images, rng.integers(0, NUM_CLASSES, self.batch_size, np.int32)


@dataclass(frozen=True)
class Prepared:
    """A method that is ready.

    Attributes:
      run: runs a number of steps, and waits for the last.
      memory: memory of the device that a step needs, bytes; None if the library does not report it.
      facts: further facts, such as the peak of the device.
    """

    run: Callable[[int], None]
    memory: int | None = None
    facts: dict[str, float] = dataclasses.field(default_factory=dict)


def ours(task: Task, plain: tuple[str, ...] = (), augmented: bool = False, parts: int = 1) -> Prepared:
    """The library's own step.

    Args:
      task: what is trained.
      plain: parts taken out: "pool", "channels", "batch_norm", and on CPUs "compiler", "memory", "winograd" or all
        "formulations".
      augmented: with the default augmentation; the peers have none.
      parts: of gradient accumulation.
    """
    import flax.linen as nn
    import jax

    from butterflyer_jax.config import AugmentConfig, Config, DataConfig, ModelConfig, OptimConfig
    from butterflyer_jax.distributed import compiler, memory, sharding
    from butterflyer_jax.models import vgg, winograd
    from butterflyer_jax.training import compilation, profiling
    from butterflyer_jax.training import state as state_lib
    from butterflyer_jax.training.setup import make_setup

    if "compiler" in plain:
        compiler.options = lambda: None
    if "formulations" in plain:
        sharding.on_one_cpu = lambda mesh: False
    if "winograd" in plain:
        winograd.is_faster = lambda *shapes: False
    if "pool" in plain:
        vgg.max_pool = lambda x: nn.max_pool(x, (2, 2), strides=(2, 2))
    if "channels" in plain:
        vgg.conv_padding_channels = jax.lax.conv_general_dilated
    if "batch_norm" in plain:
        vgg.BatchNormRelu = _plain_batch_norm()
    none = AugmentConfig(flip=False, brightness=0, contrast=0, saturation=0)
    model = ModelConfig(variant=task.variant, width_multiplier=task.width)
    optim = OptimConfig(name="sgd", learning_rate=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    if task.batch_norm:
        model = dataclasses.replace(model, batch_norm=True, head="gap", dropout=0.2)
        optim = OptimConfig(name="adamw", learning_rate=2e-3, weight_decay=0.05, label_smoothing=0.1)
    config = Config(
        batch_size=task.batch_size,
        gradient_accumulation=parts,
        data=DataConfig(image_size=task.image_size),
        augment=AugmentConfig() if augmented else none,
        model=model,
        optim=optim,
    )
    if "memory" not in plain:
        memory.run_in_caller()
    mesh = sharding.make_mesh(1)
    setup = make_setup(config, NUM_CLASSES, 100, mesh)
    images, labels = task.batch()
    batch = sharding.put_batch(
        {"image": images, "label": labels, "index": np.arange(task.batch_size, dtype=np.int32)}, mesh
    )
    compiled = compilation.compile_step(setup.train_step, setup.abstract_state, batch, mesh)
    if sharding.on_cpu(mesh) and "memory" not in plain:
        memory.keep_blocks(compiled.memory.temporary)
    state = state_lib.create_state(setup.model, setup.tx, config, setup.abstract_state)

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state, metrics = compiled.call(state, batch)
        jax.block_until_ready((state, metrics))

    facts = {
        "peak_flops": profiling.measure_peak_flops(setup.dtype),
        "flops_per_image": setup.training_flops(task.image_size),
        "temporary": compiled.memory.temporary,
    }
    return Prepared(run, compiled.memory.needed, facts)


def _plain_batch_norm() -> Any:
    """Returns what `models.batch_norm.BatchNormRelu` replaces: Flax's layers one after another."""
    import flax.linen as nn

    from butterflyer_jax.models import vgg

    class Plain(nn.Module):
        momentum: float
        pool: bool
        for_cpu: bool

        @nn.compact
        def __call__(self, x: Any) -> Any:
            norm = nn.BatchNorm(use_running_average=False, momentum=self.momentum, dtype=x.dtype)
            nn.share_scope(self, norm)
            y = nn.relu(norm(x))
            return vgg.max_pool(y) if self.pool else y

    return Plain


def torch_compiled(task: Task, compiled: bool = True) -> Prepared:
    """PyTorch as its users write it: channels_last, autocast, torch.compile, SGD with Nesterov momentum."""
    import torch

    device = "cuda" if task.accelerator else "cpu"
    torch.backends.cudnn.benchmark = True
    model = _torch_vgg(task).to(device, memory_format=torch.channels_last)
    smoothing = 0.1 if task.batch_norm else 0.0
    if task.batch_norm:
        optimizer: Any = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    else:
        optimizer = torch.optim.SGD(
            model.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
        )
    images, labels = task.batch()
    x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    y = torch.from_numpy(labels).long().to(device)
    mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], device=device).view(1, 3, 1, 1)

    def loss_of(x: Any, y: Any) -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=task.accelerator):
            logits = model((x.float() / 255 - mean) / std).float()
            return torch.nn.functional.cross_entropy(logits, y, label_smoothing=smoothing)

    forward = torch.compile(loss_of) if compiled else loss_of

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss = forward(x, y)
            loss.backward()
            optimizer.step()
        float(loss)
        if task.accelerator:
            torch.cuda.synchronize()

    run(3)
    return Prepared(run, torch.cuda.max_memory_allocated() if task.accelerator else None)


def _torch_vgg(task: Task) -> Any:
    import torch

    from butterflyer_jax.config import VARIANTS
    from butterflyer_jax.models.vgg import DENSE_WIDTH, WIDTHS, scaled

    layers: list[Any] = []
    channels, side, norm = 3, task.image_size, task.batch_norm
    for depth, width in zip(VARIANTS[task.variant], WIDTHS, strict=True):
        for _ in range(depth):
            layers.append(torch.nn.Conv2d(channels, scaled(width, task.width), 3, padding=1, bias=not norm))
            channels = scaled(width, task.width)
            layers += [torch.nn.BatchNorm2d(channels)] if norm else []
            layers.append(torch.nn.ReLU(inplace=True))
        layers.append(torch.nn.MaxPool2d(2))
        side //= 2
    if norm:
        head = (torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Dropout(0.2))
        return torch.nn.Sequential(*layers, *head, torch.nn.Linear(channels, NUM_CLASSES))
    dense = scaled(DENSE_WIDTH, task.width)
    layers.append(torch.nn.Flatten())
    for inputs in (channels * side * side, dense):
        layers += [torch.nn.Linear(inputs, dense), torch.nn.ReLU(inplace=True), torch.nn.Dropout(0.5)]
    return torch.nn.Sequential(*layers, torch.nn.Linear(dense, NUM_CLASSES))


def keras_on_jax(task: Task) -> Prepared:
    """`keras.applications.VGG16` with its fit(), on JAX; mixed_bfloat16 on a GPU."""
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    if task.accelerator:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    network = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[task.variant](
        weights=None, include_top=False, input_shape=(task.image_size, task.image_size, 3)
    )
    x = keras.layers.Flatten()(network.output)
    for _ in range(2):
        x = keras.layers.Dropout(0.5)(keras.layers.Dense(4096, activation="relu")(x))
    inputs = keras.Input((task.image_size, task.image_size, 3), dtype="uint8")
    full = keras.Model(network.input, keras.layers.Dense(NUM_CLASSES, dtype="float32")(x))
    model = keras.Model(inputs, full(keras.layers.Rescaling(1 / 127.5, -1)(inputs)))
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE, MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    images, labels = task.batch()

    def batches() -> Any:
        while True:
            yield images, labels

    def run(steps: int) -> None:
        model.fit(batches(), steps_per_epoch=steps, epochs=1, verbose=0)

    return Prepared(run)


@dataclass(frozen=True)
class Method:
    """A way to train.

    Attributes:
      title: for the table.
      prepare: makes it ready.
      needs: modules.
      widths: whether it can make narrower networks than the paper's.
      variants: that it knows.
      cpu_only: whether it shows what is done for CPUs.
    """

    title: str
    prepare: Callable[[Task], Prepared]
    needs: tuple[str, ...] = ()
    widths: bool = True
    variants: tuple[str, ...] = ("vgg11", "vgg13", "vgg16", "vgg19")
    cpu_only: bool = False

    def reason_to_skip(self, task: Task) -> str | None:
        """Returns why this method cannot do a task, None where it can."""
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            return f"not installed: {', '.join(missing)}"
        if self.cpu_only and task.accelerator:
            return "it is for CPUs"
        if task.variant not in self.variants or (self.variants == KERAS_VARIANTS and task.batch_norm):
            return f"it has no {task.variant}"
        return None if self.widths or task.width == 1 else "it has the paper's width alone"


KERAS_VARIANTS = ("vgg16", "vgg19")
CPU_PARTS = ("compiler", "memory", "batch_norm", "formulations")
METHODS = {
    "ours": Method("butterflyer_jax", ours),
    "ours_augmented": Method("butterflyer_jax, default augmentation", lambda task: ours(task, augmented=True)),
    "ours_plain_channels": Method("same, 3 input channels", lambda task: ours(task, ("channels",))),
    # On a CPU the pool is a part of formulations.
    "flax": Method("same, Flax's layers", lambda task: ours(task, ("pool", "channels", "batch_norm", "formulations"))),
    "ours_parts": Method("same, gradient_accumulation=2", lambda task: ours(task, parts=2)),
    "no_memory": Method("same, working memory not kept", lambda task: ours(task, ("memory",)), cpu_only=True),
    "no_winograd": Method("same, without Winograd", lambda task: ours(task, ("winograd",)), cpu_only=True),
    "default": Method("same, as XLA and Flax have it", lambda task: ours(task, CPU_PARTS), cpu_only=True),
    "torch": Method("PyTorch, torch.compile", torch_compiled, ("torch",)),
    "torch_eager": Method("PyTorch, eager", lambda task: torch_compiled(task, compiled=False), ("torch",)),
    "keras": Method("Keras on JAX", keras_on_jax, ("keras",), widths=False, variants=KERAS_VARIANTS),
}


def seconds_a_step(prepared: Prepared, warm_up: int, steps: int) -> tuple[float, float]:
    """Returns the time of a step, after others, and the processor time of all threads, seconds."""
    prepared.run(warm_up)
    start, processor = time.perf_counter(), time.process_time()
    prepared.run(steps)
    return (time.perf_counter() - start) / steps, (time.process_time() - processor) / steps
