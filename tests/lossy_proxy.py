"""A network between a client and a PostgreSQL server that can lose what it carries.

with lossy_proxy(server.port) as proxy:
    proxy.lose_answers("COMMIT")    # the next one is carried out, and the connection ends without the answer
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import final

from adapter_registry.server import HOST


@contextmanager
def lossy_proxy(server_port: int) -> Iterator[LossyProxy]:
    """Carry connections until the block ends."""
    with closing(socket.create_server((HOST, 0))) as listener:
        proxy = LossyProxy(listener, server_port)
        threading.Thread(target=proxy.serve, daemon=True).start()
        yield proxy


@final
class LossyProxy:
    """Listens on `port`; `lost` counts the answers that were lost."""

    def __init__(self, listener: socket.socket, server_port: int) -> None:
        self.port: int = listener.getsockname()[1]
        self.lost = 0
        self._listener = listener
        self._server_port = server_port
        self._words: bytes | None = None

    def lose_answers(self, words: str) -> None:
        """Lose the answer to the next statement with these words."""
        self._words = words.encode()

    def serve(self) -> None:
        """Carry connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.create_connection((HOST, self._server_port))
        doomed = threading.Event()
        threading.Thread(target=self._carry_back, args=(server, client, doomed), daemon=True).start()
        with suppress(OSError), closing(server), closing(client):
            while data := client.recv(65536):
                if self._words is not None and self._words in data:
                    self._words = None
                    doomed.set()
                server.sendall(data)

    def _carry_back(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if doomed.is_set():
                    self.lost += 1
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
