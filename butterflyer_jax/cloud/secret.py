"""Secrets that a job refers to by name: read at run time from a mounted file or Secret Manager."""

from __future__ import annotations

import base64
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from butterflyer_jax.cloud.job import WANDB_SECRET
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError

URL = "https://secretmanager.googleapis.com/v1/{name}:access"
WANDB_KEY = "WANDB_API_KEY"
SECONDS = 30.0


def read(environment: Mapping[str, str], name: str) -> str:
    """Returns a secret: the variable `name`, else the content of the file named by `<name>_FILE`, else "".

    Args:
      environment: `os.environ`.
      name: name of the variable, such as BUTTERFLYER_APP_PASSWORD; white space around the value is stripped.

    Raises:
      UserError: the file cannot be read, or is empty.
    """
    value, file = environment.get(name, "").strip(), environment.get(f"{name}_FILE", "")
    if value or not file:
        return value
    try:
        value = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UserError(f"{name}_FILE: cannot read {file}: {getattr(error, 'strerror', None) or 'no text'}") from error
    if not value:
        raise UserError(f"{name}_FILE: {file} is empty")
    return value


def resource(name: str, project: str) -> str:
    """Returns projects/…/secrets/…/versions/… for a full name, or for a secret's name alone (its newest version)."""
    if not name or name.startswith("projects/"):
        return name
    return f"projects/{project}/secrets/{name}/versions/latest"


def resolve(environment: MutableMapping[str, str], session: Any = None) -> None:
    """Sets the Weights & Biases key in this process's environment where the job names a secret or file with it.

    Where the key cannot be read, training continues without Weights & Biases and logs the reason.

    Args:
      environment: `os.environ`.
      session: `requests` session; by default one with Google's default credentials.
    """
    try:
        key = read(environment, WANDB_KEY)
        name = environment.get(WANDB_SECRET, "")
        if not key and name:
            key = _from_secret_manager(name, session)
        if key:
            environment[WANDB_KEY] = key
    except UserError as error:
        say(f"continuing without the key of Weights & Biases: {error}")


def _from_secret_manager(name: str, session: Any) -> str:
    if session is None:
        from butterflyer_jax.cloud import vertex

        session, _ = vertex.authorized_session()
    try:
        answer = session.get(URL.format(name=name), timeout=SECONDS)
        answer.raise_for_status()
        return base64.b64decode(answer.json()["payload"]["data"]).decode().strip()
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"cannot read {name}: {reason}; the job's service account needs the role Secret Manager Secret Accessor"
        ) from error
