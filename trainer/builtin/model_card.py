"""The card of the built-in model: where it comes from and what was measured, nothing else."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARD = "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """What a run was asked for and what it measured; losses are natural logarithms per token."""

    steps: int
    seed: int
    tokens: int
    parameters: int
    vocabulary_size: int
    vocabulary_digest: str
    text_digest: str
    training_loss: float
    held_out_loss: float


def digest_of(texts: Iterable[str]) -> str:
    """SHA-256 over texts, in hexadecimal."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def write_card(folder: Path, run: Pretraining, architecture: Mapping[str, Any]) -> None:
    """Write the card beside the model."""
    shape = "\n".join(f"| {name} | {value} |" for name, value in architecture.items())
    text = f"""# The built-in model

A small Gemma 2 ({run.parameters:,} parameters) for quickstarts and tests: it answers nothing well, but it is a
Gemma 2 in every part, and fine-tuning visibly changes it. It is a KerasHub preset folder:

```python
keras_hub.models.GemmaCausalLM.from_preset("trainer/base/builtin")
```

Made by `python -m trainer.builtin.pretrain OUT_DIR --steps {run.steps} --seed {run.seed}` from random weights; trained
on text that `trainer.builtin.everyday` writes and on nothing else; the weights are rounded to bfloat16.
Another machine's arithmetic differs in the last bits, and so do its weights; text and vocabulary are the same anywhere.

| measured | |
|---|---|
| tokens trained on | {run.tokens:,} |
| loss per token, last training steps | {run.training_loss:.4f} |
| loss per token, held-out everyday text | {run.held_out_loss:.4f} |
| the same of a uniform guess | {math.log(run.vocabulary_size):.4f} |
| SHA-256 of the vocabulary | `{run.vocabulary_digest}` |
| SHA-256 of the first 1,000 training samples | `{run.text_digest}` |

| shape | |
|---|---|
{shape}
"""
    (folder / CARD).write_text(text, encoding="utf-8")
