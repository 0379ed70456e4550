"""What a disk refuses, as one clear error whichever library was writing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from butterflyer_jax.config import UserError

# Orbax, TensorStore and TFDS each wrap the operating system's error in one of their own, and keep its words.
REFUSALS = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Permission denied",
    "Read-only file system",
    "Not a directory",
    "File exists",
)


@contextlib.contextmanager
def writing(what: str, advice: str) -> Iterator[None]:
    """Turns a disk's refusal within the block into a UserError: "cannot write <what>: <refusal>; <advice>"."""
    try:
        yield
    except UserError:
        # Said already, by whoever was nearer.
        raise
    except Exception as error:
        refusal = next((words for words in REFUSALS if words in str(error)), None)
        if refusal is None:
            raise
        raise UserError(f"cannot write {what}: {refusal}; {advice}") from error
