"""`sweeps list`: the sweeps of the ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.shared.console import open_console
from sweeps.cli.shared.options import JSON
from sweeps.cli.shared.program import program

if TYPE_CHECKING:
    from sweeps.ledger.trial_record import SweepRecord


def list_(as_json: Annotated[bool, JSON] = False) -> None:
    """List the sweeps of the ledger."""
    from sweeps.cli.shared.json_output import sweep_record
    from sweeps.home import find_home
    from sweeps.opening import has_ledger

    home = find_home()
    records: list[SweepRecord] = []
    if has_ledger(home):
        from sweeps.ledger.ledger import Ledger

        records = Ledger.sweeps(home.ledger)
    if as_json:
        typer.echo(json.dumps([sweep_record(record) for record in records], ensure_ascii=False, indent=2))
    elif records:
        _print_list(records)
    else:
        typer.echo(f"No sweeps in {home.folder} yet. Begin with:  {program()} launch quickstart")


def _print_list(records: list[SweepRecord]) -> None:
    from rich.text import Text

    from sweeps.opening import finished, standing
    from sweeps.terminal.columns import Column, table

    console = open_console()
    states = [standing(record) for record in records]
    styles = {
        "complete": "green",
        "running": "cyan",
        "finishing": "cyan",
        "stopped": "magenta",
        "paused": "magenta",
        "interrupted": "yellow",
    }
    columns = [
        Column("sweep", [Text(record.name) for record in records], align="left", widest=63),
        Column("state", [Text(state, style=styles.get(state, "")) for state in states], align="left"),
        Column("trials", [Text(f"{finished(record)}/{record.trials}") for record in records]),
        Column("metric", [Text(record.metric) for record in records], align="left", drop=2),
        Column("created", [Text(_local(record.created), style="dim") for record in records], align="left", drop=1),
    ]
    console.print(table(columns, console.width))


def _local(created: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return created
