"""Korean particles: which of two forms follows a word is decided by the word's last sound."""

from __future__ import annotations

import re

_FIRST_SYLLABLE, _LAST_SYLLABLE = "가", "힣"
_FINALS = 28  # finals of a Hangul syllable, "none" included; syllables are laid out in blocks of 28
_RIEUL = 8
_SS = 20
# Read aloud, digits and Latin letters end in these sounds: 영 일 이 삼 사 오 육 칠 팔 구.
_DIGIT_FINALS = {"0": 21, "1": 8, "2": 0, "3": 16, "4": 0, "5": 0, "6": 1, "7": 8, "8": 8, "9": 0}
_LETTER_FINALS = {"l": 8, "m": 16, "n": 4, "r": 8}

# After a final consonant / after a vowel. `으로` also gives way to `로` after ㄹ.
PAIRS: dict[str, tuple[str, str]] = {
    "이에요/예요": ("이에요", "예요"),
    "이었/였": ("이었", "였"),
    "이라/라": ("이라", "라"),
    "이랑/랑": ("이랑", "랑"),
    "이나/나": ("이나", "나"),
    "이든/든": ("이든", "든"),
    "이야/야": ("이야", "야"),
    "으로/로": ("으로", "로"),
    "은/는": ("은", "는"),
    "이/가": ("이", "가"),
    "을/를": ("을", "를"),
    "과/와": ("과", "와"),
    "아/야": ("아", "야"),
}
_MARK = re.compile(r"(\w)(['\")\]]*)(" + "|".join(PAIRS) + ")")


def final_of(character: str) -> int:
    """The number of a character's final consonant in Unicode's order; 0 when it ends in a vowel."""
    if _FIRST_SYLLABLE <= character <= _LAST_SYLLABLE:
        return (ord(character) - ord(_FIRST_SYLLABLE)) % _FINALS
    return _DIGIT_FINALS.get(character, _LETTER_FINALS.get(character.lower(), 0))


def particle(word: str, pair: str) -> str:
    """The form of `pair` (a key of PAIRS) that follows `word`."""
    with_final, without = PAIRS[pair]
    final = final_of(word[-1])
    if final == 0 or (pair == "으로/로" and final == _RIEUL):
        return without
    return with_final


def resolve(text: str) -> str:
    """Replace every mark such as `이/가` by the form that fits the word before it."""
    return _MARK.sub(lambda m: m[1] + m[2] + particle(m[1], m[3]), text)


def past_stem(infinitive: str) -> str:
    """The past stem of a verb's 아/어 form: 망쳐 → 망쳤, 해 → 했, 와 → 왔.

    Raises:
        ValueError: the form does not end in an open Hangul syllable.
    """
    last = infinitive[-1:]
    if not (last and _FIRST_SYLLABLE <= last <= _LAST_SYLLABLE) or final_of(last):
        raise ValueError(f"An 아/어 form must end in an open Hangul syllable, but got {infinitive!r}.")
    return infinitive[:-1] + chr(ord(last) + _SS)
