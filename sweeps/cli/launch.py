"""`sweeps launch` and `sweeps resume`: run a sweep before the user's eyes, and give account of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeGuard

import typer

from sweeps.cli.shared.console import is_plain, open_console
from sweeps.cli.shared.exit_codes import CANCELLED, STOPPED, WRONG, say, tell
from sweeps.cli.shared.program import program

if TYPE_CHECKING:
    from sweeps.home import Home
    from sweeps.launch import Launched
    from sweeps.progress import ProgressEvent
    from sweeps.spec import SweepSpec
    from sweeps.terminal.board import Board

Hear = Callable[["ProgressEvent"], None]

PLAIN = typer.Option(
    "--plain", help="Write plain lines instead of a live table (as without a terminal, or with NO_COLOR)."
)


ADDRESS = typer.Option(
    "--address",
    metavar="URL",
    envvar="SWEEPS_ADDRESS",
    help="Run on the Ray cluster with this dashboard, http://HEAD:8265; auto: on that whose node this machine is.",
)
DETACH = typer.Option("--detach", help="With --address: do not watch it; it goes on without this machine.")
KEEP_ALIVE = typer.Option("--keep-alive", help="With --address: start its driver again when that dies.")


def launch(
    spec: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPEC]", help="A YAML file, or the name of an example; without it, the examples are listed."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the spec; may be repeated."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the sweep, short for --set name=NAME.")
    ] = None,
    go_on: Annotated[
        bool, typer.Option("--resume", help="If a sweep of this name was begun before, go on with that one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check everything and tell what would run; nothing is made.")
    ] = False,
    plain: Annotated[bool, PLAIN] = False,
    address: Annotated[str | None, ADDRESS] = None,
    detach: Annotated[bool, DETACH] = False,
    keep_alive: Annotated[bool, KEEP_ALIVE] = False,
) -> None:
    """Run a new sweep to its end, and promote its best adapter."""
    if spec is None:
        _suggest()
        raise typer.Exit(WRONG)
    from sweeps.cli.shared.ledgers import is_begun
    from sweeps.home import find_home
    from sweeps.spec import load_spec
    from sweeps.terminal.board import Board
    from sweeps.terminal.outline import Outline

    named = [] if name is None else [f"name={json.dumps(name)}"]
    loaded = load_spec(spec, [*(changes or ()), *named])
    home = find_home()
    if dry_run:
        return _check_only(loaded, home, go_on=go_on)
    if go_on and is_begun(home, loaded.name):
        return resume(loaded.name, plain=plain, address=address, detach=detach, keep_alive=keep_alive)
    if is_afar(address, detach=detach, keep_alive=keep_alive):
        from sweeps.cli.shared.remote import launch_and_watch

        return launch_and_watch(loaded, home, address, keep_alive=keep_alive, detach=detach, plain=plain)

    def run(hear: Hear) -> Launched:
        from sweeps.launch import launch as run_new

        return run_new(loaded, home, on_event=hear, address=address)

    return _watch(Board(Outline.of_spec(loaded)), home, run, plain=plain)


def is_afar(address: str | None, *, detach: bool, keep_alive: bool) -> TypeGuard[str]:
    """Whether a sweep is to be driven from another machine than this one."""
    from sweeps.cluster.jobs import HERE

    if address not in (None, HERE):
        return True
    for option, given in (("--detach", detach), ("--keep-alive", keep_alive)):
        if given:
            raise typer.BadParameter(f"{option} is for a sweep on a cluster: give its --address, too.")
    return False


def _check_only(spec: SweepSpec, home: Home, *, go_on: bool) -> None:
    """Do what a launch does before it begins anything, and give account of it."""
    if go_on:
        raise typer.BadParameter("--dry-run checks a new sweep, --resume may go on with one: give one of them.")
    from sweeps.cli.shared.dry_run import print_plan
    from sweeps.preflight import check_launch

    print_plan(open_console(plain=True), spec, check_launch(spec, home, lambda event: None), home)


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
    from sweeps.cli.shared.ledgers import open_ledger
    from sweeps.home import find_home
    from sweeps.terminal.board import Board

    home = find_home()
    opened = open_ledger(home, name)
    if is_afar(address, detach=detach, keep_alive=keep_alive):
        from sweeps.cli.shared.remote import resume_and_watch

        if take_over:
            raise typer.BadParameter("--take-over is for sweeps that go on here; with --address, stop it first.")
        resume_and_watch(name, home, address, changes=changes or (), keep_alive=keep_alive, detach=detach, plain=plain)
        return
    board = Board(opened.outline)
    board.remember(trial for trial in opened.ledger.trials() if trial.state in {"complete", "pruned", "failed"})

    def run(hear: Hear) -> Launched:
        from sweeps.launch import resume as go_on

        return go_on(name, home, on_event=hear, changes=changes or (), take_over=take_over, address=address)

    _watch(board, home, run, plain=plain)


def _watch(board: Board, home: Home, run: Callable[[Hear], Launched], *, plain: bool) -> None:
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


def _suggest() -> None:
    from sweeps.cli.examples import examples

    typer.echo("What is to be launched? A YAML file of your own, or one of these examples:\n")
    examples()
    typer.echo(f"\nBegin with:  {program()} launch quickstart\nRead one:    {program()} examples quickstart")
