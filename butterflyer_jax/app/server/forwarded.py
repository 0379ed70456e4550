"""Headers of a trusted proxy: the host and the scheme that its visitors asked for, and their addresses."""

from __future__ import annotations

from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from butterflyer_jax.app.server.metrics import App, Receive, Scope, Send


class Forwarded:
    """Middleware outside all others: believes X-Forwarded-Host, -Proto and -For of a proxy, and of nobody else."""

    def __init__(self, app: App, proxy: str) -> None:
        """Takes the application and the proxy's address."""
        self._proxies = frozenset(part.strip() for part in proxy.split(","))
        # Client and scheme.
        self._app = cast(App, ProxyHeadersMiddleware(cast(ASGI3Application, app), proxy))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http" and (scope.get("client") or ("",))[0] in self._proxies:
            hosts = [value for name, value in scope["headers"] if name == b"x-forwarded-host"]
            if hosts:
                # Of several proxies the first one wrote what the visitor asked for.
                host = hosts[0].split(b",")[0].strip()
                others = [(name, value) for name, value in scope["headers"] if name != b"host"]
                scope = {**scope, "headers": [*others, (b"host", host)]}
        await self._app(scope, receive, send)
