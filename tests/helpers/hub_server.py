"""A server that answers as the Hugging Face Hub does, for the real client; faults can be asked for."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from tests.helpers import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"
COMMIT_HEADER = "X-Repo-Commit"
REVISIONS = ("main", "v1", COMMIT)


@dataclass
class Hub:
    """What the server holds, and what it was asked.

    Attributes:
      files: contents by "owner/name/file".
      gated: repositories whose terms nobody has accepted.
      status: with which every request is answered, 0 for the truth.
      cut_after: bytes after which the next download breaks off, 0 for never.
      checksum: of large files, instead of the true one.
      requests: method, path and range of each request.
      url: where it listens.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    status: int = 0
    cut_after: int = 0
    checksum: str = ""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    @property
    def downloads(self) -> list[tuple[str, str, str | None]]:
        """The requests for files."""
        return [request for request in self.requests if "/resolve/" in request[1]]


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serves within the block."""

    class Handler(web.Handler):
        def do_HEAD(self) -> None:
            self._answer(False)

        def do_GET(self) -> None:
            self._answer(True)

        def _answer(self, body: bool) -> None:
            hub.requests.append((self.command, self.path, self.headers.get("Range")))
            if hub.status:
                return self._refuse(hub.status)
            match = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", self.path)
            repo, revision, file = match.groups() if match else ("", "", "")
            if not any(name.startswith(f"{repo}/") for name in hub.files):
                return self._refuse(401, "RepoNotFound")
            if repo in hub.gated:
                return self._refuse(403, "GatedRepo")
            if revision not in REVISIONS:
                return self._refuse(404, "RevisionNotFound")
            if f"{repo}/{file}" not in hub.files:
                return self._refuse(404, "EntryNotFound")
            self._send(hub.files[f"{repo}/{file}"], file, body)
            return None

        def _refuse(self, status: int, code: str = "") -> None:
            named = {COMMIT_HEADER: COMMIT} if code == "EntryNotFound" else {}
            self.answer(b"", status, named | ({"X-Error-Code": code} if code else {}))

        def _send(self, data: bytes, file: str, body: bool) -> None:
            start = int(re.findall(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-")[0])
            self.send_response(206 if start else 200)
            self.send_header(COMMIT_HEADER, COMMIT)
            digest = sha256(data).hexdigest()
            # A small file is named by git, a large one by its SHA-256.
            name = digest[:40] if file.endswith(".json") else hub.checksum or digest
            self.send_header("ETag", f'"{name}"')
            self.send_header("Content-Length", str(len(data) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if not body:
                return
            if hub.cut_after:
                self.wfile.write(data[start : start + hub.cut_after])
                hub.cut_after = 0
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(data[start:])

    with web.Server(Handler) as server:
        hub.url = server.url
        yield hub
