"""Sweeps of LoRA fine-tunes: the spec, the ledger, Ray Tune, workers and the command line.

Optuna steers through one ledger, MLflow keeps, Ray computes and holds nothing that matters. For programs and notebooks
there is `sweeps.api`, whose names are also here; nothing is imported before one of them is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.api import LoadedChampion, load_champion

__all__ = ["LoadedChampion", "load_champion"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sweeps import api

    return getattr(api, name)
