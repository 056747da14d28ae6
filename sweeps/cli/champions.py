"""`sweeps promote` and `sweeps generate`: make an adapter the champion, and ask it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.consoles import open_console
from sweeps.cli.endings import say

if TYPE_CHECKING:
    from adapter_registry.champions import Champion
    from sweeps.cli.ledgers import Opened
    from sweeps.home import Home
    from sweeps.trial_record import TrialRecord


def promote(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the sweep; with --rollback also of a registered model.")
    ],
    trial: Annotated[int | None, typer.Option(min=0, help="Its number; by default the best one.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also when it is worse, or cannot be compared.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Make the champion before this one the champion again.")
    ] = False,
) -> None:
    """Make a better adapter the champion, or go back to the one before."""
    from sweeps.home import find_home

    home = find_home()
    if rollback:
        if trial is not None or force:
            raise typer.BadParameter("--rollback goes with neither --trial nor --force.")
        _roll_back(home, name)
        return
    from adapter_registry.promotion import promote as move_champion
    from sweeps.cli.account import promoted
    from sweeps.cli.ledgers import open_ledger
    from sweeps.terminal.report import print_sentence

    opened = open_ledger(home, name)
    chosen = _choose(opened, trial)
    _reach_tracking(home)
    promotion = move_champion(
        home.tracking_uri,
        chosen.run_id or "",
        model=opened.outline.model or name,
        metric=opened.outline.metric,
        direction=opened.outline.direction,
        force=force,
    )
    print_sentence(open_console(), promoted(promotion))


def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to ask; `-` reads it from the standard input.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A registered model; by default the one with the newest champion."),
    ] = None,
    sweep: Annotated[str | None, typer.Option(metavar="NAME", help="A sweep, whose model then answers.")] = None,
    base: Annotated[bool, typer.Option("--base", help="Let the base model without the adapter answer too.")] = False,
    base_from: Annotated[
        str | None, typer.Option(metavar="PATH", help="Where the base model is on this machine, if it has moved.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, max=8192, help="Longest answer.")] = 96,
    temperature: Annotated[float, typer.Option(min=0.0, max=10.0, help="0: always the likeliest token.")] = 0.0,
    top_p: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="Draw from the likeliest tokens of this mass.")
    ] = 0.95,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of what is drawn.")] = 0,
) -> None:
    """Ask a champion; the standard output holds its answer alone."""
    from sweeps.cli.answering import Question, answer
    from sweeps.home import find_home

    if model is not None and sweep is not None:
        raise typer.BadParameter("--model and --sweep both say who answers; give one of them.")
    text = sys.stdin.read() if prompt == "-" else prompt
    question = Question(text, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed)
    home = find_home()
    wanted = _model_of(home, sweep) if sweep is not None else model
    _reach_tracking(home)
    version = _champion(home, wanted)
    say(f"{_label(version)}:")
    answers = answer(home.tracking_uri, version, question, base_from=base_from, also_base=base)
    typer.echo(next(answers))
    for more in answers:
        say(f"{version.base_name}, without the adapter:")
        typer.echo(more)


def _label(version: Champion) -> str:
    from sweeps.terminal.wording import number

    trained = f"trial {version.trial} of {version.sweep}, {version.metric} {number(version.value)}"
    return f"{version.model} version {version.version} ({trained}, base model {version.base_name})"


# ------------------------------------------------------------------------------------------------------- what is meant


def _choose(opened: Opened, number: int | None) -> TrialRecord:
    from search_spaces.wording import choices
    from sweeps.errors import NotFoundError

    trials = {trial.number: trial for trial in opened.ledger.trials() if trial.run_id is not None}
    name = opened.ledger.name
    if number is None:
        best = opened.ledger.best()
        if best is None:
            raise NotFoundError(f"No trial of {name!r} is complete yet. Wait, or choose one with --trial.")
        return best
    if number not in trials:
        known = choices(map(str, trials)) or "none yet"
        raise NotFoundError(f"The sweep {name!r} has no trial {number} that has begun. Choose from: {known}.")
    return trials[number]


def _model_of(home: Home, sweep: str) -> str:
    from sweeps.cli.ledgers import open_ledger

    return open_ledger(home, sweep).outline.model or sweep


def _roll_back(home: Home, name: str) -> None:
    """Roll a sweep's model back, or the registered model of that name where there is no such sweep."""
    from adapter_registry.promotion import rollback
    from sweeps.cli.account import promoted
    from sweeps.errors import NotFoundError
    from sweeps.terminal.report import print_sentence

    try:
        model = _model_of(home, name)
    except NotFoundError:
        model = name
    _reach_tracking(home)
    print_sentence(open_console(), promoted(rollback(home.tracking_uri, model)))


def _champion(home: Home, model: str | None) -> Champion:
    from adapter_registry.champions import champions
    from search_spaces.wording import choices, did_you_mean
    from sweeps.errors import NotFoundError

    known = champions(home.tracking_uri)
    found = [version for version in known if model in {None, version.model}]
    if found:
        return found[0]
    names = [version.model for version in known]
    if not names:
        raise _nobody(home)
    raise NotFoundError(
        f"No model {model!r} has a champion.{did_you_mean(model, names)} Choose from: {choices(names)}."
    )


def _reach_tracking(home: Home) -> None:
    """Find out quickly that MLflow does not answer, and make no store where there is none."""
    from adapter_registry.connection import check_tracking
    from adapter_registry.environment import sqlite_path

    path = sqlite_path(home.tracking_uri)
    if path is not None and not path.exists():
        raise _nobody(home)
    check_tracking(home.tracking_uri)


def _nobody(home: Home) -> Exception:
    from sweeps.errors import NotFoundError
    from sweeps.home import redact

    return NotFoundError(
        f"There is no champion in {redact(home.tracking_uri)} yet. Run a sweep (`sweeps launch quickstart`), promote a "
        "trial (`sweeps promote NAME`), or set SWEEPS_HOME or MLFLOW_TRACKING_URI to where your champions are."
    )
