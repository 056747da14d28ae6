"""`sweeps status`: the trials of a sweep, as the ledger knows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.shared.console import is_plain, open_console
from sweeps.cli.shared.options import JSON, NAME
from sweeps.cli.shared.program import program

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.ledger.trial_record import SweepRecord
    from sweeps.opening import Opened


def status(
    name: Annotated[str, NAME],
    watch: Annotated[bool, typer.Option("--watch", help="Draw it again every second, until the sweep ends.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show all trials, however many.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show the trials of a sweep, the best first."""
    from sweeps.home import find_home
    from sweeps.opening import open_ledger

    opened = open_ledger(find_home(), name)
    if as_json:
        from sweeps.cli.shared.json_output import sweep_status

        typer.echo(json.dumps(sweep_status(opened), ensure_ascii=False, indent=2))
        return
    console = open_console()
    if watch:
        from sweeps.cli.shared.watch import watch_sweep

        watch_sweep(console, opened, plain=is_plain())
    print_status(console, opened, everything=everything)


def print_status(console: Console, opened: Opened, *, everything: bool) -> None:
    """Print how a sweep stands; `everything`: all trials, not only the best."""
    from rich.text import Text

    from sweeps.opening import finished, is_driven, standing
    from sweeps.terminal.endings import print_endings
    from sweeps.terminal.report import MOST_ROWS, print_facts, print_leaderboard, print_sentence
    from sweeps.terminal.wording import plural

    record, trials = opened.ledger.record, opened.ledger.trials()
    line = Text.assemble((record.name, "bold"), f" is {standing(record)}: {finished(record)} of ")
    line.append(f"{plural(opened.outline.trials, 'trial')} finished")
    if is_driven(record) and record.driver is not None:
        line.append(f", run by process {record.driver['pid']} on {record.driver['host']}")
    print_sentence(console, line)
    console.print()
    rows = max(1, len(trials)) if everything else MOST_ROWS
    print_leaderboard(console, opened.outline, trials, rows=rows)
    print_endings(console, trials, rows=rows)
    print_facts(console, "Next", _next(record), style="cyan")


def _next(record: SweepRecord) -> dict[str, str]:
    from sweeps.opening import is_driven, standing

    name, sweeps = record.name, program()
    if standing(record) == "finishing":
        return {f"{sweeps} status {name} --watch": "wait for its plots and its promotion"}
    if is_driven(record):
        return {f"{sweeps} status {name} --watch": "see it go on", f"{sweeps} stop {name}": "let it stop"}
    if record.state != "complete":
        return {f"{sweeps} resume {name}": "go on with it"}
    return {f"{sweeps} promote {name}": "make its best adapter the champion", f"{sweeps} ui": "look at it in MLflow"}
