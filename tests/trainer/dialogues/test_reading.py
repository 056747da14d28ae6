"""Files that cannot be read: one clear sentence each, and never another exception than DataError."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.dialogue_files import (
    AIHUB,
    CHAT,
    EDITS,
    GOOD_FILES,
    JSON_VALUES,
    SHAREGPT,
    edited,
    place_in,
    with_sheet,
    workbook,
)
from trainer.dialogues import DialogueFilter, read_dialogues
from trainer.errors import DataError


def fails(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_dialogues(str(path), name="train", **options)
    message = str(caught.value)
    assert str(path)[:250] in message
    assert "\n" not in message
    assert len(message) < 800
    return message


@pytest.mark.parametrize(("name", "content"), GOOD_FILES.items())
@pytest.mark.parametrize("suffix", ["", ".data"])
def test_a_form_is_found_by_content_when_the_suffix_says_nothing(
    tmp_path: Path, name: str, content: bytes, suffix: str
) -> None:
    path = tmp_path / (name + suffix)
    path.write_bytes(content)
    assert read_dialogues(str(path), name="train").dialogues


def test_a_missing_file_suggests_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("[]")
    assert re.search(
        r"no file .*trainning\.json'\. Did you mean '.*/training\.json'\?", fails(tmp_path / "trainning.json")
    )
    assert "Did you mean" not in fails(tmp_path / "zzz")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"folder '{tmp_path / 'data'}' does not exist" in fails(tmp_path / "data" / "train.json")


def test_a_folder_is_refused_with_the_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "readme.md").touch()
    assert "is a folder, but a data file is needed. It holds a.jsonl. Put records" in fails(tmp_path)


@pytest.mark.parametrize("name", ["nul\0.json", "x" * 5000, "~nobody-of-this-name/x.json"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"no file|cannot be read"):
        read_dialogues(name, name="train")


@pytest.mark.parametrize("content", [b"", b"  \n\r\n", b"\xef\xbb\xbf", b"\0" * 100])
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.csv", "x.xlsx", "x"])
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert fails(tmp_path / name).endswith("is empty.")


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.csv", "x"])
@pytest.mark.parametrize("content", [b"\xfe\xff", "\u3000\n".encode()], ids=["a signature", "a wide space"])
def test_a_file_of_nothing_visible_has_no_records(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert re.search(r"it has no records|its table is empty", fails(tmp_path / name))


def test_json_that_is_cut_off_is_named_with_line_and_column(tmp_path: Path) -> None:
    """Wherever it is cut, but for the last character: the rest can only be white space."""
    path, content = tmp_path / "cut.json", GOOD_FILES["aihub.json"].decode()
    for length in range(1, len(content), 7):
        path.write_text(content[:length], encoding="utf-8")
        assert re.search(r"JSON is broken at line \d+, column \d+ \(.*\); it looks cut off\.", fails(path))


@pytest.mark.parametrize(
    ("lost", "message"),
    [(3, r"JSON is broken at line 3, column \d+ .*cut off"), (5, r"byte 0xEB at line 3, column \d+ .*cut off")],
    ids=["between characters", "inside a character"],
)
def test_json_lines_that_are_cut_off_are_named_with_their_line(tmp_path: Path, lost: int, message: str) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(GOOD_FILES["chat.jsonl"][:-lost])
    assert re.search(message, fails(path))


def test_a_comma_too_many_is_not_called_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "comma.json"
    path.write_text('[\n  {"talk": 1,, "x": 2}\n]')
    assert "line 2, column 14" in fails(path)
    assert "cut off" not in fails(path)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{}", 'must be a list of records or {"data": [...]}, but got an empty object'),
        ('{"rows": []}', "but got an object with 'rows'"),
        ('{"data": {}}', "but got an object with 'data'"),
        ("null", "but got null"),
        ('"text"', "but got 'text'"),
        ("12", "but got 12"),
        ("[]", "list of records is empty"),
        ('{"data": []}', "list of records is empty"),
        ("[1, 2]", "record 1 must be an object with `talk` (AI Hub's corpus), `messages` (chat) or a known pair"),
        ('[{"text": "x"}]', "record 1 must be an object with `talk`"),
    ],
)
def test_json_of_the_wrong_shape_is_refused_with_what_it_is(tmp_path: Path, document: str, message: str) -> None:
    (tmp_path / "x.json").write_text(document)
    assert message in fails(tmp_path / "x.json")


@pytest.mark.parametrize(
    "junk",
    ["[" * 100_000, '{"a":' * 100_000, "[" + "9" * 5000 + "]", '[{"talk": ' + "9" * 4000 + "}]", '[{"talk": 1e999}]'],
    ids=["lists", "objects", "digits", "big", "infinity"],
)
@pytest.mark.parametrize("format", ["auto", "aihub", "chat"])
def test_nested_and_huge_junk_is_a_data_error(tmp_path: Path, junk: str, format: str) -> None:
    (tmp_path / "junk.json").write_text(junk)
    fails(tmp_path / "junk.json", format=format)


@pytest.mark.parametrize("signature", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_no_text_are_refused_with_their_place(tmp_path: Path, signature: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(signature + b"Q,A\nabc,\xff\xff\n")
    assert "neither UTF-8 nor cp949: byte 0xFF at line 2, column 5" in fails(tmp_path / "x.csv")


def test_utf16_with_damage_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("Q,A\n가,나\n".encode("utf-16") + b"\x00")
    assert "not valid UTF-16 at byte" in fails(tmp_path / "x.csv")


def test_damaged_utf8_is_not_taken_for_cp949(tmp_path: Path) -> None:
    """A byte lost in a Hangul text leaves bytes that cp949 reads, as gibberish that would be trained on."""
    content = "Q,A\n기분이,많이\n".encode()
    damaged = content[:9] + content[10:]
    assert "기분" not in damaged.decode("cp949")  # no error, and nothing of what was said
    (tmp_path / "x.csv").write_bytes(damaged)
    assert "neither UTF-8 nor cp949: byte 0xEB at line 2, column 2" in fails(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0 old", "old .xls kind; save it as .xlsx"),
        (b"Q,A\n1,2\n", "not an Excel workbook"),
        (b"PK\x03\x04 and nothing more", "workbook is damaged"),
        (workbook()[:-100], "workbook is damaged"),
    ],
)
def test_a_workbook_that_is_none_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.xlsx").write_bytes(content)
    assert message in fails(tmp_path / "x.xlsx")


def test_a_formula_counts_by_the_value_that_excel_kept(tmp_path: Path) -> None:
    formula = b'<c r="D2" t="str"><f>CONCAT("x", "y")</f><v>xy</v></c>'
    content = with_sheet(lambda xml: re.sub(rb'<c r="D2"[^/]*?>.*?</c>', formula, xml))
    assert content != with_sheet(lambda xml: xml)
    (tmp_path / "x.xlsx").write_bytes(content)
    assert read_dialogues(str(tmp_path / "x.xlsx"), name="train").dialogues[0].turns[1].text == "xy"


def test_row_numbers_beyond_excels_do_not_run_for_ever(tmp_path: Path) -> None:
    """openpyxl yields an empty row for every number that is left out."""
    (tmp_path / "x.xlsx").write_bytes(with_sheet(lambda xml: xml.replace(b'r="2"', b'r="99999999999"')))
    assert "at most 1,048,576 rows" in fails(tmp_path / "x.xlsx")


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("pairs.csv", "excel", "Unknown format 'excel'. Choose from: auto, aihub, chat, csv."),
        ("pairs.csv", "chat", "JSON is broken at line 1, column 1"),
        ("aihub.xlsx", "chat", "format chat needs JSON, but it is a table"),
        ("chat.jsonl", "aihub", "line 1: `talk` is missing; it has 'messages'"),
        ("aihub.json", "chat", "record 1: `messages` is missing; it has 'profile', 'talk'"),
        ("pairs.csv", "aihub", "columns 사람문장1 and 시스템문장1"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(tmp_path: Path, name: str, format: str, message: str) -> None:
    (tmp_path / name).write_bytes(GOOD_FILES[name])
    with pytest.raises(DataError, match=re.escape(message)):
        read_dialogues(str(tmp_path / name), name="train", format=format)


def test_column_names_are_keys_of_flat_json(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(GOOD_FILES["aihub.json"])
    assert "must have the columns 'a' and 'b', but got the columns 'profile', 'talk'" in fails(
        tmp_path / "x.json", prompt_column="a", response_column="b"
    )


# --- whatever the bytes, only DataError -----------------------------------------------------------------------------

SUFFIXES = st.sampled_from(["", ".json", ".jsonl", ".csv", ".tsv", ".xlsx"])
FORMATS = st.sampled_from(["auto", "auto", "aihub", "chat", "csv"])
SELECT = DialogueFilter(emotions=("anger",), age_groups=("A02",), limit=2)


def read_or_data_error(path: Path, content: bytes, **options: Any) -> None:
    """The one property of the tests below: dialogues, or a DataError."""
    path.write_bytes(content)
    try:
        data = read_dialogues(str(path), name="train", **options)
    except DataError as error:
        assert len(str(error)) < 2000  # and it can be printed
        return
    assert data.dialogues
    assert all(dialogue.turns[-1].role == "model" for dialogue in data.dialogues)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=500, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(GOOD_FILES)), edits=EDITS, suffix=SUFFIXES, format=FORMATS, selects=st.booleans())
def test_damaged_files_give_data_errors_only(
    folder: Path, name: str, edits: list[tuple[float, int, bytes]], suffix: str, format: str, selects: bool
) -> None:
    own_suffix = Path(name).suffix if suffix == "" else suffix
    select = SELECT if selects else None
    read_or_data_error(folder / f"x{own_suffix}", edited(GOOD_FILES[name], edits), format=format, select=select)


@settings(max_examples=450, deadline=None, derandomize=True)
@given(
    record=st.sampled_from([AIHUB, CHAT, *SHAREGPT]),
    steps=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    value=JSON_VALUES,
    format=FORMATS,
)
def test_any_value_at_any_place_of_a_record_gives_data_errors_only(
    folder: Path, record: Any, steps: list[int], value: Any, format: str
) -> None:
    broken = json.loads(json.dumps([record]))
    here, key = place_in(broken, steps)
    here[key] = value
    read_or_data_error(folder / "x.json", json.dumps(broken).encode(), format=format)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(edits=EDITS)
def test_damaged_sheets_give_data_errors_only(folder: Path, edits: list[tuple[float, int, bytes]]) -> None:
    read_or_data_error(folder / "x.xlsx", with_sheet(lambda xml: edited(xml, edits)))
