"""Trains the built-in model's SentencePiece vocabulary on the everyday text and the corpus.

    python -m trainer.builtin.vocabulary OUT_FILE

As in Gemma: ids 0..3 are <pad>, <eos>, <bos>, <unk>; the turn marks and the newline are pieces of their own; no
space is put before a text and nothing is normalised; what has no piece is spelled in bytes, so any text can be.
"""

from __future__ import annotations

import argparse
import io
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.builtin.corpus import dialogue_records
from trainer.builtin.everyday import everyday_samples

VOCABULARY_SIZE = 3000
EVERYDAY_SAMPLES = 4_000
MARKS = ("<start_of_turn>", "<end_of_turn>", "\n")


def training_text() -> Iterator[str]:
    """Every line that the vocabulary is trained on."""
    for sample in everyday_samples(EVERYDAY_SAMPLES, seed="vocabulary", spelling=False):
        yield from _lines(sample)
    for record in dialogue_records("train"):
        yield from (text.strip() for text in record["talk"]["content"].values() if text)


def _lines(sample: str) -> Iterator[str]:
    for line in sample.split("\n"):
        text = line.removeprefix("<start_of_turn>").removesuffix("<end_of_turn>")
        if text:
            yield text


def train_vocabulary() -> bytes:
    """The serialised SentencePiece model; always the same bytes."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=training_text(),
        model_writer=model,
        vocab_size=VOCABULARY_SIZE,
        model_type="bpe",
        num_threads=1,  # the order of ties must not depend on threads
        byte_fallback=True,
        character_coverage=1.0,
        required_chars=string.ascii_letters + string.digits + string.punctuation,
        user_defined_symbols=list(MARKS),
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        split_digits=True,
        minloglevel=2,
        **_RESERVED,
    )
    return model.getvalue()


_RESERVED: dict[str, Any] = {
    **{"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3},
    **{"pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>", "unk_piece": "<unk>"},
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m trainer.builtin.vocabulary", description="Train the vocabulary.")
    parser.add_argument("file", type=Path, metavar="OUT_FILE")
    path: Path = parser.parse_args().file
    path.write_bytes(train_vocabulary())
    print(path)


if __name__ == "__main__":
    main()
