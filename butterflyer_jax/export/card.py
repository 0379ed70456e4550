"""The model card beside an export: its origin, its metrics, and the code that calls it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from butterflyer_jax import runs
from butterflyer_jax.export import usage
from butterflyer_jax.export.network import Network, numbers
from butterflyer_jax.export.verify import Check

SPLITS = ("test", "val")
INSIDE = "normalisation is inside; scale and crop the photograph as `input` says"
OUTSIDE = "normalise yourself: divide by 255, take `mean` off, divide by `std`, channels first"


def describe(
    run: runs.Run,
    network: Network,
    step: int,
    format: str,
    path: Path,
    name: str,
    writer: ModuleType,
    checked: Check,
) -> dict[str, Any]:
    """Returns the content of the card.

    Args:
      run: run that was exported.
      network: network that was written.
      step: training step of the checkpoint.
      format: format of the export.
      path: current path of the export.
      name: final name of the export.
      writer: module of the format.
      checked: result of the comparison with the run.
    """
    side = network.image_size
    calibration, ranks = runs.read_calibration(run, step), runs.read_ranks(run, step)
    return {
        "file": name,
        "format": format,
        "bytes": sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()),
        "species": list(network.species),
        "input": {
            "name": "image",
            "dtype": "uint8",
            "shape": ["batch", side, side, 3],
            "order": "RGB, 0 to 255",
            "short_side": network.short_side,
            "crop_fraction": network.data.eval_crop_fraction,
            "preprocessing": OUTSIDE if format == "safetensors" else INSIDE,
            "mean": list(network.model.mean),
            "std": list(network.model.std),
        },
        "output": {"name": "probabilities", "dtype": "float32", "shape": ["batch", len(network.species)]},
        "temperature": network.temperature,
        "threshold": calibration.threshold,
        "ranks": None if ranks is None else json.loads(ranks.to_json()),
        "model": dataclasses.asdict(network.model),
        "parameters": numbers(network),
        "step": step,
        "dataset_fingerprint": run.fingerprint,
        "metrics": {split: found for split in SPLITS if (found := _metrics(run, split))},
        "check": dataclasses.asdict(checked),
        "read": usage.code(writer, network),
        "needs": usage.needs(writer),
        "written_by": {"butterflyer_jax": importlib.metadata.version("butterflyer-jax")} | _versions(writer),
    }


def _metrics(run: runs.Run, split: str) -> dict[str, Any]:
    """Returns the metrics of the run's evaluation on a split, if there is one."""
    file = run.folder / "eval" / split / "metrics.json"
    if not file.exists():
        return {}
    metrics = json.loads(file.read_text())
    wanted = ("count", "top1", "top5", "balanced_accuracy", "expected_calibration_error", "step")
    return {name: metrics[name] for name in wanted if name in metrics}


def _versions(writer: ModuleType) -> dict[str, str]:
    found = {}
    for name in writer.NEEDS:
        for package in (name, f"{name}-cpu"):
            try:
                found[name] = importlib.metadata.version(package)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def write(card: Mapping[str, Any], json_file: Path, text_file: Path) -> None:
    """Writes the card as JSON and as Markdown."""
    json_file.write_text(json.dumps(card, indent=2, ensure_ascii=False), encoding="utf-8", errors="backslashreplace")
    text_file.write_text(to_markdown(card), encoding="utf-8", errors="backslashreplace")


def to_markdown(card: Mapping[str, Any]) -> str:
    """Returns the card as Markdown."""
    check, given, model = card["check"], card["input"], card["model"]
    norm = " with batch normalisation" if model["batch_norm"] else ""
    rows = [
        f"# {card['file']}",
        "",
        f"Names {len(card['species'])} butterfly species on a photograph: {model['variant']}{norm}, "
        f"{card['parameters']:,} parameters, {card['bytes'] / 1e6:,.1f} MB, checkpoint of step {card['step']}.",
        "",
        f"- Input `{given['name']}`: {given['dtype']} {_shape(given['shape'])}, {given['order']}. Turn the photograph "
        f"upright, scale its short side to {given['short_side']} pixels, take the central square of "
        f"{given['crop_fraction']:.4g} times that side, and scale that to {given['shape'][1]} pixels.",
        f"- Preprocessing: {given['preprocessing']}; mean {_triple(given['mean'])}, std {_triple(given['std'])}.",
        f"- Output `{card['output']['name']}`: float32 {_shape(card['output']['shape'])}, softmax of the logits over "
        f"a temperature of {card['temperature']:.4g}, in the order of the species.",
        f"- Below a highest probability of {card['threshold']:.4g} a photograph is probably none of these species.",
        f"- Checked: {check['runtime']} against the run itself on {check['photographs']} {check['of']}; largest "
        f"difference of a probability {check['largest_difference']:.1e}, the same species on {check['same_species']}.",
    ]
    if check["largest_difference_of_bytes"] is not None:
        rows.append(f"- Given photo files, scaled by the code below: {check['largest_difference_of_bytes']:.1e}.")
    for split, metrics in card["metrics"].items():
        rows.append(
            f"- On {metrics['count']} {split} photographs: top-1 {metrics['top1']:.1%}, "
            f"balanced {metrics['balanced_accuracy']:.1%}."
        )
    rows += [
        "",
        f"The code that it was checked with; it needs {card['needs']}. `path` is the place of the file or folder, and "
        '`name("photo.jpg")` the species and its probability:',
        "",
        "```python",
        card["read"],
    ]
    rows += ["```", "", "Species:", "", *(f"{n}. {name}" for n, name in enumerate(card["species"])), ""]
    return "\n".join(rows)


def _shape(shape: list[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _triple(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
