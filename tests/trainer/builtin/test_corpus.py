"""The corpus has the AI Hub schema and its odd cases, is balanced, and shares nothing between its splits."""

import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from trainer.builtin.content import feelings, topics
from trainer.builtin.content.things import bind_slots
from trainer.builtin.corpus import dialogue_records, normalised
from trainer.builtin.grammar import Draw, choose, render
from trainer.builtin.josa import final_of, past_stem

SPLITS = ("train", "validation", "test")
UTTERANCES = ["HS01", "SS01", "HS02", "SS02", "HS03", "SS03"]
DIGESTS = {
    "train": "913114d75c3cea08d17de96154ec1ab740b9321791b11698700e534945b81f0d",
    "validation": "1ea6cc5d585872c237e712eaae11eeed1219e9ab7e65296b8c0cc1cd02883071",
    "test": "fffffe81f14d708ae38f3afb8a875f3c527ed178dc71b71608efaf6495f055e7",
}


def contents(split: str) -> list[dict[str, str]]:
    return [record["talk"]["content"] for record in dialogue_records(split)]


def texts(split: str) -> list[str]:
    return [text for content in contents(split) for text in content.values() if text]


@pytest.mark.parametrize("split", SPLITS)
def test_the_records_are_the_same_on_every_machine(split: str) -> None:
    canonical = json.dumps(dialogue_records(split), ensure_ascii=False, sort_keys=True)
    assert hashlib.sha256(canonical.encode()).hexdigest() == DIGESTS[split]


def test_records_belong_to_their_caller() -> None:
    dialogue_records("test")[0]["talk"].clear()
    assert dialogue_records("test")[0]["talk"]


@pytest.mark.parametrize(("split", "least"), [("train", 2000), ("validation", 300), ("test", 300)])
def test_every_group_age_and_gender_is_equally_frequent(split: str, least: int) -> None:
    records = dialogue_records(split)
    assert len(records) >= least
    cells = Counter((r["profile"]["emotion"]["type"][1], *r["profile"]["persona"]["human"]) for r in records)
    assert set(cells) == set(itertools.product("123456", ("A01", "A02", "A03", "A04"), ("G01", "G02"))), (
        "6 groups × 4 ages × 2 genders"
    )
    assert len(set(cells.values())) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_all_sixty_emotions_are_present(split: str) -> None:
    kinds = {r["profile"]["emotion"]["type"] for r in dialogue_records(split)}
    assert kinds == {f"E{n}" for n in range(10, 70)} == set(feelings())


@pytest.mark.parametrize("split", SPLITS)
def test_a_record_has_the_schema(split: str) -> None:
    for record in dialogue_records(split):
        assert set(record) == {"profile", "talk"}
        check_profile(record["profile"])
        identity = record["talk"]["id"]
        assert identity["profile-id"] == record["profile"]["persona-id"]
        assert re.fullmatch(r"Pro_\d{5}_\d{5}", identity["talk-id"])
        assert list(record["talk"]["content"]) == UTTERANCES
        assert all(record["talk"]["content"][name].strip() for name in UTTERANCES[:4])


def check_profile(profile: dict[str, Any]) -> None:
    persona, emotion = profile["persona"], profile["emotion"]
    assert re.fullmatch(r"Pro_\d{5}", profile["persona-id"])
    assert persona["persona-id"] == "_".join(persona["human"] + persona["computer"])
    assert re.fullmatch(r"S(0[1-9]|1[0-3])_D0[12]_E[1-6]\d", emotion["emotion-id"])
    assert emotion["emotion-id"] == "_".join([*emotion["situation"], emotion["type"]])


@pytest.mark.parametrize("split", SPLITS)
def test_the_odd_cases_are_present(split: str) -> None:
    """Half end after two exchanges; some end in an unanswered utterance, in spaces, or repeat a talk-id."""
    found = contents(split)
    without_third = sum(not content["HS03"] for content in found)
    assert 0.4 < without_third / len(found) < 0.6
    assert 0 < sum(bool(c["HS03"]) and not c["SS03"] for c in found) < 0.05 * len(found)
    assert any(text.endswith(" ") for text in texts(split))
    assert len({r["talk"]["id"]["talk-id"] for r in dialogue_records(split)}) < len(found)


def test_no_opening_occurs_twice_in_all_splits() -> None:
    """So no dialogue is shared, not even by another spelling of spaces, marks and case."""
    openings = [normalised(content["HS01"]) for split in SPLITS for content in contents(split)]
    assert len(openings) == len(set(openings))


def as_pattern(template: str) -> re.Pattern[str]:
    """What a template can be rendered as, whatever follows its last syllable."""
    template = template.rstrip("~@.")
    open_at = template.rfind("[") if template.endswith("]") else len(template) - 1
    pattern = re.escape(template[:open_at] + re.sub(r"\w(?=[|\]]|$)", "", template[open_at:]))
    for mark, meaning in [(r"\[", "(?:"), (r"\|", "|"), (r"\]", ")"), (r"\ ", " *")]:
        pattern = pattern.replace(mark, meaning)
    pattern = re.sub(r"\\{[^{}]+\\}", ".+?", pattern)
    return re.compile(re.sub(r"([가-힣]+)/([가-힣]+)", r"(?:\1|\2)", pattern).replace("\\~", "요?").replace("@", ".*"))


@cache
def patterns() -> list[tuple[str, list[re.Pattern[str]], list[re.Pattern[str]]]]:
    return [(t.name, [as_pattern(e.told) for e in t.events], [as_pattern(d.told) for d in t.details]) for t in topics()]


def combinations_of(content: dict[str, str]) -> set[str]:
    """The combinations of event and detail that a dialogue can be."""
    return {
        f"{name} {i} {j}"
        for name, events, details in patterns()
        for j, detail in enumerate(details)
        if detail.search(content["HS02"])
        for i, event in enumerate(events)
        if event.search(content["HS01"])
    }


def test_half_of_the_held_out_dialogues_combine_what_training_never_combines() -> None:
    """Found again from the texts alone."""
    trained = {name for content in contents("train") for name in combinations_of(content)}
    for split in ("validation", "test"):
        found = [combinations_of(content) for content in contents(split)]
        assert all(found)
        assert sum(names.isdisjoint(trained) for names in found) >= len(found) // 2


def test_the_corpus_is_rich() -> None:
    train = texts("train")
    answers = [content[name].strip() for content in contents("train") for name in ("SS01", "SS02", "SS03")]
    assert len({normalised(text) for text in train}) > 8000
    assert len({word for text in train for word in text.split()}) > 4000
    assert len(set(filter(None, answers))) > 4000


def test_no_mark_of_the_grammar_is_left_in_a_text() -> None:
    for split in SPLITS:
        for text in texts(split):
            assert re.fullmatch(r"[가-힣 ,.?]+", text), text


def test_every_person_is_answered_politely() -> None:
    for content in contents("train"):
        for name in ("SS01", "SS02", "SS03"):
            for sentence in re.findall(r"[^.?]+[.?]", content[name]):
                assert re.search(r"(요|죠)[.?]$", sentence), content[name]


def test_an_answer_about_sleep_is_about_sleep() -> None:
    asked = [c for c in contents("train") if "잠을" in c["HS01"] and "못 자" in c["HS01"]]
    assert len(asked) > 10
    assert all(re.search("잠|주무", c["SS01"]) for c in asked)


def test_every_event_can_be_conjugated_and_mirrored() -> None:
    """Told forms end in an open syllable; mirrored ones in ㅆ, so that 군요, 네요, 다니 and 으니 can follow."""
    for topic in topics():
        for event in topic.events:
            for seed in range(20):
                told = choose(event.told, Draw(f"{seed}"))
                assert past_stem(told)
                assert final_of(choose(event.mirrored, Draw(f"{seed}"))[-1]) == 20, event


def test_every_detail_is_answered_with_a_past_stem_and_every_plan_with_sentences() -> None:
    for topic in topics():
        for seed in range(20):
            draw = Draw(f"{seed}")
            slots = bind_slots(draw, age=topic.ages[0], gender="1", polite=True)
            for detail in topic.details:
                assert final_of(render(detail.answered, draw, slots)[-1]) == 20, detail
                assert render(detail.told, draw, slots)[-1] == "."
            for plan in topic.plans:
                assert render(plan.answered, draw, slots).endswith(("요.", "죠.")), plan
                assert render(plan.told, draw, slots)[-1] == "."
            for question in topic.asks + topic.remedies:
                assert render(question, draw, slots).endswith("?")


def test_every_age_has_topics_of_every_emotion_group() -> None:
    for age, group in itertools.product("1234", "123456"):
        fitting = [t for t in topics() if age in t.ages and any(group in event.groups for event in t.events)]
        assert len(fitting) >= 5, (age, group)


def test_an_unknown_split_names_the_choices() -> None:
    with pytest.raises(ValueError, match="train, validation, test"):
        dialogue_records("training")  # type: ignore[arg-type]


def test_the_command_writes_one_json_list_per_split(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "trainer.builtin.corpus", str(tmp_path)], check=True)
    for split in SPLITS:
        assert json.loads((tmp_path / f"{split}.json").read_text(encoding="utf-8")) == dialogue_records(split)
