"""`sweeps spaces`: the ready-made search spaces."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeps.cli.examples import show_documents


def spaces(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Print this search space, with the reasons for its ranges.")
    ] = None,
) -> None:
    """List the ready-made search spaces, or print one of them."""
    show_documents("search_spaces", "ready", "search space", name)
