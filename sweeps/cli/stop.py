"""`sweeps stop`: let a sweep end early, from any terminal that reaches its ledger."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.shared.options import NAME
from sweeps.cli.shared.program import program

if TYPE_CHECKING:
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.requests import Request
    from sweeps.ledger.trial_record import SweepRecord

POLL_S = 1.0


def stop(
    name: Annotated[str, NAME],
    now: Annotated[
        bool, typer.Option("--now", help="End the workers at once; trials go on from their last checkpoints.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the sweep has stopped.")] = False,
) -> None:
    """Let a running sweep store checkpoints and stop; it can be resumed."""
    from sweeps.ledger.requests import Cancel, Stop

    end_sweep(name, Cancel() if now else Stop(), wait=wait)


def end_sweep(name: str, request: Request, *, wait: bool) -> None:
    """Ask for the end of a sweep, and say how to go on; `wait`: return when it has come."""
    from sweeps.cli.shared.requests import ask
    from sweeps.home import find_home
    from sweeps.ledger.requests import Pause
    from sweeps.opening import is_driven, open_ledger, standing

    ledger = open_ledger(find_home(), name).ledger
    record = ledger.record
    if not is_driven(record) and not isinstance(request, Pause):
        typer.echo(f"Nobody is running the sweep {name!r} ({_progress(record)}).{_how_to_go_on(record)}")
        return
    if standing(record) == "finishing":
        typer.echo(f"The sweep {name!r} is finishing: its trials have ended, only plots and promotion are to come.")
    else:
        typer.echo(f"{ask(ledger, request).text}{_how_to_go_on(ledger.record)}")
    if wait:
        _wait(ledger)


def _wait(ledger: Ledger) -> None:
    from sweeps.opening import is_driven

    while is_driven(ledger.record):
        time.sleep(POLL_S)


def _how_to_go_on(record: SweepRecord) -> str:
    return "" if record.state == "complete" else f" `{program()} resume {record.name}` goes on with it."


def _progress(record: SweepRecord) -> str:
    from sweeps.opening import finished, standing

    return f"{standing(record)}, {finished(record)} of {record.trials} trials finished"
