"""Arguments and options that several commands have, worded once."""

from __future__ import annotations

import typer

NAME = typer.Argument(metavar="NAME", help="Of the sweep.")
NUMBER = typer.Argument(metavar="TRIAL", min=0, help="Number of the trial.")
JSON = typer.Option("--json", help="Write JSON, for scripts.")
PLAIN = typer.Option(
    "--plain", help="Write plain lines instead of a live table (as without a terminal, or with NO_COLOR)."
)
ADDRESS = typer.Option(
    "--address",
    metavar="URL",
    envvar="SWEEPS_ADDRESS",
    help="Run on the Ray cluster with this dashboard, http://HEAD:8265; auto: on that whose node this machine is.",
)
DETACH = typer.Option("--detach", help="With --address: do not watch it; it goes on without this machine.")
KEEP_ALIVE = typer.Option("--keep-alive", help="With --address: start its driver again when that dies.")
