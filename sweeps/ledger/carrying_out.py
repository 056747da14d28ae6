"""Carries a request out on the ledger: what the sweep is to try more, or less.

Only who holds the claim may do this: the driver, or without one the command itself. Doing it again after a death in
between changes nothing, because what was added bears the request's id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeps.errors import NotFoundError, RequestError
from sweeps.ledger.by_hand import BY_HAND
from sweeps.ledger.requests import (
    AddTrial,
    Answer,
    Asked,
    Cancel,
    Extend,
    Pause,
    Retry,
    Stop,
    StopTrial,
    answer,
    pending,
)

if TYPE_CHECKING:
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.trial_record import TrialRecord


def carry_out_pending(ledger: Ledger) -> None:
    """Carry out, without a driver, what was asked and not answered yet."""
    for asked in pending(ledger):
        try:
            text = carry_out(ledger, asked)
        except (RequestError, NotFoundError) as error:
            answer(ledger, asked, Answer(str(error), refused=True))
        else:
            if ledger.record.state == "complete" and ledger.has_more:
                ledger.note_sweep(state="stopped")
            answer(ledger, asked, Answer(text))


def carry_out(ledger: Ledger, asked: Asked) -> str:
    """Change the ledger as it was asked; says what was done.

    Raises:
        RequestError: it cannot be done, and why.
        NotFoundError: there is no such trial.
    """
    match asked.request:
        case Extend(trials=trials):
            return _extend(ledger, asked.id, trials)
        case Retry(numbers=numbers):
            return _retry(ledger, asked.id, numbers)
        case AddTrial() as wanted:
            return _add(ledger, asked.id, wanted)
        case StopTrial(number=number):
            stoppable(ledger, number)
            ledger.take(number)
            ledger.tell(number, "pruned", because=BY_HAND)
            return stopped(ledger, number)
        case Pause() if ledger.record.state != "complete":
            ledger.note_sweep(state="paused")
            return f"Nobody is running the sweep {ledger.name!r}; it is paused."
        case Stop() | Pause() | Cancel():
            return f"Nobody is running the sweep {ledger.name!r}."


def stoppable(ledger: Ledger, number: int) -> TrialRecord:
    """Return the trial, unless it has ended in another way than by this request.

    Raises:
        RequestError, NotFoundError: there is nothing to stop.
    """
    trial = find(ledger, number)
    if trial.is_finished and not trial.is_stopped_by_hand:
        raise RequestError(f"Trial {number} of {ledger.name!r} cannot be stopped: it is {trial.state}.")
    return trial


def stopped(ledger: Ledger, number: int) -> str:
    """Say that a trial was stopped by hand, and what it counts with."""
    kept = ledger.trial(number).kept
    counts = "" if kept is None else f" It counts with {ledger.settings.metric} {kept:.4g}, that of its best epoch."
    return f"Trial {number} of {ledger.name!r} is stopped.{counts}"


def find(ledger: Ledger, number: int) -> TrialRecord:
    """Return a trial of the sweep.

    Raises:
        NotFoundError: it has none of this number, and which it has.
    """
    trials = ledger.trials()
    if number < len(trials):
        return trials[number]
    known = f"its trials are 0 to {len(trials) - 1}" if trials else "it has none yet"
    raise NotFoundError(f"The sweep {ledger.name!r} has no trial {number}; {known}.")


def check_continues(ledger: Ledger, number: int, epochs: int) -> TrialRecord:
    """Return the trial that is to be trained on to `epochs` epochs.

    Raises:
        RequestError, NotFoundError: it cannot be.
    """
    trial = find(ledger, number)
    if trial.state == "failed":
        raise RequestError(f"Trial {number} of {ledger.name!r} failed; try it again with `sweeps retry`.")
    if not trial.is_finished:
        raise RequestError(f"Trial {number} of {ledger.name!r} is {trial.state}; only a finished trial can train on.")
    if trial.run_id is None:
        raise RequestError(f"Trial {number} of {ledger.name!r} never began, so there is nothing to train on from.")
    return trial


def _extend(ledger: Ledger, request: str, trials: int) -> str:
    left = ledger.grid_points_left
    if left is not None and left < trials and not ledger.is_extended_by(request):
        more = f"only {left} more" if left else "no more"
        raise RequestError(f"The grid of {ledger.name!r} has {more} points, but {trials} more trials were asked for.")
    ledger.extend(request, trials)
    return f"{_more(trials)}: {ledger.name!r} is to end with {_trials(ledger.trials_asked)}."


def _retry(ledger: Ledger, request: str, numbers: Sequence[int]) -> str:
    trials = ledger.trials()
    chosen = [check_retry(ledger, number, request) for number in numbers] or [
        trial for trial in trials if trial.state == "failed" and not _retries(trials, trial.number, request)
    ]
    if not chosen and not any(trial.request == request for trial in trials):
        raise RequestError(f"The sweep {ledger.name!r} has no failed trial that was not tried again.")
    for trial in chosen:
        ledger.add(
            trial.drawn,
            request=request,
            retry_of=trial.number,
            to_the_end=trial.to_the_end,
            continues=trial.continues,
            epochs=trial.epochs,
        )
    pairs = [f"{t.retry_of} as {t.number}" for t in ledger.trials() if t.request == request]
    return f"Trial{'s' * (len(pairs) > 1)} to be tried again: {', '.join(pairs)}."


def check_retry(ledger: Ledger, number: int, request: str = "") -> TrialRecord:
    """Return a failed trial that is to be tried again.

    Raises:
        RequestError, NotFoundError: it did not fail, or was tried again and that did not fail.
    """
    trial = find(ledger, number)
    if trial.state != "failed":
        raise RequestError(f"Trial {number} of {ledger.name!r} is {trial.state}; only a failed trial can be retried.")
    for other in _retries(ledger.trials(), number, request):
        if other.state != "failed":
            raise RequestError(
                f"Trial {number} of {ledger.name!r} is tried again already: trial {other.number} is {other.state}."
            )
    return trial


def _retries(trials: Sequence[TrialRecord], number: int, request: str) -> list[TrialRecord]:
    """List the retries of a trial, but for those that this request has added."""
    return [trial for trial in trials if trial.retry_of == number and trial.request != request]


def _add(ledger: Ledger, request: str, wanted: AddTrial) -> str:
    if wanted.continues is not None:
        check_continues(ledger, wanted.continues, wanted.epochs or 0)
    number = ledger.add(
        wanted.params,
        request=request,
        to_the_end=not wanted.may_prune,
        continues=wanted.continues,
        epochs=wanted.epochs,
    )
    return f"Trial {number} is added: {ledger.name!r} is to end with {_trials(ledger.trials_asked)}."


def _more(trials: int) -> str:
    return f"{trials} more trial{'s' * (trials != 1)}"


def _trials(trials: int) -> str:
    return f"{trials} trial{'s' * (trials != 1)}"
