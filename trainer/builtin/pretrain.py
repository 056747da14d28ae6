"""Pretrains the built-in model, a small Gemma 2 with every part of the architecture, on everyday text.

    python -m trainer.builtin.pretrain OUT_DIR [--steps N] [--seed S]

OUT_DIR becomes a KerasHub preset folder with a model card. All weights are trained, in float32, and rounded to
bfloat16 at the end, so that the model is the same one whichever type it is loaded in.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainer.builtin.everyday import everyday_samples
from trainer.builtin.model_card import Pretraining, digest_of, write_card
from trainer.builtin.vocabulary import train_vocabulary

STEPS = 6000
SEED = 0
BATCH = 8
LENGTH = 128  # tokens of a window; the corpus's dialogues have 120 on average
PEAK_RATE = 4e-3
WARMUP_STEPS = 200
WEIGHT_DECAY = 0.05
CLIP_NORM = 1.0
HELD_OUT_SAMPLES = 600

Tokens = np.ndarray[Any, np.dtype[np.int32]]


def windows(vocabulary: bytes, *, seed: str, samples: int) -> Iterator[Tokens]:
    """Rows (BATCH, LENGTH + 1) of everyday samples, each from <bos> to <eos>, end to end."""
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_proto=vocabulary)
    size = BATCH * (LENGTH + 1)
    rest: list[int] = []
    for text in everyday_samples(samples, seed=seed):
        rest += [pieces.bos_id(), *pieces.encode(text), pieces.eos_id()]
        if len(rest) >= size:
            yield np.asarray(rest[:size], np.int32).reshape(BATCH, LENGTH + 1)
            rest = rest[size:]


def pretrain(folder: Path, *, steps: int = STEPS, seed: int = SEED) -> Pretraining:
    """Train for `steps`, write the preset and its card into `folder`, and return what was measured."""
    from trainer.builtin import small_gemma

    vocabulary = train_vocabulary()
    model = small_gemma.build(vocabulary, seed=seed)
    losses = train(model, _training_windows(vocabulary, seed, steps), steps)
    small_gemma.save(model, folder)
    run = Pretraining(
        steps=steps,
        seed=seed,
        tokens=steps * BATCH * LENGTH,
        parameters=model.count_params(),
        vocabulary_size=small_gemma.ARCHITECTURE["vocabulary_size"],
        vocabulary_digest=hashlib.sha256(vocabulary).hexdigest(),
        text_digest=digest_of(everyday_samples(1000, seed=_training_seed(seed))),
        training_loss=float(np.mean(losses[-100:])),
        held_out_loss=held_out_loss(model, vocabulary),
    )
    write_card(folder, run, small_gemma.ARCHITECTURE)
    return run


def train(model: Any, stream: Iterator[Tokens], steps: int) -> list[float]:
    """Train all weights of `model`, round them to bfloat16, and return the loss of every step."""
    from trainer.builtin import small_gemma

    step, state = _compiled_step(model, steps)
    losses: list[float] = []
    started = time.perf_counter()
    for number in range(1, steps + 1):
        state, loss = step(state, next(stream))
        losses.append(float(loss))
        if number % 100 == 0 or number == steps:
            seconds = time.perf_counter() - started
            print(f"step {number} of {steps}: loss {np.mean(losses[-100:]):.4f}, {seconds:.0f} s", file=sys.stderr)
    small_gemma.set_rounded(model, state[0])
    return losses


def held_out_loss(model: Any, vocabulary: bytes) -> float:
    """Mean loss per token on everyday text of a seed that training does not use."""
    import jax

    from trainer.builtin import small_gemma

    loss = jax.jit(small_gemma.loss_function(model))
    weights = small_gemma.weights_of(model)
    stream = windows(vocabulary, seed="held out", samples=HELD_OUT_SAMPLES)
    return float(np.mean([loss(weights, tokens) for tokens in stream]))


def _training_seed(seed: int) -> str:
    return f"train {seed}"


def _training_windows(vocabulary: bytes, seed: int, steps: int) -> Iterator[Tokens]:
    # More than the steps can use: no sample fills a window, and they are made only when asked for.
    return windows(vocabulary, seed=_training_seed(seed), samples=steps * BATCH * LENGTH)


def _compiled_step(model: Any, steps: int) -> tuple[Callable[[Any, Tokens], tuple[Any, Any]], Any]:
    """One step of AdamW, and the state it begins with: the weights and the optimizer's variables."""
    import jax

    from trainer.builtin import small_gemma

    loss = small_gemma.loss_function(model)
    optimizer = small_gemma.optimizer(
        model, steps, peak=PEAK_RATE, warmup=min(WARMUP_STEPS, steps // 10), decay=WEIGHT_DECAY, clip=CLIP_NORM
    )

    def step(state: Any, tokens: Tokens) -> tuple[Any, Any]:
        weights, variables = state
        value, gradients = jax.value_and_grad(loss)(weights, tokens)
        return optimizer.stateless_apply(variables, gradients, weights), value

    state = small_gemma.weights_of(model), [variable.value for variable in optimizer.variables]
    return jax.jit(step, donate_argnums=0), state


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m trainer.builtin.pretrain", description="Pretrain the model.")
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    print(pretrain(arguments.folder, steps=arguments.steps, seed=arguments.seed))


if __name__ == "__main__":
    main()
