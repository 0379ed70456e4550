"""HTTP servers on this machine, for tests."""

from __future__ import annotations

import functools
import http.server
import os
import sys
import threading
from typing import Any


class Server(http.server.ThreadingHTTPServer):
    """Serves on a free port until it is closed; a context manager. Clients that break a connection are no error.

    Attributes:
      url: where it listens.
    """

    daemon_threads = True
    # Of connections that wait; a test may open more than the default of 5 at once.
    request_queue_size = 64

    def __init__(self, handler: Any) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()
        self._thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Sends a whole answer."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class FolderHandler(http.server.SimpleHTTPRequestHandler):
    """Answers with the files of a folder, and logs nothing."""

    def log_message(self, *_: object) -> None:
        pass


def serve_folder(folder: str | os.PathLike[str]) -> Server:
    """Returns a server of the files in a folder."""
    return Server(functools.partial(FolderHandler, directory=os.fspath(folder)))
