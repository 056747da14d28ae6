"""An HTTP proxy before a server that takes no request longer than so many bytes, as nginx with `client_max_body_size`.

with limiting_proxy(server.url, 90_000) as url: ...
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from adapter_registry.store.server import HOST
from tests.services import serving

_NOT_PASSED_ON = {"connection", "transfer-encoding", "content-length", "server", "date"}


@contextmanager
def limiting_proxy(server_url: str, limit: int) -> Iterator[str]:
    """Carry requests to a server until the block ends; the proxy's address."""
    upstream = urlsplit(server_url).netloc

    class Handler(BaseHTTPRequestHandler):
        def carry(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))  # nginx, too, reads what it refuses
            if len(body) > limit:
                self.answer(413, {}, b"Request Entity Too Large")
                return
            with closing(http.client.HTTPConnection(upstream)) as connection:
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                self.answer(answer.status, dict(answer.getheaders()), answer.read())

        def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = carry  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    with serving(server):
        yield f"http://{HOST}:{server.server_port}"
