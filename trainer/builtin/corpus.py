"""A corpus of counselling dialogues in the AI Hub schema, written by the grammar of this package.

    python -m trainer.builtin.corpus OUT_DIR     writes train.json, validation.json and test.json

No first utterance occurs twice, in one split or in two: each belongs to one split by its digest. Half of the
validation and test dialogues put event and detail together in a way that training never shows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from trainer.builtin.conversation import Persona, Plot, converse, draw_plot
from trainer.builtin.grammar import Draw

Split = Literal["train", "validation", "test"]

# Multiples of 480 = 60 emotions × 4 age groups × 2 genders, so that every cell is equally large.
SIZES: dict[str, int] = {"train": 2400, "validation": 480, "test": 480}
_FIRST_PROFILE = {"train": 1, "validation": 5001, "test": 7001}
_UTTERANCES = ("HS01", "SS01", "HS02", "SS02", "HS03", "SS03")
SEED = "gemma-sweeps corpus 1"

_PUNCTUATION = re.compile(r"[^\w]+")
_TWO_EXCHANGES = 0.48
_ONLY_HUMAN = 0.02  # HS03 without SS03
_TRAILING_SPACE = 0.06
_REPEATED_ID = 0.01
_CHRONIC = 0.15
_CHRONIC_TOPICS = ("illness", "ill_parent", "memory", "healthy")


def normalised(text: str) -> str:
    """`text` without spaces, punctuation and case: two texts that differ in these only are the same."""
    return _PUNCTUATION.sub("", text).lower()


@lru_cache(maxsize=3)
def _cached_records(split: Split) -> str:
    # Kept as text so that every caller gets his own records.
    return json.dumps(list(_records(split)), ensure_ascii=False)


def dialogue_records(split: Split) -> list[dict[str, Any]]:
    """The records of `split`, the same on every platform.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SIZES:
        raise ValueError(f"Unknown split {split!r}. Choose from: {', '.join(get_args(Split))}.")
    records: list[dict[str, Any]] = json.loads(_cached_records(split))
    return records


def _records(split: Split) -> Iterator[dict[str, Any]]:
    draw = Draw(f"{SEED} {split}")
    seen: set[str] = set()
    previous_id = ""
    for number, cell in enumerate(draw.shuffled(range(SIZES[split]))):
        persona = _persona(cell)
        plot, turns = _new_dialogue(draw, persona, split, seen, unseen_combination=_is_odd_cell(cell))
        profile = f"Pro_{_FIRST_PROFILE[split] + number:05d}"
        record = {"profile": _profile(draw, persona, plot, profile), "talk": _talk(draw, turns, profile)}
        if previous_id and draw.chance(_REPEATED_ID):
            record["talk"]["id"]["talk-id"] = previous_id
        previous_id = record["talk"]["id"]["talk-id"]
        yield record


def _persona(cell: int) -> Persona:
    group, age, gender, kind = cell % 6 + 1, cell // 6 % 4 + 1, cell // 24 % 2 + 1, cell // 48 % 10
    return Persona(emotion=f"E{group}{kind}", age=str(age), gender=str(gender))


def _is_odd_cell(cell: int) -> bool:
    """True of half the cells of every emotion group, age and gender."""
    return (cell // 48 + cell // 6 + cell) % 2 == 1


def _share(text: str, parts: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % parts


def _home(opening: str) -> Split:
    """The one split that a (normalised) first utterance may stand in."""
    part = _share(opening, 8)
    return "train" if part < 6 else ("validation" if part == 6 else "test")


@lru_cache(maxsize=4096)
def _reserved_for(combination: str) -> Split | None:
    """The split that alone may use a combination of event and detail; None: all may."""
    part = _share(combination, 8)
    return "validation" if part == 6 else ("test" if part == 7 else None)


def _new_dialogue(
    draw: Draw, persona: Persona, split: Split, seen: set[str], *, unseen_combination: bool
) -> tuple[Plot, tuple[str, ...]]:
    wanted = split if split != "train" and unseen_combination else None
    while True:
        plot = draw_plot(draw, persona, lambda combination: _reserved_for(combination) == wanted)
        turns = converse(draw, persona, plot)
        opening = normalised(turns[0])
        if _home(opening) == split and opening not in seen:
            seen.add(opening)
            return plot, turns


def _profile(draw: Draw, persona: Persona, plot: Plot, profile: str) -> dict[str, Any]:
    age, gender = f"A0{persona.age}", f"G0{persona.gender}"
    chronic = plot.topic.name in _CHRONIC_TOPICS or draw.chance(_CHRONIC)
    situation = [plot.topic.situation, "D01" if chronic else "D02"]
    return {
        "persona-id": profile,
        "persona": {"persona-id": f"{age}_{gender}_C01", "human": [age, gender], "computer": ["C01"]},
        "emotion": {
            "emotion-id": "_".join([*situation, persona.emotion]),
            "type": persona.emotion,
            "situation": situation,
        },
    }


def _talk(draw: Draw, turns: tuple[str, ...], profile: str) -> dict[str, Any]:
    texts = [turn + " " if draw.chance(_TRAILING_SPACE) else turn for turn in turns]
    if draw.chance(_TWO_EXCHANGES):
        texts[4:] = ["", ""]
    elif draw.chance(_ONLY_HUMAN):
        texts[5] = ""
    return {
        "id": {"profile-id": profile, "talk-id": f"{profile}_{draw.below(100000):05d}"},
        "content": dict(zip(_UTTERANCES, texts, strict=True)),
    }


def write_corpus(folder: Path) -> list[Path]:
    """Write one JSON list per split into `folder`, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for split in get_args(Split):
        path = folder / f"{split}.json"
        path.write_text(json.dumps(dialogue_records(split), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m trainer.builtin.corpus", description="Write the built-in corpus.")
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    for path in write_corpus(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
