"""Everyday text is plain: exchanges, stories and exercises, none of which counsels."""

import re

import pytest

from trainer.builtin import exercises
from trainer.builtin.content import topics
from trainer.builtin.corpus import dialogue_records, normalised
from trainer.builtin.everyday import everyday_samples, in_template
from trainer.builtin.grammar import Draw


def test_the_same_seed_gives_the_same_text() -> None:
    assert list(everyday_samples(200, seed="a")) == list(everyday_samples(200, seed="a"))
    assert list(everyday_samples(200, seed="a")) != list(everyday_samples(200, seed="b"))


def test_no_mark_of_the_grammar_is_left() -> None:
    for text in everyday_samples(3000, seed="marks", spelling=False):
        plain = text.replace("<start_of_turn>", "").replace("<end_of_turn>", "")
        assert re.fullmatch(r"[가-힣A-Za-z0-9 ,.?:'\n]+", plain), text


def test_exchanges_alternate_in_gemmas_template() -> None:
    assert in_template(("a", "b")) == "<start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>"
    chats = [t for t in everyday_samples(500, seed="chats") if t.startswith("<start_of_turn>")]
    assert 100 < len(chats) < 450
    for chat in chats:
        roles = re.findall(r"<start_of_turn>(\w+)\n", chat)
        assert roles == (["user", "model"] * len(roles))[: len(roles)]


def test_both_languages_occur() -> None:
    samples = list(everyday_samples(1000, seed="languages"))
    english = sum(bool(re.search(r"\b(the|is|a)\b", s.replace("<start_of_turn>", ""))) for s in samples)
    assert 50 < english < 500


def test_no_answer_of_the_corpus_is_in_everyday_text() -> None:
    """What fine-tuning is to learn is not given away: no whole sentence of an answer occurs."""
    everyday = {normalised(s) for text in everyday_samples(20_000, seed="apart") for s in re.split(r"[.?\n]", text)}
    answers = [
        c[n] for r in dialogue_records("validation") for c in [r["talk"]["content"]] for n in ("SS01", "SS02", "SS03")
    ]
    sentences = {normalised(s) for text in answers for s in re.split(r"[.?]", text) if len(normalised(s)) > 6}
    assert len(sentences) > 1000
    assert not sentences & everyday


@pytest.mark.parametrize(
    ("value", "words"), [(0, "영"), (7, "칠"), (10, "십"), (21, "이십일"), (105, "백오"), (1990, "천구백구십")]
)
def test_numbers_are_read_in_sino_korean(value: int, words: str) -> None:
    assert exercises.number(value) == words


def test_sums_are_right() -> None:
    for seed in range(200):
        question, answer = exercises.sums(Draw(str(seed)))
        if found := re.match(r"(\d+) (더하기|빼기) (\d+)", question):
            a, b = int(found[1]), int(found[3])
            assert answer.startswith(f"{a + b if found[2] == '더하기' else a - b}이") or answer.startswith(
                f"{a + b if found[2] == '더하기' else a - b}예"
            )


def test_a_repeated_sentence_is_the_sentence_itself() -> None:
    for seed in range(50):
        question, answer = exercises.repeating(Draw(str(seed)))
        assert question.endswith(answer)


def test_a_named_topic_is_one_of_the_topics() -> None:
    titles = {topic.title for topic in topics()}
    for seed in range(50):
        _, answer = exercises.naming_the_topic(Draw(str(seed)))
        assert any(answer.startswith(title) for title in titles)
