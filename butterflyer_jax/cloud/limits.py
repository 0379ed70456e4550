"""Names, addresses and sizes that Google Cloud and Kubernetes accept, checked before anything is submitted."""

from __future__ import annotations

import math
import re

from butterflyer_jax.errors import UserError

# https://cloud.google.com/storage/docs/buckets#naming
BUCKET = re.compile(r"(?=.{3,222}$)[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*")
# A project ID, a domain-scoped ID, or a project number.
PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|\d+")
SERVICE_ACCOUNT = re.compile(r"[a-z0-9][\w.-]*@[\w-]+(\.[\w-]+)+")
KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
KUBERNETES_LABEL = re.compile(r"([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)?")
CONFIG_MAP_KEY = re.compile(r"[\w.-]{1,253}", re.ASCII)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names of pods end in "-host-0-", their number, a hyphen and five letters, and are a DNS label.
POD_NAME, POD_AROUND = 63, len("-host-0-") + len("-abcde")
# Boot disks of Compute Engine, GiB.
DISK_GIB = (100, 65_536)
# A minute, since Slurm takes 00:00:00 for no limit; and a year.
HOURS = (1 / 60, 8760.0)


def check_url(flag: str, url: str) -> None:
    """Raises a UserError where a gs:// address is invalid."""
    bucket, _, name = url.removeprefix("gs://").partition("/")
    if not BUCKET.fullmatch(bucket) or bucket.startswith("goog"):
        raise UserError(
            f"{flag} {url}: {bucket!r} cannot be a bucket: 3 to 63 lower case letters, digits, and -, _ or . inside"
        )
    if not url.isprintable() or "//" in name or len(name.encode()) > 900:
        raise UserError(f"{flag} {url!r}: a folder in a bucket has a printable name without empty parts")


def check_size(flag: str, value: float, limits: tuple[float, float], unit: str) -> None:
    """Raises a UserError where a number is not between two limits, both included."""
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        raise UserError(f"{flag} {value:g}: between {low:.3g} and {high:,.5g} {unit}")


def check_kubernetes(
    name: str, hosts: int, config: str, service_account: str, labels: dict[str, str], output: str
) -> None:
    """Raises a UserError where Kubernetes or the JobSet controller would reject the job's names.

    Args:
      name: name of the job.
      hosts: number of hosts, one pod each.
      config: config file, whose name becomes a key of a ConfigMap.
      service_account: service account of the pods, empty for the default.
      labels: labels of the JobSet.
      output: run folder, named in the error message.
    """
    longest = POD_NAME - POD_AROUND - len(str(hosts - 1))
    if len(name) > longest:
        raise UserError(
            f"--name {name}: on Kubernetes at most {longest} letters with {hosts} host(s), as the names of pods "
            f"are made of it; {output} can stay"
        )
    file = config.rsplit("/", 1)[-1]
    if not CONFIG_MAP_KEY.fullmatch(file):
        raise UserError(f"--config {config}: a ConfigMap needs a file name of letters, digits, -, _ and .")
    if service_account and not KUBERNETES_NAME.fullmatch(service_account):
        raise UserError(
            f"--service_account {service_account}: on Kubernetes give the name of a service account of the cluster"
        )
    for key, value in labels.items():
        if not key or not KUBERNETES_LABEL.fullmatch(key) or not KUBERNETES_LABEL.fullmatch(value):
            raise UserError(f"--label {key}={value}: on Kubernetes a letter or digit stands at both ends")
