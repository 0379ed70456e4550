"""Machine types of Vertex AI with GPUs, from `machines.json`, cheapest first."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from butterflyer_jax.errors import UserError

TABLE = Path(__file__).with_name("machines.json")
# The cheapest GPU with bfloat16 arithmetic.
DEFAULT_ACCELERATOR = "NVIDIA_L4"


@dataclass(frozen=True)
class Machine:
    """A machine type with its GPUs.

    Attributes:
      machine: name of the type.
      accelerator: name of its GPUs.
      gpus: number of GPUs.
      vcpus: threads of its CPUs.
      memory_gib: memory of the host, GiB.
      usd_per_hour: on-demand list price, GPUs included, USD per hour.
      spot_only: whether it is available as a spot machine only.
    """

    machine: str
    accelerator: str
    gpus: int
    vcpus: int
    memory_gib: int
    usd_per_hour: float
    spot_only: bool

    @property
    def words(self) -> str:
        """Machine type and GPUs, for messages."""
        return f"{self.machine} with {self.gpus} x {self.accelerator}"

    @property
    def flags(self) -> str:
        """The command-line flags that select it."""
        return f"--machine {self.machine} --accelerator {self.accelerator} --gpu {self.gpus}"


@functools.cache
def _table() -> dict[str, Any]:
    return json.loads(TABLE.read_text(encoding="utf-8"))


def all_machines() -> list[Machine]:
    """Returns every machine, cheapest first."""
    return [Machine(**row) for row in _table()["machines"]]


def price_date() -> str:
    """Returns the date of the prices, YYYY-MM-DD."""
    return str(_table()["date"])


def pricing_page() -> str:
    """Returns the address of the current price list."""
    return str(_table()["pricing_page"])


def quota(accelerator: str, spot: bool) -> str:
    """Returns the name of the quota that jobs with these GPUs need."""
    return f"aiplatform.googleapis.com/{_table()['accelerators'][accelerator]['spot_quota' if spot else 'quota']}"


def regions(accelerator: str) -> list[str]:
    """Returns regions that have these GPUs, not all of them."""
    return _table()["accelerators"][accelerator]["regions"]


def check_region(region: str) -> None:
    """Raises a UserError for a region that Google Cloud does not have."""
    known = _table()["regions"]
    if region not in known:
        close = difflib.get_close_matches(region, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}"
        raise UserError(f"--region {region} is not a region of Google Cloud (table of {price_date()}): {hint}")


def table() -> str:
    """Returns all machines as lines of text, cheapest first, for `--help`."""
    about = _table()["accelerators"]
    lines = [
        f"  {m.machine:<15} {m.gpus:>2} x {m.accelerator:<17} {about[m.accelerator]['gpu_memory_gb']:>4} GB"
        f" {m.vcpus:>4} vCPU {m.memory_gib:>5} GiB {m.usd_per_hour:>7.2f}{' spot only' if m.spot_only else ''}"
        for m in all_machines()
    ]
    title = f"machines of Vertex AI with GPUs, USD an hour on demand in us-central1, {price_date()}:"
    return "\n".join([title, *lines])


def pick(machine: str | None = None, accelerator: str | None = None, gpus: int | None = None) -> Machine:
    """Returns the cheapest machine that matches; None matches anything (by default one L4).

    Raises:
      UserError: no machine matches; the message lists what is available.
    """
    every = all_machines()
    _check_known("--machine", machine, (m.machine for m in every))
    _check_known("--accelerator", accelerator, (m.accelerator for m in every))
    if machine is None and accelerator is None:
        accelerator = DEFAULT_ACCELERATOR
    if gpus is None and machine is None:
        gpus = 1
    kin = [m for m in every if machine in (None, m.machine) and accelerator in (None, m.accelerator)]
    found = [m for m in kin if gpus in (None, m.gpus)]
    if found:
        return found[0]
    asked = " ".join(
        f"{flag} {value}"
        for flag, value in (("--machine", machine), ("--accelerator", accelerator), ("--gpu", gpus))
        if value is not None
    )
    if not kin:
        kin = [m for m in every if m.machine == machine]
    there_is = "; ".join(dict.fromkeys(m.words for m in kin))
    raise UserError(f"there is no machine for {asked}: there is {there_is}")


def alternatives(machine: Machine) -> list[Machine]:
    """Returns three machines with the same number of other GPUs, nearest in price first."""
    cheapest: dict[str, Machine] = {}
    for other in all_machines():
        if other.gpus == machine.gpus and other.accelerator != machine.accelerator:
            cheapest.setdefault(other.accelerator, other)
    return sorted(cheapest.values(), key=lambda other: abs(other.usd_per_hour - machine.usd_per_hour))[:3]


def _check_known(flag: str, name: str | None, known: Iterable[str]) -> None:
    names = list(dict.fromkeys(known))
    if name is None or name in names:
        return
    parts = [known_name for known_name in names if name.upper().replace("-", "_") in known_name.upper()]
    close = parts or difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(names)}"
    raise UserError(f"{flag} {name} is not in the table of Vertex AI's machines with GPUs of {price_date()}: {hint}")
