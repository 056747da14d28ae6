"""Names of validation metrics, and which way each is better."""

from __future__ import annotations

from collections.abc import Iterable

from sweeps.settings import Direction
from trainer.metrics import PRIMARY, QUANTITIES, metric_name


def metric_names(sets: Iterable[str]) -> tuple[str, ...]:
    """Name the metrics of validation sets in their order: `val_loss`, …, then `val_chat_loss`, … for a set `chat`."""
    names = [PRIMARY if i == 0 else name for i, name in enumerate(sets)]
    return tuple(metric_name(name, quantity) for name in names for quantity in QUANTITIES)


def direction_of(metric: str) -> Direction:
    """Return `maximize` for an accuracy, `minimize` for anything else."""
    return "maximize" if metric.endswith("accuracy") else "minimize"
