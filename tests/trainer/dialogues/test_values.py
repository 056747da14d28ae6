"""Turns, dialogues and digests."""

import pickle

import pytest

from trainer.dialogues import Dialogue, DialogueSet, Turn, digest_of
from trainer.errors import DataError

HELLO = Dialogue((Turn("user", "안녕"), Turn("model", "반가워요")), {"emotion": "joy"})


def test_an_unknown_role_is_refused_with_the_choices() -> None:
    with pytest.raises(DataError, match="role must be user or model, but got 'assistant'"):
        Turn("assistant", "안녕")  # type: ignore[arg-type]


def test_text_that_utf8_cannot_hold_is_refused_with_its_place() -> None:
    """A lone surrogate, which JSON can spell, would make the tokenizer fail later and without a record number."""
    with pytest.raises(DataError, match=r"character 3 is the lone surrogate '\\ud800'"):
        Turn("user", "안녕\ud800")


@pytest.mark.parametrize("roles", [(), ("model",), ("user", "user"), ("user", "model", "model")])
def test_a_dialogue_alternates_from_the_users_turn_on(roles: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"at least one turn|must alternate"):
        Dialogue(tuple(Turn(role, "x") for role in roles))  # type: ignore[arg-type]


def test_the_digest_is_of_the_turns_in_order_and_of_nothing_else() -> None:
    other = Dialogue((Turn("user", "안녕"), Turn("model", "반가워요!")))
    assert digest_of([HELLO]) == digest_of([Dialogue(HELLO.turns)])
    assert len({digest_of(list(s)) for s in ([HELLO], [other], [HELLO, other], [other, HELLO], [])}) == 5


def test_the_digest_knows_where_turns_and_dialogues_end() -> None:
    """Joined texts and moved borders are other data, though the characters are the same."""
    two = [Dialogue((Turn("user", "a"), Turn("model", "b"))), Dialogue((Turn("user", "c"), Turn("model", "d")))]
    one = [Dialogue((Turn("user", "a"), Turn("model", "b"), Turn("user", "c"), Turn("model", "d")))]
    moved = [Dialogue((Turn("user", "ab"), Turn("model", "")))]
    assert len({digest_of(two), digest_of(one), digest_of(two[:1]), digest_of(moved)}) == 4


def test_the_digest_of_a_data_set_never_changes() -> None:
    """It is logged with every sweep: a new way to compute it would make old sweeps look as if on other data."""
    assert digest_of([HELLO]) == "cce11fe0cf81f5b83b0cefc5033218f3cfcf062ebc48c68981e68dd919790fda"


def test_values_cross_processes() -> None:
    data = DialogueSet("train", (HELLO,), digest_of([HELLO]), {"dialogue without a reply": 2})
    assert pickle.loads(pickle.dumps(data)) == data
    assert hash(HELLO) == hash(Dialogue(HELLO.turns))
