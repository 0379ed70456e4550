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
from butterflyer_jax.export.network import TYPICALITY, Network, num_parameters
from butterflyer_jax.export.places import CARD, CARD_TEXT, FOLDER, SPECIES
from butterflyer_jax.export.verify import Check
from butterflyer_jax.metrics import classification
from butterflyer_jax.report import left_out
from butterflyer_jax.runs import checksums
from butterflyer_jax.storage import files, find

SPLITS = ("test", "val")
INTERVALS = ("top1", "top5", "balanced_accuracy")
INSIDE = "normalisation is inside; scale and crop the photo as `input` says"
OUTSIDE = "normalise yourself: divide by 255, take `mean` off, divide by `std`, channels first"


def describe(
    loaded: runs.LoadedModel,
    network: Network,
    format: str,
    path: Path,
    name: str,
    writer: ModuleType,
    checked: Check,
) -> dict[str, Any]:
    """Returns the content of the card.

    Args:
      loaded: model that was exported.
      network: network that was written.
      format: format of the export.
      path: current path of the export.
      name: final name of the export.
      writer: module of the format.
      checked: result of the comparison with the run.
    """
    run, step, side = loaded.run, loaded.step, network.image_size
    calibration, ranks = loaded.calibration(), loaded.ranks()
    files_of = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    # Sizes, bytes, and CRC-32C; "." stands for a single file, which may be renamed.
    sums = {file.relative_to(path).as_posix(): checksums.checksum(file) for file in files_of if file.name != SPECIES}
    return {
        "file": name,
        "format": format,
        "bytes": sum(size for size, _ in sums.values()),
        "checksums": sums,
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
        "typicality": _typicality(network, writer),
        "temperature": network.temperature,
        "threshold": calibration.threshold,
        "ranks": None if ranks is None else json.loads(ranks.to_json()),
        "model": dataclasses.asdict(network.model),
        "parameters": num_parameters(network),
        "step": step,
        "corrections": run.corrections,
        "dataset_fingerprint": run.fingerprint,
        "metrics": _all_metrics(run, step),
        "check": dataclasses.asdict(checked),
        "read": usage.code(writer, network),
        "needs": usage.needs(writer),
        "written_by": {"butterflyer_jax": importlib.metadata.version("butterflyer-jax")} | _versions(writer),
    }


def is_current(card: Mapping[str, Any], loaded: runs.LoadedModel, writer: ModuleType) -> bool:
    """Returns whether an export answers as its run does now: by the same checkpoint, calibration, typicality and ranks.

    Args:
      card: card of the export; an empty one is of none.
      loaded: model of the run.
      writer: module of the format.
    """
    calibration, typicality, ranks = loaded.calibration(), loaded.typicality(), loaded.ranks()
    limit = float(typicality.limit) if typicality is not None and writer.HAS_TYPICALITY else None
    return (
        card.get("step") == loaded.step
        and (card.get("temperature"), card.get("threshold")) == (calibration.temperature, calibration.threshold)
        and (card.get("typicality") or {}).get("limit") == limit
        and card.get("ranks") == (None if ranks is None else json.loads(ranks.to_json()))
    )


def refresh(run: runs.Run) -> None:
    """Writes the metrics of the run's evaluations into the cards in its own `export/`.

    Training exports before anything is evaluated. Cards of another checkpoint stay as they are.
    """
    folder = run.folder / FOLDER
    for file in (*find.glob(folder, f"*.{CARD}"), *find.glob(folder, f"*/{CARD}")):
        try:
            card = json.loads(files.read_text(file))
            metrics = _all_metrics(run, card["step"])
            text = to_markdown(card | {"metrics": metrics})
        except (ValueError, KeyError, TypeError):
            # Damaged, or of an earlier version; another export rewrites it.
            continue
        if metrics and metrics != card["metrics"]:
            files.write_text(file.with_name(file.name.removesuffix(CARD) + CARD_TEXT), text)
            files.write_text(file, _to_json(card | {"metrics": metrics}))


def _typicality(network: Network, writer: ModuleType) -> dict[str, Any] | None:
    """Returns what the card says of the output "typicality"; None where the run has none or the format cannot."""
    if network.typicality is None or not writer.HAS_TYPICALITY:
        return None
    return {"name": TYPICALITY, "dtype": "float32", "shape": ["batch"], "limit": network.typicality.limit}


def _all_metrics(run: runs.Run, step: int) -> dict[str, Any]:
    found = {split: _metrics(run, split) for split in SPLITS}
    return {split: metrics for split, metrics in found.items() if metrics and metrics["step"] == step}


def _metrics(run: runs.Run, split: str) -> dict[str, Any]:
    """Returns the metrics of the run's evaluation on a split, if there is one."""
    file = run.folder / "eval" / split / "metrics.json"
    if not file.exists():
        return {}
    metrics = json.loads(file.read_text())
    scores = ("count", "top1", "top5", "balanced_accuracy", "expected_calibration_error", "species")
    wanted = (*scores, "refusal", "refused_by", "step")
    found = {name: metrics[name] for name in wanted if name in metrics}
    return found | {"intervals": {name: metrics["intervals"][name] for name in INTERVALS if "intervals" in metrics}}


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
    json_file.write_text(_to_json(card), encoding="utf-8", errors="backslashreplace")
    text_file.write_text(to_markdown(card), encoding="utf-8", errors="backslashreplace")


def _to_json(card: Mapping[str, Any]) -> str:
    return json.dumps(card, indent=2, ensure_ascii=False)


def to_markdown(card: Mapping[str, Any]) -> str:
    """Returns the card as Markdown."""
    check, given, model = card["check"], card["input"], card["model"]
    norm = " with batch normalisation" if model["batch_norm"] else ""
    rows = [
        f"# {card['file']}",
        "",
        f"Names {len(card['species'])} butterfly species in a photo: {model['variant']}{norm}, "
        f"{card['parameters']:,} parameters, {card['bytes'] / 1e6:,.1f} MB, checkpoint of step {card['step']}"
        f"{_corrected(card)}.",
        "",
        f"- Input `{given['name']}`: {given['dtype']} {_shape(given['shape'])}, {given['order']}. Turn the photo "
        f"upright, scale its short side to {given['short_side']} pixels, take the central square of "
        f"{given['crop_fraction']:.4g} times that side, and scale that to {given['shape'][1]} pixels.",
        f"- Preprocessing: {given['preprocessing']}; mean {_triple(given['mean'])}, std {_triple(given['std'])}.",
        f"- Output `{card['output']['name']}`: float32 {_shape(card['output']['shape'])}, softmax of the logits over "
        f"a temperature of {card['temperature']:.4g}, in the order of the species.",
        _refusal(card),
        f"- Checked: {check['runtime']} against the run itself on {check['photographs']} {check['of']}; largest "
        f"difference of a probability {check['largest_difference']:.1e}, the same species on {check['same_species']}.",
    ]
    if check["largest_difference_of_bytes"] is not None:
        rows.append(f"- Given photo files, scaled by the code below: {check['largest_difference_of_bytes']:.1e}.")
    if check["largest_difference_of_typicality"] is not None:
        rows.append(f"- Largest difference of the typicality: {check['largest_difference_of_typicality']:.1e}.")
    for split, metrics in card["metrics"].items():
        rows.append(
            f"- On {metrics['count']} {split} photos: top-1 {_with_interval(metrics, 'top1')}, "
            f"balanced {_with_interval(metrics, 'balanced_accuracy')}{_refused(card, metrics)}."
        )
        rows += _other_species(card, metrics)
    rows += [
        "",
        f"The code that it was checked with; it needs {card['needs']}. `path` is the place of the file or folder, and "
        f'`name("photo.jpg")` the species and its probability{_of_refusal(card)}:',
        "",
        "```python",
        card["read"],
    ]
    rows += ["```", "", "Species, by the number of their output:", ""]
    return "\n".join([*rows, *_species(card), ""])


def _of_refusal(card: Mapping[str, Any]) -> str:
    return ', `is_none_of_these("photo.jpg")` whether the run refuses it' if card.get("typicality") else ""


def _corrected(card: Mapping[str, Any]) -> str:
    return f", last layer of {card['corrections']} corrections" if card.get("corrections") else ""


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    """Returns a share with its 95% interval, which evaluations of earlier versions lack."""
    found = metrics.get("intervals", {}).get(name)
    return f"{metrics[name]:.1%}" + (f" ({found[0]:.1%} to {found[1]:.1%})" if found else "")


def _refused(card: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Returns the share of photos that the run refuses, where the export refuses as the run does."""
    known = metrics.get("refusal", {}).get("known")
    if not known or not known["count"] or not card.get("typicality"):
        return ""
    low, high = known["interval"]
    return f", refused {known['refused'] / known['count']:.1%} ({low:.1%} to {high:.1%})"


def _other_species(card: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """Returns a line about photos of other species, where the export refuses as the run does."""
    found = metrics.get("refusal", {}).get("left_out")
    if not found or (metrics.get("refused_by") == "typicality") != bool(card.get("typicality")):
        return []
    weak = "mostly not refused. " if left_out.is_weak(found) else ""
    return [f"- Other species: {weak}{left_out.measured(found)}."]


def _refusal(card: Mapping[str, Any]) -> str:
    if typicality := card.get("typicality"):
        return (
            f"- Output `{typicality['name']}`: float32 {_shape(typicality['shape'])}; above {typicality['limit']:.6g} "
            "a photo is probably none of these species, whatever the probabilities are."
        )
    return (
        f"- Below a highest probability of {card['threshold']:.4g} a photo is probably none of these species. "
        "There is no output for its typicality, by which the run itself refuses photos if it has one."
    )


def _species(card: Mapping[str, Any]) -> list[str]:
    """Returns the species as a list; with their metrics, where they are known, as a table."""
    found = next(((split, of["species"]) for split, of in card["metrics"].items() if "species" in of), None)
    if found is None:
        return [f"{n}. {name}" for n, name in enumerate(card["species"])]
    split, by_name = found
    rows = [
        f"| | species | {split} photos | recall | 95% interval | precision |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for n, name in enumerate(card["species"]):
        of_it = by_name[name]
        recall, precision = ("" if of_it[key] is None else f"{of_it[key]:.1%}" for key in ("recall", "precision"))
        low, high = classification.recall_interval(of_it)
        interval = f"{low:.1%} to {high:.1%}" if of_it["support"] else ""
        rows.append(f"| {n} | {name} | {of_it['support']} | {recall} | {interval} | {precision} |")
    return rows


def _shape(shape: list[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _triple(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
