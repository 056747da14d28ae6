"""The text grammar settles choices, slots, speech levels and particles."""

import pytest

from trainer.builtin.grammar import Draw, choose, fill, render


def test_a_seed_draws_the_same_for_ever() -> None:
    """Pinned: another value would mean another corpus, vocabulary and model."""
    draw = Draw("pinned")
    assert [draw.below(1000) for _ in range(5)] == [362, 902, 592, 699, 524]


def test_nested_choices_are_all_reachable() -> None:
    seen = {choose("[a|b[c|d]|]", Draw(str(i))) for i in range(100)}
    assert seen == {"a", "bc", "bd", ""}


def test_a_shuffle_keeps_every_item() -> None:
    assert sorted(Draw("x").shuffled(range(50))) == list(range(50))
    assert Draw("x").shuffled(range(50)) != list(range(50))


def test_an_unknown_slot_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill("{nobody}", {})


@pytest.mark.parametrize(
    ("polite", "text"), [(True, "친구가 왔어요. 좋은 생각이에요."), (False, "친구가 왔어. 좋은 생각이야.")]
)
def test_the_speech_level_changes_verbs_and_the_copula(polite: bool, text: str) -> None:
    template = "{누구}이/가 [] 왔어~ . 좋은 생각@."
    assert render(template, Draw("x"), {"누구": "친구"}, polite=polite) == text
