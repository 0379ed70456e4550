"""Checksums of the files of a checkpoint or an export, compared before use; a damaged checkpoint is moved aside."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import google_crc32c

from butterflyer_jax.console import say
from butterflyer_jax.storage import files, find
from butterflyer_jax.storage.errors import access

FILE = "checksums.json"
# Beside the folder of checkpoints: damaged checkpoints, kept for a later rescue.
DAMAGED = "damaged_checkpoints"
# Orbax writes the time into it as the last thing.
_METADATA = "_CHECKPOINT_METADATA"
_CHUNK_BYTES = 1 << 22


def write(checkpoint: Path) -> None:
    """Writes size and CRC-32C of each file of a local checkpoint beside them."""
    below = [Path(path) for path in find.files_below(checkpoint)]
    sums = {
        path.relative_to(checkpoint).as_posix(): checksum(path) for path in below if path.name not in (FILE, _METADATA)
    }
    files.write_text(checkpoint / FILE, json.dumps(sums, indent=0))


def find_damage(checkpoint: Path, in_part: bool = False) -> str | None:
    """Returns which file of a local checkpoint is not what was written, and how; None where all are.

    With `in_part` whole parts may be missing, as they do where a model was uploaded without its optimizer.

    A checkpoint without checksums, as older versions wrote them, is only looked through for what every one has.
    """
    manifest = checkpoint / FILE
    try:
        json.loads((checkpoint / _METADATA).read_text())
    except (OSError, ValueError):
        return f"{_METADATA} is missing or damaged"
    if not manifest.exists():
        needed = ("position", "variables")
        missing = [name for name in needed if not (checkpoint / name).exists()]
        empty = [path for path in find.files_below(checkpoint) if not Path(path).stat().st_size]
        if missing:
            return f"it has no {missing[0]}"
        return f"{empty[0].name} is empty" if empty else None
    try:
        sums = json.loads(manifest.read_text())
        for name, expected in sums.items():
            path = checkpoint / name
            if in_part and "/" in name and not (checkpoint / name.partition("/")[0]).exists():
                continue
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != expected[0]:
                return f"{name} has {path.stat().st_size:,} of {expected[0]:,} bytes"
            if checksum(path) != expected:
                return f"{name} is not what was written (another checksum)"
    except (ValueError, TypeError, AttributeError, IndexError):
        return f"{FILE} is damaged"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    return None


def checksum(path: Path) -> list[int]:
    """Returns the size of a local file, bytes, and its CRC-32C."""
    crc = google_crc32c.Checksum()
    with path.open("rb") as file:
        num_bytes = sum(map(len, crc.consume(file, _CHUNK_BYTES)))
    return [num_bytes, int.from_bytes(crc.digest(), "big")]


def move_aside(checkpoint: Path, aside: Path, damage: str) -> None:
    """Moves a damaged local checkpoint to a free name in the folder `aside`, with a line.

    Raises:
      UserError: it cannot be moved.
    """
    target = _free_place(aside, checkpoint.name)
    say(f"the checkpoint {checkpoint} is damaged ({damage}): moving it to {target}")
    with access(target, "write"):
        target.parent.mkdir(exist_ok=True)
        checkpoint.replace(target)


def _free_place(folder: Path, name: str) -> Path:
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(folder / free for free in names if not (folder / free).exists())
