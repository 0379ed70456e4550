"""Trains in the cloud: a Vertex AI custom job on one or more machines with GPUs.

    butterflyer launch --config configs/vgg16.py --input gs://BUCKET/data --output gs://BUCKET/run \\
      --image REGION-docker.pkg.dev/PROJECT/butterflyer/train [--gpu 8] [--hosts 4] [--spot] [--dry-run]

The job is followed until it ends; Ctrl-C leaves it running. --dry-run prints the job as JSON, and to stderr the same as
gcloud commands; --estimate prints hours and cost; --on kubernetes or slurm prints a manifest or a batch script.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from butterflyer_jax import cli
from butterflyer_jax.cloud import estimate, limits, machines, render, secret, vertex
from butterflyer_jax.cloud.job import Job, custom_job, name_of
from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError

if TYPE_CHECKING:
    from butterflyer_jax.cloud.vertex import Vertex

PROJECT_VARIABLES = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
# The manifest and the batch script that --on prints, as they stand in a checkout.
SCRIPTS = {"kubernetes": "scripts/jobset.yaml", "slurm": "scripts/train.sbatch"}
# Flags that other schedulers do not use.
OF_VERTEX = ("project", "wandb_secret", "no_wait")
UNUSED = {
    "vertex": (),
    "kubernetes": OF_VERTEX,
    "slurm": (
        *OF_VERTEX,
        "image",
        "machine",
        "accelerator",
        "spot",
        "disk_gib",
        "service_account",
        "label",
        "no_restart",
    ),
}


def launch(job: Job, client: Vertex, wait: bool = True) -> str:
    """Uploads the job's config to the bucket and submits the job.

    Args:
      job: training job and its machines.
      client: client of Vertex AI.
      wait: follow the job to its end.

    Returns:
      The job's name: projects/…/locations/…/customJobs/ID.

    Raises:
      UserError: the job was rejected or failed; the message has the reason.
    """
    client.upload(job.config_content, job.staged_config)
    name = client.submit(job)
    say(f"submitted: {name}\nsee: {vertex.console_page(name)}")
    if wait:
        follow(client, name, job)
    return name


def follow(client: Vertex, name: str, job: Job | None = None) -> None:
    """Follows a job to its end.

    Raises:
      UserError: the job failed or was cancelled.
    """
    try:
        state = client.follow(name, job)
    except KeyboardInterrupt:
        here = f"--project {client.project} --region {client.region}"
        say(f"\nthe job keeps running; follow it with --follow {name} {here}, or cancel it with --cancel {name} {here}")
        raise
    if state != "JOB_STATE_SUCCEEDED":
        raise UserError(f"the job ended as {state.removeprefix('JOB_STATE_').lower()}")


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(
        prog="butterflyer launch",
        description=__doc__,
        epilog=f"{machines.table()}\n\n{cli.config_help()}",
    )
    what = parser.add_argument_group("what to train")
    what.add_argument("--config", metavar="CONFIG", help="name or file; its copy goes to the bucket, beside the run")
    what.add_argument("--input", metavar="gs://…", help="built data set or raw zip in a bucket, or fake")
    what.add_argument("--output", metavar="gs://…", help="run folder; created, or resumed")
    what.add_argument("--image", metavar="ADDRESS", help="container image (see Dockerfile, target train)")
    where = parser.add_argument_group("on what")
    where.add_argument("--on", default="vertex", choices=("vertex", *SCRIPTS), help="scheduler (default: vertex)")
    where.add_argument("--machine", metavar="TYPE", help="machine type (default: the cheapest with these GPUs)")
    where.add_argument("--accelerator", metavar="TYPE", help=f"kind of GPU (default: {machines.DEFAULT_ACCELERATOR})")
    where.add_argument("--gpu", type=int, metavar="N", help="GPUs per host (default: 1, or those of --machine)")
    where.add_argument("--hosts", type=int, default=1, metavar="N", help="hosts that train together (default: 1)")
    where.add_argument(
        "--spot", action="store_true", help="spot machines: cheaper, may be reclaimed; the job then resumes"
    )
    where.add_argument("--disk_gib", type=int, default=200, metavar="N", help="disk size per host, GiB (default: 200)")
    where.add_argument("--project", metavar="ID", help="Google Cloud project (default: GOOGLE_CLOUD_PROJECT)")
    where.add_argument("--region", default="us-central1", help="region (default: us-central1)")
    how = parser.add_argument_group("how")
    how.add_argument("--name", help="name of the job (default: butterflyer- and the name of the run folder)")
    how.add_argument(
        "--timeout_hours", type=float, default=24.0, metavar="H", help="time limit of the job, hours (default: 24)"
    )
    how.add_argument("--no_restart", action="store_true", help="do not restart when a host is lost")
    how.add_argument("--service_account", default="", metavar="EMAIL", help="account that the training runs as")
    how.add_argument(
        "--label", action="append", default=[], metavar="NAME=VALUE", help="label of the job, for billing; repeatable"
    )
    how.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="environment variable of the training; repeatable",
    )
    how.add_argument(
        "--wandb_secret", default="", metavar="NAME", help="secret in Secret Manager with the Weights & Biases key"
    )
    do = parser.add_argument_group("instead of a job")
    do.add_argument("--dry-run", "--dry_run", action="store_true", help="print the job without submitting it")
    do.add_argument("--estimate", action="store_true", help="print hours and cost without submitting a job")
    do.add_argument("--images_per_second", type=cli.number, metavar="X", help="measured, of all hosts, for --estimate")
    do.add_argument(
        "--photos", "--photographs", type=int, metavar="N", help="training photos, for --estimate (default: of --input)"
    )
    do.add_argument("--no_wait", action="store_true", help="print the job's name without following it")
    do.add_argument("--follow", metavar="JOB", help="follow a job to its end")
    do.add_argument("--cancel", metavar="JOB", help="cancel a job")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args, rest = parser().parse_known_args(argv)
    if args.config:
        args.config = cli.find_config(args.config)
    if args.follow or args.cancel:
        client = connect(args.project, args.region, args.follow or args.cancel)
        name = vertex.full_name(args.follow or args.cancel, client.project, client.region)
        if args.follow:
            follow(client, name)
            return
        client.cancel(name)
        print(f"cancelling: {name}")
        return
    if args.estimate:
        _require(args, "config", "images_per_second", *(() if args.photos else ("input",)))
        print(_estimate(args, rest))
        return
    _require(args, "config", "input", "output", *(() if args.on == "slurm" else ("image",)))
    _refuse_unused(args)
    if args.on != "vertex":
        job = _job(args, rest, "")
        command = f"butterflyer launch {shlex.join(argv)}"
        print((render.jobset if args.on == "kubernetes" else render.sbatch)(job, command, SCRIPTS[args.on]), end="")
        return
    machines.check_region(args.region)
    if args.dry_run:
        project = _known_project(args.project)
        if not project:
            raise UserError("which project? Give --project, or set GOOGLE_CLOUD_PROJECT")
        job = _job(args, rest, project)
        print(json.dumps(custom_job(job), indent=2))
        sys.stdout.flush()
        say(f"\nthe same by gcloud:\n\n{render.gcloud(job, project, args.region)}")
        return
    # Before credentials are looked up, so that errors of the job itself are reported at once.
    _job(args, rest, "PROJECT")
    client = connect(args.project, args.region)
    print(launch(_job(args, rest, client.project), client, wait=not args.no_wait))


def connect(project: str | None, region: str, job: str = "") -> Vertex:
    """Returns the client of a project and region, or of those in a job's full name.

    Raises:
      UserError: no credentials, or no project.
    """
    if named := vertex.JOB.fullmatch(job):
        project, region = named["project"], named["region"]
    session, of_credentials = vertex.authorized_session()
    project = _known_project(project) or of_credentials
    if not project:
        raise UserError("which project? Give --project, or set GOOGLE_CLOUD_PROJECT")
    return vertex.Vertex(session, project, region)


def _require(args: argparse.Namespace, *names: str) -> None:
    missing = [f"--{name}" for name in names if getattr(args, name) is None]
    if missing:
        raise UserError(f"the following arguments are required: {', '.join(missing)} (see --help)")


def _refuse_unused(args: argparse.Namespace) -> None:
    """Raises a UserError for a flag that the chosen scheduler ignores."""
    defaults = parser()
    for name in UNUSED[args.on]:
        if getattr(args, name) != defaults.get_default(name):
            advice = "; create the secret that the manifest's header shows" if name == "wandb_secret" else ""
            raise UserError(f"--{name} has no effect with --on {args.on}: leave it out{advice}")


def _known_project(flag: str | None) -> str | None:
    project = flag or next((os.environ[name] for name in PROJECT_VARIABLES if os.environ.get(name)), None)
    if project and not limits.PROJECT.fullmatch(project):
        raise UserError(f"--project {project}: not a project ID: it has 6 to 30 lower case letters, digits and hyphens")
    return project


def _job(args: argparse.Namespace, rest: Sequence[str], project: str) -> Job:
    overrides = cli.split_overrides(rest)
    config = _load(args.config, overrides)
    job = Job(
        name=args.name or name_of(args.output),
        config=args.config,
        input=args.input,
        output=args.output,
        image=args.image or "",
        machine=_slurm_node(args.gpu)
        if args.on == "slurm"
        else machines.pick(args.machine, args.accelerator, args.gpu),
        overrides=tuple(overrides),
        hosts=args.hosts,
        spot=args.spot,
        timeout_hours=args.timeout_hours,
        restart=not args.no_restart,
        disk_gib=args.disk_gib,
        service_account=args.service_account,
        labels=_pairs("--label", args.label),
        environment=_pairs("--env", args.env),
        wandb_secret=secret.resource(args.wandb_secret, project),
    )
    if args.on == "vertex":
        job.check_vertex()
    elif args.on == "kubernetes":
        job.check_kubernetes()
    devices = job.hosts * job.machine.gpus * config.gradient_accumulation
    if config.batch_size % devices:
        raise UserError(
            f"config field batch_size = {config.batch_size} must be a multiple of {devices}: {job.hosts} host(s) of "
            f"{job.machine.gpus} GPU(s), gradient_accumulation {config.gradient_accumulation}"
        )
    return job


def _slurm_node(gpus: int | None) -> machines.Machine:
    """Returns a cluster node of which only the number of GPUs is known."""
    count = 1 if gpus is None else gpus
    if count < 1:
        raise UserError(f"--gpu {count}: at least one")
    return machines.Machine("node", "GPU", count, vcpus=0, memory_gib=0, usd_per_hour=0.0, spot_only=False)


def _load(path: str, overrides: Sequence[str]) -> Config:
    """Returns the config, read from a copy in an empty folder, as the job reads it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(path).name
        copy.write_bytes(Path(path).read_bytes())
        try:
            return cli.load_config(copy, overrides)
        except UserError as error:
            raise UserError(str(error).replace(str(copy), path)) from error


def _estimate(args: argparse.Namespace, rest: Sequence[str]) -> str:
    config = _load(args.config, cli.split_overrides(rest))
    machine = machines.pick(args.machine, args.accelerator, args.gpu)
    photos = args.photos or estimate.num_train_photos(args.input)
    return estimate.table(photos, config.num_epochs, args.images_per_second, machine, args.hosts, args.spot)


def _pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise UserError(f"{flag} {name}: give NAME=VALUE")
    return {name: value for name, _, value in pairs}


if __name__ == "__main__":
    cli.run(main)
