"""Particles follow the last sound of the word before them."""

import pytest

from trainer.builtin.josa import PAIRS, final_of, past_stem, resolve


@pytest.mark.parametrize(
    ("marked", "resolved"),
    [
        ("밥은/는 먹고 차은/는 마셔요", "밥은 먹고 차는 마셔요"),
        ("팀장님이/가, 친구이/가", "팀장님이, 친구가"),
        ("선물을/를 사고 모자을/를 써요", "선물을 사고 모자를 써요"),
        ("부산으로/로, 제주도으로/로, 서울으로/로", "부산으로, 제주도로, 서울로"),
        ("남편과/와 아내과/와", "남편과 아내와"),
        ("동생이랑/랑 누나이랑/랑", "동생이랑 누나랑"),
        ("생각이에요/예요. 거이에요/예요.", "생각이에요. 거예요."),
        ("짜증이야/야. 뒷전이야/야. 거이야/야.", "짜증이야. 뒷전이야. 거야."),
        ("콩이이라/라고, 구름이라/라고", "콩이라고, 구름이라고"),
        ("7을/를 3으로/로 나누면 2이/가", "7을 3으로 나누면 2가"),
        ("'초코'이/가 '구름'을/를", "'초코'가 '구름'을"),
    ],
)
def test_a_particle_fits_the_word_before_it(marked: str, resolved: str) -> None:
    assert resolve(marked) == resolved


def test_every_pair_differs_between_a_consonant_and_a_vowel() -> None:
    for pair, (after_consonant, after_vowel) in PAIRS.items():
        assert resolve(f"집{pair}") == f"집{after_consonant}"
        assert resolve(f"나{pair}") == f"나{after_vowel}"
        assert after_consonant != after_vowel


def test_finals_count_in_the_order_of_unicode() -> None:
    assert [final_of(c) for c in "가각갈값힣"] == [0, 1, 8, 18, 27]


@pytest.mark.parametrize(
    ("infinitive", "stem"), [("망쳐", "망쳤"), ("해", "했"), ("와", "왔"), ("돼", "됐"), ("써", "썼")]
)
def test_the_past_adds_ss_to_the_infinitive(infinitive: str, stem: str) -> None:
    assert past_stem(infinitive) == stem


@pytest.mark.parametrize("wrong", ["", "먹", "go", "했"])
def test_a_past_of_a_closed_syllable_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="open Hangul syllable"):
        past_stem(wrong)
