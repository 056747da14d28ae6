"""What the peers share: a plan's tokens, and its trials as `fit` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.spec import SweepSpec
    from trainer.config import TrialConfig
    from trainer.dialogues.tokens import TokenSet


def read_tokens(spec: SweepSpec) -> tuple[TokenSet, TokenSet]:
    """Read and tokenize a plan's training and validation set."""
    from sweeps.datasets import read_data, tokenize_data
    from trainer.base.names import read_vocabulary
    from trainer.base.tokenizer import Tokenizer

    vocabulary = read_vocabulary(spec.base.model)
    if vocabulary is None:
        raise ValueError(f"The base model of a plan must be a local one, but got {spec.base.model!r}.")
    train, validation = tokenize_data(read_data(spec), Tokenizer(vocabulary), spec)
    return train, validation["val"]


def fit_options(spec: SweepSpec, config: TrialConfig) -> dict[str, Any]:
    """Return a trial's configuration as `KerasFit` takes it.

    Raises:
        ValueError: the plan asks for what `fit` would need more code for.
    """
    if config.schedule != "constant" or config.warmup_fraction or config.lora_scale != 1 or config.dropout:
        raise ValueError("A plan for the peers must have a constant schedule, no warm-up, no dropout and scale 1.")
    return {
        "rank": config.rank,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "targets": config.targets,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "pad_to": spec.data.max_tokens,
    }
