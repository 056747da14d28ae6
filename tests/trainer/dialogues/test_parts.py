"""One file becomes a training and a validation set."""

from collections import Counter

import pytest

from trainer.dialogues import Dialogue, DialogueFilter, Turn
from trainer.errors import DataError


def dialogue(question: str, answer: str) -> Dialogue:
    return Dialogue((Turn("user", question), Turn("model", answer)))


DIALOGUES = [dialogue(f"질문 {number // 2}", f"대답 {number}") for number in range(1000)]


def test_parts_share_no_question_and_miss_no_dialogue():
    """Each question occurs twice: both dialogues are on one side."""
    train = DialogueFilter(part=(0, 0.8)).apply(DIALOGUES, Counter())
    rest = DialogueFilter(part=(0.8, 1)).apply(DIALOGUES, Counter())
    assert sorted(map(id, (*train, *rest))) == sorted(map(id, DIALOGUES))
    assert not {each.turns[0].text for each in train} & {each.turns[0].text for each in rest}
    assert 0.7 < len(train) / len(DIALOGUES) < 0.9


def test_a_question_stays_on_its_side_when_the_file_grows():
    small = DialogueFilter(part=(0.5, 1)).apply(DIALOGUES[:100], Counter())
    large = DialogueFilter(part=(0.5, 1)).apply(DIALOGUES, Counter())
    assert set(map(id, small)) <= set(map(id, large))


def test_what_lies_outside_the_part_is_counted_before_the_limit():
    dropped: Counter[str] = Counter()
    kept = DialogueFilter(part=(0, 0.5), limit=10).apply(DIALOGUES, dropped)
    assert len(kept) == 10
    assert sum(dropped.values()) == 990
    assert "outside the part from 0 to 0.5" in dropped


@pytest.mark.parametrize("part", [(0.5, 0.5), (-0.1, 1), (0, 1.1), (0.9, 0.1)])
def test_an_impossible_part_is_refused(part):
    with pytest.raises(DataError, match="`part` must be two numbers"):
        DialogueFilter(part=part)
