"""Files of dialogues in every form that is read, and strategies that damage them."""

import io
import json
import zipfile
from typing import Any

import openpyxl
from hypothesis import strategies as st

AIHUB = {
    "profile": {"persona": {"human": ["A02", "G02"]}, "emotion": {"type": "E18", "situation": ["S06", "D02"]}},
    "talk": {"id": {"talk-id": "P_1"}, "content": {"HS01": "화가 나.", "SS01": "그랬군요.", "HS02": "", "SS02": ""}},
}
CHAT = {
    "messages": [
        {"role": "system", "content": "상담"},
        {"role": "user", "content": "가"},
        {"role": "model", "content": "나"},
    ]
}


SHAREGPT = [
    {
        "system": "상담",
        "conversations": [
            {"from": "human", "value": [{"type": "text", "text": "가"}]},
            {"from": "gpt", "value": "나", "weight": 0},
            ["다", "라"],
            {"user": "마", "assistant": "바"},
        ],
    }
]


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in (["연령", "감정_대분류", "사람문장1", "시스템문장1"], ["청년", "분노", "가", "나"]):
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


GOOD_FILES: dict[str, bytes] = {
    "aihub.json": json.dumps([AIHUB, AIHUB], ensure_ascii=False, indent=1).encode(),
    "data.json": json.dumps({"data": [AIHUB]}, ensure_ascii=False).encode(),
    "chat.jsonl": "\n".join(json.dumps(CHAT, ensure_ascii=False) for _ in range(3)).encode(),
    "sharegpt.json": json.dumps(SHAREGPT, ensure_ascii=False).encode(),
    "bare.jsonl": "\n".join(json.dumps(CHAT["messages"], ensure_ascii=False) for _ in range(3)).encode(),
    "flat.jsonl": b'{"question": "a", "answer": "b", "label": true}\n{"question": "c", "answer": "d"}',
    "pairs.csv": "Q,A,label\n가 나,다,0\n라,마,1\n".encode(),
    "cp949.csv": "연령,감정_대분류,사람문장1,시스템문장1\n청년,분노,가,나\n".encode("cp949"),
    "aihub.xlsx": workbook(),
}


TOKENS = [
    *(b"[", b"{", b"]", b"}", b'"', b",", b":", b"<", b"\n", b"\r", b"\t", b"\0", b"&#0;"),
    *(b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xb0\xa1", b"PK\x03\x04"),
    *(b"null", b"NaN", b"-1e999", b'"\\ud800"', b'{"messages": ', b'{"talk": '),
    *(b"[" * 3000, b"9" * 5000, b"A" * 200_000),
]
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6))),
    min_size=1,
    max_size=4,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "data", "HS01", "x"]), inner),
    max_leaves=6,
)


def edited(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Cut pieces out of `content` and put others in their place."""
    for place, length, new in edits:
        start = int(place * len(content))
        content = content[:start] + new + content[start + length :]
    return content


def with_sheet(edit: Any) -> bytes:
    """A workbook whose inner sheet was changed, zipped again so that the damage is reached."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook())) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, edit(content) if name == "xl/worksheets/sheet1.xml" else content)
    return stream.getvalue()


def place_in(record: Any, steps: list[int]) -> tuple[Any, Any]:
    """The list or dictionary that `steps` (at least one) lead to inside a record, and the key that the last names.

    A step onto something without an inside ends the walk there.
    """
    inner: Any = record
    while True:
        keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
        key = keys[steps[0] % len(keys)]
        steps = steps[1:]
        if not steps or not isinstance(inner[key], dict | list) or not inner[key]:
            return inner, key
        inner = inner[key]
