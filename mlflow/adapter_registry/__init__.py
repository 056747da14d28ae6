"""Runs, adapters as MLflow models, promotion and rollback: all that Gemma Sweeps knows of MLflow."""

from adapter_registry.runs.memory_tracker import MemoryTracker
from adapter_registry.runs.mlflow_tracker import MlflowTracker
from adapter_registry.runs.tracking import Dataset, State, Tracker, TrialRun
from adapter_registry.store.connection import check_tracking

__all__ = ["Dataset", "MemoryTracker", "MlflowTracker", "State", "Tracker", "TrialRun", "check_tracking"]
