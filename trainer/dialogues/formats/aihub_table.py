"""AI Hub's emotional-dialogue corpus in its table form: Excel, or a CSV export of it.

Current columns: 연령, 성별, 상황키워드, 신체질환, 감정_대분류, 감정_소분류, 사람문장1, 시스템문장1, … 3.
Older ones: 번호, …, 사람문장1 to 4, 시스템응답1 to 4. Any other column, such as `Unnamed: 0`, is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from trainer.dialogues.drafts import Draft, add_turn, clean
from trainer.dialogues.tables import Table, plain
from trainer.dialogues.values import Turn
from trainer.errors import DataError

_UTTERANCE = re.compile(r"(사람문장|시스템문장|시스템응답)([1-9])", re.ASCII)
_ATTRIBUTES = {
    "번호": "id",
    "연령": "age_group",
    "성별": "gender",
    "상황키워드": "situation",
    "신체질환": "illness",
    "감정_대분류": "emotion",
    "감정_소분류": "emotion_type",
}


def is_aihub(table: Table) -> bool:
    """Whether a table looks like the corpus."""
    return table.find("사람문장1") is not None


def row_reader(table: Table) -> Callable[[list[str]], Draft]:
    """A function that reads one row.

    Raises:
        DataError: the columns of the first turns are missing, or a turn has two columns.
    """
    if table.find("사람문장1") is None or table.find("시스템문장1", "시스템응답1") is None:
        raise table.lacks("the columns 사람문장1 and 시스템문장1 (or 시스템응답1)")
    places = sorted(
        (match[2], match[1] != "사람문장", index)
        for index, column in enumerate(table.columns)
        if (match := _UTTERANCE.fullmatch(plain(column)))
    )
    if len({place[:2] for place in places}) < len(places):
        raise DataError(f"each turn must have one column, but got {', '.join(table.columns[p[2]] for p in places)}")
    attributes = {name: index for column, name in _ATTRIBUTES.items() if (index := table.find(column)) is not None}

    def read(cells: list[str]) -> Draft:
        turns: list[Turn] = []
        for _, is_reply, index in places:
            add_turn(turns, "model" if is_reply else "user", clean(cells[index], table.columns[index]))
        return Draft(turns, {name: text for name, index in attributes.items() if (text := cells[index].strip())})

    return read
