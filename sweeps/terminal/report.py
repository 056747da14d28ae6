"""The account of a sweep: leaderboard, the gain over the base model, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from sweeps.ledger.trial_record import TrialRecord
from sweeps.terminal.columns import Column, table
from sweeps.terminal.outline import Outline
from sweeps.terminal.trial_rows import STYLES
from sweeps.terminal.wording import change, number, plural, setting

MOST_ROWS = 40
LONGEST_ALIGNED = 30
_LAST = ("running", "waiting", "stopped", "pruned", "failed")


def ranked(outline: Outline, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Order trials: those that compete from the best, then those under way, pruned ones from the best, failed ones."""
    sign = -1.0 if outline.direction == "maximize" else 1.0

    def key(trial: TrialRecord) -> tuple[int, float, int]:
        value = shown_value(trial)
        group = 0 if trial.score is not None else 1 + _LAST.index(trial.state)
        return group, sign * value if value is not None else float("inf"), trial.number

    return sorted(trials, key=key)


def shown_value(trial: TrialRecord) -> float | None:
    """Return what a trial is ranked by, or what it reported last."""
    if trial.score is not None:
        return trial.score
    return trial.evaluations[max(trial.evaluations)] if trial.evaluations else None


def print_leaderboard(
    console: Console, outline: Outline, trials: Sequence[TrialRecord], *, rows: int = MOST_ROWS
) -> None:
    """Print a row for each trial, as many as are worth reading."""
    if not trials:
        console.print(Text(" No trial has begun yet.", style="dim"))
        return
    shown = ranked(outline, trials)[:rows]
    console.print(Padding(table(_columns(outline, shown), console.width - 2), (0, 0, 0, 1)))
    if len(trials) > len(shown):
        rest = plural(len(trials) - len(shown), "more trial")
        console.print(Text(f" … and {rest}: sweeps status {outline.name} --all", style="dim"))
    if outline.first_set:
        console.print(Text(f" val ({outline.first_set}): the first validation set is called val in metrics", "dim"))


def _columns(outline: Outline, trials: Sequence[TrialRecord]) -> list[Column]:
    names = dict.fromkeys(outline.parameters) | dict.fromkeys(name for trial in trials for name in trial.params)
    places = [str(i) if trial.score is not None else "" for i, trial in enumerate(trials, 1)]
    columns = [
        Column("#", [_cell(place, trial) for place, trial in zip(places, trials, strict=True)]),
        Column("trial", [_cell(str(trial.number), trial) for trial in trials]),
        Column(outline.metric, [_value(place, trial) for place, trial in zip(places, trials, strict=True)]),
    ]
    for i, name in enumerate(names):
        cells = [_cell(setting(t.params[name]) if name in t.params else "", t) for t in trials]
        columns.append(Column(name, cells, drop=2 + i))
    trained = [_cell(_trained(outline, trial), trial) for trial in trials]
    columns.append(Column("trained_epochs" if outline.evaluations_per_epoch else "evaluations", trained, drop=1))
    if any(trial.origin for trial in trials):
        columns.append(Column("origin", [_cell(trial.origin, trial) for trial in trials], drop=1, align="left"))
    columns.append(Column("state", [Text(trial.state, style=STYLES[trial.state]) for trial in trials], align="left"))
    return columns


def _trained(outline: Outline, trial: TrialRecord) -> str:
    done = max(trial.evaluations, default=0)
    return f"{done / outline.evaluations_per_epoch:g}" if outline.evaluations_per_epoch else str(done)


def _value(place: str, trial: TrialRecord) -> Text:
    return Text(number(shown_value(trial)), style="bold green" if place == "1" else _dim(trial))


def _cell(text: str, trial: TrialRecord) -> Text:
    return Text(text, style=_dim(trial))


def _dim(trial: TrialRecord) -> str:
    return "" if trial.score is not None else "dim"


# ------------------------------------------------------------------------------------------------------- sentences


def print_gain(console: Console, base: Mapping[str, float], winner: Mapping[str, float], number_of_winner: int) -> None:
    """Print the metrics of the base model beside the winner's."""
    names = [name for name in winner if name in base]
    if not names:
        return
    console.print()
    columns = [
        Column("metric", [Text(name) for name in names], align="left"),
        Column("base model", [Text(number(base[name])) for name in names]),
        Column(f"trial {number_of_winner}", [Text(number(winner[name]), style="bold green") for name in names]),
        Column("change", [Text(change(name, base[name], winner[name])) for name in names]),
    ]
    console.print(Padding(table(columns, console.width - 2), (0, 0, 0, 1)))


def print_sentence(console: Console, sentence: Text, *, indent: int = 1) -> None:
    """Print a sentence, on a terminal broken between words, elsewhere on one line."""
    if console.is_terminal:
        console.print(Padding(sentence, (0, 1, 0, indent)))
    else:
        console.print(Text(" " * indent).append_text(sentence), soft_wrap=True)


def print_facts(console: Console, title: str, facts: Mapping[str, str], *, style: str = "") -> None:
    """Print names with what belongs to each, or below it: commands and paths, so nothing is broken."""
    console.print(Text(f"\n {title}", style="bold"))
    widest = max((cell_len(name) for name in facts if cell_len(name) <= LONGEST_ALIGNED), default=0)
    for name, text in facts.items():
        gap = " " * max(3, widest - cell_len(name) + 3)
        if console.is_terminal and cell_len(f"   {name}{gap}{text}") > console.width:
            gap = "\n      "
        console.print(Text.assemble("   ", (name, style), gap, (text, "dim")), soft_wrap=True)
