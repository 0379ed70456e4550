"""Reads the .wandb files that W&B writes: a log of protobuf records in LevelDB's format."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 32768
HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = range(1, 5)

# As long as a real one, so that W&B takes it for one.
KEY = "5ec2e7" * 7
NO_KEY = {"WANDB_API_KEY": "", "NETRC": "/dev/null"}


@dataclass
class WandbFile:
    """The content of a run's .wandb file.

    Attributes:
      run: record that opens the file.
      config, summary: values by key, nested keys joined with "/".
      history: logged rows by key, nested keys joined with "/".
      metrics: records of `define_metric`.
      artifacts: records of artifacts.
      exit_code: exit code of the run; None if it did not end.
      kinds: kinds of all records.
    """

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None
    kinds: set[str] = field(default_factory=set)


def read(path: Path) -> WandbFile:
    """Returns the content of a .wandb file."""
    from wandb.proto import wandb_internal_pb2

    content = WandbFile()
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        content.kinds.add(kind)
        if kind == "run":
            content.run = record.run
            content.config |= _items(record.run.config.update)
        elif kind == "config":
            content.config |= _items(record.config.update)
        elif kind == "history":
            content.history.append(_items(record.history.item))
        elif kind == "summary":
            content.summary |= _items(record.summary.update)
        elif kind == "metric":
            content.metrics.append(record.metric)
        elif kind == "artifact":
            content.artifacts.append(record.artifact)
        elif kind == "exit":
            content.exit_code = record.exit.exit_code
    return content


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[bytes]:
    assert data[:4] == b":W&B"
    place, parts = 7, []
    while place + HEADER.size <= len(data):
        room = BLOCK - place % BLOCK
        if room < HEADER.size:
            place += room
            continue
        _, length, kind = HEADER.unpack_from(data, place)
        parts.append(data[place + HEADER.size : place + HEADER.size + length])
        place += HEADER.size + length
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []


def wandb_runs(run: Path) -> list[WandbFile]:
    """Returns what is in the offline files of a run, the oldest first."""
    return [read(path) for path in sorted(run.glob("wandb/offline-run-*/*.wandb"))]
