"""Says when a trial that is asked for would train again, step by step, what another one has trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.errors import SearchSpaceError
from sweeps.cli.shared.program import program
from trainer.errors import TrainerError

if TYPE_CHECKING:
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.trial_record import TrialRecord
    from sweeps.spec import SweepSpec
    from trainer.config import TrialConfig


def what_is_repeated(ledger: Ledger, spec: SweepSpec, params: Mapping[str, Any], epochs: int | None) -> str:
    """Say which trial has trained the same before, and how to go on from there; '' where none has.

    Args:
        ledger: of the sweep, before the trial is added.
        spec: of the sweep.
        params: of the trial, as they are drawn; where some are left to the sampler, nothing is known.
        epochs: that it trains whatever is drawn; None: as drawn.
    """
    from sweeps.ledger.trial_record import TrialRecord

    asked = TrialRecord(number=-1, state="waiting", params=params, evaluations={}, drawn=params, epochs=epochs)
    config = _config(spec, asked)
    same = [(_config(spec, trial), trial) for trial in ledger.trials() if _has_trained(trial)]
    before = [(known, trial) for known, trial in same if known and config and _begins_alike(known, config)]
    if config is None or not before:
        return ""
    known, trial = max(before, key=lambda pair: (_trained(pair[1]), pair[0].epochs, -pair[1].number))
    return _sentence(ledger, spec, trial, known, config)


def _sentence(ledger: Ledger, spec: SweepSpec, trial: TrialRecord, known: TrialConfig, config: TrialConfig) -> str:
    if trial.state == "complete" and known.epochs == config.epochs:
        return f"Trial {trial.number} has the same parameters: this one ends with the same loss."
    whole = _trained(trial) // spec.training.evaluations_per_epoch
    done = {0: "Its beginning is that", 1: "Its first epoch is that"}.get(whole, f"Its first {whole} epochs are those")
    command = f"{program()} trial continue {ledger.name} {trial.number} --epochs {config.epochs}"
    return f"{done} of trial {trial.number}, to the same loss. Only what is missing is trained by `{command}`."


def _has_trained(trial: TrialRecord) -> bool:
    """Tell whether a trial can be trained on: as `check_continues` wants it."""
    return trial.state in {"complete", "pruned"} and trial.run_id is not None and bool(trial.evaluations)


def _begins_alike(known: TrialConfig, config: TrialConfig) -> bool:
    """Tell whether a trial's steps are the first ones of another that trains as long or longer.

    A rate that falls, or that rises over a part of all steps, depends on how many these are.
    """
    as_long = known.epochs == config.epochs
    longer = known.epochs < config.epochs and known.schedule == "constant" and not known.warmup_fraction
    return (as_long or longer) and dataclasses.replace(known, epochs=config.epochs) == config


def _trained(trial: TrialRecord) -> int:
    return max(trial.evaluations)


def _config(spec: SweepSpec, trial: TrialRecord) -> TrialConfig | None:
    try:
        return trial.config(spec.trial_config)
    except (SearchSpaceError, TrainerError):
        return None
