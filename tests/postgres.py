"""A PostgreSQL server of the tests' own: started, stopped and killed at will, with passwords, in a folder of its own.

    with postgres_server() as server:        # tests take the fixture `postgres`
        url = server.create_database()
        server.kill()                        # -9, in the middle of whatever it does
        server.start()                       # the same data, at the same port

It listens on loopback, or on the address that is given. As root it runs as the user `postgres`, because PostgreSQL
refuses to run as root.
"""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

import psutil

from adapter_registry.store.server import HOST, free_port

USER = "sweeper"
START_TIMEOUT_S = 60.0


def postgres_programs() -> Path | None:
    """The folder of `initdb` and `postgres`: Debian's newest, else what is on the path; None: not installed."""
    debian = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if debian:
        return max(debian, key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def postgres_server(host: str = HOST) -> Iterator[PostgresServer]:
    """Run a server at an address of this machine until the block ends; nothing of it stays."""
    programs = postgres_programs()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install --no-install-recommends postgresql")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = PostgresServer(folder, programs, host)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@final
class PostgresServer:
    """One server; `port` and `password` stay the same over restarts."""

    def __init__(self, folder: Path, programs: Path, host: str = HOST) -> None:
        self.host = host
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self._folder = folder
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            self._account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._make_data()

    def start(self) -> None:
        """Start, and wait until it answers; after a kill it recovers first."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                self._process = self._spawn()  # again, while what a killed one left behind is still going away
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL did not start. {self.log()[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop as an administrator does (`fast`): sessions are told and cut, data is written."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def kill(self) -> None:
        """End all its processes with signal 9."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            for child in family:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        self._process.wait(timeout=START_TIMEOUT_S)
        self._process = None

    def create_database(self, template: str = "template0") -> str:
        """Create a database, empty or a copy of another one; returns its URL with the password."""
        name = f"test_{next(self._names)}"
        self.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"')
        return self.url(name)

    def url(self, database: str = "postgres") -> str:
        """The URL of a database as users write it."""
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside of a transaction, and return its rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def log(self) -> str:
        """What the server wrote."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def _make_data(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o644)  # the folder itself is closed to others
        command = [self._programs / "initdb", "--pgdata", self._folder / "data", "--username", USER]
        options = ["--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run([*command, *options], check=True, capture_output=True, cwd="/", **self._account)
        with (self._folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet scram-sha-256\n")

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            "fsync": "off",  # a killed process loses nothing that it wrote; only a machine would
            "max_connections": "50",
            "shared_buffers": "32MB",
        }
        command = [self._programs / "postgres", "-D", self._folder / "data", "-p", str(self.port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **self._account)

    def _answers(self) -> bool:
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True
