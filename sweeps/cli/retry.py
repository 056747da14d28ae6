"""`sweeps retry`: failed trials once more, each as a new trial."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.shared.options import NAME
from sweeps.cli.shared.requests import ask_for_more


def retry(
    name: Annotated[str, NAME],
    failed: Annotated[bool, typer.Option("--failed", help="All that failed and were not tried again.")] = False,
    trial: Annotated[list[int] | None, typer.Option(min=0, help="Number of a failed one; may be repeated.")] = None,
) -> None:
    """Try failed trials again, each as a new trial with the same parameters."""
    from sweeps.home import find_home
    from sweeps.ledger.carrying_out import check_retry
    from sweeps.ledger.requests import Retry
    from sweeps.opening import open_ledger

    if failed == bool(trial):
        raise typer.BadParameter("Say which trials: --failed, or --trial with a number.")
    ledger = open_ledger(find_home(), name).ledger
    numbers = tuple(dict.fromkeys(trial or ()))
    for number in numbers:
        check_retry(ledger, number)
    ask_for_more(ledger, Retry(numbers=numbers))
