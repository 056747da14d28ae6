"""How much is computed at once: what decides both speed and memory, known without JAX."""

from __future__ import annotations

from typing import Literal

Backend = Literal["cpu", "accelerator"]

# An accelerator's matmuls are as fast as they get at some thousand tokens. A CPU wants activations that stay in its
# caches: from a thousand tokens its matmuls gain nothing, and everything between them slows down.
TOKENS_PER_PASS: dict[Backend, int] = {"cpu": 1024, "accelerator": 4096}
CHUNK_BYTES: dict[Backend, int] = {"cpu": 32 * 2**20, "accelerator": 512 * 2**20}
MOST_EVALUATION_ROWS = 32


def slots_per_pass(slots: int, tokens: int, tokens_per_pass: int) -> int:
    """How many slots share one pass through the base; a divisor of `slots`.

    Args:
        slots: in the call.
        tokens: of one slot's batch.
        tokens_per_pass: wanted at most; one slot may have more.
    """
    wanted = max(1, tokens_per_pass // tokens)
    return max(each for each in range(1, slots + 1) if slots % each == 0 and each <= wanted)


def evaluation_rows(longest: int, tokens_per_pass: int) -> int:
    """Dialogues in an evaluation batch, of which the longest has so many tokens."""
    return max(1, min(MOST_EVALUATION_ROWS, tokens_per_pass // longest))


def chunk_size(tokens: int, vocabulary_size: int, backend: Backend) -> int:
    """Tokens whose fp32 logits fit the chunk's memory; a power of two, at most `tokens` rounded up to one."""
    fitting = max(1, CHUNK_BYTES[backend] // (4 * vocabulary_size))
    return min(1 << (fitting.bit_length() - 1), 1 << max(0, tokens - 1).bit_length())
