"""How much is computed at once: what decides both speed and memory, known without JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Backend = Literal["cpu", "accelerator"]

# An accelerator's matmuls are as fast as they get at some thousand tokens. A CPU wants activations that stay in its
# caches: from a thousand tokens its matmuls gain nothing, and everything between them slows down.
TOKENS_PER_PASS: dict[Backend, int] = {"cpu": 1024, "accelerator": 4096}
CHUNK_BYTES: dict[Backend, int] = {"cpu": 32 * 2**20, "accelerator": 512 * 2**20}
MOST_EVALUATION_ROWS = 32


def backend() -> Backend:
    """Where JAX computes; the only one here that asks it."""
    import jax

    return "cpu" if jax.default_backend() == "cpu" else "accelerator"


def slots_per_pass(slots: int, tokens: int, tokens_per_pass: int) -> int:
    """How many slots share one pass through the base; the last pass of a call is filled with idle ones.

    Of the larger half of the numbers that fit, it is the one that leaves the fewest idle, and of those the largest.

    Args:
        slots: in the call.
        tokens: of one slot's batch.
        tokens_per_pass: wanted at most; one slot may have more.
    """
    wanted = min(slots, max(1, tokens_per_pass // tokens))
    return min(range(wanted, wanted // 2, -1), key=lambda each: -slots % each)


def rows_bytes(lengths: Sequence[int], targets: Sequence[int]) -> int:
    """Bytes of a token set on a device, padded to its longest dialogue: see `trainer.pack.data_on_device`.

    Args:
        lengths: tokens of each dialogue.
        targets: of each.
    """
    return 4 * len(lengths) * 2 * (max(lengths) + max(targets) + 1)


def evaluation_rows(longest: int, tokens_per_pass: int) -> int:
    """Dialogues in an evaluation batch, of which the longest has so many tokens."""
    return max(1, min(MOST_EVALUATION_ROWS, tokens_per_pass // longest))


def chunk_size(tokens: int, vocabulary_size: int, backend: Backend) -> int:
    """Tokens whose fp32 logits fit the chunk's memory; a power of two, at most `tokens` rounded up to one."""
    fitting = max(1, CHUNK_BYTES[backend] // (4 * vocabulary_size))
    return min(1 << (fitting.bit_length() - 1), 1 << max(0, tokens - 1).bit_length())
