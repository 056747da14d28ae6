"""Parameters of a trial as they are typed: read, changed, and checked before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces import DocumentError, Mistake
from search_spaces.distributions import Constant
from search_spaces.graph import order
from search_spaces.wording import show
from search_spaces.yaml_text import read_yaml
from sweeps.errors import RequestError, SpecError
from trainer.config import PARAMETER_NAMES, check_parameter

if TYPE_CHECKING:
    from sweeps.ledger.trial_record import TrialRecord
    from sweeps.spec import SweepSpec


def read_params(texts: Sequence[str], option: str) -> dict[str, Any]:
    """Read `key=value` texts, values as in YAML; the last one of a key wins.

    Raises:
        SpecError: naming each that cannot be read.
    """
    params: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        try:
            if not (key and equals):
                raise SpecError.at(option, f"must be written key=value, but got {show(text)}.")
            params[key] = read_yaml(value, source=f"the value of {key}")
        except (SpecError, DocumentError) as error:
            mistakes += error.mistakes
    if mistakes:
        raise SpecError(mistakes)
    return params


def check_params(spec: SweepSpec, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as the ledger holds them: written as the space does, and without its constants.

    Raises:
        SearchSpaceError: naming each parameter that is unknown, outside, or that the others exclude.
        ConfigError: one that the trainer refuses.
    """
    checked = spec.search.space.check(params)
    for name in checked.keys() & set(PARAMETER_NAMES):
        check_parameter(name, checked[name])
    return {name: value for name, value in checked.items() if name in spec.search.space.varied}


def changed_params(spec: SweepSpec, params: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Put changes into a trial's parameters; those that exist no more because of them are left out."""
    space = spec.search.space.parameters
    known = {name: each.value for name, each in space.items() if isinstance(each, Constant)}
    changed = {name: value for name, value in changes.items() if name not in space}
    for name in order(space):
        exists = all(condition.holds(known | changed) for condition in space[name].conditions)
        if name in changes:
            changed[name] = changes[name]
        elif name in params and exists:
            changed[name] = params[name]
    return changed


def check_epochs(spec: SweepSpec, trial: TrialRecord, epochs: int) -> None:
    """Check that a trial can be trained on to so many epochs, of which the space need not know.

    Raises:
        RequestError: it has trained as long already.
        ConfigError: the trainer refuses so many.
    """
    config = trial.config(spec.trial_config)
    dataclasses.replace(config, epochs=epochs)
    if epochs < config.epochs or (epochs == config.epochs and trial.state == "complete"):
        raise RequestError(
            f"--epochs must be more than the {config.epochs} that trial {trial.number} has, but got {epochs}."
        )
