"""Finds champions, and says what is to be done where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapter_registry.models.champions import Champion
    from sweeps.home import Home


def reach_champion(home: Home, model: str | None) -> Champion:
    """Return a model's champion, or the newest one of all; quickly, and without making a store where there is none.

    Raises:
        NotFoundError: there is none.
        RegistryError: MLflow does not answer.
    """
    reach_tracking(home)
    return find_champion(home, model)


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
    from sweeps.errors import SweepsError
    from sweeps.ledger.ledger import Ledger
    from sweeps.opening import has_ledger, is_driven, standing

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


def model_of(home: Home, sweep: str) -> str:
    """Return the registered model that a sweep promotes to."""
    from sweeps.opening import open_ledger

    return open_ledger(home, sweep).outline.model or sweep
