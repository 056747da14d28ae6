"""`sweeps pause`: stop a sweep on purpose and for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.shared.options import NAME
from sweeps.cli.stop import end_sweep


def pause(
    name: Annotated[str, NAME],
    wait: Annotated[bool, typer.Option("--wait", help="Return when the sweep has paused.")] = False,
) -> None:
    """Stop a sweep for a while: it is listed as paused until it is resumed."""
    from sweeps.ledger.requests import Pause

    end_sweep(name, Pause(), wait=wait)
