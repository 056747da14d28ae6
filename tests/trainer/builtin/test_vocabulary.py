"""The vocabulary is Gemma's in kind, spells any text, and is made again byte by byte."""

from functools import cache

import pytest
import sentencepiece

from trainer.builtin.corpus import dialogue_records
from trainer.builtin.everyday import everyday_samples, in_template
from trainer.builtin.vocabulary import VOCABULARY_SIZE, train_vocabulary


@cache
def trained() -> bytes:
    return train_vocabulary()


@pytest.fixture
def vocabulary() -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=trained())


def test_training_again_gives_the_same_bytes() -> None:
    assert train_vocabulary() == trained()


def test_the_reserved_pieces_have_gemmas_ids(vocabulary: sentencepiece.SentencePieceProcessor) -> None:
    assert [vocabulary.id_to_piece(i) for i in range(4)] == ["<pad>", "<eos>", "<bos>", "<unk>"]
    assert vocabulary.get_piece_size() == VOCABULARY_SIZE


def test_turn_marks_and_the_newline_are_single_pieces(vocabulary: sentencepiece.SentencePieceProcessor) -> None:
    pieces = vocabulary.encode("<start_of_turn>user\n안녕<end_of_turn>\n", out_type=str)
    assert pieces[:3] == ["<start_of_turn>", "user", "\n"]
    assert pieces[-2:] == ["<end_of_turn>", "\n"]


@pytest.mark.parametrize("text", ["뷁쀍", "漢字 かな", "naïve café", "🙂👍🏽", "\t \x00", "  two  spaces ", "ﬁ①Å", ""])
def test_any_text_is_spelled_and_read_back(vocabulary: sentencepiece.SentencePieceProcessor, text: str) -> None:
    """Nothing is normalised, no space is added, and bytes stand in for what has no piece."""
    ids = vocabulary.encode(text)
    assert vocabulary.unk_id() not in ids
    assert vocabulary.decode(ids) == text


def test_no_byte_is_needed_for_the_corpus(vocabulary: sentencepiece.SentencePieceProcessor) -> None:
    for split in ("train", "validation", "test"):
        for record in dialogue_records(split):  # type: ignore[arg-type]
            for text in record["talk"]["content"].values():
                assert not any(vocabulary.is_byte(i) for i in vocabulary.encode(text)), text


def test_a_dialogue_is_short(vocabulary: sentencepiece.SentencePieceProcessor) -> None:
    """A quickstart of two minutes rests on it."""
    lengths = []
    for record in dialogue_records("validation"):
        turns = tuple(text.strip() for text in record["talk"]["content"].values() if text)
        lengths.append(1 + len(vocabulary.encode(in_template(turns))))
    assert sum(lengths) / len(lengths) < 125
    assert max(lengths) < 180


def test_everyday_text_holds_the_letters_of_the_corpus() -> None:
    """So that no piece of the corpus meets an embedding that pretraining never moved."""
    everyday = set("".join(everyday_samples(20_000, seed="letters", spelling=False)))
    corpus = {c for r in dialogue_records("train") for text in r["talk"]["content"].values() for c in text}
    missing = corpus - everyday
    assert len(missing) < 0.08 * len(corpus), sorted(missing)
