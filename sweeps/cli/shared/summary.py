"""The account of a sweep at its end: who won, why others ended, what was gained, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from sweeps.cli.shared.program import program
from sweeps.terminal.endings import print_endings
from sweeps.terminal.report import print_facts, print_gain, print_leaderboard, print_sentence
from sweeps.terminal.wording import duration, number, one_line, plural

if TYPE_CHECKING:
    from rich.console import Console

    from adapter_registry.models.promotion import Promotion
    from sweeps.finish import Launched
    from sweeps.home import Home
    from sweeps.terminal.board import Board


def print_account(console: Console, launched: Launched, board: Board, home: Home) -> None:
    """Print everything that is worth knowing when a sweep has ended."""
    result, outline = launched.result, board.outline
    print_sentence(console, _headline(launched, board.asked))
    console.print()
    print_leaderboard(console, outline, result.trials)
    print_endings(console, result.trials)
    _print_notes(console, (*launched.remarks, *result.warnings))
    if result.best is not None:
        row = board.rows.get(result.best.number)
        metrics = dict(row.metrics) if row is not None else {}
        value = {} if result.best.score is None else {launched.metric: result.best.score}
        if result.best.score != result.best.value:  # what was measured last belongs to another epoch
            metrics = {}
        print_gain(console, launched.base_metrics, metrics | value, result.best.number)
    console.print()
    print_sentence(console, _promotion(launched.promotion, launched.not_promoted))
    print_facts(console, "Where", _places(launched, home))
    print_facts(console, "Next", _to_do(launched), style="cyan")


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    """Print what went on beside the trials: data that was left out, warnings."""
    if notes:
        console.print(Text("\n Notes", style="bold"))
    for note in notes:
        print_sentence(console, Text(one_line(note)), indent=3)


def _headline(launched: Launched, asked: int) -> Text:
    result = launched.result
    finished = sum(trial.state in {"complete", "pruned", "failed"} for trial in result.trials)
    is_complete = result.state == "complete"
    line = Text.assemble((result.name, "bold"), " is ", (result.state, "green" if is_complete else "magenta"))
    counts = ", ".join(
        f"{count} {state}"
        for state in ("complete", "pruned", "failed", "stopped")
        if (count := sum(trial.state == state for trial in result.trials))
    )
    took = "" if result.occupancy is None else f" in {duration(result.seconds)}"  # it was complete before
    line.append(f": {finished} of {plural(asked, 'trial')} finished{took}")
    return line.append(f" ({counts})") if counts else line


def _promotion(promotion: Promotion | None, why_not: str) -> Text:
    if promotion is None:
        return Text(f"Not promoted: {one_line(why_not)}", style="yellow")
    return promoted(promotion)


def promoted(promotion: Promotion) -> Text:
    """Say who the champion is now, and who was before."""
    now, before = promotion.champion, promotion.previous
    line = Text.assemble(
        (f"Trial {now.trial} of {now.sweep}", "bold"),
        f" (epoch {now.epoch}, {now.metric} {number(now.value)}) is ",
    )
    line.append("now " if promotion.moved else "already ")
    line.append("the champion", style="bold green").append(f" of the model {now.model}: version {now.version}")
    if before is not None:
        line.append(f", after version {before.version} ({before.metric} {number(before.value)})")
    return line.append(".")


def _places(launched: Launched, home: Home) -> Mapping[str, str]:
    """Name the run and the home; ledger and MLflow by themselves only where they are elsewhere."""
    places = home.describe()
    elsewhere = {name: place for name, place in places.items() if str(home.folder) not in place}
    mlflow = {"MLflow run": launched.result.run_id, "experiment": launched.spec.experiment}
    return mlflow | {"SWEEPS_HOME": str(home.folder)} | elsewhere


def _to_do(launched: Launched) -> Mapping[str, str]:
    from adapter_registry.models.prompts import asking

    name, model = launched.result.name, launched.spec.promotion.model
    commands, sweeps = {}, program()
    if launched.result.state != "complete":
        commands[f"{sweeps} resume {name}"] = "go on where it stopped"
    elif launched.promotion is not None:
        commands[asking(model, launched.prompt, sweeps)] = "ask the champion"
    elif launched.result.best is not None:
        commands[f"{sweeps} promote {name}"] = "make its best adapter the champion"
    commands[f"{sweeps} ui"] = "plots, metrics and replies in MLflow"
    commands[f"{sweeps} status {name}"] = "this leaderboard again"
    return commands
