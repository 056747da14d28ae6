"""`sweeps extend` and `sweeps retry`: a sweep is to end with more trials, whether it runs now or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.shared.program import program

if TYPE_CHECKING:
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.requests import Request

NAME = typer.Argument(metavar="NAME", help="Of the sweep.")


def extend(
    name: Annotated[str, NAME],
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="How many more.")],
) -> None:
    """Ask for more trials; a running sweep takes them up."""
    from sweeps.cli.shared.ledgers import open_ledger
    from sweeps.home import find_home
    from sweeps.ledger.requests import Extend

    ask_for_more(open_ledger(find_home(), name).ledger, Extend(trials=trials))


def retry(
    name: Annotated[str, NAME],
    failed: Annotated[bool, typer.Option("--failed", help="All that failed and were not tried again.")] = False,
    trial: Annotated[list[int] | None, typer.Option(min=0, help="Number of a failed one; may be repeated.")] = None,
) -> None:
    """Try failed trials again, each as a new trial with the same parameters."""
    from sweeps.cli.shared.ledgers import open_ledger
    from sweeps.home import find_home
    from sweeps.ledger.carrying_out import check_retry
    from sweeps.ledger.requests import Retry

    if failed == bool(trial):
        raise typer.BadParameter("Say which trials: --failed, or --trial with a number.")
    ledger = open_ledger(find_home(), name).ledger
    numbers = tuple(dict.fromkeys(trial or ()))
    for number in numbers:
        check_retry(ledger, number)
    ask_for_more(ledger, Retry(numbers=numbers))


def ask_for_more(ledger: Ledger, request: Request) -> None:
    """Ask for trials, and say what becomes of them."""
    from sweeps.cli.shared.requests import ask

    asking = ask(ledger, request)
    to_go_on = f" `{program()} resume {ledger.name}` trains what is left."
    typer.echo(asking.text if asking.is_driven else asking.text + to_go_on)
