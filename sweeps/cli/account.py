"""The account of a sweep at its end: who won, why others ended, what was gained, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from sweeps.terminal.report import print_commands, print_endings, print_gain, print_leaderboard
from sweeps.terminal.wording import duration, number, one_line, plural

if TYPE_CHECKING:
    from rich.console import Console

    from adapter_registry.promotion import Promotion
    from sweeps.home import Home
    from sweeps.launch import Launched
    from sweeps.terminal.board import Board

PROMPT = "요즘 잠을 못 자요"


def print_account(console: Console, launched: Launched, board: Board, home: Home) -> None:
    """Print everything that is worth knowing when a sweep has ended."""
    result, outline = launched.result, board.outline
    console.print(_headline(launched, board.asked), soft_wrap=True)
    console.print()
    print_leaderboard(console, outline, result.trials)
    print_endings(console, result.trials)
    if result.best is not None:
        row = board.rows.get(result.best.number)
        metrics = dict(row.metrics) if row is not None else {}
        value = {} if result.best.value is None else {launched.metric: result.best.value}
        print_gain(console, launched.base_metrics, metrics | value, result.best.number)
    console.print()
    for note in (*launched.remarks, *result.warnings):
        console.print(Text(f" Note: {one_line(note)}", style="yellow"), soft_wrap=True)
    console.print(_promotion(launched.promotion, launched.not_promoted), soft_wrap=True)
    console.print(Text(f" Kept in: {_places(launched, home)}", style="dim"), soft_wrap=True)
    print_commands(console, "Next", _to_do(launched))


def _headline(launched: Launched, asked: int) -> Text:
    result = launched.result
    finished = sum(trial.state in {"complete", "pruned", "failed"} for trial in result.trials)
    is_complete = result.state == "complete"
    line = Text.assemble(" ", (result.name, "bold"), " is ", (result.state, "green" if is_complete else "magenta"))
    counts = ", ".join(
        f"{count} {state}"
        for state in ("complete", "pruned", "failed", "stopped")
        if (count := sum(trial.state == state for trial in result.trials))
    )
    line.append(f": {finished} of {plural(asked, 'trial')} finished in {duration(result.seconds)}")
    return line.append(f" ({counts})") if counts else line


def _promotion(promotion: Promotion | None, why_not: str) -> Text:
    if promotion is None:
        return Text(f" Not promoted: {one_line(why_not)}", style="yellow")
    return promoted(promotion)


def promoted(promotion: Promotion) -> Text:
    """Say who the champion is now, and who was before."""
    now, before = promotion.champion, promotion.previous
    line = Text.assemble(
        " ",
        (f"Trial {now.trial} of {now.sweep}", "bold"),
        f" (epoch {now.epoch}, {now.metric} {number(now.value)}) is ",
    )
    line.append("now " if promotion.moved else "already ")
    line.append("the champion", style="bold green").append(f" of the model {now.model}: version {now.version}")
    if before is not None:
        line.append(f", after version {before.version} ({before.metric} {number(before.value)})")
    return line.append(".")


def _places(launched: Launched, home: Home) -> str:
    where = ", ".join(f"{name} {place}" for name, place in home.describe().items())
    return f"MLflow run {launched.result.run_id} in the experiment {launched.spec.experiment}; {where}"


def _to_do(launched: Launched) -> Mapping[str, str]:
    name, model = launched.result.name, launched.spec.promotion.model
    commands = {}
    if launched.result.state != "complete":
        commands[f"sweeps resume {name}"] = "go on where it stopped"
    elif launched.promotion is not None:
        commands[f'sweeps generate --model {model} "{PROMPT}"'] = "ask the champion (--base: the base model too)"
    elif launched.result.best is not None:
        commands[f"sweeps promote {name}"] = "make its best adapter the champion"
    commands["sweeps ui"] = "plots, metrics and replies in MLflow"
    commands[f"sweeps status {name}"] = "this leaderboard again"
    return commands
