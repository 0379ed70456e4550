"""Estimate of the time and cost of a training job on a machine type."""

from __future__ import annotations

from butterflyer_jax.cloud import machines
from butterflyer_jax.cloud.machines import Machine
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError


def table(photos: int, epochs: int, images_per_second: float, machine: Machine, hosts: int, spot: bool) -> str:
    """Returns time and cost of the training steps alone, without startup, copying the data and evaluation, as text.

    Args:
      photos: photos in the training split.
      epochs: passes over them.
      images_per_second: measured throughput of all hosts together.
      machine: machine type of each host, with its on-demand list price.
      hosts: number of hosts.
      spot: whether spot machines are asked for, whose price is not known.

    Raises:
      UserError: a number is zero or negative.
    """
    if photos <= 0 or images_per_second <= 0:
        raise UserError("--photos and --images_per_second must be above 0")
    hours = photos * epochs / images_per_second / 3600
    together = f"{hosts} x {machine.words}" if hosts > 1 else machine.words
    lines = [
        f"training   {photos:,} photos x {epochs} epochs at {images_per_second:,.0f} images/s",
        f"machines   {together}, {hosts * machine.usd_per_hour:,.2f} USD an hour",
        f"time       {hours:,.2f} hours",
        f"cost       {hours * hosts * machine.usd_per_hour:,.2f} USD",
        f"           list prices on demand in us-central1 of {machines.price_date()}; newer ones are at "
        f"{machines.pricing_page()}",
    ]
    if spot:
        lines.append("           spot machines cost less, at a price that changes daily")
    lines.append("           steps alone: start (about ten minutes), data and evaluation come on top")
    return "\n".join(lines)


def num_train_photos(source: str) -> int:
    """Returns how many training photos a built data set has; all of a raw zip, which is not split yet.

    Raises:
      UserError: there is no data set or zip, or it cannot be read.
    """
    # Imported here: the import takes a second.
    import json

    from butterflyer_jax.data import dataset
    from butterflyer_jax.data.ingest import raw_zip
    from butterflyer_jax.storage import paths

    if source == "fake":
        raise UserError("--input fake has no size: give --photos")
    if source.lower().endswith(".zip"):
        count = len(raw_zip.list_source(source).members)
        say(f"{source} is not split yet: all its {count:,} photos are counted")
        return count
    info = json.loads((paths.path(dataset.find_dataset(source)) / dataset.INFO_FILE).read_text())
    lengths = {split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]}
    return lengths.get("train", 0)
