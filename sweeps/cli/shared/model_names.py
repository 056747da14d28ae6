"""What `promote` and `generate` mean by a name: a trial, a model, a champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapter_registry.models.champions import Champion
    from sweeps.cli.shared.ledgers import Opened
    from sweeps.home import Home
    from sweeps.ledger.trial_record import TrialRecord


def choose_trial(opened: Opened, number: int | None) -> TrialRecord:
    """Return the trial of that number, or the best one.

    Raises:
        NotFoundError: there is none.
    """
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


def model_of(home: Home, sweep: str) -> str:
    """Return the registered model that a sweep promotes to."""
    from sweeps.cli.shared.ledgers import open_ledger

    return open_ledger(home, sweep).outline.model or sweep


def find_champion(home: Home, model: str | None) -> Champion:
    """Return a model's champion, or the newest one of all.

    Raises:
        NotFoundError: there is none.
    """
    from adapter_registry.models.champions import champions
    from search_spaces.wording import choices, did_you_mean
    from sweeps.errors import NotFoundError

    known = champions(home.tracking_uri)
    found = [version for version in known if model in {None, version.model}]
    if found:
        return found[0]
    names = [version.model for version in known]
    if not names:
        raise _nobody(home)
    to_come = _under_way(home, model)
    if to_come:
        raise NotFoundError(f"No model {model!r} has a champion yet. {to_come}")
    raise NotFoundError(
        f"No model {model!r} has a champion.{did_you_mean(model, names)} Choose from: {choices(names)}."
    )


def reach_tracking(home: Home) -> None:
    """Find out quickly that MLflow does not answer, and make no store where there is none."""
    from adapter_registry.store.connection import check_tracking
    from adapter_registry.store.environment import sqlite_path

    path = sqlite_path(home.tracking_uri)
    if path is not None and not path.exists():
        raise _nobody(home)
    check_tracking(home.tracking_uri)


def _nobody(home: Home) -> Exception:
    from sweeps.errors import NotFoundError
    from sweeps.home import redact

    fix = _under_way(home) or (
        "Run a sweep (`sweeps launch quickstart`), promote a trial (`sweeps promote NAME`), or set SWEEPS_HOME or "
        "MLFLOW_TRACKING_URI to where your champions are."
    )
    return NotFoundError(f"There is no champion in {redact(home.tracking_uri)} yet. {fix}")


def _under_way(home: Home, model: str | None = None) -> str:
    """Say which sweeps are about to have a champion, of this model or of any; '' where none is."""
    from sweeps.cli.shared.ledgers import has_ledger, is_driven, standing
    from sweeps.errors import SweepsError
    from sweeps.ledger.ledger import Ledger

    try:
        sweeps = Ledger.sweeps(home.ledger) if has_ledger(home) else []
        driven = [each for each in sweeps if is_driven(each)]
        driven = [each for each in driven if model is None or model == model_of(home, each.name)]
    except SweepsError:  # what was asked about is the registry, which has answered
        return ""
    return " ".join(
        f"The sweep {each.name!r} is {standing(each)}: ask again when it has ended"
        + ("." if standing(each) == "finishing" else f", or promote a trial of it (`sweeps promote {each.name}`).")
        for each in driven
    )
