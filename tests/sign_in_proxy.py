"""A proxy before an MLflow server that lets through who has the right token, and whose sign-in can expire.

with sign_in_proxy(server.url, "first") as proxy:
    proxy.expire("a page", then="second")   # until a request comes with the second token, all get this answer
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import final
from urllib.parse import urlsplit

from adapter_registry.store.server import HOST
from tests.services import serving

PAGE = b"<!doctype html><title>Sign in</title><form method=post><input name=password></form>"
SIGN_IN = "/sign-in"
# status and body of the answer to who may not pass
SIGNED_OUT = {
    "401": (401, b"You are not authenticated."),
    "401 in JSON": (401, b'{"message": "Unauthorized"}'),
    "403": (403, b"The session has expired."),
    "403 in JSON": (403, b'{"error_code": "PERMISSION_DENIED", "message": "Invalid access token"}'),
    "a page": (200, PAGE),
    "a redirect": (302, b""),
    "foreign JSON": (200, b'{"code": 401, "msg": "token expired"}'),
}
AWAY = {str(status): (status, PAGE) for status in (502, 503, 504)}
_HOP = {"connection", "transfer-encoding", "content-length", "host", "date", "server"}


@contextmanager
def sign_in_proxy(server: str, token: str) -> Iterator[SignInProxy]:
    """Stand before a server until the block ends."""
    proxy = SignInProxy(server, token)
    listener = ThreadingHTTPServer((HOST, 0), proxy.handler())
    with serving(listener):
        proxy.url = f"http://{HOST}:{listener.server_port}"
        yield proxy


@final
class SignInProxy:
    """Answers at `url`; `refused` holds the paths of the requests that did not pass since the sign-in expired."""

    def __init__(self, server: str, token: str) -> None:
        self.url = ""
        self.refused: list[str] = []
        self.passed: list[str] = []
        self._server = urlsplit(server).netloc
        self._token = token
        self._answer = SIGNED_OUT["401"]

    def expire(self, answer: str, *, then: str) -> None:
        """Let nobody pass but who has another token."""
        self.refused.clear()
        self._answer, self._token = {**SIGNED_OUT, **AWAY}[answer], then

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """What answers one request."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with suppress(ConnectionError):  # of a client that was killed
                    super().handle()

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path == SIGN_IN:
                    self._say(200, PAGE)
                elif self.headers.get("authorization") != f"Bearer {proxy._token}":
                    proxy.refused.append(self.path)
                    self._say(*proxy._answer)
                else:
                    proxy.passed.append(self.path)
                    self._pass_on(body)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  (http.server's names)

            def _pass_on(self, body: bytes) -> None:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
                server = http.client.HTTPConnection(proxy._server)
                server.request(self.command, self.path, body, headers)
                answer = server.getresponse()
                content = answer.read()
                server.close()
                self._say(answer.status, content, dict(answer.getheaders()))

            def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                if status == 302:
                    self.send_header("Location", SIGN_IN)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Handler
