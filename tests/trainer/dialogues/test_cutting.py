"""Dialogues longer than the limit: where they are cut, and that each of their replies is learned exactly once."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.base.names import BUILTIN, read_vocabulary
from trainer.base.tokenizer import Tokenizer
from trainer.dialogues import Dialogue, DialogueSet, Turn, digest_of
from trainer.dialogues.cutting import windows
from trainer.dialogues.tokens import Example, LossOn, encode_dialogue, tokenize
from trainer.errors import DataError


def data_of(*dialogues: Dialogue) -> DialogueSet:
    return DialogueSet("val", dialogues, digest_of(dialogues))


def talk(*texts: str) -> Dialogue:
    return Dialogue(tuple(Turn("model" if index % 2 else "user", text) for index, text in enumerate(texts)))


def learned(tokenizer: Tokenizer, example: Example) -> list[str]:
    """The texts of the unbroken runs of targets."""
    pairs = zip(example.token_ids.tolist(), example.loss_mask.tolist(), strict=True)
    text = "".join(f"<{token}>" if is_target else " " for token, is_target in pairs)
    return [tokenizer.decode(map(int, run.strip("<>").split("><"))) for run in text.split()]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    vocabulary = read_vocabulary(BUILTIN)
    assert vocabulary is not None
    return Tokenizer(vocabulary)


# --- windows --------------------------------------------------------------------------------------------------------

EXCHANGES = st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=25)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(exchanges=EXCHANGES, limit=st.integers(1, 60))
def test_what_is_wanted_is_learned_once_with_the_history_that_fits(
    exchanges: list[tuple[int, bool]], limit: int
) -> None:
    sizes, wanted = [size for size, _ in exchanges], [is_wanted for _, is_wanted in exchanges]
    found, lost = windows(sizes, wanted, limit)
    assert lost == [index for index, size in enumerate(sizes) if wanted[index] and size > limit]
    once = [index for each in found for index in range(each.learned, each.last + 1) if wanted[index]]
    assert once == [index for index, is_wanted in enumerate(wanted) if is_wanted and index not in lost]
    assert all(earlier.last < later.learned for earlier, later in pairwise(found))
    for first, begins, last in found:
        assert sum(sizes[first : last + 1]) <= limit
        assert first == 0 or sum(sizes[first - 1 : last + 1]) > limit  # as much history as there is room for
        assert first == 0 or sum(sizes[first - 1 : begins]) > min(limit // 2, limit - sizes[begins])


def test_few_windows_do_for_a_long_dialogue() -> None:
    """One for every reply would be 98."""
    found, _ = windows([10] * 100, [True] * 100, 40)
    assert len(found) == 49
    assert [tuple(each) for each in found[:3]] == [(0, 0, 3), (2, 4, 5), (4, 6, 7)]


# --- examples -------------------------------------------------------------------------------------------------------

LONG = talk(*(f"{'질문' if index % 2 == 0 else '대답'} {index}번이에요" for index in range(40)))
SHORT = talk("안녕", "네")


@pytest.mark.parametrize("max_tokens", [40, 80, 200])
def test_every_reply_of_a_long_dialogue_is_learned_once_and_in_order(tokenizer: Tokenizer, max_tokens: int) -> None:
    tokens = tokenize(data_of(SHORT, LONG, SHORT), tokenizer, loss_on="response", max_tokens=max_tokens)
    texts = [text for example in tokens.examples for text in learned(tokenizer, example)]
    replies = [turn.text for turn in LONG.turns[1::2]]
    assert texts == ["네", *replies, "네"]
    assert (tokens.cut, tokens.replies, tokens.lost, tokens.dropped) == (1, 22, (), {})
    assert len(tokens.examples) > 3
    assert sum(example.text_bytes for example in tokens.examples) == sum(len(text.encode()) for text in texts)


def test_an_example_begins_as_a_dialogue_does_and_has_room(tokenizer: Tokenizer) -> None:
    tokens = tokenize(data_of(LONG), tokenizer, loss_on="response", max_tokens=80)
    for example in tokens.examples:
        assert example.token_ids[:4].tolist() == [tokenizer.bos_id, *tokenizer.headers["user"]]
        assert len(example.token_ids) <= 80
        assert example.token_ids[-1] == tokenizer.end_of_turn_id
    assert all(not example.loss_mask[:24].any() for example in tokens.examples[1:])  # history


def test_with_all_as_target_every_token_is_learned_once(tokenizer: Tokenizer) -> None:
    whole = encode_dialogue(tokenizer, LONG, "all")
    tokens = tokenize(data_of(LONG), tokenizer, loss_on="all", max_tokens=80)
    targets = [token for example in tokens.examples for token in example.token_ids[example.loss_mask].tolist()]
    assert targets == whole.token_ids[1:].tolist()
    assert sum(example.text_bytes for example in tokens.examples) == whole.text_bytes


def test_the_last_reply_alone_takes_the_end_of_a_long_dialogue(tokenizer: Tokenizer) -> None:
    tokens = tokenize(data_of(LONG), tokenizer, loss_on="last_response", max_tokens=80)
    (example,) = tokens.examples
    assert learned(tokenizer, example) == [LONG.turns[-1].text]
    assert 60 < len(example.token_ids) <= 80
    assert (tokens.replies, tokens.cut) == (1, 1)


@pytest.mark.parametrize("loss_on", get_args(LossOn))
def test_a_dialogue_that_fits_is_one_example_and_its_digest_is_that_of_before(
    tokenizer: Tokenizer, loss_on: LossOn
) -> None:
    data = data_of(SHORT, LONG)
    tokens = tokenize(data, tokenizer, loss_on=loss_on, max_tokens=len(encode_dialogue(tokenizer, LONG).token_ids))
    for found, dialogue in zip(tokens.examples, data.dialogues, strict=True):
        whole = encode_dialogue(tokenizer, dialogue, loss_on)
        assert found.token_ids.tolist() == whole.token_ids.tolist()
        assert found.loss_mask.tolist() == whole.loss_mask.tolist()
    key = [data.digest, tokenizer.digest, loss_on, str(len(tokens.examples[1].token_ids))]
    assert (tokens.cut, tokens.digest) == (0, hashlib.sha256("\n".join(key).encode()).hexdigest())
    key[-1] = "80"
    cut = tokenize(data, tokenizer, loss_on=loss_on, max_tokens=80)
    assert cut.digest != hashlib.sha256("\n".join(key).encode()).hexdigest()


# --- what is lost ---------------------------------------------------------------------------------------------------


def test_a_reply_without_room_for_its_own_users_turn_is_lost_and_no_other(tokenizer: Tokenizer) -> None:
    dialogue = talk("하나", "둘", "셋 " * 100, "넷", "다섯", "여섯")
    tokens = tokenize(data_of(dialogue, SHORT), tokenizer, loss_on="response", max_tokens=60)
    assert [learned(tokenizer, example) for example in tokens.examples] == [["둘"], ["여섯"], ["네"]]
    needed = len(encode_dialogue(tokenizer, talk("셋 " * 100, "넷")).token_ids)
    assert (tokens.replies, tokens.lost, tokens.enough) == (4, (needed,), (needed, 0))
    assert len(tokenize(data_of(dialogue), tokenizer, loss_on="response", max_tokens=needed).lost) == 0


def test_the_limit_that_is_advised_loses_one_reply_in_a_hundred_at_most(tokenizer: Tokenizer) -> None:
    long, longest = talk("가", "나 " * 60), talk("가", "나 " * 500)
    data = data_of(*[SHORT] * 190, *[long] * 9, longest)
    tokens = tokenize(data, tokenizer, loss_on="response", max_tokens=40)
    assert tokens.enough == (len(encode_dialogue(tokenizer, long).token_ids), 1)
    now = tokenize(data, tokenizer, loss_on="response", max_tokens=tokens.enough[0])
    assert (len(now.lost), now.enough) == (1, (len(encode_dialogue(tokenizer, longest).token_ids), 0))


def test_a_set_that_loses_more_than_half_of_its_replies_is_refused_with_the_limit_to_take(tokenizer: Tokenizer) -> None:
    long = talk("가", "나 " * 60)
    needed = len(encode_dialogue(tokenizer, long).token_ids)
    assert len(tokenize(data_of(SHORT, long), tokenizer, loss_on="response", max_tokens=40).lost) == 1
    told = f"2 of 3 of 'val' need more than 40; raise `max_tokens`: with {needed} all have room"
    with pytest.raises(DataError, match=told):
        tokenize(data_of(SHORT, long, long), tokenizer, loss_on="response", max_tokens=40)


def test_no_limit_is_advised_that_gemma_does_not_take(tokenizer: Tokenizer) -> None:
    huge = talk("가", "나 " * 20_000)
    with pytest.raises(DataError, match="with 8192 all but 2 have room"):
        tokenize(data_of(SHORT, huge, huge), tokenizer, loss_on="response", max_tokens=40)
