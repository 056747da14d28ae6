"""`sweeps trial …`: one trial stopped, added, cloned with changes, or trained for more epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.shared.options import NAME, NUMBER
from sweeps.cli.shared.requests import ask_for_more

if TYPE_CHECKING:
    from sweeps.ledger.requests import AddTrial
    from sweeps.opening import Opened

MAY_PRUNE = typer.Option(
    "--may-prune", help="Let it be stopped early, as a sampled trial may be; else it trains to its end."
)


def stop(name: Annotated[str, NAME], number: Annotated[int, NUMBER]) -> None:
    """End a trial that trains or waits, as pruned; the others go on."""
    from sweeps.cli.shared.requests import ask
    from sweeps.ledger.carrying_out import stoppable
    from sweeps.ledger.requests import StopTrial

    ledger = _open(name).ledger
    stoppable(ledger, number)
    typer.echo(ask(ledger, StopTrial(number=number)).text)


def enqueue(
    name: Annotated[str, NAME],
    params: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Parameters of the search space; the rest is sampled.")
    ],
    may_prune: Annotated[bool, MAY_PRUNE] = False,
) -> None:
    """Add a trial with parameters of your own, trained to its end; a running sweep tries it next."""
    from sweeps.cli.shared.trial_params import check_params, read_params
    from sweeps.ledger.requests import AddTrial

    opened = _open(name)
    checked = check_params(_spec(opened), read_params(params, "KEY=VALUE"))
    _add(opened, AddTrial(params=checked, may_prune=may_prune))


def clone(
    name: Annotated[str, NAME],
    number: Annotated[int, NUMBER],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a parameter; may be repeated.")
    ] = None,
    may_prune: Annotated[bool, MAY_PRUNE] = False,
) -> None:
    """Add a trial with the parameters of another, or with some of them changed, trained to its end."""
    from sweeps.cli.shared.trial_params import changed_params, check_params, read_params
    from sweeps.ledger.carrying_out import find
    from sweeps.ledger.requests import AddTrial

    opened = _open(name)
    trial, changed = find(opened.ledger, number), read_params(changes or [], "--set")
    spec = _spec(opened)
    params = check_params(spec, changed_params(spec, trial.drawn, changed))
    epochs = None if "epochs" in changed else trial.epochs
    _add(opened, AddTrial(params=params, epochs=epochs, may_prune=may_prune))


def continue_(
    name: Annotated[str, NAME],
    number: Annotated[int, NUMBER],
    epochs: Annotated[int, typer.Option(min=1, help="That it is to have trained in all; the space may say less.")],
) -> None:
    """Train a finished trial on from its last checkpoint, as a new trial with more epochs.

    A schedule that falls is drawn out to the new length: the learning rate goes on from where it would be in it.
    """
    from sweeps.cli.shared.trial_params import check_epochs
    from sweeps.ledger.carrying_out import check_continues
    from sweeps.ledger.requests import AddTrial

    opened = _open(name)
    trial = check_continues(opened.ledger, number, epochs)
    check_epochs(_spec(opened), trial, epochs)
    ask_for_more(opened.ledger, AddTrial(params=trial.drawn, epochs=epochs, continues=number))


def _add(opened: Opened, request: AddTrial) -> None:
    """Ask for a trial, and say if its training, or the beginning of it, was done before."""
    from sweeps.cli.shared.exit_codes import say
    from sweeps.cli.shared.repeated import what_is_repeated

    repeated = what_is_repeated(opened.ledger, _spec(opened), request.params, request.epochs)
    ask_for_more(opened.ledger, request)
    if repeated:
        say(f"Note: {repeated}")


def _open(name: str) -> Opened:
    from sweeps.home import find_home
    from sweeps.opening import open_ledger

    return open_ledger(find_home(), name)


def _spec(opened: Opened) -> Any:
    from sweeps.errors import LedgerError

    if opened.spec is None:
        raise LedgerError(
            f"The sweep {opened.ledger.name!r} has no spec in the ledger, so parameters cannot be checked. "
            "Launch a sweep with `sweeps launch`."
        )
    return opened.spec
