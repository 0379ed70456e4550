"""Allowed and refused config changes of a run that is resumed."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from butterflyer_jax.config import AugmentConfig, TrackingConfig
from butterflyer_jax.errors import UserError

# Fields that batches do not depend on, nor, except for the rounding of other layouts, the weights.
ANY_TIME = {
    "": ("log_every_steps", "compilation_cache"),
    "export": ("format",),
    "examples": ("photos_per_species",),
    "refusal": ("typicality", "false_refusals"),
    "ranks": ("precision", "taxonomy"),
    "data": ("mode", "cache_gib", "staging_gib", "num_threads"),
    "model": ("remat",),
    "parallel": ("fsdp", "model_devices"),
    "checkpoint": ("every_epochs", "every_steps", "keep_last", "keep_best"),
    "tracking": tuple(item.name for item in dataclasses.fields(TrackingConfig)),
    "stop": ("patience", "target", "max_minutes"),
    "profile": ("start_step", "num_steps"),
}
# Fields that may change from the last checkpoint on: the state has the same shape under other values.
FROM_CHECKPOINT = {
    "optim": (
        "learning_rate",
        "decay_epochs",
        "decay_factor",
        "plateau_epochs",
        "polynomial_power",
        "warmup_epochs",
        "momentum",
        "weight_decay",
        "label_smoothing",
        "class_balance",
        "negatives_weight",
        "gradient_clip_norm",
    ),
    "augment": tuple(item.name for item in dataclasses.fields(AugmentConfig)),
    "model": ("dropout",),
}


@dataclass(frozen=True)
class Allowed:
    """Changes that the user allowed.

    Attributes:
      change: whether fields of `FROM_CHECKPOINT` may change (--change).
      extend: whether the number of epochs may grow (--extend).
    """

    change: bool = False
    extend: bool = False


NOTHING = Allowed()


def check(folder: Any, saved: dict[str, Any], wanted: dict[str, Any], allowed: Allowed) -> list[str]:
    """Checks a resumed run's config against the saved one; returns the allowed differences as text.

    Args:
      folder: run folder, for the message.
      saved: config, species and fingerprint that the run was made with, as JSON.
      wanted: config, species and fingerprint of the current command, as JSON.
      allowed: differences that are allowed beside the fields of `ANY_TIME`.

    Raises:
      UserError: a refused field differs; the message shows it, and the option that allows it or the rule.
    """
    differences = _differences(_without(saved, ANY_TIME), _without(wanted, ANY_TIME))
    of_change = {f"{section}.{name}" for section, names in FROM_CHECKPOINT.items() for name in names}
    refused, options = [], []
    for name, line in differences.items():
        if name in of_change:
            if not allowed.change:
                refused.append(line)
                options.append("--change")
        elif name == "num_epochs" and wanted["config"]["num_epochs"] > saved["config"]["num_epochs"]:
            if not allowed.extend:
                refused.append(line)
                options.append("--extend")
        else:
            refused.append(line)
            options.append("")
    if refused:
        needed = " ".join(dict.fromkeys(options))
        what = "; ".join(refused)
        if "fingerprint" in differences:
            what += (
                " (to train on these photos from its weights: another --output and "
                f"--config.model.pretrained={folder}, which keeps what it learned of the species that both have)"
            )
        # Where an option helps, the whole rule would hide it.
        way = f". {rule()}" if "" in options else f", or add {needed} to train on from the last checkpoint"
        raise UserError(
            f"{folder} holds a run of another config: {what}. Take another --output, or the same config{way}"
        )
    return list(differences.values())


def rule() -> str:
    """Returns, in one line, the rule of which fields may change when a run is resumed."""
    return (
        f"May change: {_listed(ANY_TIME)}, the place of the data and the devices at any time; "
        f"{_listed(FROM_CHECKPOINT)} with --change; a larger num_epochs with --extend; nothing else"
    )


def _listed(fields: dict[str, tuple[str, ...]]) -> str:
    whole = ("tracking", "stop", "profile", "augment")
    return ", ".join(
        f"{section}.*" if section in whole else ", ".join(f"{section}.{name}".lstrip(".") for name in names)
        for section, names in fields.items()
    )


def _without(identity: dict[str, Any], fields: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    config = {name: dict(value) if isinstance(value, dict) else value for name, value in identity["config"].items()}
    for section, names in fields.items():
        of_section = config.get(section, {}) if section else config
        for name in names if isinstance(of_section, dict) else ():
            of_section.pop(name, None)
    return identity | {"config": config}


def _differences(old: Any, new: Any, name: str = "") -> dict[str, str]:
    """Returns the differences as text, by the name of the field."""
    if isinstance(old, dict) and isinstance(new, dict):
        found: dict[str, str] = {}
        for key in [*old, *(key for key in new if key not in old)]:
            path = f"{name}.{key}".removeprefix(".config.").removeprefix(".")
            found |= _differences(old.get(key), new.get(key), path if path != "config" else ".config")
        return found
    if old == new:
        return {}
    if name == "fingerprint":
        return {name: "the data set has other photos, or was built in another way"}
    return {name: f"{name} was {json.dumps(old)}, is {json.dumps(new)}"}
