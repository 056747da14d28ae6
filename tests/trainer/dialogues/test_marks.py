"""Marks on records and messages: weights, `train`, rejected replies, preferences. None is passed over."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.base.names import BUILTIN, read_vocabulary
from trainer.base.tokenizer import Tokenizer
from trainer.dialogues import Dialogue, DialogueSet, Turn, digest_of, read_dialogues
from trainer.dialogues.tokens import encode_dialogue, tokenize
from trainer.errors import DataError


def said(role: str, content: str, **marks: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **marks}


def chat(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), **fields}


def read(tmp_path: Path, *records: Any) -> DialogueSet:
    path = tmp_path / "chat.jsonl"
    path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    return read_dialogues(str(path), name="train")


def read_table(tmp_path: Path, text: str, **options: Any) -> DialogueSet:
    path = tmp_path / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    return read_dialogues(str(path), name="train", **options)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    vocabulary = read_vocabulary(BUILTIN)
    assert vocabulary is not None
    return Tokenizer(vocabulary)


GOOD = chat(said("user", "가"), said("assistant", "나"))
NO = [("weight", 0), ("weight", 0.0), ("loss_weight", 0), ("train", False), ("training", False), ("loss", False)]


@pytest.mark.parametrize(("key", "value"), NO)
def test_a_reply_that_is_not_to_be_learned_stays_as_history(
    tmp_path: Path, tokenizer: Tokenizer, key: str, value: Any
) -> None:
    marked = chat(said("user", "가"), said("assistant", "나", **{key: value}), said("user", "다"), said("model", "라"))
    (dialogue,) = read(tmp_path, marked).dialogues
    assert [turn.learned for turn in dialogue.turns] == [True, False, True, True]
    example = encode_dialogue(tokenizer, dialogue)
    assert tokenizer.decode(example.token_ids[example.loss_mask].tolist()) == "라"
    assert example.text_bytes == len("라".encode())


def test_with_all_as_target_a_turn_that_is_not_learned_is_no_target(tokenizer: Tokenizer) -> None:
    turns = (
        Turn("user", "가", learned=False),
        Turn("model", "나"),
        Turn("user", "다"),
        Turn("model", "라", learned=False),
    )
    example = encode_dialogue(tokenizer, Dialogue(turns), "all")
    assert tokenizer.decode(example.token_ids[example.loss_mask].tolist()) == "\nmodel\n나\nuser\n다"
    assert example.text_bytes == len("나다".encode())


def test_a_long_dialogue_is_cut_around_what_is_learned(tokenizer: Tokenizer) -> None:
    turns = [turn for index in range(20) for turn in (Turn("user", "가"), Turn("model", "나", learned=index == 12))]
    dialogue = Dialogue(tuple(turns))
    tokens = tokenize(DialogueSet("train", (dialogue,), ""), tokenizer, loss_on="response", max_tokens=64)
    assert (len(tokens.examples), tokens.replies) == (1, 1)


@pytest.mark.parametrize("mark", [{"weight": 1}, {"train": True}, {"loss_weight": 1.0}, {"weight": None}])
def test_a_mark_that_says_yes_changes_nothing(tmp_path: Path, mark: dict[str, Any]) -> None:
    marked = chat(said("user", "가", **mark), said("assistant", "나", **mark), **mark)
    assert read(tmp_path, marked).digest == read(tmp_path, GOOD).digest


def test_the_digest_tells_what_is_learned() -> None:
    other = Dialogue((Turn("user", "가"), Turn("model", "나", learned=False)))
    assert digest_of([other]) != digest_of([Dialogue((Turn("user", "가"), Turn("model", "나")))])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"label": False}, "rejected reply (`label: false`)"),
        ({"kto_tag": False}, "rejected reply (`kto_tag: false`)"),
        ({"weight": 0}, "not to be learned (`weight: 0`)"),
        ({"train": False}, "not to be learned (`train: False`)"),
    ],
)
def test_a_record_that_is_not_to_be_learned_is_left_out_and_counted(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    data = read(tmp_path, GOOD, GOOD | fields, GOOD | {"label": True}, GOOD | {"label": 0})
    assert (len(data.dialogues), data.dropped) == (3, {reason: 1})


def test_a_dialogue_of_which_no_reply_is_learned_is_left_out_and_counted(tmp_path: Path) -> None:
    data = read(tmp_path, GOOD, chat(said("user", "가"), said("assistant", "나", weight=0)))
    assert (len(data.dialogues), data.dropped) == (1, {"dialogue without a reply that is to be learned": 1})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (chat(said("user", "가"), said("assistant", "나", weight=0.5)), r"`messages\[1\].weight` must be 1 or true"),
        (chat(said("user", "가"), said("assistant", "나", train="later")), "0 or false .not., but got 'later'"),
        (
            GOOD | {"weight": 0.25},
            "`weight` must be 1 or true .learned., or 0 .*, but got 0.25: a reply has",
        ),
        (
            chat(said("user", "가"), said("model", "나", train_detail=[{"begin": 0}])),
            "train_detail` cannot be followed",
        ),
        (chat(said("user", "가"), said("model", "나", tool_calls=[{"id": 1}])), "tool_calls` cannot be followed"),
        (
            chat(said("user", "가"), said("model", "나", weight=0), said("model", "다")),
            "replies in a row are one turn, learned or not, but only some",
        ),
        (
            GOOD | {"chosen": [], "rejected": [said("model", "다")]},
            r"holds preferences \(rejected\), .*preference tuning",
        ),
    ],
)
def test_a_mark_that_cannot_be_followed_is_refused(tmp_path: Path, record: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"line 2: .*{message}"):
        read(tmp_path, GOOD, record)


def test_flat_records_have_marks_as_tables_do(tmp_path: Path) -> None:
    pair = {"prompt": "가", "completion": "나"}
    data = read(tmp_path, pair | {"label": True}, pair | {"label": False}, pair | {"weight": 0})
    assert data.dropped == {"rejected reply (`label: false`)": 1, "not to be learned (`weight: 0`)": 1}
    with pytest.raises(DataError, match=r"chat.jsonl: it holds preferences \(chosen, rejected\)"):
        read(tmp_path, {"prompt": "가", "chosen": "나", "rejected": "다"})
    (dialogue,) = read(tmp_path, {"dialogue": [{"user": "가", "bot": "나", "weight": 0}, ["다", "라"]]}).dialogues
    assert [turn.learned for turn in dialogue.turns] == [False, False, True, True]


# --- tables ---------------------------------------------------------------------------------------------------------


def test_marks_of_a_table_are_columns(tmp_path: Path) -> None:
    data = read_table(tmp_path, "Q,A,weight,label\n가,나,1,2\n다,라,0,0\n마,바,,False\n")
    assert [dialogue.turns[0].text for dialogue in data.dialogues] == ["가"]
    assert data.dialogues[0].attributes == {"weight": "1", "label": "2"}
    assert data.dropped == {"not to be learned (`weight: 0`)": 1, "rejected reply (`label: false`)": 1}


def test_a_column_that_only_looks_like_a_mark_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: `weight` must be 1 or true .* got '71.5'.* give it another name"):
        read_table(tmp_path, "Q,A,weight\n가,나,71.5\n")
    assert len(read_table(tmp_path, "Q,weight\n가,71\n", prompt_column="Q", response_column="weight").dialogues) == 1


def test_preferences_of_a_table_are_refused_until_the_better_reply_is_named(tmp_path: Path) -> None:
    text = "prompt,chosen,rejected\n가,나,다\n"
    with pytest.raises(DataError, match=r"preferences \(chosen, rejected\).*`response_column: chosen`"):
        read_table(tmp_path, text)
    data = read_table(tmp_path, text, prompt_column="prompt", response_column="chosen")
    assert [turn.text for turn in data.dialogues[0].turns] == ["가", "나"]
