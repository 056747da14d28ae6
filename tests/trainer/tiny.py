"""A tiny random Gemma 2 with a vocabulary of its own, and random token sets for it."""

import io
from typing import Any

import numpy as np

from benchmarks.arms.models import random_backbone
from trainer.base.base import Dtype
from trainer.base.shapes import BaseShape
from trainer.dialogues.tokens import Example, TokenSet

VOCABULARY = 320
SHAPE = BaseShape(layers=2, hidden_dim=32, ffn_dim=48, heads=4, kv_heads=2, head_dim=8, vocabulary_size=VOCABULARY)


def make_proto() -> bytes:
    import sentencepiece

    letters = "가나다라마바사아자차카타파하 abcdefghijklmnopqrstuvwxyz"
    rng = np.random.default_rng(0)
    lines = ["".join(rng.choice(list(letters), 40)) for _ in range(200)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=VOCABULARY,
        byte_fallback=True,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        bos_piece="<bos>",
        eos_piece="<eos>",
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>"],
        add_dummy_prefix=False,
        minloglevel=2,
    )
    return model.getvalue()


def make_causal_lm(proto: bytes, dtype: Dtype = "float32", seed: int = 7) -> Any:
    """Equal models for equal seeds."""
    from trainer.machine.keras_backend import keras_hub

    backbone = random_backbone(SHAPE, dtype, seed=seed, sliding_window=8)
    tokenizer = keras_hub.models.GemmaTokenizer(proto=proto)
    preprocessor = keras_hub.models.GemmaCausalLMPreprocessor(tokenizer)
    return keras_hub.models.GemmaCausalLM(backbone=backbone, preprocessor=preprocessor)


def make_token_set(count: int, seed: int = 0, name: str = "val", lengths: tuple[int, ...] = (12,)) -> TokenSet:
    """Random examples of mixed lengths, whose second half is the target."""
    rng = np.random.default_rng(seed)
    examples = []
    for length in rng.choice(lengths, count):  # few buckets, so that little is compiled
        mask = np.arange(length) >= length // 2
        ids = rng.integers(10, VOCABULARY, length).astype(np.int32)
        examples.append(Example(token_ids=ids, loss_mask=mask, text_bytes=int(mask.sum()) * 3))
    return TokenSet(name=name, examples=tuple(examples), digest=f"{seed}-{count}", dropped={})
