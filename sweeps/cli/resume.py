"""`sweeps resume`: go on with a sweep from its ledger and MLflow alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.shared.options import ADDRESS, DETACH, KEEP_ALIVE, PLAIN
from sweeps.cli.shared.run_shown import Hear, is_afar, run_shown

if TYPE_CHECKING:
    from sweeps.finish import Launched


def resume(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a sweep that was stopped, or whose process died.")],
    plain: Annotated[bool, PLAIN] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also from a process that seems to be running it; that one leaves it.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change compute, budget or promotion; may be repeated."),
    ] = None,
    address: Annotated[str | None, ADDRESS] = None,
    detach: Annotated[bool, DETACH] = False,
    keep_alive: Annotated[bool, KEEP_ALIVE] = False,
) -> None:
    """Go on with a sweep that was stopped, in the same runs."""
    from sweeps.cli.shared.boards import board_of
    from sweeps.home import find_home
    from sweeps.opening import open_ledger

    home = find_home()
    opened = open_ledger(home, name)
    if is_afar(address, detach=detach, keep_alive=keep_alive):
        from sweeps.cli.shared.remote import resume_and_watch

        if take_over:
            raise typer.BadParameter("--take-over is for sweeps that go on here; with --address, stop it first.")
        resume_and_watch(name, home, address, changes=changes or (), keep_alive=keep_alive, detach=detach, plain=plain)
        return
    board = board_of(opened)

    def run(hear: Hear) -> Launched:
        from sweeps.launch import resume as go_on

        return go_on(name, home, on_event=hear, changes=changes or (), take_over=take_over, address=address)

    run_shown(board, home, run, plain=plain)
