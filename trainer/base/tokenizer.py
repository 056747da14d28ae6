"""Gemma's SentencePiece vocabulary: texts to ids and back, where no text ever becomes a control token."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from trainer.errors import BaseModelError

CONTROL_PIECES = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")

_INSIDE_CONTROL_PIECE = re.compile(f"(?<=<)(?={'|'.join(re.escape(piece[1:]) for piece in CONTROL_PIECES)})")


class Tokenizer:
    """Gemma's SentencePiece tokenizer, from the bytes of a `tokenizer.model`.

    line_break   ids of the line break between two turns
    headers      ids that a turn of each role begins with, `<start_of_turn>` first

    Raises:
        BaseModelError: the bytes are not a SentencePiece model, or one without Gemma's control pieces.
    """

    def __init__(self, proto: bytes) -> None:
        self._proto = bytes(proto)
        self._processor = _load(self._proto)
        self.vocabulary_size: int = self._processor.get_piece_size()
        ids = [self._processor.piece_to_id(piece) for piece in CONTROL_PIECES]
        self._check_pieces(ids)
        self.pad_id, self.eos_id, self.bos_id, self.start_of_turn_id, self.end_of_turn_id = ids
        self._control_ids = frozenset(ids)
        self.digest = hashlib.sha256(self._proto).hexdigest()
        self.line_break, user, model = self.encode(["\n", "user\n", "model\n"])
        self.headers = {"user": [self.start_of_turn_id, *user], "model": [self.start_of_turn_id, *model]}

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[bytes]]:
        return Tokenizer, (self._proto,)

    @property
    def proto(self) -> bytes:
        """The SentencePiece model that it was built from."""
        return self._proto

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts, none of them a control token; on all cores."""
        encoded: list[list[int]] = self._processor.encode(texts, num_threads=-1)
        for index, ids in enumerate(encoded):
            if not self._control_ids.isdisjoint(ids):
                encoded[index] = self._encode_spelled(texts[index])
        return encoded

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids; control tokens, and ids beyond the vocabulary (padded embeddings), give none."""
        kept = [int(i) for i in ids if int(i) not in self._control_ids and 0 <= int(i) < self.vocabulary_size]
        return str(self._processor.decode(kept))

    def _encode_spelled(self, text: str) -> list[int]:
        """Token ids of a text that spells a control piece: split after its `<`, no part of it can be one.

        Where normalisation makes a control piece of other characters (full-width ones), character by character.
        """
        for parts in (_INSIDE_CONTROL_PIECE.split(text), list(text)):
            ids = [i for part in self._processor.encode(parts) for i in part]
            if self._control_ids.isdisjoint(ids):
                break
        return ids

    def _check_pieces(self, ids: list[int]) -> None:
        for piece, piece_id in zip(CONTROL_PIECES, ids, strict=True):
            if self._processor.id_to_piece(piece_id) != piece:
                raise BaseModelError(
                    f"A Gemma 2 tokenizer must have the single piece {piece}, but this one of "
                    f"{self.vocabulary_size:,} pieces has not; take the tokenizer of a Gemma 2 model."
                )


def _load(proto: bytes) -> Any:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(proto)
    except RuntimeError as error:
        raise BaseModelError(
            f"The tokenizer must be a SentencePiece model, but its bytes are not one ({error})."
        ) from None
    return processor
