"""A network between a client and a PostgreSQL server that can lose what it carries.

with lossy_proxy(server.port) as proxy:
    proxy.lose_answer("INSERT", "COMMIT")  # this commit is made, and the connection ends without the answer
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import final

from adapter_registry.store.server import HOST


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
        self._awaited: list[bytes] = []
        self._held_s = 0.0

    def lose_answer(self, *statements: str, held_s: float = 0.0) -> None:
        """Lose the answer to the last of these statements, when it comes after the others.

        With `held_s`, the client's connection ends at once, and the statement arrives that much later.
        """
        self._awaited = [words.encode() for words in statements]
        self._held_s = held_s

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
                if self._awaited and self._awaited[0] in data:
                    self._awaited = self._awaited[1:]
                    if not self._awaited:
                        doomed.set()
                if doomed.is_set() and self._held_s:
                    client.shutdown(socket.SHUT_RDWR)
                    time.sleep(self._held_s)
                server.sendall(data)

    def _carry_back(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if doomed.is_set():
                    self.lost += 1
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
