"""Names of validation metrics. Light: specs are checked against them without importing JAX."""

PRIMARY = "val"  # in metrics, the first validation set, whatever its own name
QUANTITIES = ("loss", "perplexity", "accuracy", "bits_per_byte")


def metric_name(set_name: str, quantity: str) -> str:
    """Name of a validation metric: `val_loss` for the first set, `val_<name>_loss` for any other."""
    return f"{PRIMARY}_{quantity}" if set_name == PRIMARY else f"{PRIMARY}_{set_name}_{quantity}"
