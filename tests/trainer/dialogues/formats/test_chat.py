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
        ([], "`messages` must be a list of at least one message, but got a list of 0"),
        ("안녕", "it must be an object with `messages`, but got '안녕'"),
        (say(), "`messages` must be a list of at least one message, but got a list of 0"),
        ({"messages": {"role": "user"}}, "`messages` must be a list of at least one message, but got an object"),
        ({"messages": ["안녕"]}, r"`messages\[0\]` must be an object with role and content, but got '안녕'"),
        ({"messages": [{"role": "user"}]}, r"`messages\[0\].content` must be text, but is missing"),
        ({"messages": [{"role": "user", "content": None}]}, r"`messages\[0\].content` must be text, but is null"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "url": "x"}]}]},
            r"`messages\[0\].content\[0\]` must be text, but got an object with 'type', 'url'",
        ),
        (
            {"messages": [{"role": "user", "content": [[[["가"]]]]}]},
            r"`messages\[0\].content\[0\]\[0\]\[0\]` must be text, but got a list of 1",
        ),
        ({"messages": [{"content": "가"}]}, r"`messages\[0\].role` must be a known role .user, .*, but got null"),
        (
            say("tool: 가"),
            r"`messages\[0\].role` must be a known role .*roles: {NAME: user, .*, but got 'tool'",
        ),
        ({"messages": [{"role": ["user"], "content": "가"}]}, r"`messages\[0\].role` must be a known role"),
        (say("user:  ", "assistant: 나"), r"`messages\[0\].content` must have text, but is empty"),
        (
            say("user: 가", "system: 나", "assistant: 다"),
            r"`messages\[1\]` must not be a system .*{system: model}`",
        ),
        (say("assistant: 가", "user: 나", "assistant: 다"), "its first turn is a reply"),
        (say("system: 가"), "it has no turns"),
    ],
)
def test_a_broken_record_is_named_by_line_and_key(tmp_path: Path, record: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"chat\.jsonl, line 2: {message}"):
        read(tmp_path, say("user: 가", "assistant: 나"), record)


# --- other forms ----------------------------------------------------------------------------------------------------

TWO = say("user: 안녕", "assistant: 네", "user: 힘들어", "assistant: 그랬군요")


def part(text: str, key: str = "text") -> list[dict[str, str]]:
    return [{"type": "text", key: text}]


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": [{"from": "human", "value": "안녕"}, {"from": "gpt", "value": "네"}, *TWO["messages"][2:]]},
        {"dialogue": [{"question": "안녕", "answer": "네"}, {"question": "힘들어", "answer": "그랬군요"}]},
        {"dialogue": [{"user": "안녕", "system": "네"}, {"user": "힘들어", "system": "그랬군요"}]},
        {"persona": ["나는 선생님이다"], "dialogue": [["안녕", "네"], ["힘들어", "그랬군요"]]},
        {"dialog": [{"내담자": "안녕", "상담사": "네"}, {"Client": "힘들어", "Counselor": "그랬군요"}]},
        {"turns": [{"speaker": "USER", "utterance": "안녕"}, {"speaker": "Bot", "text": "네"}, *TWO["messages"][2:]]},
        {"turns": 2, "contents": [{"role": "user", "parts": part("안녕")}, *TWO["messages"][1:]]},
        {"messages": [{"role": "user", "content": part("안녕", "value")}, *TWO["messages"][1:]]},
        {"messages": [*TWO["messages"][:3], {"role": "ai", "content": {"parts": ["그랬군요", ""]}}]},
        TWO["messages"],
    ],
)
def test_other_forms_of_messages_are_the_same_data(tmp_path: Path, record: Any) -> None:
    assert read(tmp_path, record, record).digest == read(tmp_path, TWO, TWO).digest


@pytest.mark.parametrize(
    ("asks", "replies"),
    [
        *(("user", "assistant"), ("human", "gpt"), ("Human", "Assistant"), ("user", "bot"), ("customer", "agent")),
        *(("client", "counselor"), ("client", "counsellor"), ("patient", "therapist"), ("patient", "doctor")),
        *(("seeker", "supporter"), ("내담자", "상담사"), ("사용자", "챗봇"), ("고객", "상담원")),
    ],
)
def test_names_of_the_two_sides_are_known(tmp_path: Path, asks: str, replies: str) -> None:
    data = read(tmp_path, say(f"{asks}: 안녕", f"{replies}: 네", f"{asks}: 힘들어", f"{replies}: 그랬군요"))
    assert data.digest == read(tmp_path, TWO).digest


def test_other_names_are_mapped(tmp_path: Path) -> None:
    """Also those that are known for something else."""
    roles = {"narrator": "system", "A": "user", "System": "model"}
    data = read(tmp_path, say("narrator: 밤이다.", "A: 안녕", "system: 네"), roles=roles)
    assert spoken(data) == [("user", "밤이다.\n\n안녕"), ("model", "네")]
    pairs = read(tmp_path, {"dialogue": [{"A": "안녕", "system": "네"}]}, roles=roles)
    assert spoken(pairs) == [("user", "안녕"), ("model", "네")]
    with pytest.raises(DataError, match="`roles` must map names to user, model, system, but 'A' is 'me'"):
        read(tmp_path, TWO, roles={"A": "me"})


def test_a_document_of_messages_alone_is_one_dialogue(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(TWO["messages"], indent=1), encoding="utf-8")
    assert read_dialogues(str(path), name="train").digest == read(tmp_path, TWO).digest
    path.write_text(json.dumps([TWO["messages"]] * 2), encoding="utf-8")
    assert read_dialogues(str(path), name="train").digest == read(tmp_path, TWO, TWO).digest


def test_a_system_text_beside_the_messages_goes_before_the_first_user_text(tmp_path: Path) -> None:
    record = {"system": "상담사처럼", "conversations": TWO["messages"]}
    gemini = {"systemInstruction": {"parts": part("상담사처럼")}, "contents": TWO["messages"]}
    for each in (record, gemini):
        assert spoken(read(tmp_path, each))[0] == ("user", "상담사처럼\n\n안녕")


def test_the_last_exchange_may_lack_its_reply(tmp_path: Path) -> None:
    data = read(tmp_path, {"dialogue": [{"user": "안녕", "assistant": "네"}, {"user": "힘들어", "assistant": None}]})
    assert spoken(data) == [("user", "안녕"), ("model", "네")]


def test_flat_records_are_rows(tmp_path: Path) -> None:
    data = read(
        tmp_path,
        {"instruction": "번역해", "input": "안녕", "output": "hello", "n": 1},
        {"instruction": "세어 봐", "output": 3, "topic": "수", "system": "짧게"},
    )
    assert spoken(data) == [("user", "번역해\n\n안녕"), ("model", "hello")]
    assert spoken(data, 1) == [("user", "짧게\n\n세어 봐"), ("model", "3")]
    assert data.dialogues[1].attributes == {"topic": "수"}
    named = read(tmp_path, {"말": "가", "글": "나"}, prompt_column="말", response_column="글")
    assert spoken(named) == [("user", "가"), ("model", "나")]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "가", "answer": ["나"]}, "line 2: `answer` must be text, but got a list of 1; write all turns"),
        ({"question": "가", "answer": "나", "history": [["다", "라"]]}, "line 2: `history` has turns"),
        (["가"], "line 2 must be a flat object, but got a list of 1"),
        ({f"k{i}": i for i in range(300)}, "at most 200 different keys, but line 2 goes beyond"),
    ],
)
def test_a_flat_record_that_is_none_is_refused(tmp_path: Path, record: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"question": "가", "answer": "나"}, record)
