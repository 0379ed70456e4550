"""Headers of a trusted proxy: host and scheme of the original request, and the visitor's address."""

from __future__ import annotations

from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from butterflyer_jax.app.server.metrics import App, Receive, Scope, Send


class Forwarded:
    """Outermost middleware: applies X-Forwarded-Host, -Proto and -For of one proxy, and ignores those of others."""

    def __init__(self, app: App, proxy: str) -> None:
        """Takes the application and the address of the proxy."""
        self._proxies = frozenset(part.strip() for part in proxy.split(","))
        # Handles client and scheme.
        self._app = cast(App, ProxyHeadersMiddleware(cast(ASGI3Application, app), proxy))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] == "http" and (scope.get("client") or ("",))[0] in self._proxies:
            hosts = [value for name, value in scope["headers"] if name == b"x-forwarded-host"]
            if hosts:
                # With several proxies, the first value is the visitor's request.
                host = hosts[0].split(b",")[0].strip()
                others = [(name, value) for name, value in scope["headers"] if name != b"host"]
                scope = {**scope, "headers": [*others, (b"host", host)]}
        await self._app(scope, receive, send)
