"""Runs, adapters as MLflow models, promotion and rollback: all that Gemma Sweeps knows of MLflow.

pages    what a person sees there       models   candidates, champions, promotion
runs     what a sweep writes            store    reaching MLflow

Nothing is imported before one of these names is asked for: the command line needs a file of credentials alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapter_registry.runs.memory_tracker import MemoryTracker
    from adapter_registry.runs.mlflow_tracker import MlflowTracker
    from adapter_registry.runs.tracking import Dataset, State, Tracker, TrialRun
    from adapter_registry.store.connection import check_tracking

__all__ = ["Dataset", "MemoryTracker", "MlflowTracker", "State", "Tracker", "TrialRun", "check_tracking"]

_FROM = {"MemoryTracker": "runs.memory_tracker", "MlflowTracker": "runs.mlflow_tracker"}
_FROM |= {"check_tracking": "store.connection"}
_FROM |= dict.fromkeys(("Dataset", "State", "Tracker", "TrialRun"), "runs.tracking")


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
