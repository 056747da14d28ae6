"""Runs, adapters as MLflow models, promotion and rollback: all that Gemma Sweeps knows of MLflow."""

from adapter_registry.connection import check_tracking
from adapter_registry.memory_tracker import MemoryTracker
from adapter_registry.mlflow_tracker import MlflowTracker
from adapter_registry.tracking import Dataset, State, Tracker, TrialRun

__all__ = ["Dataset", "MemoryTracker", "MlflowTracker", "State", "Tracker", "TrialRun", "check_tracking"]
