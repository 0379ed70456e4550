"""Buckets for tests: one in this process whose faults a test says, and one that gcsfs reaches over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import urllib.parse
from collections.abc import Callable
from typing import Any

import fsspec
import google_crc32c

from tests.helpers import web

SHAKY = "shaky://bucket/data"
GCS = "gs://bucket/data"


def crc32c(data: bytes) -> str:
    """Returns the checksum as a bucket lists it, big-endian in base64."""
    return base64.b64encode(struct.pack(">I", google_crc32c.value(data))).decode()


class ShakyFileSystem(fsspec.AbstractFileSystem):
    """Files in memory, of all instances; `before_read` may wait or raise, and `spoil` changes what is read."""

    protocol = "shaky"
    cachable = False
    store: dict[str, bytes] = {}
    reads: list[tuple[str, int]] = []
    num_listings = 0

    @staticmethod
    def before_read(name: str, start: int) -> None:
        """Replaced by tests."""

    @staticmethod
    def spoil(name: str, start: int, data: bytes) -> bytes:
        """Replaced by tests."""
        return data

    @classmethod
    def reset(cls, **files: bytes) -> None:
        """Puts these files into SHAKY and forgets all faults."""
        cls.store = {f"bucket/data/{name}": data for name, data in files.items()}
        cls.reads, cls.num_listings = [], 0
        cls.before_read, cls.spoil = lambda *_: None, lambda _name, _start, data: data

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        type(self).num_listings += 1
        found = [
            {"name": name, "size": len(data), "type": "file", "crc32c": crc32c(data)}
            for name, data in self.store.items()
            if name.startswith(f"{path}/")
        ]
        if not found:
            raise FileNotFoundError(path)
        return found if detail else [entry["name"] for entry in found]

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        name = path.rsplit("/", 1)[-1]
        self.reads.append((name, start or 0))
        type(self).before_read(name, start or 0)
        return type(self).spoil(name, start or 0, self.store[path][start:end])


class FakeGcs(web.Server):
    """The three requests of GCS's JSON API that reading takes, answered from `store`, or by `fault`."""

    def __init__(self) -> None:
        self.store: dict[str, bytes] = {}
        self.fault: Callable[[_Handler], bool] = lambda handler: False
        super().__init__(_Handler)


class _Handler(web.Handler):
    server: FakeGcs

    def refuse(self, status: int, message: str) -> bool:
        self.answer(json.dumps({"error": {"code": status, "message": message}}).encode(), status)
        return True

    def do_GET(self) -> None:
        if self.server.fault(self):
            return
        url = urllib.parse.urlparse(self.path)
        if media := re.fullmatch(r"/download/storage/v1/b/bucket/o/(.+)", url.path):
            name = urllib.parse.unquote(media[1])
            if name not in self.server.store:
                self.refuse(404, f"No such object: {name}")
                return
            start, end = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
            self.answer(self.server.store[name][start : end + 1], 206)
        elif about := re.fullmatch(r"/storage/v1/b/bucket/o/(.+)", url.path):
            name = urllib.parse.unquote(about[1])
            if name not in self.server.store:
                self.refuse(404, f"No such object: {name}")
                return
            self.answer(json.dumps(self.describe(name)).encode())
        elif url.path == "/storage/v1/b/bucket/o":
            query = urllib.parse.parse_qs(url.query)
            prefix = query.get("prefix", [""])[0]
            names = sorted(name for name in self.server.store if name.startswith(prefix))
            # Two a page.
            first = int(query.get("pageToken", ["0"])[0])
            page: dict[str, Any] = {
                "kind": "storage#objects",
                "items": [self.describe(name) for name in names[first : first + 2]],
            }
            if len(names) > first + 2:
                page["nextPageToken"] = str(first + 2)
            self.answer(json.dumps(page).encode())
        else:
            self.refuse(404, "The specified bucket does not exist.")

    def describe(self, name: str) -> dict[str, str]:
        data = self.server.store[name]
        return {
            "name": name,
            "bucket": "bucket",
            "size": str(len(data)),
            "crc32c": crc32c(data),
            "md5Hash": base64.b64encode(hashlib.md5(data).digest()).decode(),
            "generation": "1",
        }
