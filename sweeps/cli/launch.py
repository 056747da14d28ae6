"""`sweeps launch`: a spec, or an example, run to its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.resume import resume
from sweeps.cli.shared.console import open_console
from sweeps.cli.shared.exit_codes import WRONG
from sweeps.cli.shared.options import ADDRESS, DETACH, KEEP_ALIVE, PLAIN
from sweeps.cli.shared.program import program
from sweeps.cli.shared.run_shown import Hear, is_afar, run_shown

if TYPE_CHECKING:
    from sweeps.finish import Launched
    from sweeps.home import Home
    from sweeps.spec import SweepSpec


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
    from sweeps.home import find_home
    from sweeps.opening import is_begun
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

    return run_shown(Board(Outline.of_spec(loaded)), home, run, plain=plain)


def _check_only(spec: SweepSpec, home: Home, *, go_on: bool) -> None:
    """Do what a launch does before it begins anything, and give account of it."""
    if go_on:
        raise typer.BadParameter("--dry-run checks a new sweep, --resume may go on with one: give one of them.")
    from sweeps.cli.shared.dry_run import print_plan
    from sweeps.preflight import check_launch

    print_plan(open_console(plain=True), spec, check_launch(spec, home, lambda event: None), home)


def _suggest() -> None:
    from sweeps.cli.examples import examples

    typer.echo("What is to be launched? A YAML file of your own, or one of these examples:\n")
    examples()
    typer.echo(f"\nBegin with:  {program()} launch quickstart\nRead one:    {program()} examples quickstart")
