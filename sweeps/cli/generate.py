"""`sweeps generate`: ask a champion."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.shared.exit_codes import say

if TYPE_CHECKING:
    from adapter_registry.models.champions import Champion


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
    from sweeps.champions import model_of, reach_champion
    from sweeps.cli.shared.answers import Question, answer
    from sweeps.home import find_home

    if model is not None and sweep is not None:
        raise typer.BadParameter("--model and --sweep both say who answers; give one of them.")
    text = sys.stdin.read() if prompt == "-" else prompt
    question = Question(text, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed)
    home = find_home()
    wanted = model_of(home, sweep) if sweep is not None else model
    version = reach_champion(home, wanted)
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
