"""The match of a source's tensors with our network's, with an account of every one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from butterflyer_jax.errors import UserError
from butterflyer_jax.models.weights.translate import Tensor, Weights

TAKEN, RENAMED, RESHAPED, GROWN = "taken", "renamed", "reshaped", "grown"
REINITIALISED, LEFT_OVER = "re-initialised", "left over"
FATES = (TAKEN, RENAMED, RESHAPED, GROWN, REINITIALISED, LEFT_OVER)
# Mismatches, or species, that a message names one by one.
NAMED = 3
LOGITS = "/logits/"


@dataclass(frozen=True)
class Row:
    """What became of a tensor of the source, or of one of our network.

    Attributes:
      fate: one of `FATES`.
      target: our path; empty where our network has no such tensor.
      source: name in the source; empty where the source has none.
      shape: shape in our network; of a tensor that is left over, its shape in the source.
      note: how it was changed, or why it was not taken.
      refused: whether it is not taken, and not allowed to be left out or re-initialised.
    """

    fate: str
    target: str
    source: str
    shape: tuple[int, ...]
    note: str = ""
    refused: bool = False

    @property
    def anew(self) -> bool:
        """Whether the tensor is not simply taken from the source."""
        return self.fate in (GROWN, REINITIALISED, LEFT_OVER)


def match(
    weights: Weights,
    ours: Mapping[str, tuple[int, ...]],
    allow: str,
    species: Sequence[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> tuple[dict[str, np.ndarray], list[Row]]:
    """Returns the values for our network by path, float32, and a row for each tensor of the source and each of ours.

    Where the source knows its species, the last layer keeps what belongs to those that are ours too, and the others
    start small: kernel zero, bias the mean of those kept.

    Args:
      weights: what the source holds.
      ours: shapes by path, such as {"/fc1/kernel": (25088, 4096)}.
      allow: regex of paths that may be re-initialised or left over.
      species: names of our logits, None where they are not known.
      renamed: our name of a species by the source's, where the two differ.

    Raises:
      UserError: `renamed` names a species that the source, or the data set, does not have, or one twice.
    """
    shared = _shared_species(weights, species, renamed or {})
    regex = re.compile(allow) if allow else None
    values: dict[str, np.ndarray] = {}
    reasons: dict[str, str] = {}
    grown: dict[str, str] = {}
    for tensor in weights.tensors:
        if tensor.value is None:
            continue
        path, shape = tensor.target, tensor.value.shape
        if path not in ours:
            reasons[path] = "the network has no such layer"
        elif shared is not None and path.startswith(LOGITS) and shape[:-1] == ours[path][:-1]:
            if shared.kept:
                values[path] = shared.grow(tensor.value)
                grown[path] = shared.note
            else:
                reasons[path] = "it is of other species"
        elif ours[path] != shape:
            reasons[path] = _why_unequal(path, shape, ours)
        else:
            values[path] = tensor.value

    def allowed(*names: str) -> bool:
        return regex is not None and any(regex.search(name) for name in names if name)

    rows = []
    for tensor in weights.tensors:
        if tensor.target in grown:
            note = ", ".join(filter(None, [tensor.how, grown[tensor.target]]))
            refused = shared is not None and not shared.complete and not allowed(tensor.target)
            rows.append(Row(GROWN, tensor.target, tensor.source, ours[tensor.target], note, refused))
        elif tensor.target in values:
            rows.append(Row(_fate(tensor), tensor.target, tensor.source, ours[tensor.target], tensor.how))
        else:
            note = tensor.idle or reasons.get(tensor.target, "the network has nothing like it")
            refused = not tensor.idle and not allowed(tensor.target, f"/{tensor.source}")
            rows.append(Row(LEFT_OVER, tensor.target, tensor.source, tensor.shape, note, refused))
    for path, shape in ours.items():
        if path not in values:
            note = reasons.get(path, "the source has none")
            rows.append(Row(REINITIALISED, path, "", shape, note, not allowed(path)))
    return values, rows


@dataclass(frozen=True)
class _Shared:
    """Species that the source and we both know.

    Attributes:
      kept: the source's number of a species by ours.
      num_species: how many are ours.
      complete: whether none is new and none of the source's is left out.
      note: how many are kept, and which are new or left out.
    """

    kept: dict[int, int]
    num_species: int
    complete: bool
    note: str

    def grow(self, value: np.ndarray) -> np.ndarray:
        """Returns a kernel [features, ours] or bias [ours] of the source's [features, theirs] or [theirs]."""
        here, there = list(self.kept), list(self.kept.values())
        start = value[there].mean() if value.ndim == 1 else 0.0
        grown = np.full((*value.shape[:-1], self.num_species), start, np.float32)
        grown[..., here] = value[..., there]
        return grown


def _shared_species(weights: Weights, species: Sequence[str] | None, renamed: Mapping[str, str]) -> _Shared | None:
    """Returns the species in common, None where that is all of them in the same order, or not known."""
    if weights.species is None or species is None:
        if renamed:
            raise UserError(f"model.pretrained_species is set, and {weights.origin} does not know its species")
        return None
    if unknown := [name for name in renamed if name not in weights.species]:
        raise UserError(f"model.pretrained_species: {weights.origin} has no species {_some(unknown)}")
    if unknown := [name for name in renamed.values() if name not in species]:
        raise UserError(f"model.pretrained_species: the data set has no species {_some(unknown)}")
    names = [renamed.get(name, name) for name in weights.species]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"model.pretrained_species: two species of {weights.origin} would both be {_some(twice)}")
    if tuple(names) == tuple(species):
        return None
    kept = {here: names.index(name) for here, name in enumerate(species) if name in names}
    new, left_out = [x for x in species if x not in names], [x for x in names if x not in species]
    parts = [f"{len(kept)} of {len(species)} species kept"]
    parts += [f"new: {_some(new)}"] if new else []
    parts += [f"left out: {_some(left_out)}"] if left_out else []
    return _Shared(kept, len(species), not new and not left_out, "; ".join(parts))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _fate(tensor: Tensor) -> str:
    if tensor.how:
        return RESHAPED
    return TAKEN if tensor.source.strip("/") == tensor.target.strip("/") else RENAMED


def _why_unequal(path: str, theirs: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> str:
    ours = shapes[path]
    sizes = f"it is {_by(theirs)} there and {_by(ours)} here"
    if path == "/fc1/kernel" and theirs[1:] == ours[1:]:
        # Five max-pools halve the side five times.
        channels = max(shape[-1] for name, shape in shapes.items() if name.startswith("/block5_conv"))
        return f"{sizes}, it is for data.image_size={32 * math.isqrt(theirs[0] // channels)}"
    if path.startswith(LOGITS) and theirs[:-1] == ours[:-1]:
        return f"{sizes}, it is for another number of species"
    if not path.startswith(LOGITS):
        return f"{sizes}, model.width_multiplier or model.head is another"
    return sizes


def check(weights: Weights, rows: Sequence[Row], allow: str) -> None:
    """Raises a UserError if a row is refused; the message says which option would allow it."""
    refused = [row for row in rows if row.refused]
    if not refused:
        return
    # A fault is reported by our path, where there is one.
    by_name = {row.target or row.source: row for row in refused}
    named = [f"{name}: {row.note}" for name, row in by_name.items()]
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    layers = dict.fromkeys(
        re.escape(row.target.split("/")[1] if row.target else row.source.rpartition(".")[0] or row.source)
        for row in refused
    )
    wanted = "|".join(filter(None, [allow, f"^/({'|'.join(layers)})"]))
    raise UserError(
        f"{weights.origin} does not fit the network: {'; '.join(named[:NAMED])}{more}. To re-initialise or omit "
        f"these: --config.model.pretrained_allow='{wanted}'"
    )


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yields a line for every tensor, and a single one for all of a kind that the network does not need."""
    shown = []
    idle: Counter[str] = Counter()
    for row in rows:
        if row.fate == LEFT_OVER and not row.target and not row.refused:
            idle[row.note] += 1
            if idle[row.note] > 1:
                continue
        shown.append(row)
    width = max((len(row.target or row.source) for row in shown), default=0)
    for row in shown:
        name = row.target or row.source
        renamed = row.source and row.target and row.source.strip("/") != row.target.strip("/")
        notes = [f"from {row.source}" if renamed else "", row.note]
        if row.fate == LEFT_OVER and not row.target and idle[row.note] > 1:
            notes.append(f"and {idle[row.note] - 1} more")
        if row.refused:
            notes.append("NOT ALLOWED")
        yield f"  {row.fate:<14}  {name:<{width}}  {_by(row.shape):<14}  {', '.join(filter(None, notes))}"


def summary(rows: Sequence[Row]) -> str:
    """Returns the numbers of tensors by their fate: "2 taken, 26 reshaped"."""
    counts = Counter(row.fate for row in rows)
    return ", ".join(f"{counts[fate]} {fate}" for fate in FATES if counts[fate])


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"
