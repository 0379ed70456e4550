"""The configuration of a run: typed, documented and validated dataclasses.

A config file defines `get_config() -> Config`; `cli.load_config` reads it and applies overrides such as
`optim.learning_rate=0.1`. Its meaning, unit and range stand beside each field.
"""

# No `from __future__ import annotations`: overrides are parsed by the real types of the fields.

import dataclasses
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from butterflyer_jax.config import fields
from butterflyer_jax.config.data_sections import AugmentConfig, BuildConfig, DataConfig
from butterflyer_jax.config.fields import POSITIVE, Section, option
from butterflyer_jax.config.sections import (
    CheckpointConfig,
    DistillConfig,
    ExamplesConfig,
    ExportConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    ProfileConfig,
    RanksConfig,
    RefusalConfig,
    StopConfig,
    TrackingConfig,
)
from butterflyer_jax.errors import UserError


@dataclass
class Config(Section):
    """A run of training."""

    seed: int = option(0, "seed of initial weights, shuffling, augmentation and dropout", within=(0, 2**31 - 1))
    batch_size: int = option(
        128,
        "photos per step, over all devices; 0: as many as fit, at most a tenth of the training photos",
        within=(0, 2**31),
    )
    gradient_accumulation: int = option(
        1, "parts of a batch that are computed one after another for one update", within=POSITIVE
    )
    num_epochs: int = option(100, "passes over the training photos", within=POSITIVE)
    precision: str = option(
        "auto",
        "dtype of the computation: float32, bfloat16, float16 (with a loss scale), auto (CPU: float32, else bfloat16)",
        one_of=("auto", "float32", "bfloat16", "float16"),
    )
    deterministic: bool = option(False, "only GPU kernels that give the same bits in each run; slower")
    log_every_steps: int = option(10, "steps between lines of metrics.jsonl", within=POSITIVE)
    compilation_cache: bool = option(True, "keep compiled programs in $BUTTERFLYER_CACHE/xla for later")
    build: BuildConfig = field(default_factory=BuildConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    stop: StopConfig = field(default_factory=StopConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    refusal: RefusalConfig = field(default_factory=RefusalConfig)
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    ranks: RanksConfig = field(default_factory=RanksConfig)

    @property
    def num_negatives(self) -> int:
        """Number of images of a batch that show no species; see `data.negatives`."""
        return round(self.data.negatives * self.batch_size)

    def validate(self) -> "Config":
        """Returns self.

        Raises:
          UserError: a field has a wrong type or a value out of its range; the message names the field.
        """
        flat = flatten(self)
        for name, value, item in _items(self):
            if problem := fields.problem(item, value):
                raise UserError(f"config field {name} = {value!r} {problem}")
        for name in ("model.pretrained_allow", "optim.freeze"):
            try:
                re.compile(flat[name][0])
            except re.error as error:
                raise UserError(
                    f"config field {name} = {flat[name][0]!r} is not a regular expression: {error}"
                ) from error
        if self.optim.freeze and not (self.model.pretrained or self.distill.teacher):
            raise UserError(
                f"config field optim.freeze = {self.optim.freeze!r} needs model.pretrained (or distill.teacher): "
                "frozen layers would stay random, and all others would learn from noise"
            )
        for name in ("model.std", "distill.std"):
            if min(flat[name][0]) <= 0:
                raise UserError(f"config field {name} = {flat[name][0]!r} must be above 0")
        start_size = self.data.start_image_size
        if start_size and not (32 <= start_size <= self.data.image_size and self.model.head == "gap"):
            raise UserError(
                f"config field data.start_image_size = {start_size} must be 32 to data.image_size, and needs "
                "model.head = gap: a dense layer on flattened maps fits one size alone"
            )
        folds, fold = self.data.num_folds, self.data.fold
        if (folds or fold) and not (folds >= 3 and 1 <= fold <= folds):
            raise UserError(
                f"config fields data.num_folds = {folds} and data.fold = {fold}: take 3 folds or more, and one of them"
            )
        if self.data.class_balance and self.optim.class_balance:
            raise UserError(
                "config fields data.class_balance and optim.class_balance both weigh species: set one of them"
            )
        if self.build.val_fraction + self.build.test_fraction >= 1:
            raise UserError("config fields build.val_fraction and build.test_fraction leave nothing to train on")
        if self.data.negatives and self.batch_size and not 0 < self.num_negatives < self.batch_size:
            raise UserError(
                f"config field data.negatives = {self.data.negatives} makes {self.num_negatives} of "
                f"batch_size = {self.batch_size} images negatives: take another share, or a larger batch"
            )
        if self.augment.mixes and self.batch_size % 2:
            raise UserError(f"config field batch_size = {self.batch_size} must be even for augment.mixup or cutmix")
        return self

    def replace(self, **changes: Any) -> "Config":
        """Returns a copy with other values in some fields.

        Args:
          **changes: values by field; a whole section at a time.
        """
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as nested dicts that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Config":
        """Returns the config that `to_dict` (or its JSON) came from.

        Args:
          values: by field; a dict of them for a section. Those that are left out have their defaults.

        Raises:
          UserError: a field is unknown, of a wrong type, or out of range.
        """
        known = flatten(cls())
        config = cls()
        for section, content in values.items():
            owner, fields = (getattr(config, section, None), content) if isinstance(content, dict) else (config, None)
            for name, value in (fields if fields is not None else {section: content}).items():
                path = section if fields is None else f"{section}.{name}"
                if path not in known:
                    raise UserError(f"unknown config field {path}")
                setattr(owner, name, tuple(value) if isinstance(value, list) else value)
        return config.validate()


def require(config: object, kind: type[Section]) -> None:
    """Checks what a function of Python was given as its config.

    Raises:
      UserError: it is not of this kind; the message says how to get one.
    """
    if isinstance(config, kind):
        return
    section = ".build" if kind is BuildConfig else ""
    if isinstance(config, Config):
        raise UserError(f"this takes a section of the config: give config{section}")
    if isinstance(config, str | os.PathLike):
        name = os.fspath(config)
        raise UserError(f"{name!r} is no config yet: give load_config({name!r}){section}")
    raise UserError(f"a {type(config).__name__} is no config: give load_config(NAME){section}, or a {kind.__name__}")


def flatten(config: Section) -> dict[str, tuple[Any, Any]]:
    """Returns `{"optim.learning_rate": (value, type), …}` of a config, sections opened."""
    return {name: (value, item.type) for name, value, item in _items(config)}


def describe(section: type[Section] = Config, prefix: str = "") -> list[tuple[str, str, str]]:
    """Returns (name, default, meaning with unit and range) of every field, sections opened.

    Args:
      section: class of the fields.
      prefix: text before the names, such as "build.".
    """
    return [(name, repr(item.default), fields.documentation(item)) for name, _, item in _items(section(), prefix)]


def _items(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, dataclasses.Field[Any]]]:
    """Yields name, value and dataclass field of every field, sections opened."""
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if not _is_section(item.type):
            yield prefix + item.name, value, item
        elif isinstance(value, item.type):
            yield from _items(value, f"{prefix}{item.name}.")
        else:
            raise UserError(f"config field {prefix}{item.name} must be a {item.type.__name__}, not {value!r}")


def _is_section(field_type: Any) -> TypeGuard[type]:
    return isinstance(field_type, type) and dataclasses.is_dataclass(field_type)
