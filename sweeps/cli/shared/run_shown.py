"""What `sweeps launch` and `sweeps resume` share: a sweep runs before the user's eyes, and is given account of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard

import typer

from sweeps.cli.shared.console import is_plain, open_console
from sweeps.cli.shared.exit_codes import CANCELLED, STOPPED, say, tell
from sweeps.cli.shared.program import program

if TYPE_CHECKING:
    from sweeps.finish import Launched
    from sweeps.home import Home
    from sweeps.progress import ProgressEvent
    from sweeps.terminal.board import Board

Hear = Callable[["ProgressEvent"], None]


def is_afar(address: str | None, *, detach: bool, keep_alive: bool) -> TypeGuard[str]:
    """Whether a sweep is to be driven from another machine than this one."""
    from sweeps.cluster.jobs import HERE

    if address not in (None, HERE):
        return True
    for option, given in (("--detach", detach), ("--keep-alive", keep_alive)):
        if given:
            raise typer.BadParameter(f"{option} is for a sweep on a cluster: give its --address, too.")
    return False


def run_shown(board: Board, home: Home, run: Callable[[Hear], Launched], *, plain: bool) -> None:
    """Run a sweep, showing it; then tell how it ended."""
    from sweeps.terminal.live import show_progress

    console = open_console(plain=plain)
    try:
        with show_progress(board, console, plain=is_plain(plain)) as hear:
            launched = run(hear)
    except KeyboardInterrupt:
        say(f"Cancelled.{_how_to_go_on(board)}")
        raise typer.Exit(CANCELLED) from None
    except Exception as error:
        code = tell(error)
        if board.run_id:
            say(_how_to_go_on(board).strip())
        raise typer.Exit(code) from None
    from sweeps.cli.shared.summary import print_account

    print_account(console, launched, board, home)
    if launched.result.state != "complete":
        raise typer.Exit(STOPPED)


def _how_to_go_on(board: Board) -> str:
    return f" Go on with it by `{program()} resume {board.outline.name}`." if board.run_id else ""
