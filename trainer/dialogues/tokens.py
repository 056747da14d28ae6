"""Dialogues → token ids with a loss mask, in Gemma's own template.

    <bos><start_of_turn>user\\n{text}<end_of_turn>\\n<start_of_turn>model\\n{text}<end_of_turn>

with a line break between turns and nothing after the last <end_of_turn>. Control tokens are put in by id; a turn's
text is data and never becomes one, whatever it spells. Each text is encoded by itself, so that a reply has the same
ids when it is trained on and when it is generated after a prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from trainer.dialogues.values import Dialogue, DialogueSet, Turn
from trainer.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.base.tokenizer import Tokenizer

LossOn = Literal["response", "last_response", "all"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One dialogue, ready to train on.

    token_ids    int32[n]
    loss_mask    bool[n]: token j is a target, predicted from tokens 0 … j - 1; the first is never one
    text_bytes   UTF-8 bytes of the target text (control tokens and the template's words are not text)
    """

    token_ids: NDArray[np.int32]
    loss_mask: NDArray[np.bool_]
    text_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class TokenSet:
    """Named examples of one data set.

    digest    SHA-256, hex, of the dialogues' digest, the tokenizer's, `loss_on` and `max_tokens`
    dropped   reason → how many dialogues were left out in tokenising; only reasons that occurred
    """

    name: str
    examples: tuple[Example, ...]
    digest: str
    dropped: Mapping[str, int] = field(default_factory=dict)


def encode_dialogue(tokenizer: Tokenizer, dialogue: Dialogue, loss_on: LossOn = "response") -> Example:
    """One dialogue's token ids and targets.

    loss_on   `response`: the text and <end_of_turn> of every model turn; `last_response`: of the last one only;
              `all`: every token but <bos>

    Raises:
        ConfigError: an unknown `loss_on`.
    """
    _check_loss_on(loss_on)
    return _example(tokenizer, dialogue, tokenizer.encode([turn.text for turn in dialogue.turns]), loss_on)


def encode_dialogues(
    tokenizer: Tokenizer, dialogues: Sequence[Dialogue], loss_on: LossOn = "response"
) -> list[Example]:
    """`encode_dialogue` for many at once, on all cores (50,000 dialogues: seconds)."""
    _check_loss_on(loss_on)
    encoded = iter(tokenizer.encode([turn.text for dialogue in dialogues for turn in dialogue.turns]))
    return [_example(tokenizer, dialogue, [next(encoded) for _ in dialogue.turns], loss_on) for dialogue in dialogues]


def encode_prompt(tokenizer: Tokenizer, turns: Sequence[Turn]) -> list[int]:
    """Token ids after which the model's reply begins: the turns and "<start_of_turn>model\\n".

    Raises:
        DataError: turns that do not alternate from the user's to the user's.
    """
    dialogue = Dialogue(tuple(turns))
    if dialogue.turns[-1].role != "user":
        raise DataError("A prompt must end with the user's turn, but got the model's last.")
    ids = [tokenizer.bos_id]
    for turn, text_ids in zip(dialogue.turns, tokenizer.encode([turn.text for turn in turns]), strict=True):
        ids += [*tokenizer.headers[turn.role], *text_ids, tokenizer.end_of_turn_id, *tokenizer.line_break]
    return ids + tokenizer.headers["model"]


def _example(tokenizer: Tokenizer, dialogue: Dialogue, encoded: Sequence[list[int]], loss_on: LossOn) -> Example:
    import numpy as np

    ids, mask, text_bytes = [tokenizer.bos_id], [False], 0
    for index, (turn, text_ids) in enumerate(zip(dialogue.turns, encoded, strict=True)):
        if index:
            ids += tokenizer.line_break
        ids += tokenizer.headers[turn.role]
        mask += [False] * (len(ids) - len(mask))
        ids += [*text_ids, tokenizer.end_of_turn_id]
        is_last_pair = index >= len(dialogue.turns) - 2  # roles alternate: it holds one model turn
        is_target = turn.role == "model" and (loss_on != "last_response" or is_last_pair)
        mask += [is_target] * (len(ids) - len(mask))
        text_bytes += len(turn.text.encode()) if is_target or loss_on == "all" else 0
    if loss_on == "all":
        mask = [False] + [True] * (len(ids) - 1)
    return Example(np.array(ids, np.int32), np.array(mask, np.bool_), text_bytes)


def tokenize(dialogues: DialogueSet, tokenizer: Tokenizer, *, loss_on: LossOn, max_tokens: int) -> TokenSet:
    """Encode a data set; dialogues longer than `max_tokens`, or without a target, are dropped and counted.

    Raises:
        ConfigError: an unknown `loss_on`, or a `max_tokens` below 2.
        DataError: no dialogue is left.
    """
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 2:
        raise ConfigError(f"`max_tokens` must be a whole number from 2, but got {max_tokens!r:.60}.")
    reasons = {f"longer than {max_tokens} tokens": 0, "without a target": 0}
    kept = []
    for example in encode_dialogues(tokenizer, dialogues.dialogues, loss_on):
        if len(example.token_ids) > max_tokens:
            reasons[f"longer than {max_tokens} tokens"] += 1
        elif not example.loss_mask.any():
            reasons["without a target"] += 1
        else:
            kept.append(example)
    dropped = {reason: count for reason, count in reasons.items() if count}
    if not kept:
        counts = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise DataError(f"No dialogue of {dialogues.name!r} is left ({counts or 'it has none'}); raise `max_tokens`.")
    key = "\n".join([dialogues.digest, tokenizer.digest, loss_on, str(max_tokens)])
    return TokenSet(dialogues.name, tuple(kept), hashlib.sha256(key.encode()).hexdigest(), dropped)


def _check_loss_on(loss_on: str) -> None:
    if loss_on not in get_args(LossOn):
        raise ConfigError(f"`loss_on` must be one of {', '.join(get_args(LossOn))}, but got {loss_on!r:.60}.")
