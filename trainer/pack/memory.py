"""What a pack needs in memory, estimated from shapes, and how it is laid out so that it fits.

What a block keeps on a CPU was fitted to what XLA plans for 73 random shapes (1 to 5 layers, float32 and bfloat16; the
sum is off by at most 13%); what programs and their compiler take there, to the peaks of 14 packs on models of 2 to 26
layers (the estimate is off by at most 11%). For accelerators it was counted from what JAX keeps for the backward pass:
XLA, which fuses some of it, keeps less. `tests/trainer/pack/test_memory.py` compares the estimate with measured peaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.base.shapes import BYTES, BaseShape
from trainer.config import Targets
from trainer.pack.sizes import TOKENS_PER_PASS, Backend, chunk_size, evaluation_rows, slots_per_pass

MAX_SLOTS: dict[Backend, int] = {"cpu": 8, "accelerator": 16}  # of a chip; more gain nothing
SHARE_OF_MEMORY = 0.85
MB = 10**6
PROCESS_BYTES_CPU = 600 * MB  # JAX and Keras; 50 MB less in a bare process, 100 MB more in Ray's with the data read


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a pack lies in memory.

    slots            that train together
    tokens_per_pass  slots go through the base together up to so many tokens; more go one pass after the other
    remat            blocks are computed again in the backward pass instead of keeping what they computed
    """

    slots: int
    tokens_per_pass: int
    remat: bool = False


@dataclass(frozen=True, kw_only=True)
class PackNeeds:
    """What decides the memory of a pack on one chip.

    backend            where it computes
    shape              of the base model
    dtype              of its weights and activations
    rank, targets      of the pack
    steps              dialogues and tokens per dialogue of each shape of training step that a slot may take
    evaluated          tokens of the longest dialogue that is evaluated
    data_bytes         of all token sets on the chip
    dropout            whether trials may use it
    chips_per_base     chips that share the base model
    """

    backend: Backend
    shape: BaseShape
    dtype: str
    rank: int
    targets: Targets
    steps: tuple[tuple[int, int], ...]
    evaluated: int
    data_bytes: int = 0
    dropout: bool = False
    chips_per_base: int = 1

    def bytes(self, layout: Layout) -> int:
        """Estimate the peak memory: of a chip, or on a CPU of the whole process, which has all programs to compile."""
        values = self._adapter() * layout.slots
        always = self._base() + self.data_bytes + 3 * values  # with two moments
        training = values + max(self._training(layout, *step) for step in self.steps)  # with gradients
        evaluation = values + self._evaluation(layout)  # of copies
        if self.backend == "accelerator":
            return always + max(training, evaluation)
        # The last program is compiled when the others are there. What training keeps is in pieces by the time of an
        # evaluation, too small for it.
        compiling = self._programs(len(self.steps) - 1) + self._compiling(layout)
        running = self._programs(len(self.steps)) + training + evaluation
        return PROCESS_BYTES_CPU + always + max(compiling, running)

    def layout(self, slots: int, available_bytes: int) -> Layout:
        """The fastest layout of so many slots that fits; where none does, the one that needs the least."""
        layouts = self._layouts(slots)
        return next((each for each in layouts if self._fits(each, available_bytes)), layouts[-1])

    def slots_that_fit(self, available_bytes: int, *, most: int) -> int:
        """The largest number of slots, at most `most`, that some layout has room for; 0 when there is not even one."""
        fitting = (n for n in range(most, 0, -1) if self._fits(self.layout(n, available_bytes), available_bytes))
        return next(fitting, 0)

    def _fits(self, layout: Layout, available_bytes: int) -> bool:
        return self.bytes(layout) <= SHARE_OF_MEMORY * available_bytes

    def _layouts(self, slots: int) -> Sequence[Layout]:
        """The fastest first. On a CPU, XLA does not save memory by computing blocks again."""
        most = TOKENS_PER_PASS[self.backend]
        passes = (most, most // 2, most // 4)
        again = (False,) if self.backend == "cpu" else (False, True)
        ways = [(tokens, remat) for remat in again for tokens in passes] + [(1, again[-1])]
        return [Layout(slots=slots, tokens_per_pass=tokens, remat=remat) for tokens, remat in ways]

    def _base(self) -> int:
        width = BYTES[self.dtype]
        weights = width * self.shape.parameters
        if self.backend == "cpu" and width == 2:  # XLA computes in float32 there, and keeps most matrices so
            weights += 3 * self.shape.block_parameters * self.shape.layers
        return weights // self.chips_per_base

    def _adapter(self) -> int:
        """Of one adapter, which is float32 whatever the base model is."""
        return 4 * self.shape.adapter_parameters(self.targets, self.rank)

    def _programs(self, shapes: int) -> int:
        """Of compiled programs on a CPU: that of evaluation, and those for so many shapes of training step."""
        matrices = len(self.shape.kernels(self.targets))
        return round(MB * (40 + self.shape.layers * (1.4 * matrices + (8 + matrices) * shapes)))

    def _compiling(self, layout: Layout) -> int:
        """Of compiling a training step on a CPU, given back before the step runs."""
        matrices = len(self.shape.kernels(self.targets))
        in_passes = any(self._together(layout, *step) < layout.slots for step in self.steps)
        return MB * (160 + self.shape.layers * (16 + 2 * matrices) + 60 * in_passes)

    def _together(self, layout: Layout, batch_size: int, length: int) -> int:
        """Slots in a pass of a training step."""
        return slots_per_pass(layout.slots, batch_size * length, layout.tokens_per_pass)

    def _training(self, layout: Layout, batch_size: int, length: int) -> int:
        """Of a step, its gradients left out; a short one can need more than a long one: more slots share its passes."""
        together = self._together(layout, batch_size, length)
        tokens = together * batch_size * length
        # The slots of one of several passes are copied, and its gradients exist beside those of all.
        copied = 2 * self._adapter() * together if together < layout.slots else 0
        block = self._kept_per_token(length)
        width = 4 if self.backend == "cpu" else BYTES[self.dtype]
        kept = block + self.shape.layers * self.shape.hidden_dim * width if layout.remat else self.shape.layers * block
        return int(tokens * kept) + self._logits(tokens) + copied

    def _kept_per_token(self, length: int) -> float:
        """Bytes that one block keeps for the backward pass, for each token of a dialogue of so many."""
        s = self.shape
        attention, weights = (s.heads + s.kv_heads) * s.head_dim, s.heads * length
        widest = self.targets == "all_linear"
        dropped = (2 * s.hidden_dim if self.targets == "attention_qv" else 3 * s.hidden_dim + s.heads * s.head_dim) + (
            widest * (2 * s.hidden_dim + s.ffn_dim)
        )
        if self.backend == "cpu":
            products = 1.03 * BYTES[self.dtype] * widest * s.ffn_dim
            values = 13.1 * s.hidden_dim + 2.7 * s.ffn_dim + 2.65 * attention + 2.3 * weights
            return 4 * (values + products + 1.75 * self.dropout * dropped)
        values = (9 + widest) * s.hidden_dim + (7 + widest) * s.ffn_dim + 2 * attention + self.dropout * dropped
        return BYTES[self.dtype] * values + 4 * 6 * weights  # softmax is computed in float32

    def _evaluation(self, layout: Layout) -> int:
        """A forward pass keeps one block's work only."""
        tokens = self.evaluated * evaluation_rows(self.evaluated, layout.tokens_per_pass)
        return int(tokens * self._kept_per_token(self.evaluated)) + self._logits(tokens)

    def _logits(self, tokens: int) -> int:
        """Two copies of a chunk: see `trainer.pack.loss`."""
        vocabulary = self.shape.vocabulary_size
        return 2 * 4 * vocabulary * min(tokens, chunk_size(tokens, vocabulary, self.backend))
