"""Chat messages, as JSON lines or as a JSON list."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.dialogues import DialogueSet, read_dialogues
from trainer.errors import DataError


def say(*messages: str, **fields: Any) -> dict[str, Any]:
    """A record of messages written as "role: content"."""
    return {"messages": [dict(zip(("role", "content"), m.split(": ", 1), strict=True)) for m in messages], **fields}


def read(tmp_path: Path, *records: Any, name: str = "chat.jsonl", **options: Any) -> DialogueSet:
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in records) + "\n", encoding="utf-8")
    return read_dialogues(str(path), name="train", **options)


def spoken(data: DialogueSet, index: int = 0) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in data.dialogues[index].turns]


@pytest.mark.parametrize("role", ["assistant", "model"])
def test_all_turns_are_kept_and_either_name_is_the_models(tmp_path: Path, role: str) -> None:
    data = read(tmp_path, say("user: 안녕", f"{role}: 네", "user: 힘들어 ", f"{role}: 그랬군요"))
    assert spoken(data) == [("user", "안녕"), ("model", "네"), ("user", "힘들어"), ("model", "그랬군요")]


def test_system_text_goes_before_the_first_user_text(tmp_path: Path) -> None:
    """Gemma 2 has no system role."""
    data = read(
        tmp_path, say("system: 상담사처럼", "system: 짧게", "user: 안녕", "assistant: 네", "user: 응", "model: 예")
    )
    assert spoken(data)[0] == ("user", "상담사처럼\n\n짧게\n\n안녕")
    assert spoken(data)[2] == ("user", "응")


def test_an_empty_system_text_adds_nothing(tmp_path: Path) -> None:
    assert spoken(read(tmp_path, say("system: ", "user: 안녕", "assistant: 네")))[0] == ("user", "안녕")


def test_messages_of_one_side_in_a_row_become_one_turn(tmp_path: Path) -> None:
    data = read(tmp_path, say("user: 있잖아", "user: 나 힘들어", "assistant: 네", "assistant: 말해 봐요"))
    assert spoken(data) == [("user", "있잖아\n나 힘들어"), ("model", "네\n말해 봐요")]


def test_what_nobody_answered_is_left_out_and_counted(tmp_path: Path) -> None:
    data = read(tmp_path, say("user: 가", "assistant: 나", "user: 다"), say("user: 라"))
    assert spoken(data) == [("user", "가"), ("model", "나")]
    assert sorted(data.dropped.values()) == [1, 1]
    assert data.dropped["dialogue without a reply"] == 1


def test_other_text_fields_become_attributes(tmp_path: Path) -> None:
    data = read(tmp_path, say("user: 가", "assistant: 나", emotion="E31", source="ours", score=3))
    assert data.dialogues[0].attributes == {"emotion": "anxiety", "emotion_type": "E31", "source": "ours"}


@pytest.mark.parametrize("name", ["chat.jsonl", "chat.ndjson", "chat.txt", "chat"])
def test_json_lines_are_known_by_suffix_or_by_content(tmp_path: Path, name: str) -> None:
    assert (
        len(read(tmp_path, say("user: 가", "assistant: 나"), say("user: 다", "assistant: 라"), name=name).dialogues)
        == 2
    )


def test_a_json_list_named_as_lines_is_read_as_the_list_it_is(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(json.dumps([say("user: 가", "assistant: 나")], indent=1), encoding="utf-8")
    assert spoken(read_dialogues(str(path), name="train")) == [("user", "가"), ("model", "나")]


def test_a_json_list_of_chats_is_the_same_data_as_json_lines(tmp_path: Path) -> None:
    chats = [say("user: 가", "assistant: 나"), say("user: 다", "assistant: 라")]
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(chats, indent=1), encoding="utf-8")
    assert read_dialogues(str(path), name="train").digest == read(tmp_path, *chats, format="chat").digest


def test_line_separators_inside_text_do_not_end_a_line(tmp_path: Path) -> None:
    """U+2028 and U+0085 break lines for str.splitlines, but not for JSON."""
    assert spoken(read(tmp_path, say("user: 가\u2028나\x85다", "assistant: 라")))[0] == ("user", "가\u2028나\x85다")


def test_line_breaks_of_windows_are_one_character(tmp_path: Path) -> None:
    assert spoken(read(tmp_path, say("user: 가\r\n나\r다", "assistant: 라")))[0] == ("user", "가\n나\n다")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "`messages` is missing; it has nothing"),
        ([], "it must be an object with `messages`, but got a list of 0"),
        (say(), "`messages` must be a list of at least one message, but got a list of 0"),
        ({"messages": {"role": "user"}}, "`messages` must be a list of at least one message, but got an object"),
        ({"messages": ["안녕"]}, r"`messages\[0\]` must be an object with role and content, but got '안녕'"),
        ({"messages": [{"role": "user"}]}, r"`messages\[0\].content` must be text, but is missing"),
        ({"messages": [{"role": "user", "content": None}]}, r"`messages\[0\].content` must be text, but is null"),
        (
            {"messages": [{"role": "user", "content": ["가"]}]},
            r"`messages\[0\].content` must be text, but got a list of 1",
        ),
        ({"messages": [{"content": "가"}]}, r"`messages\[0\].role` must be one of user, .*, but got null"),
        (say("tool: 가"), r"`messages\[0\].role` must be one of user, assistant, model, system, but got 'tool'"),
        ({"messages": [{"role": ["user"], "content": "가"}]}, r"`messages\[0\].role` must be one of"),
        (say("user:  ", "assistant: 나"), r"`messages\[0\].content` must have text, but is empty"),
        (say("user: 가", "system: 나", "assistant: 다"), r"`messages\[1\]` must not be a system message"),
        (say("assistant: 가", "user: 나", "assistant: 다"), "its first turn is a reply"),
        (say("system: 가"), "it has no turns"),
    ],
)
def test_a_broken_record_is_named_by_line_and_key(tmp_path: Path, record: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"chat\.jsonl, line 2: {message}"):
        read(tmp_path, say("user: 가", "assistant: 나"), record)
