"""A lock in a bucket: an object that its holder renews, and that another process takes over once it is not renewed.

The object is created and replaced on condition that the bucket still holds the generation that was read, so of two
processes one wins. Its age is measured by the bucket's own clock.
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
# A lock that was not renewed for this long is stale; a job restarted after the loss of its machine waits at most this
# long.
STALE_SECONDS = 120.0
MIN_SECONDS = 2.0


@dataclass(frozen=True)
class _Found:
    """The lock object found in the bucket.

    Attributes:
      generation: generation number of its content.
      seconds: age of its content by the bucket's clock.
      holder: host, process and start time that the holder wrote.
    """

    generation: str
    seconds: float
    holder: dict[str, Any]


class BucketLock:
    """The lock of a folder in a bucket."""

    def __init__(self, url: str, machine: str = "") -> None:
        """Takes the object's URL, and this machine's identity where a local lock excludes its other processes."""
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
        """Tries to acquire the lock; returns None once it is held, else a line that says what to wait for.

        Raises:
          UserError: another process renews it (the message begins with `busy`), or the bucket cannot be reached.
        """
        with access(self._url, "write"):
            if not self._write("0"):
                found = self._find()
                if found is None:
                    return f"{self._url} was just removed"
                is_ours = bool(self._holder["machine"]) and found.holder.get("machine") == self._holder["machine"]
                # This process holds the machine's local lock, so an earlier holder on this machine has ended.
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
        """Checks that the lock is still held; to be called before anything is written.

        Raises:
          UserError: another process has taken the lock, because this one did not renew it in time.
        """
        # A bucket accepts one change of an object per second.
        if abs(time.time() - self._renewed_at) > MIN_SECONDS:
            self._renew()
        if self._taken_by:
            raise UserError(
                f"{self._url} was taken by another training ({self._taken_by}), as this one could not renew it for "
                f"{STALE_SECONDS:.0f} s: this one ends, what it saved before is whole"
            )

    def release(self) -> None:
        """Releases the lock; where the bucket cannot be reached, the lock becomes stale by itself."""
        self._ending.set()
        self._thread.join(1)
        # A missing answer must not delay the end of the process.
        if self._taken_by or not self._renewing.acquire(timeout=1):
            return
        # In a separate thread, as this process may be about to end.
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
        """Renews the lock, or records who took it; tries again later where the bucket cannot be reached."""
        with self._renewing, contextlib.suppress(Exception):
            if self._taken_by or self._write(self._generation):
                return
            found = self._find()
            # A user may remove the object by hand so that another training can start: if none has, this one continues.
            if found is not None or not self._write("0"):
                self._taken_by = _shown(found or self._find())

    def _write(self, generation: str) -> bool:
        """Writes the object in place of a generation ("0": no object); returns whether the lock is now held."""
        started = time.time()
        try:
            written = retry.policy()(
                self._filesystem.call,
                "POST",
                # gcsfs has no method with a generation precondition.
                self._filesystem.base.replace("/storage/", "/upload/storage/") + "b/{}/o",
                self._place[0],
                uploadType="multipart",
                ifGenerationMatch=generation,
                headers={"Content-Type": "multipart/related; boundary=part"},
                data=_multipart({"name": self._place[1]}, self._holder),
                json_out=True,
            )
        except FileExistsError:
            # Also where the answer was lost and the request was repeated.
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
    """Returns JSON objects (metadata and content) as the body of a multipart upload."""
    bodies = [f"--part\r\nContent-Type: application/json\r\n\r\n{json.dumps(part)}\r\n" for part in parts]
    return f"{''.join(bodies)}--part--\r\n".encode()


def _shown(found: _Found | None) -> str:
    if found is None:
        return "by a process that has ended since"
    of = {name: str(found.holder.get(name, "?")) for name in ("host", "process", "since")}
    return f"by process {of['process']} of {of['host']} since {of['since']}, renewed {found.seconds:.0f} s ago"
