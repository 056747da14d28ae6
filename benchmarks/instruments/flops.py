"""Floating-point operations of training an adapter, from shapes, and the peak rates of accelerators.

Per token, with a frozen base, the model needs

    4·P    every base matmul forward (2·P) and backward to its inputs (2·P); P counts the kernels of all blocks and,
           once, the tied embedding, whose output matmul is done where there is loss
    6·L    every LoRA matmul forward, backward to its inputs and backward to its weights (2·L each); L counts
           multiplications per token: A and B of every head of query, key and value, although the heads share B

The attention scores (1.5% at 256 tokens), norms and the optimiser are left out, and so is everything that is computed
twice or for padding: the rate is that of useful work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from trainer.base.shapes import BaseShape
from trainer.config import Targets

# Dense bf16 tensor-core peaks without sparsity, in TFLOP/s, from the makers' data sheets; T4, P100 and V100 have no
# bf16: their float16 rates. The first name that a device's kind contains counts.
PEAK_TFLOPS: Mapping[str, float] = {
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "H200": 989,
    "B200": 2250,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "V100": 125,
    "T4": 65,
    "P100": 18.7,
}


def flops_per_token(shape: BaseShape, targets: Targets, rank: float) -> float:
    """Operations per trained token; `rank` may be the mean of several trials.

    Every token is taken to have a loss: that of a dialogue whose prompt is masked needs less.
    """
    kernels = shape.layers * sum(math.prod(kernel) for kernel in shape.kernels("all_linear").values())
    return 4 * (kernels + shape.vocabulary_size * shape.hidden_dim) + 6 * rank * _per_rank(shape, targets)


def _per_rank(shape: BaseShape, targets: Targets) -> int:
    """Multiplications of all LoRA products per token and rank."""
    count = 0
    for target, kernel in shape.kernels(targets).items():
        heads = kernel[0] if target in ("query", "key", "value") else 1
        count += math.prod(kernel[:-1]) + heads * kernel[-1]
    return shape.layers * count


def peak_tflops(device_kind: str) -> float | None:
    """Peak rate of a device by its kind, as JAX names it; None where it is not known."""
    return next((peak for name, peak in PEAK_TFLOPS.items() if name in device_kind), None)
