"""`sweeps extend`: a sweep is to end with more trials, whether it runs now or not."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.shared.options import NAME
from sweeps.cli.shared.requests import ask_for_more


def extend(
    name: Annotated[str, NAME],
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="How many more.")],
) -> None:
    """Ask for more trials; a running sweep takes them up."""
    from sweeps.home import find_home
    from sweeps.ledger.requests import Extend
    from sweeps.opening import open_ledger

    ask_for_more(open_ledger(find_home(), name).ledger, Extend(trials=trials))
