"""LoRA on KerasHub's layers: where adapters sit, how they are trained, and the files that hold them.

sites        places for adapters, first values, the product `s·(xA)B`
optimizer    AdamW with a count, moments and a schedule for each slot
files        `.lora.h5` and its card, as stock KerasHub reads them
checkpoint   a trial in mid-training, as bytes; npz: arrays without pickle
"""

from trainer.lora.sites import (
    TARGET_LAYERS,
    Adapter,
    Dropout,
    Factors,
    Site,
    applied,
    cut,
    dropouts,
    find_sites,
    first_values,
    of_one,
    of_slots,
    pad,
    select_sites,
)

__all__ = [
    "TARGET_LAYERS",
    "Adapter",
    "Dropout",
    "Factors",
    "Site",
    "applied",
    "cut",
    "dropouts",
    "find_sites",
    "first_values",
    "of_one",
    "of_slots",
    "pad",
    "select_sites",
]
