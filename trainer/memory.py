"""What a pack needs in memory, estimated from shapes, to choose how many slots an accelerator holds."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config import Targets
from trainer.shapes import BYTES, BaseShape

MAX_SLOTS_CPU = 8
MAX_SLOTS_ACCELERATOR = 16
SHARE_OF_MEMORY = 0.85
LOGITS_BYTES = 2**30  # a few copies of a chunk of logits: see trainer.loss


@dataclass(frozen=True)
class PackNeeds:
    """What decides the memory of a pack.

    shape              of the base model
    dtype              of its weights and activations
    rank, targets      of the pack
    batch_size         dialogues per step of a slot
    tokens             of the longest bucket
    """

    shape: BaseShape
    dtype: str
    rank: int
    targets: Targets
    batch_size: int
    tokens: int

    def bytes(self, *, slots: int) -> int:
        """Estimate the peak memory of a pack.

        It holds the base model, the adapters with their moments and gradients, the activations that the backward
        pass keeps, and a chunk of logits.
        """
        shape, width = self.shape, BYTES[self.dtype]
        adapters = 4 * 4 * shape.adapter_parameters(self.targets, self.rank)
        # Per token and block: what goes in and out of norms and projections, the two gates, the attention weights.
        kept = 6 * shape.hidden_dim + 2 * (shape.heads + shape.kv_heads) * shape.head_dim + 4 * shape.ffn_dim
        attention = 3 * shape.heads * self.tokens
        activations = shape.layers * self.batch_size * self.tokens * (kept + attention) * width
        return width * shape.parameters + slots * (adapters + activations) + LOGITS_BYTES

    def slots_that_fit(self, available_bytes: int, *, most: int) -> int:
        """The largest number of slots, at most `most`, whose pack fits; 0 when not even one does."""
        fitting = (n for n in range(most, 0, -1) if self.bytes(slots=n) <= SHARE_OF_MEMORY * available_bytes)
        return next(fitting, 0)
