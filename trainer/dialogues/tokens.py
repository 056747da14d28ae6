"""Dialogues → token ids with a loss mask, in Gemma's own template.

    <bos><start_of_turn>user\\n{text}<end_of_turn>\\n<start_of_turn>model\\n{text}<end_of_turn>

with a line break between turns and nothing after the last <end_of_turn>. Control tokens are put in by id; a turn's
text is data and never becomes one, whatever it spells. Each text is encoded by itself, so that a reply has the same
ids when it is trained on and when it is generated after a prompt. A dialogue longer than the limit becomes several
examples (`trainer.dialogues.cutting`); one that fits is one example.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from trainer.dialogues.cutting import RULE, windows
from trainer.dialogues.values import Dialogue, DialogueSet, Turn
from trainer.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.base.tokenizer import Tokenizer

LossOn = Literal["response", "last_response", "all"]

MAX_TOKENS = 8192  # Gemma 2 was trained with contexts of so many


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One dialogue or a part of it, ready to train on.

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

    digest    SHA-256, hex, of the dialogues' digest, the tokenizer's, `loss_on` and `max_tokens`, and of the rule by
              which dialogues were cut, if any were
    dropped   reason → how many dialogues were left out in tokenising; only reasons that occurred
    cut       how many dialogues were too long for one example
    replies   how many there are to learn, those that are lost among them
    lost      of each reply that has not room enough with its own user's turn: the `max_tokens` that it needs
    """

    name: str
    examples: tuple[Example, ...]
    digest: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    cut: int = 0
    replies: int = 0
    lost: tuple[int, ...] = ()

    @property
    def enough(self) -> tuple[int, int]:
        """Of a set that loses replies: the `max_tokens` that loses one in a hundred or fewer, and how many it loses."""
        allowed = self.replies // 100
        needed = sorted(self.lost)[-1 - allowed if len(self.lost) > allowed else -1]
        return min(needed, MAX_TOKENS), sum(each > min(needed, MAX_TOKENS) for each in self.lost)


def encode_dialogue(tokenizer: Tokenizer, dialogue: Dialogue, loss_on: LossOn = "response") -> Example:
    """One dialogue's token ids and targets.

    loss_on   `response`: the text and <end_of_turn> of every model turn; `last_response`: of the last one only;
              `all`: every token but <bos>; of them, none of a turn that is not `learned`

    Raises:
        ConfigError: an unknown `loss_on`.
    """
    (example,) = encode_dialogues(tokenizer, [dialogue], loss_on)
    return example


def encode_dialogues(
    tokenizer: Tokenizer, dialogues: Sequence[Dialogue], loss_on: LossOn = "response"
) -> list[Example]:
    """`encode_dialogue` for many at once, on all cores (50,000 dialogues: seconds)."""
    return [_example(tokenizer, parts) for parts in _encoded(tokenizer, dialogues, loss_on)]


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


class _Part(NamedTuple):
    """An encoded turn: `<start_of_turn>` and the role; the text and `<end_of_turn>`; what of both is a target."""

    header: list[int]
    body: list[int]
    header_learned: bool
    body_learned: bool
    text_bytes: int


def _encoded(tokenizer: Tokenizer, dialogues: Sequence[Dialogue], loss_on: LossOn) -> Iterator[list[_Part]]:
    """The parts of each dialogue."""
    _check_loss_on(loss_on)
    encoded = iter(tokenizer.encode([turn.text for dialogue in dialogues for turn in dialogue.turns]))
    for dialogue in dialogues:
        parts = []
        for index, turn in enumerate(dialogue.turns):
            is_last_pair = index >= len(dialogue.turns) - 2  # roles alternate: it holds one model turn
            is_reply = turn.role == "model" and (loss_on != "last_response" or is_last_pair)
            header, body = tokenizer.headers[turn.role], [*next(encoded), tokenizer.end_of_turn_id]
            whole = turn.learned and loss_on == "all"
            parts.append(_Part(header, body, whole, whole or (turn.learned and is_reply), len(turn.text.encode())))
        yield parts


def _example(tokenizer: Tokenizer, parts: Sequence[_Part], history: int = 0) -> Example:
    """The example of some turns, of which as many as `history` are not learned."""
    import numpy as np

    ids, mask, text_bytes = [tokenizer.bos_id], [False], 0
    for index, part in enumerate(parts):
        before = [*(tokenizer.line_break if index else ()), *part.header]
        ids += [*before, *part.body]
        mask += [part.header_learned and index >= history] * len(before)
        mask += [part.body_learned and index >= history] * len(part.body)
        text_bytes += part.text_bytes if part.body_learned and index >= history else 0
    return Example(np.array(ids, np.int32), np.array(mask, np.bool_), text_bytes)


class _Cut(NamedTuple):
    """A dialogue's examples, the `max_tokens` that each lost reply needs, and how many replies are to be learned."""

    examples: list[Example]
    lost: list[int]
    replies: int
    is_cut: bool


def _cut(tokenizer: Tokenizer, parts: Sequence[_Part], max_tokens: int) -> _Cut:
    exchanges = [parts[index : index + 2] for index in range(0, len(parts), 2)]
    around = 1 - len(tokenizer.line_break)  # <bos>, and no line break before the first turn
    sizes = [
        sum(len(tokenizer.line_break) + len(part.header) + len(part.body) for part in exchange)
        for exchange in exchanges
    ]
    wanted = [any(part.body_learned for part in exchange) for exchange in exchanges]
    if not any(wanted) or around + sum(sizes) <= max_tokens:
        return _Cut([_example(tokenizer, parts)] if any(wanted) else [], [], sum(wanted), is_cut=False)
    found, lost = windows(sizes, wanted, max_tokens - around)
    examples = [
        _example(tokenizer, parts[2 * each.first : 2 * each.last + 2], history=2 * (each.learned - each.first))
        for each in found
    ]
    return _Cut(examples, [around + sizes[index] for index in lost], sum(wanted), is_cut=True)


def tokenize(dialogues: DialogueSet, tokenizer: Tokenizer, *, loss_on: LossOn, max_tokens: int) -> TokenSet:
    """Encode a data set.

    A dialogue longer than `max_tokens` is cut at turns, so that each reply is learned once; a reply that has not room
    enough with its own user's turn is lost and counted, and so are dialogues without a target.

    Raises:
        ConfigError: an unknown `loss_on`, or a `max_tokens` below 2.
        DataError: no dialogue is left, or more than half of the replies are lost.
    """
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 2:
        raise ConfigError(f"`max_tokens` must be a whole number from 2, but got {max_tokens!r:.60}.")
    found = [_cut(tokenizer, parts, max_tokens) for parts in _encoded(tokenizer, dialogues.dialogues, loss_on)]
    without_target, cut = sum(not each.replies for each in found), sum(each.is_cut for each in found)
    key = [dialogues.digest, tokenizer.digest, loss_on, str(max_tokens), *([RULE] if cut else ())]
    tokens = TokenSet(
        name=dialogues.name,
        examples=tuple(example for each in found for example in each.examples),
        digest=hashlib.sha256("\n".join(key).encode()).hexdigest(),
        dropped={"without a target": without_target} if without_target else {},
        cut=cut,
        replies=sum(each.replies for each in found),
        lost=tuple(size for each in found for size in each.lost),
    )
    _check_rest(tokens, max_tokens)
    return tokens


def _check_rest(tokens: TokenSet, max_tokens: int) -> None:
    """Refuse a set of which hardly anything is left to learn, or to score."""
    if not tokens.replies:
        counts = ", ".join(f"{count} {reason}" for reason, count in tokens.dropped.items()) or "it has none"
        raise DataError(f"No dialogue of {tokens.name!r} is left ({counts}); give it replies that are learned.")
    if 2 * len(tokens.lost) > tokens.replies:
        enough, left = tokens.enough
        raise DataError(
            f"`max_tokens` must have room for most replies with the user's turn before each, but {len(tokens.lost):,} "
            f"of {tokens.replies:,} of {tokens.name!r} need more than {max_tokens}; raise `max_tokens`: with {enough} "
            f"{'all' if not left else f'all but {left:,}'} have room."
        )


def _check_loss_on(loss_on: str) -> None:
    if loss_on not in get_args(LossOn):
        raise ConfigError(f"`loss_on` must be one of {', '.join(get_args(LossOn))}, but got {loss_on!r:.60}.")
