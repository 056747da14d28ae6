"""Names of validation metrics, and which way each is better."""

from __future__ import annotations

from collections.abc import Iterable

from sweeps.settings import Direction

PRIMARY = "val"  # in metrics, the first validation set, whatever its own name
QUANTITIES = ("loss", "perplexity", "accuracy", "bits_per_byte")


def metric_names(sets: Iterable[str]) -> tuple[str, ...]:
    """Name the metrics of validation sets in their order: `val_loss`, …, then `val_chat_loss`, … for a set `chat`."""
    prefixes = [PRIMARY if i == 0 else f"{PRIMARY}_{name}" for i, name in enumerate(sets)]
    return tuple(f"{prefix}_{quantity}" for prefix in prefixes for quantity in QUANTITIES)


def direction_of(metric: str) -> Direction:
    """Return `maximize` for an accuracy, `minimize` for anything else."""
    return "maximize" if metric.endswith("accuracy") else "minimize"
