"""Two-column tables: columns given or recognised, encodings, separators, quoting."""

import csv
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from trainer.dialogues import DialogueSet, read_dialogues
from trainer.errors import DataError

CHATBOT = Path(__file__).parents[4].parent / "shared" / "data" / "ChatbotData.csv"


def read(tmp_path: Path, text: str, name: str = "data.csv", encoding: str = "utf-8", **options: Any) -> DialogueSet:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return read_dialogues(str(path), name="train", **options)


def texts(data: DialogueSet) -> list[tuple[str, ...]]:
    return [tuple(turn.text for turn in dialogue.turns) for dialogue in data.dialogues]


@pytest.mark.parametrize(
    "header", ["Q,A", "q,a", "question,answer", "Prompt,Response", "instruction,output", "input,output", "질문,답변"]
)
def test_well_known_pairs_are_recognised(tmp_path: Path, header: str) -> None:
    assert texts(read(tmp_path, f"{header}\n가,나\n")) == [("가", "나")]


def test_columns_can_be_named_and_be_in_any_order(tmp_path: Path) -> None:
    data = read(tmp_path, "A,Q,말,글\n1,2,가,나\n", prompt_column="글", response_column="말")
    assert texts(data) == [("나", "가")]
    assert data.dialogues[0].attributes == {"A": "1", "Q": "2"}


def test_exact_case_decides_between_columns_that_differ_in_case_only(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "text,Text\n가,나\n", prompt_column="Text", response_column="text")) == [("나", "가")]


def test_an_input_beside_an_instruction_is_part_of_the_prompt(tmp_path: Path) -> None:
    data = read(tmp_path, "instruction,input,output\n번역해,안녕,hello\n인사해,,안녕\n")
    assert texts(data) == [("번역해\n\n안녕", "hello"), ("인사해", "안녕")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_the_encoding_is_found_and_does_not_change_the_digest(tmp_path: Path, encoding: str) -> None:
    """뷁 is in cp949 but not in EUC-KR."""
    text = "Q,A\n뷁 소리가 나요,그래요?\n"
    assert read(tmp_path, text, encoding=encoding).digest == read(tmp_path, text).digest


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_the_separator_is_the_one_in_the_header(tmp_path: Path, separator: str) -> None:
    assert texts(read(tmp_path, f"Q{separator}A\n가 나{separator}다\n")) == [("가 나", "다")]


def test_quoted_cells_may_hold_separators_quotes_and_line_breaks(tmp_path: Path) -> None:
    data = read(tmp_path, 'Q,A\r\n"가, ""나""\r\n다",라\r\n')
    assert texts(data) == [('가, "나"\n다', "라")]


def test_a_workbook_of_two_columns_is_read_like_csv(tmp_path: Path) -> None:
    """Numbers and empty rows in a sheet are no obstacle; 12 is "12" in both forms."""
    book = openpyxl.Workbook()
    for row in (["Q", "A", "label"], ["몇 시야?", 12, 0], [None, None, None], ["얼마야?", 2.5, None]):
        book.active.append(row)
    book.save(tmp_path / "data.xlsx")
    data = read_dialogues(str(tmp_path / "data.xlsx"), name="train", format="csv")
    assert data.digest == read(tmp_path, "Q,A\n몇 시야?,12\n\n얼마야?,2.5\n").digest


def test_a_field_may_be_longer_than_what_the_csv_module_takes_by_itself(tmp_path: Path) -> None:
    """131,072 characters; other users of the module in this process keep that limit."""
    before, reply = csv.field_size_limit(), "나" * 200_000
    assert texts(read(tmp_path, f'Q,A\n가,{reply}\n다,"라 {reply}"\n')) == [("가", reply), ("다", f"라 {reply}")]
    with pytest.raises(DataError, match="broken in the row"):
        read(tmp_path, f'Q,A\n"{reply}')
    assert csv.field_size_limit() == before


def test_a_row_without_a_reply_is_dropped_and_counted(tmp_path: Path) -> None:
    data = read(tmp_path, "Q,A\n가,나\n다,\n라, \n")
    assert texts(data) == [("가", "나")]
    assert data.dropped == {"dialogue without a reply": 2}


def test_the_real_question_comfort_pairs_are_all_read() -> None:
    if not CHATBOT.exists():
        pytest.skip(f"needs {CHATBOT}")
    data = read_dialogues(str(CHATBOT), name="train")
    assert (len(data.dialogues), data.dropped) == (11823, {})
    assert data.dialogues[0].turns[1].text == "하루가 또 가네요."
    assert {dialogue.attributes["label"] for dialogue in data.dialogues} == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n가,나\n", {}, "must have a known pair of columns .Q/A, .*but got the columns 'a', 'b'"),
        (
            "Q,A\n가,나\n",
            {"prompt_column": "P", "response_column": "A"},
            "the columns 'P' and 'A', but got the columns 'Q', 'A'",
        ),
        ("Q,A\n가,나\n", {"prompt_column": "Q", "response_column": "q"}, "two columns, but both are 'Q'"),
        ("Q,A\n가,나\n", {"prompt_column": "Q"}, "must be given together, but got 'Q' and None"),
        ("Q,A\n가,나\n", {"prompt_column": "Q", "response_column": "A", "format": "chat"}, "need format csv"),
        ("Q,A,Q\n가,나,다\n", {}, "column 'Q' must occur once"),
        ("Q,A\n", {}, "a header .'Q', 'A'. but no rows"),
        ("Q,A\n가,나\n다,라,마\n", {}, "line 3 must have 2 cells as the header, but got 3; put text"),
        ('Q,A\n"가\n나",다\n\n라\n', {}, "line 5 must have 2 cells as the header, but got 1"),
        ('Q,A\n"가\n나",다\n\n"라\n', {}, "broken in the row that begins at line 5"),
        ("Q,A\n가,나\n다\n", {}, "line 3 must have 2 cells as the header, but got 1"),
        ("Q,A\n,나\n", {}, "line 2: `Q` must have text, but is empty"),
        ('Q,A\n가,나\n"다,라\n마,바\n', {}, "broken in the row that begins at line 3"),
        ('Q,A\n가,나\n"' + "다" * 200_000 + ",라\n", {}, "broken in the row that begins at line 3 .unexpected end"),
        ("Q,A\n가,\n", {}, "no dialogue is left of 1 .1 × dialogue without a reply"),
        (",\n,\n", {}, "its table is empty"),
    ],
)
def test_a_broken_table_is_named_by_line_and_column(tmp_path: Path, text: str, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text, **options)
    assert len(str(caught.value)) < 600
