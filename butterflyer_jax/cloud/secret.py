"""A secret that a job names and does not hold: read where the training runs, of Secret Manager or a mounted file."""

from __future__ import annotations

import base64
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from butterflyer_jax.cloud.job import WANDB_SECRET
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError

URL = "https://secretmanager.googleapis.com/v1/{name}:access"
WANDB_KEY = "WANDB_API_KEY"
WANDB_FILE = "WANDB_API_KEY_FILE"
SECONDS = 30.0


def resource(name: str, project: str) -> str:
    """Returns projects/…/secrets/…/versions/… for that, or for the secret's name alone (its newest version)."""
    if not name or name.startswith("projects/"):
        return name
    return f"projects/{project}/secrets/{name}/versions/latest"


def resolve(environment: MutableMapping[str, str], session: Any = None) -> None:
    """Puts the key of Weights & Biases into this process's environment, where a job names its secret or a file.

    Training goes on without it where it cannot be read, as it does without Weights & Biases: a line says so.

    Args:
      environment: `os.environ`.
      session: of requests; by default one with Google's default credentials.
    """
    name, file = environment.get(WANDB_SECRET), environment.get(WANDB_FILE)
    if not (name or file) or environment.get(WANDB_KEY):
        return
    if file:
        try:
            environment[WANDB_KEY] = Path(file).read_text().strip()
        except OSError as error:
            say(f"without the key of Weights & Biases: {error.strerror}: {file}")
        return
    try:
        if session is None:
            from butterflyer_jax.cloud import vertex

            session, _ = vertex.authorized_session()
        answer = session.get(URL.format(name=name), timeout=SECONDS)
        answer.raise_for_status()
        environment[WANDB_KEY] = base64.b64decode(answer.json()["payload"]["data"]).decode().strip()
    except UserError as error:
        say(f"without the key of Weights & Biases: {error}")
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        say(
            f"without the key of Weights & Biases: cannot read {name}: {reason}; the job's service account needs the "
            "role Secret Manager Secret Accessor"
        )
