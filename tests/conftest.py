"""What all tests share: a PostgreSQL server, started when the first test asks for it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer, postgres_programs, postgres_server
from trainer.machine.compilation import suit_cpu

# Under `nohup`, or in the background of a script, these are ignored, and so they would be by every child.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

suit_cpu()  # as workers do; half of a parity test's time is compilation


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: else one of two processes is alone with them in the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/trainer/"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the session. Tests that kill or stop it start it again."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as server:
        yield server
