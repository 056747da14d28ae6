"""The description on a sweep's page: where it stands, its leaderboard, and what to type next. Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from adapter_registry.models.candidate import Direction
from adapter_registry.models.prompts import asking
from adapter_registry.names import short_value
from adapter_registry.runs.tracking import DEFAULT_SHOWN, STATES, TrialRun

ROWS = 5


def sweep_note(
    name: str,
    trials: Sequence[TrialRun],
    *,
    values: Mapping[int, float],
    metric: str = "val_loss",
    direction: Direction = "minimize",
    shown: Sequence[str] = DEFAULT_SHOWN,
    planned: int | None = None,
    base_value: float | None = None,
    champion: str | None = None,
    prompt: str = "",
    first_set: str = "",
) -> str:
    """Describe a sweep.

    Args:
        name: of the sweep.
        trials: as `Tracker.trials` returns them.
        values: what each trial that competes is ranked by, by number.
        metric: that the search optimises.
        direction: `minimize` or `maximize`.
        shown: parameters that get a column.
        planned: how many trials were asked for.
        base_value: the metric of the base model without an adapter.
        champion: the registered model that one of them is the champion of.
        prompt: that it may be asked.
        first_set: the sweep's own name of the validation set that metrics call `val`; '' where it has no other.
    """
    board = leaderboard(trials, values, direction)
    parts = [_standing(trials, planned)]
    if board:
        parts = [f"{_best(board[0], values, metric, shown)} {parts[0]}", _table(board[:ROWS], values, metric, shown)]
    if first_set:
        parts.append(f"val ({first_set}): the first validation set is called val in metrics.")
    if base_value is not None:
        parts.append(f"The base model without an adapter has {metric} {_number(base_value)}.")
    parts += [
        "The search's plots are under **Artifacts → plots**; each trial's replies after every epoch are in its "
        "`samples.json`.",
        _next(name, champion, prompt),
    ]
    return "\n\n".join(parts)


def leaderboard(trials: Sequence[TrialRun], values: Mapping[int, float], direction: Direction) -> list[TrialRun]:
    """Trials that have a value, the best first; the ledger says which compete, and with what."""
    sign = 1 if direction == "minimize" else -1
    competing = [trial for trial in trials if trial.number in values]
    return sorted(competing, key=lambda trial: (sign * values[trial.number], trial.number))


def _standing(trials: Sequence[TrialRun], planned: int | None) -> str:
    counts = Counter(trial.state for trial in trials)
    states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    of = "" if planned is None else f" of {planned}"
    return f"{len(trials)}{of} trials: {states or 'none yet'}."


def _best(trial: TrialRun, values: Mapping[int, float], metric: str, shown: Sequence[str]) -> str:
    config = ", ".join(f"{name} {_param(trial.params[name])}" for name in shown if name in trial.params)
    return f"**Best: trial {trial.number}, {metric} {_number(values[trial.number])}** ({config})."


def _table(board: Sequence[TrialRun], values: Mapping[int, float], metric: str, shown: Sequence[str]) -> str:
    others = [name for name in ("val_perplexity", "val_accuracy") if name != metric]
    columns = [name for name in shown if any(name in trial.params for trial in board)]
    lines = [_row(["", "trial", metric, *others, *columns]), _row(["---"] * (3 + len(others) + len(columns)))]
    for place, trial in enumerate(board, 1):
        value = values[trial.number]
        # What was measured last belongs to another epoch than the value, where that is not the last one.
        last = trial.metrics if trial.metrics.get(metric) == value else {}
        numbers = [_number(value), *(_number(last[key]) if key in last else "" for key in others)]
        lines.append(
            _row([str(place), str(trial.number), *numbers, *(_param(trial.params.get(c, "")) for c in columns)])
        )
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    """A row; no-break spaces keep the columns apart, because MLflow's page gives its tables no padding."""
    space = "" if set(cells) == {"---"} else "\u00a0\u00a0"
    return "| " + " | ".join(space + cell.replace("|", "\\|") + space for cell in cells) + " |"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _param(text: str) -> str:
    try:
        return short_value(float(text)) if not text.lstrip("-").isdigit() else text
    except ValueError:
        return text


def _next(name: str, champion: str | None, prompt: str) -> str:
    lines = [f"sweeps status {name}", f"sweeps resume {name}"]
    if champion is not None:
        lines = [asking(champion, prompt), *lines]
    return "Next:\n\n```\n" + "\n".join(lines) + "\n```"
