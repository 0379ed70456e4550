"""A lock in a bucket: an object that its holder renews, and that another process takes over once it is not renewed.

It is created and replaced on the condition that the bucket still holds the generation that was seen, so of two
processes one wins. How long ago it was renewed the bucket's own clock says.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import json
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import bucket, retry
from butterflyer_jax.storage.errors import access

RENEW_SECONDS = 20.0
# A lock that was not renewed for this long is nobody's: a machine that was lost keeps a restarted job waiting so long.
STALE_SECONDS = 120.0
MIN_SECONDS = 2.0


@dataclass(frozen=True)
class _Found:
    """The lock's object.

    Attributes:
      generation: of its content, as the bucket counts.
      seconds: time since it was written, by the bucket's clock.
      holder: what the holder wrote about itself.
    """

    generation: str
    seconds: float
    holder: dict[str, Any]


class BucketLock:
    """The lock of a folder in a bucket."""

    def __init__(self, url: str, machine: str = "") -> None:
        """Takes the object's address, and what names this machine where it holds other processes off by itself."""
        self._url = url
        self._filesystem, path = bucket.connect(url)
        self._place = path.split("/", 1)
        self._holder = {
            "token": uuid.uuid4().hex,
            "machine": machine,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        }
        self._seen = self._generation = ""
        self._renewed_at = 0.0
        self._taken_by = ""
        self._renewing, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, daemon=True, name="butterflyer-lock")

    def try_acquire(self, busy: str) -> str | None:
        """Tries to get the lock; returns None once it is held, else a line that says what there is to wait for.

        Raises:
          UserError: its holder renews it (the message begins with `busy`), or the bucket cannot be reached.
        """
        with access(self._url, "write"):
            if not self._write("0"):
                found = self._find()
                if found is None:
                    return f"{self._url} was just removed"
                is_ours = bool(self._holder["machine"]) and found.holder.get("machine") == self._holder["machine"]
                # This machine's own lock is held, so an earlier holder here has ended.
                if not (is_ours or found.seconds >= STALE_SECONDS):
                    if self._seen not in ("", found.generation):
                        raise UserError(f"{busy} ({_shown(found)})")
                    self._seen = found.generation
                    return (
                        f"{self._url} is held ({_shown(found)}): waiting until it has not been renewed for "
                        f"{STALE_SECONDS:.0f} s"
                    )
                if not self._write(found.generation):
                    return f"{self._url} was just taken by another process"
                if not is_ours:
                    say(f"{self._url} is taken over: it was held {_shown(found)}")
        self._thread.start()
        return None

    def check(self) -> None:
        """Makes sure that the lock is held; to be called before anything is written.

        Raises:
          UserError: another process has taken it, because this one did not renew it in time.
        """
        # A bucket takes one change of an object per second.
        if abs(time.time() - self._renewed_at) > MIN_SECONDS:
            self._renew()
        if self._taken_by:
            raise UserError(
                f"{self._url} was taken by another training ({self._taken_by}), as this one could not renew it for "
                f"{STALE_SECONDS:.0f} s: this one ends, what it saved before is whole"
            )

    def release(self) -> None:
        """Gives the lock up; where the bucket cannot be reached, it gets old by itself."""
        self._ending.set()
        self._thread.join(1)
        # An answer that does not come must not hold up the end.
        if self._taken_by or not self._renewing.acquire(timeout=1):
            return
        # In a thread of its own, as this process may be ending within seconds.
        removal = threading.Thread(target=self._remove, daemon=True)
        removal.start()
        removal.join(3)

    def _remove(self) -> None:
        with contextlib.suppress(Exception):
            self._filesystem.call("DELETE", "b/{}/o/{}", *self._place, ifGenerationMatch=self._generation)

    def _keep_renewing(self) -> None:
        while not self._ending.wait(RENEW_SECONDS):
            self._renew()

    def _renew(self) -> None:
        """Renews the lock, or notes who took it; where the bucket cannot be reached, later."""
        with self._renewing, contextlib.suppress(Exception):
            if self._taken_by or self._write(self._generation):
                return
            found = self._find()
            # A user who removes the object by hand wants another training to start: if none has, this one continues.
            if found is not None or not self._write("0"):
                self._taken_by = _shown(found or self._find())

    def _write(self, generation: str) -> bool:
        """Writes the object in place of that generation, "0" for none; returns whether this process holds it now."""
        started = time.time()
        try:
            written = retry.policy()(
                self._filesystem.call,
                "POST",
                # No method of gcsfs replaces a generation that was seen.
                self._filesystem.base.replace("/storage/", "/upload/storage/") + "b/{}/o",
                self._place[0],
                uploadType="multipart",
                ifGenerationMatch=generation,
                headers={"Content-Type": "multipart/related; boundary=part"},
                data=_multipart({"name": self._place[1]}, self._holder),
                json_out=True,
            )
        except FileExistsError:
            # Also where an answer was lost, and the request was made again.
            found = self._find()
            if found is None or found.holder.get("token") != self._holder["token"]:
                return False
            written = {"generation": found.generation}
        self._generation, self._renewed_at = str(written["generation"]), started
        return True

    def _find(self) -> _Found | None:
        try:
            headers, content = retry.policy()(self._filesystem.call, "GET", "b/{}/o/{}", *self._place)
            _, data = retry.policy()(self._filesystem.call, "GET", "b/{}/o/{}", *self._place, alt="media")
        except FileNotFoundError:
            return None
        about = json.loads(content)
        now = email.utils.parsedate_to_datetime(headers["Date"])
        written = datetime.datetime.fromisoformat(about["updated"])
        try:
            holder = json.loads(data)
        except ValueError:
            holder = None
        holder = holder if isinstance(holder, dict) else {}
        return _Found(str(about["generation"]), max(0.0, (now - written).total_seconds()), holder)


def _multipart(*parts: object) -> bytes:
    """Returns JSON objects as the body of an upload: what is known about the object, and its content."""
    bodies = [f"--part\r\nContent-Type: application/json\r\n\r\n{json.dumps(part)}\r\n" for part in parts]
    return f"{''.join(bodies)}--part--\r\n".encode()


def _shown(found: _Found | None) -> str:
    if found is None:
        return "by a process that has ended since"
    of = {name: str(found.holder.get(name, "?")) for name in ("host", "process", "since")}
    return f"by process {of['process']} of {of['host']} since {of['since']}, renewed {found.seconds:.0f} s ago"
