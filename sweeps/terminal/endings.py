"""Why trials ended early: one line for all that ended for the same reason, whatever numbers are in it.

`pruned  3 trials: val_loss 2.719 to 4.18 at evaluation 1 of 4 was not among the best (trials 0, 4–5)`
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from sweeps.ledger.trial_record import TrialRecord
from sweeps.terminal.report import MOST_ROWS, print_sentence
from sweeps.terminal.trial_rows import STYLES
from sweeps.terminal.wording import number, one_line, plural

MOST_NUMBERS = 12  # of trials or ranges of them on a line
# Not part of a name (`val_q2_loss`, `worker-0`). Trials that got as far as another evaluation are another group.
_NUMBER = re.compile(r"(?<![\w.-])(?<!evaluation )-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w-])")


def print_endings(console: Console, trials: Sequence[TrialRecord], *, rows: int = MOST_ROWS) -> None:
    """Print why trials ended that are not complete, the same reason once."""
    groups: dict[tuple[str, str], list[TrialRecord]] = {}
    for trial in trials:
        if trial.state in {"pruned", "failed"}:
            groups.setdefault((trial.state, _NUMBER.sub("#", _reason(trial))), []).append(trial)
    if not groups:
        return
    console.print(Text("\n Why trials ended early", style="bold"))
    for group in list(groups.values())[:rows]:
        print_sentence(console, _line(group), indent=3)
    if len(groups) > rows:
        console.print(Text(f"   … and {plural(len(groups) - rows, 'more reason')}", style="dim"))


def _line(group: Sequence[TrialRecord]) -> Text:
    state, numbers = group[0].state, [trial.number for trial in group]
    why = _spanned([_reason(trial) for trial in group])
    line = Text.assemble((f"{state:<7}", STYLES[state]))
    if len(group) == 1:
        return line.append(f" trial {numbers[0]}: {why}")
    return line.append(f" {plural(len(group), 'trial')}: {why} (trials {ranges(numbers)})")


def _reason(trial: TrialRecord) -> str:
    counts = "" if trial.kept is None else f"; its best epoch counts, {number(trial.kept)}"
    return (one_line(trial.ended_because) or "no reason is known") + counts


def _spanned(reasons: Sequence[str]) -> str:
    """Write reasons that differ in numbers alone as one, with the least and the greatest of each."""
    spans = iter([_span(column) for column in zip(*map(_NUMBER.findall, reasons), strict=True)])
    return _NUMBER.sub(lambda _: next(spans), reasons[0])


def _span(numbers: Sequence[str]) -> str:
    def size(text: str) -> float:
        return float(text.replace(",", ""))

    low, high = min(numbers, key=size), max(numbers, key=size)
    return low if size(low) == size(high) else f"{low} to {high}"


def ranges(numbers: Sequence[int]) -> str:
    """Write whole numbers, neighbours as a range: `0, 1, 3–6`."""
    runs = [f"{first}–{last}" if last > first else str(first) for first, last in _runs(sorted(numbers))]
    return ", ".join(runs[:MOST_NUMBERS]) + (", …" if len(runs) > MOST_NUMBERS else "")


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Split at gaps; two neighbours stay by themselves."""
    start = 0
    for i, last in enumerate(numbers):
        if i + 1 < len(numbers) and numbers[i + 1] == last + 1:
            continue
        if i - start == 1:
            yield from ((each, each) for each in numbers[start : i + 1])
        else:
            yield numbers[start], last
        start = i + 1
