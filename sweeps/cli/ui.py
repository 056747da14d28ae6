"""`sweeps ui`: MLflow's pages in a browser, for as long as the command runs."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from sweeps.cli.shared.exit_codes import say

USUAL_PORT = 5000
POLL_S = 0.5
MOST_LINKS = 5


def ui(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help=f"To listen on; by default {USUAL_PORT}, or any free one.")
    ] = None,
) -> None:
    """Serve MLflow's pages on this machine until Ctrl-C."""
    from adapter_registry.store.server import local_server
    from sweeps.home import find_home, redact

    home = find_home()
    if home.tracking_uri.startswith(("http://", "https://")):
        typer.echo(redact(home.tracking_uri))
        say("MLFLOW_TRACKING_URI is a server: open it in a browser.")
        return
    home.prepare()
    say("Starting MLflow …")
    serving = local_server(home.tracking_uri, home.artifact_root, port=port or _usual_port())
    asked = threading.Event()
    # Once the server runs, Ctrl-C is only remembered: an import that an exception cuts off may swallow it, or mark the
    # process as killed by it although the command ends well.
    with contextlib.suppress(KeyboardInterrupt), _at_interrupt(_give_up), serving as server, _at_interrupt(asked.set):
        say(f"It shows {redact(home.tracking_uri)}. Ctrl-C ends it.")
        typer.echo(server.url)
        _name_the_sweeps(server.url)
        _wait_while_it_runs(server.pid, asked)
        if not asked.is_set():
            raise _died(server.log.read_text("utf-8", "replace"))


def _name_the_sweeps(url: str) -> None:
    """MLflow's first page says nothing about training: give the sweeps' own."""
    from adapter_registry.pages.views import saved_views, sweep_link
    from adapter_registry.store.connection import client

    for view in saved_views(client(url))[:MOST_LINKS]:
        typer.echo(f"{view.sweep}: {sweep_link(url, view.experiment_id, view.key)}")


def _usual_port() -> int | None:
    """MLflow's usual port, unless somebody listens there; None: any free one."""
    with socket.socket() as probe:
        return None if probe.connect_ex(("127.0.0.1", USUAL_PORT)) == 0 else USUAL_PORT


def _wait_while_it_runs(pid: int, asked: threading.Event) -> None:
    import psutil

    from sweeps.host.processes import runs

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while runs(process) and not asked.wait(POLL_S):
            pass


def _died(log: str) -> Exception:
    from adapter_registry.errors import LocalServerError
    from sweeps.home import redact

    last = redact(" | ".join(log.strip().splitlines()[-3:])) or "it wrote nothing"
    return LocalServerError(f"The MLflow server has ended by itself. Its last lines: {last}.")


def _give_up() -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _at_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM do something else than end the process."""
    before = {number: signal.signal(number, lambda *_: act()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
