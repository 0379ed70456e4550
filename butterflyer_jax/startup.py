"""What a run says of itself as it starts: a panel on a terminal, two lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from butterflyer_jax import console


@dataclass(frozen=True)
class Start:
    """What a run starts with.

    Attributes:
      photographs: train, val and test photographs.
      num_species: species.
      dataset: where the photographs are.
      run: its folder.
      variant: of the network.
      num_parameters: of the network.
      precision: of the computation.
      devices: how many, of which kind.
      start_step: steps done before.
      total_steps: steps in all.
    """

    photographs: tuple[int, int, int]
    num_species: int
    dataset: str
    run: str
    variant: str
    num_parameters: int
    precision: str
    devices: str
    start_step: int
    total_steps: int

    def show(self, more: Sequence[tuple[str, str]] = ()) -> None:
        """Shows it, with `more` rows (label, value), such as the memory of a device."""
        train, val, test = self.photographs
        photographs = f"{train} train, {val} val, {test} test photographs of {self.num_species} species"
        steps, plan = f"{self.total_steps}", f"{self.total_steps} steps"
        if self.start_step:
            steps = plan = f"going on from step {self.start_step} of {self.total_steps}"
        rows = [
            ("data", photographs),
            ("", self.dataset),
            ("model", f"{self.variant}, {self.num_parameters:,} parameters"),
            ("devices", self.devices),
            ("precision", self.precision),
            *more,
            ("steps", steps),
            ("run", self.run),
        ]
        lines = [
            f"data: {photographs} in {self.dataset}",
            f"run: {self.run}, {self.variant} with {self.num_parameters:,} parameters in {self.precision} "
            f"on {self.devices}, {plan}",
            *(f"{label}: {value}" for label, value in more),
        ]
        console.show_start(rows, lines)
