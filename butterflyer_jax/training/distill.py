"""Distillation before a run starts: the network learns a teacher's outputs for random views of the training images.

Teacher and network see the same views, half of them mixed with another by mixup or cutmix, for many steps: function
matching by a consistent and patient teacher (Beyer et al. 2022, arXiv:2106.05237). The targets are the logits of a
linear probe on the teacher's outputs, and the principal components of these outputs (hints, as in FitNets: Romero et
al. 2015, arXiv:1412.6550). The result is kept in the cache; its key is the teacher, the images and the config.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import simplejpeg
from jaxtyping import Float32, Integer, UInt8

from butterflyer_jax import runs
from butterflyer_jax.config import AugmentConfig, Config, OptimConfig
from butterflyer_jax.console import progress, say
from butterflyer_jax.data import photo
from butterflyer_jax.data.input import crops
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.distributed import compiler
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics import linear_probe
from butterflyer_jax.models import create_model
from butterflyer_jax.models.variables import Variables, by_path, initial_variables, map_by_path
from butterflyer_jax.preprocessing import images as images_lib
from butterflyer_jax.preprocessing.mix import mix
from butterflyer_jax.storage import files, paths
from butterflyer_jax.training import optimizer, pretrained
from butterflyer_jax.training.step import photo_keys
from butterflyer_jax.training.teacher import Teacher

# Directions of the teacher's outputs, by variance, that are learned: the rest is noise.
MAX_DIRECTIONS = 128
DIRECTIONS_WEIGHT = 4.0
TEMPERATURE = 2.0
# Length of the standardised outputs, and the probe's penalty on it.
OUTPUT_NORM, PROBE_PENALTY = 6.0, 3e-3
# Shares of the two images of a mixture: any, equally likely.
MIXTURES = AugmentConfig(mixup=1.0, cutmix=1.0)
BATCH = 32
WEIGHT_DECAY = 0.05
VERSION = 3
CACHE = "distilled"
LOGITS = "/logits/"


@dataclasses.dataclass(frozen=True)
class Examples:
    """Views of the training images, and the targets of each.

    Attributes:
      images: uint8 [n, side, side, 3].
      logits: float32 [n, num_classes], logits of a linear probe on the teacher's outputs.
      directions: float32 [n, at most 128], principal components of the teacher's outputs.
    """

    images: UInt8[np.ndarray, "n side side 3"]
    logits: Float32[np.ndarray, "n num_classes"]
    directions: Float32[np.ndarray, "n num_directions"]


def open_teacher(config: Config, output: str | os.PathLike[str]) -> Teacher | None:
    """Returns the teacher; None where the config names none, or the run in `output` is resumed from a checkpoint.

    Raises:
      UserError: the teacher cannot be used, or the run has several processes.
    """
    if not config.distill.teacher:
        return None
    if files.exists(paths.path(output) / runs.CONFIG_FILE) and pretrained.has_checkpoint(runs.read(output)):
        return None
    if jax.process_count() > 1:
        raise UserError(
            "config field distill.teacher works in one process: distill on one machine with --config.num_epochs=1, "
            "and start from that run by model.pretrained"
        )
    return Teacher(config.distill)


def learn(
    config: Config, data: Data, start_values: Mapping[str, np.ndarray], teacher: Teacher
) -> dict[str, np.ndarray]:
    """Returns the values of a network that has learned from the teacher, by path, float32.

    Args:
      config: config of the run.
      data: the open data set.
      start_values: pretrained values by path, which the network starts from.
      teacher: teacher of the config's distill section.

    Raises:
      UserError: the teacher fails, or the data set is "fake".
    """
    # Of the same extra as the teacher's onnxruntime.
    import safetensors.numpy

    file = Path(paths.cache_dir()) / CACHE / f"{_identity(config, data, teacher, start_values)}.safetensors"
    if file.exists():
        say(f"distill: learned from {config.distill.teacher} before, values in {file}")
        return dict(safetensors.numpy.load_file(file))
    values = _train(config, _examples(config, data, teacher), start_values)
    with files.whole_file(file, advice="make space, or set BUTTERFLYER_CACHE to a folder on another disk") as part:
        # Its own `save_file` writes for the owner's eyes alone.
        part.write_bytes(safetensors.numpy.save(values))
    return values


def targets(
    outputs: Float32[np.ndarray, "n d"], labels: Integer[np.ndarray, " n"], num_classes: int
) -> tuple[Float32[np.ndarray, "n {num_classes}"], Float32[np.ndarray, "n num_directions"]]:
    """Returns the targets that a teacher's outputs give: the logits of a linear probe, and the main directions.

    Args:
      outputs: float32 [n, d].
      labels: int [n], label of each image, -1 for a mixture of two; the probe is fitted on the others.
      num_classes: number of classes.

    Returns:
      float32 [n, num_classes]; and float32 [n, min(d, 128)], principal components of the standardised outputs, centred,
      of variance 1 on average.
    """
    own = labels >= 0
    x = (outputs - outputs[own].mean(axis=0)) / (outputs[own].std(axis=0) + 1e-4)
    x = OUTPUT_NORM * x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    inputs = linear_probe.with_bias(x.astype(np.float32))
    weights = linear_probe.fit(inputs[own], labels[own], num_classes, PROBE_PENALTY)
    x = x - x.mean(axis=0)
    # By the small matrix of covariances: [d, d], not [n, d].
    _, directions = np.linalg.eigh(x.T @ x)
    x = x @ directions[:, ::-1][:, :MAX_DIRECTIONS]
    return inputs @ weights, np.asarray(x / max(float(x.std()), 1e-6), np.float32)


def _identity(config: Config, data: Data, teacher: Teacher, start_values: Mapping[str, np.ndarray]) -> str:
    """Returns a name for all that the values depend on."""
    about = dataclasses.asdict(config.distill) | {"teacher": sha256(teacher.file.read_bytes()).hexdigest()}
    start = sha256()
    for path, value in sorted(start_values.items()):
        start.update(path.encode() + np.ascontiguousarray(value).tobytes())
    model = dataclasses.asdict(config.model) | {"pretrained": start.hexdigest()}
    parts = [VERSION, about, model, dataclasses.asdict(config.augment), config.seed, config.data.image_size]
    return sha256(json.dumps([*parts, data.fingerprint]).encode()).hexdigest()[:24]


def _examples(config: Config, data: Data, teacher: Teacher) -> Examples:
    side, count = config.data.image_size, -(-config.distill.views // BATCH) * BATCH
    rng, num_photos = np.random.default_rng([config.seed, VERSION]), data.num_photos("train")
    rounds = [rng.permutation(num_photos) for _ in range(-(-count // num_photos))]
    chosen = np.concatenate(rounds)[:count]
    images = np.empty((count, side, side, 3), np.uint8)
    # Every second batch is mixed: then its images have no label.
    mixed = np.arange(count) // BATCH % 2 == 1

    @jax.jit
    def finish(parts: jax.Array, places: jax.Array, mixes: jax.Array) -> tuple[jax.Array, jax.Array]:
        own, others = (photo_keys(config.seed, stream, places) for stream in range(2))
        x = images_lib.augment(parts.astype(jnp.float32) / 255, own, config.augment, config.model)
        x = jnp.rint(jnp.where(mixes, mix(x, others, MIXTURES)[0], x) * 255).astype(jnp.uint8)
        whole = jnp.broadcast_to(jnp.array([0, 0, *x.shape[1:3]], jnp.int32), (len(x), 4))
        return x, jnp.rint(images_lib.resize_windows(x, whole, side)).astype(jnp.uint8)

    def views() -> Iterator[np.ndarray]:
        parts = _parts(config, data, chosen, teacher.image_size)
        for start in range(0, count, BATCH):
            batch = np.stack([next(parts) for _ in range(BATCH)])
            places = np.arange(start, start + BATCH)
            large, small = jax.device_get(finish(batch, jnp.asarray(places), mixed[start]))
            images[places] = small
            yield from large

    say(f"distill: {count:,} views of {num_photos:,} training images for {config.distill.teacher}")
    outputs = teacher.outputs(views(), count)
    labels = np.where(mixed, -1, data.labels("train")[chosen])
    return Examples(images, *targets(outputs, labels, len(data.species)))


def _parts(config: Config, data: Data, chosen: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Yields a random part of each chosen training image, uint8 [side, side, 3]."""
    for place, jpeg in enumerate(data.jpegs("train", chosen.tolist())):
        pixels = simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=False, fastupsample=False)
        height, width = (np.array([length]) for length in pixels.shape[:2])
        windows = crops.random_windows(config.seed, 0, np.array([place]), height, width, config.augment)
        top, left, high, wide = windows[0].tolist()
        yield photo.scale_part(np.ascontiguousarray(pixels[top : top + high, left : left + wide]), side)


def _train(config: Config, examples: Examples, start_values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Trains the network on views and targets; returns its values by path, float32, without the directions."""
    num_classes, steps = examples.logits.shape[1], config.distill.steps
    for_cpu = jax.default_backend() == "cpu"
    model = create_model(config.model, num_classes + examples.directions.shape[1], for_cpu=for_cpu)
    variables = _started(jax.jit(lambda: initial_variables(model, config))(), start_values)
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.distill.learning_rate, steps // 20, steps)
    tx = optimizer.make_optimizer(OptimConfig(name="adamw", weight_decay=WEIGHT_DECAY))

    def loss_fn(params: Any, batch_stats: Any, batch: tuple[jax.Array, ...], key: jax.Array) -> Any:
        images, logits, directions = batch
        collections = Variables(params, batch_stats).collections()
        x = images_lib.normalise(images, config.model)
        found, updates = model.apply(collections, x, train=True, mutable=["batch_stats"], rngs={"dropout": key})
        soft = jax.nn.softmax(logits / TEMPERATURE)
        answers = optax.losses.kl_divergence(jax.nn.log_softmax(found[:, :num_classes] / TEMPERATURE), soft).mean()
        unexplained = jnp.square(found[:, num_classes:] - directions).mean()
        loss = TEMPERATURE**2 * answers + DIRECTIONS_WEIGHT * unexplained
        return loss, (updates.get("batch_stats", {}), unexplained)

    def step(
        variables: Variables, opt_state: Any, batch: tuple[jax.Array, ...], number: jax.Array, rate: jax.Array
    ) -> Any:
        grad = jax.grad(loss_fn, has_aux=True)
        [key] = photo_keys(config.seed, number, jnp.arange(1))
        if config.augment.flip:
            # The teacher's outputs for a mirrored view are nearly the same: each view serves as two.
            images, *wanted = batch
            mirrored = jax.random.bernoulli(jax.random.fold_in(key, 1), shape=(len(images), 1, 1, 1))
            batch = (jnp.where(mirrored, images[:, :, ::-1], images), *wanted)
        gradients, (batch_stats, unexplained) = grad(variables.params, variables.batch_stats, batch, key)
        updates, opt_state = tx.update(gradients, opt_state, variables.params, learning_rate=rate)
        return Variables(optax.apply_updates(variables.params, updates), batch_stats), opt_state, unexplained

    step = jax.jit(step, donate_argnums=(0, 1), compiler_options=compiler.options())
    opt_state, rng, history = jax.jit(tx.init)(variables.params), np.random.default_rng([config.seed, VERSION, 1]), []
    for number in progress(range(steps), steps, "distill, steps"):
        chosen = rng.choice(len(examples.images), BATCH, replace=False)
        batch = (examples.images[chosen], examples.logits[chosen], examples.directions[chosen])
        rate = jnp.asarray(schedule(number), jnp.float32)
        variables, opt_state, unexplained = step(variables, opt_state, batch, jnp.int32(number), rate)
        history.append(unexplained)
    # Directions have a variance of 1: this is the share of it that is not predicted.
    now, start = float(np.mean(jax.device_get(history[-max(1, steps // 20) :]))), float(history[0])
    say(f"distill: unexplained variance of the teacher's outputs {now:.2f}, at the start {start:.2f}")
    values = {path: np.asarray(value, np.float32) for path, value in by_path(variables).items()}
    own = {path: value[..., :num_classes] for path, value in values.items() if path.startswith(LOGITS)}
    # Copied: safetensors writes the memory of an array as it is, even if it is not contiguous.
    return values | {path: np.ascontiguousarray(value) for path, value in own.items()}


def _started(variables: Variables, start_values: Mapping[str, np.ndarray]) -> Variables:
    """Returns the variables with the start values in their places; those of the last layer are the first columns."""

    def started(path: str, leaf: jax.Array) -> jax.Array:
        if path not in start_values:
            return leaf
        value = jnp.asarray(start_values[path], leaf.dtype)
        return leaf.at[..., : value.shape[-1]].set(value) if path.startswith(LOGITS) else value

    return map_by_path(started, variables)
