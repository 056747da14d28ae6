"""AI Hub's corpus: JSON records, the table form, and their odd cases. All text here is our own."""

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from trainer.dialogues import DialogueSet, Turn, read_dialogues
from trainer.errors import DataError

CONTENT = {
    "HS01": "일이 너무 많아 화가 나.",
    "SS01": "많이 지치셨겠어요.",
    "HS02": "응. ",
    "SS02": "조금 쉬어 볼까요?  ",
}
TURNS = [
    ("user", "일이 너무 많아 화가 나."),
    ("model", "많이 지치셨겠어요."),
    ("user", "응."),
    ("model", "조금 쉬어 볼까요?"),
]
CURRENT = ["Unnamed: 0", "연령", "성별", "상황키워드", "신체질환", "감정_대분류", "감정_소분류"]
UTTERANCES = ["사람문장1", "시스템문장1", "사람문장2", "시스템문장2", "사람문장3", "시스템문장3"]


def record(emotion: str = "E18", age: str = "A02", **content: Any) -> dict[str, Any]:
    """A record as the corpus has it; `content` replaces or adds utterances."""
    return {
        "profile": {
            "persona-id": "Pro_00001",
            "persona": {"persona-id": f"{age}_G02_C01", "human": [age, "G02"], "computer": ["C01"]},
            "emotion": {"emotion-id": f"S06_D02_{emotion}", "type": emotion, "situation": ["S06", "D02"]},
        },
        "talk": {
            "id": {"profile-id": "Pro_00001", "talk-id": "Pro_00001_00053"},
            "content": {**CONTENT, "HS03": "", "SS03": "", **content},
        },
    }


def read(tmp_path: Path, document: Any, name: str = "data.json", **options: Any) -> DialogueSet:
    path = tmp_path / name
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return read_dialogues(str(path), name="train", **options)


def spoken(data: DialogueSet, index: int = 0) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in data.dialogues[index].turns]


def workbook(path: Path, rows: list[list[Any]]) -> str:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return str(path)


@pytest.mark.parametrize("document", [[record()], {"data": [record()]}, record()])
def test_a_list_a_data_object_and_a_single_record_are_the_same(tmp_path: Path, document: Any) -> None:
    data = read(tmp_path, document)
    assert spoken(data) == TURNS
    assert data.digest == read(tmp_path, [record()], format="aihub").digest
    assert not data.dropped


def test_codes_become_names(tmp_path: Path) -> None:
    assert read(tmp_path, [record()]).dialogues[0].attributes == {
        "id": "Pro_00001_00053",
        "emotion": "anger",
        "emotion_type": "E18",
        "age_group": "young_adult",
        "gender": "female",
        "situation": "S06",
        "illness": "none",
    }


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("E10", "anger"),
        ("E29", "sadness"),
        ("E31", "anxiety"),
        ("E40", "hurt"),
        ("E55", "embarrassment"),
        ("E69", "joy"),
        ("E99", "E99"),
    ],
)
def test_the_tens_of_an_emotion_are_its_group(tmp_path: Path, code: str, name: str) -> None:
    """An unknown code stays as it is: it cannot be filtered for, and does not stop a file of 50,000."""
    assert read(tmp_path, [record(emotion=code)]).dialogues[0].attributes["emotion"] == name


@pytest.mark.parametrize(
    ("code", "name"), [("A01", "youth"), ("A02", "young_adult"), ("A03", "middle_aged"), ("A04", "old")]
)
def test_age_codes_are_four_groups(tmp_path: Path, code: str, name: str) -> None:
    assert read(tmp_path, [record(age=code)]).dialogues[0].attributes["age_group"] == name


def test_talk_ids_need_not_be_unique(tmp_path: Path) -> None:
    assert len(read(tmp_path, [record(), record(HS01="다른 말")]).dialogues) == 2


def test_a_third_pair_is_used_when_it_is_filled(tmp_path: Path) -> None:
    data = read(tmp_path, [record(HS03="고마워 ", SS03="언제든 말해요.")])
    assert spoken(data) == [*TURNS, ("user", "고마워"), ("model", "언제든 말해요.")]


def test_a_last_human_turn_without_a_reply_is_left_out_and_said(tmp_path: Path) -> None:
    data = read(tmp_path, [record(HS03="고마워"), record()])
    assert spoken(data) == TURNS
    assert list(data.dropped.values()) == [1]
    assert "last user turn without a reply" in next(iter(data.dropped))


def test_a_reply_without_a_human_turn_joins_the_reply_before(tmp_path: Path) -> None:
    """SS03 alone: two replies in a row are one turn of two lines, and nothing is lost."""
    data = read(tmp_path, [record(SS03="꼭 쉬세요.")])
    assert spoken(data) == [*TURNS[:3], ("model", "조금 쉬어 볼까요?\n꼭 쉬세요.")]
    assert not data.dropped


def test_keys_may_come_in_any_order_be_null_or_go_on(tmp_path: Path) -> None:
    item = record(HS03=None, SS03=None, HS04="있잖아", SS04="네?")
    item["talk"]["content"] = dict(sorted(item["talk"]["content"].items(), reverse=True))
    assert spoken(read(tmp_path, [item])) == [*TURNS, ("user", "있잖아"), ("model", "네?")]


def test_a_record_without_a_profile_has_no_attributes_to_filter_by(tmp_path: Path) -> None:
    item = record()
    del item["profile"]
    assert set(read(tmp_path, [item]).dialogues[0].attributes) == {"id"}


def test_a_dialogue_that_nobody_answers_is_dropped_and_counted(tmp_path: Path) -> None:
    data = read(tmp_path, [record(), record(SS01="", HS02="", SS02="")])
    assert len(data.dialogues) == 1
    assert data.dropped == {"dialogue without a reply": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("talk"), "record 2: `talk` is missing"),
        (lambda r: r["talk"].pop("content"), "record 2: `talk.content` is missing"),
        (lambda r: r["talk"].update(content=[]), "record 2: `talk.content` must be an object, but got a list of 0"),
        (lambda r: r["talk"].update(content={}), "record 2: `talk.content` must have text in HS01"),
        (lambda r: r["talk"]["content"].update(SS02=3), "record 2: `talk.content.SS02` must be text, but got 3"),
        (lambda r: r["talk"]["content"].update(HS01=""), "record 2: its first turn is a reply"),
        (lambda r: r["talk"]["content"].update(HS01="\ud83d"), "record 2: A turn's text must be valid Unicode"),
        (lambda r: r["talk"]["id"].update({"talk-id": 7}), "record 2: `talk.id.talk-id` must be text, but got 7"),
        (lambda r: r.update(profile="A02"), "record 2: `profile` must be an object, but got 'A02'"),
        (
            lambda r: r["profile"]["emotion"].update(type=18),
            "record 2: `profile.emotion.type` must be text, but got 18",
        ),
        (
            lambda r: r["profile"]["persona"].update(human="A02"),
            "record 2: `profile.persona.human` must be a list of codes",
        ),
    ],
)
def test_a_broken_record_is_named_by_number_and_key(tmp_path: Path, change: Any, message: str) -> None:
    broken = record()
    change(broken)
    path = tmp_path / "data.json"
    path.write_text(json.dumps([record(), broken]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_dialogues(str(path), name="train")
    assert str(caught.value).startswith(f"{path}, {message}")


def test_the_excel_form_has_the_same_digest_as_the_json(tmp_path: Path) -> None:
    row = [
        0,
        "청년",
        "여성",
        "직장, 업무 스트레스",
        "만성질환 없음",
        "분노 ",
        "노여워하는",
        *CONTENT.values(),
        None,
        None,
    ]
    data = read_dialogues(workbook(tmp_path / "data.xlsx", [[*CURRENT, *UTTERANCES], row]), name="train")
    assert data.digest == read(tmp_path, [record()]).digest
    assert data.dialogues[0].attributes == {
        "age_group": "young_adult",
        "gender": "female",
        "situation": "직장, 업무 스트레스",
        "illness": "none",
        "emotion": "anger",
        "emotion_type": "노여워하는",
    }


def test_the_older_excel_form_is_read_too(tmp_path: Path) -> None:
    pairs = [f"{side}{n}" for n in (1, 2, 3, 4) for side in ("사람문장", "시스템응답")]
    rows: list[list[Any]] = [
        ["번호", "연령", "감정_대분류", *pairs],
        [1, "노년", "기쁨", "가", "나", "다", "라", "마", "바", "사", "아"],
    ]
    data = read_dialogues(workbook(tmp_path / "old.xlsx", rows), name="train", format="aihub")
    assert [text for _, text in spoken(data)] == list("가나다라마바사아")
    assert data.dialogues[0].attributes == {"id": "1", "age_group": "old", "emotion": "joy"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_csv_exports_are_read_in_every_encoding_they_come_in(tmp_path: Path, encoding: str) -> None:
    lines = [
        ",".join(CURRENT + UTTERANCES),
        ",".join(["0", "청년", "여성", "", "", "분노", "", *CONTENT.values(), "", ""]),
    ]
    path = tmp_path / "export.csv"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    assert read_dialogues(str(path), name="train").digest == read(tmp_path, [record()]).digest


def test_decomposed_hangul_in_column_names_is_recognised(tmp_path: Path) -> None:
    """macOS writes Hangul decomposed (NFD)."""
    import unicodedata

    path = tmp_path / "nfd.csv"
    path.write_text(unicodedata.normalize("NFD", "사람문장1,시스템문장1") + "\n가,나\n", encoding="utf-8")
    assert spoken(read_dialogues(str(path), name="train")) == [("user", "가"), ("model", "나")]


def test_named_columns_are_used_even_if_the_table_is_the_corpuss(tmp_path: Path) -> None:
    rows = [["사람문장1", "시스템문장1", "사람문장2", "시스템문장2"], ["가", "나", "다", "라"]]
    path = workbook(tmp_path / "data.xlsx", rows)
    data = read_dialogues(path, name="train", prompt_column="사람문장2", response_column="시스템문장2")
    assert spoken(data) == [("user", "다"), ("model", "라")]


def test_a_table_without_the_replies_columns_is_refused_with_those_it_has(tmp_path: Path) -> None:
    path = workbook(tmp_path / "half.xlsx", [["연령", "사람문장1"], ["청년", "가"]])
    with pytest.raises(DataError, match=r"시스템응답1.*but got the columns '연령', '사람문장1'"):
        read_dialogues(path, name="train")


@pytest.mark.parametrize(
    ("column", "message"),
    [("사람문장1", "column '사람문장1' must occur once"), ("사람문장 2", "each turn must have one column, but got")],
)
def test_a_turn_with_two_columns_is_refused(tmp_path: Path, column: str, message: str) -> None:
    header = ["사람문장1", "시스템문장1", "사람문장2", "시스템문장2", column]
    with pytest.raises(DataError, match=message):
        read_dialogues(workbook(tmp_path / "twice.xlsx", [header, list("가나다라마")]), name="train")


def test_a_sheet_row_is_named_by_its_number(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["사람문장1", "시스템문장1"], ["가", "나"], [None, None], [None, "라"]]
    with pytest.raises(DataError, match="row 4: its first turn is a reply"):
        read_dialogues(workbook(tmp_path / "row.xlsx", rows), name="train")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_built_in_corpus_is_read_without_a_file(split: str) -> None:
    pytest.importorskip("trainer.builtin.corpus", reason="the built-in corpus is not here yet")
    data = read_dialogues(f"builtin:{split}", name=split)
    assert {dialogue.attributes["emotion"] for dialogue in data.dialogues} == {
        "anger", "sadness", "anxiety", "hurt", "embarrassment", "joy",
    }  # fmt: skip
    assert all(dialogue.turns[-1] == Turn("model", dialogue.turns[-1].text) for dialogue in data.dialogues)


def test_an_unknown_built_in_split_is_refused_with_the_choices() -> None:
    with pytest.raises(
        DataError, match=r"'builtin:dev'\. Choose from: builtin:train, builtin:validation, builtin:test"
    ):
        read_dialogues("builtin:dev", name="val")
