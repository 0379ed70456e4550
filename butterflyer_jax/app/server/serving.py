"""The server of the application, which ends within a time limit after a signal."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
from typing import Any, NoReturn

import uvicorn

from butterflyer_jax.app.logs import log_as_json, log_line
from butterflyer_jax.app.server.connection import Connection
from butterflyer_jax.app.server.forwarded import Forwarded
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError


class Server(uvicorn.Server):
    """Uvicorn server that prints its address and ends within a time limit after a signal."""

    def __init__(self, config: uvicorn.Config, shutdown_seconds: int) -> None:
        """Takes Uvicorn's own config, and the time limit, seconds."""
        super().__init__(config)
        self._shutdown_seconds = shutdown_seconds

    async def startup(self, sockets: Any = None) -> None:
        """Listens, and prints the address."""
        await super().startup(sockets)
        if self.started:
            host, chosen = self.config.host, self.servers[0].sockets[0].getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            address = f"http://{shown}:{chosen}"
            if sys.stderr.isatty():
                say(f"ready: {address}")
            else:
                log_line(ready=address)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Starts to end."""
        # Threads that wait, for example for a language model, would delay the interpreter's exit.
        last = threading.Timer(self._shutdown_seconds, os._exit, [0])
        last.daemon = True
        last.start()
        super().handle_exit(sig, frame)


def check_address(host: str, port: int) -> None:
    """Raises a UserError where the service could not listen: the network takes long to load in vain."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        reason = "another program does" if error.errno == errno.EADDRINUSE else error.strerror
        raise UserError(f"cannot listen on {host}:{port}: {reason}; take another --port or --host") from error


def serve(service: Any, host: str, port: int, proxy: str | None, shutdown_seconds: int) -> None:
    """Serves until SIGTERM or SIGINT; requests in progress then get time to finish.

    Args:
      service: ASGI application.
      host: address to listen on.
      port: port, 0 for a free one.
      proxy: addresses of reverse proxies whose headers are trusted, between commas; None for none.
      shutdown_seconds: time limit after a signal, seconds.

    Raises:
      UserError: the address is in use.
    """

    def leave(*_: Any) -> NoReturn:
        sys.exit(0)

    # Uvicorn finishes current requests and then raises the signal again: being stopped is not a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    log_as_json()
    Connection.trusted = frozenset(part.strip() for part in (proxy or "").split(","))
    config = uvicorn.Config(
        Forwarded(service, proxy) if proxy else service,
        http=Connection,
        host=host,
        port=port,
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=max(1, shutdown_seconds - 5),
    )
    try:
        Server(config, shutdown_seconds).run()
    except SystemExit as error:
        # Uvicorn reports an address in use this way; its own message is in the log.
        if error.code:
            raise UserError(f"cannot listen on {host}:{port}: another program does; take another --port") from error
        raise
