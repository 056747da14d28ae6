"""The same trials for every arm of a comparison: a spec, with configurations drawn once from its search space.

A plan is a `SweepSpec` whose trials are all enqueued. Its YAML is what a user gives to `sweeps launch`, and what the
other arms read their trials, data and training settings from.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search_spaces import SearchSpace
    from sweeps.spec import SweepSpec
    from trainer.config import TrialConfig

DRAW_SEED = 20_240
LARGEST_SEED = 2**31 - 1


def quickstart(
    name: str,
    *,
    trials: int,
    dialogues: int,
    evaluations_per_epoch: int = 1,
    slots: int = 8,
    epochs: int | None = None,
    pruned: bool = False,
) -> SweepSpec:
    """Return the quickstart example with its trials drawn beforehand, each with a seed of its own.

    Its learning rates stay constant, as in the notebook, and its trials answer no prompts.

    Args:
        name: of the sweep.
        trials: how many.
        dialogues: of the training set.
        evaluations_per_epoch: of every trial.
        slots: of the one worker.
        epochs: of every trial; None: drawn, as the space says.
        pruned: whether the default pruner may stop trials.
    """
    from sweeps.spec import load_spec, parse_spec

    raw: dict[str, Any] = load_spec("quickstart").to_mapping()
    raw["name"] = name
    raw["data"]["select"]["limit"] = dialogues
    raw["search"]["space"] |= {"seed": {"type": "int", "low": 0, "high": LARGEST_SEED}}
    if epochs is not None:
        raw["search"]["space"]["epochs"] = epochs
    raw["search"]["trials"] = trials
    # What is enqueued trains to its end, unless the pruner is told that these are the search's own trials.
    raw["search"]["pruner"] = raw["search"]["pruner"] | {"enqueued": True} if pruned else {"kind": "none"}
    # `fit` bakes a schedule's numbers into the compiled step: every trial of a peer would be compiled anew.
    raw["training"] = {key: raw["training"][key] for key in ("targets", "batch_size")}
    raw["training"]["evaluations_per_epoch"] = evaluations_per_epoch
    raw["compute"]["slots"] = slots
    raw["samples"] = {}
    spec = parse_spec(raw)
    raw["search"]["enqueue"] = draw(spec.search.space, trials)
    return parse_spec(raw)


def draw(space: SearchSpace, trials: int) -> list[dict[str, Any]]:
    """Draw configurations at random, the same ones each time; without constants, as the ledger holds them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=DRAW_SEED))
    drawn = (space.sample(study.ask()) for _ in range(trials))
    return [{name: params[name] for name in space.varied if name in params} for params in drawn]


def configs(spec: SweepSpec) -> list[TrialConfig]:
    """Return the configuration of every trial of a plan, by number."""
    return [spec.trial_config(params) for params in spec.search.enqueue]


def read_plan(path: Path) -> SweepSpec:
    """Read what `write_plan` wrote."""
    from sweeps.spec import read_spec

    return read_spec(path.read_text())


def write_plan(spec: SweepSpec, path: Path) -> Path:
    """Write a plan as the YAML that a user would launch; the path."""
    path.write_text(spec.to_yaml())
    return path
