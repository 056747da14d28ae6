"""Filters: what they keep, in which order, and how they count."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from trainer.dialogues import DialogueFilter, DialogueSet, read_dialogues
from trainer.errors import DataError

PEOPLE = [("E18", "A01"), ("E21", "A02"), ("E25", "A03"), ("E66", "A04"), ("E10", "A02"), ("", "")]


def read(tmp_path: Path, people: list[tuple[str, str]] = PEOPLE, **select: Any) -> DialogueSet:
    records = [
        {
            "profile": {"persona": {"human": [age]}, "emotion": {"type": emotion}},
            "talk": {"content": {"HS01": f"말 {number}", "SS01": "네"}},
        }
        for number, (emotion, age) in enumerate(people)
    ]
    path = tmp_path / "data.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return read_dialogues(str(path), name="train", select=DialogueFilter(**select))


def numbers(data: DialogueSet) -> list[int]:
    return [int(dialogue.turns[0].text.split()[1]) for dialogue in data.dialogues]


@pytest.mark.parametrize(
    ("emotions", "kept"),
    [
        (("anger",), [0, 4]),
        (("Anger", "JOY"), [0, 3, 4]),
        (("E1",), [0, 4]),
        (("E1x",), [0, 4]),
        (("E18",), [0]),
        (("e21", "E66"), [1, 3]),
        (("슬픔",), [1, 2]),
        (["sadness"], [1, 2]),
    ],
)
def test_emotions_are_chosen_by_name_group_or_single_code(tmp_path: Path, emotions: Any, kept: list[int]) -> None:
    data = read(tmp_path, emotions=emotions)
    assert numbers(data) == kept
    assert data.dropped == {f"emotion other than {', '.join(emotions)}": len(PEOPLE) - len(kept)}


@pytest.mark.parametrize("name", ["young_adult", "young adult", "Young-Adult", "A02", "a02", "청년"])
def test_age_groups_are_chosen_by_any_of_their_names(tmp_path: Path, name: str) -> None:
    data = read(tmp_path, age_groups=(name,))
    assert numbers(data) == [1, 4]
    assert data.dropped == {f"age group other than {name}": 4}


def test_each_dialogue_is_counted_once_for_its_first_reason(tmp_path: Path) -> None:
    data = read(tmp_path, emotions=("sadness", "joy"), age_groups=("A02", "A03", "A04"), limit=2)
    assert sum(data.dropped.values()) + len(data.dialogues) == len(PEOPLE)
    assert data.dropped["over the limit of 2 dialogues (`limit`)"] == 1


def test_the_limit_is_spread_evenly_over_the_file_and_always_the_same(tmp_path: Path) -> None:
    people = [("E18", "A01")] * 100
    assert numbers(read(tmp_path, people, limit=4)) == [0, 25, 50, 75]
    most = numbers(read(tmp_path, people, limit=70))
    assert {after - before for before, after in itertools.pairwise(most)} == {1, 2}
    assert (len(most), most[0], most[-1]) == (70, 0, 98)


@pytest.mark.parametrize("limit", [6, 7, 10**9])
def test_a_limit_that_is_not_reached_changes_nothing(tmp_path: Path, limit: int) -> None:
    data = read(tmp_path, limit=limit)
    assert (numbers(data), data.dropped) == ([0, 1, 2, 3, 4, 5], {})


def test_the_digest_is_of_what_was_kept(tmp_path: Path) -> None:
    kept = read(tmp_path, emotions=("E2",))
    assert kept.digest != read(tmp_path).digest
    assert kept.digest == read(tmp_path, age_groups=("A02", "A03"), emotions=("sadness",)).digest


def test_no_dialogue_left_is_an_error_with_the_counts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dialogue is left of 6 \(6 × emotion other than hurt\); widen the filter"):
        read(tmp_path, emotions=("hurt",))


@pytest.mark.parametrize(
    ("select", "message"),
    [
        (
            {"emotions": ("rage",)},
            r"'rage' in `emotions`. Choose from: anger \(E1\), .* joy \(E6\), or a single emotion",
        ),
        ({"emotions": ("E7",)}, "'E7' in `emotions`"),
        ({"emotions": ("E1²",)}, "in `emotions`"),
        ({"emotions": (3,)}, "3 in `emotions`"),
        ({"age_groups": ("A05",)}, r"'A05' in `age_groups`. Choose from: youth \(A01\), .* old \(A04\)\."),
        ({"age_groups": ("anger",)}, "'anger' in `age_groups`"),
        ({"emotions": ()}, "`emotions` must be a list of at least one name or null"),
        ({"emotions": "anger"}, "`emotions` must be a list of at least one name or null, but got 'anger'"),
        ({"limit": 0}, "`limit` must be a whole number from 1 or null, but got 0"),
        ({"limit": True}, "`limit` must be a whole number"),
        ({"limit": 2.0}, "`limit` must be a whole number"),
    ],
)
def test_an_impossible_filter_is_refused_before_any_file_is_read(select: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        DialogueFilter(**select)
