"""What a registered model may be asked."""

import shlex
from typing import Any

import pytest

from adapter_registry.errors import PromptError
from adapter_registry.models.prompts import Conversation, asking, conversations, short_prompt


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_a_column_of_texts_is_one_question_each() -> None:
    assert conversations("prompt", ["a", "b"]) == [Conversation((("user", "a"),)), Conversation((("user", "b"),))]


@pytest.mark.parametrize("column", ["prompt", 0])
def test_a_cell_of_texts_is_spread(column: str | int) -> None:
    """MLflow makes one row of {"prompt": ["a", "b"]}."""
    assert len(conversations(column, [["a", "b"]])) == 2


def test_conversations_keep_their_turns_and_roles() -> None:
    messages = [user("a"), {"role": "assistant", "content": "b"}, user("c")]
    expected = [Conversation((("user", "a"), ("model", "b"), ("user", "c")))]
    assert conversations("messages", [messages]) == expected
    assert conversations("messages", messages) == expected


def test_what_the_system_says_begins_the_first_turn() -> None:
    """Gemma has no system turn."""
    (found,) = conversations("messages", [[{"role": "system", "content": "be kind"}, user("a")]])
    assert found.turns == (("user", "be kind\n\na"),)


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        ("id", ["x"], "column 'id'"),
        ("prompt", [""], "not empty"),
        ("prompt", [None], "None"),
        ("prompt", [3], "3"),
        (0, [{"role": "user"}], "keys: role"),
        ("messages", ["text"], "lists of"),
        ("messages", [[{"role": "tool", "content": "x"}]], "system, user or assistant"),
        ("messages", [[user("a"), {"role": "assistant", "content": "b"}]], "must end"),
        ("messages", [[]], "must end"),
        ("messages", [["text"]], "role"),
    ],
)
def test_anything_else_is_refused_with_what_is_taken(column: str | int, cells: list[Any], words: str) -> None:
    with pytest.raises(PromptError, match=words):
        conversations(column, cells)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Ich kann nicht schlafen.", "Ich kann nicht schlafen."),
        ("  - Ich\nkann\tnicht\x1bschlafen ", "Ich kann nicht schlafen"),
        ("--help", "help"),
        ("Seit Wochen liege ich jede Nacht wach und weiß nicht mehr, was ich noch versuchen soll.",
         "Seit Wochen liege ich jede Nacht wach"),
        ("요" * 100, "요" * 40),
        (" - ", ""),
    ],
)  # fmt: skip
def test_a_suggested_prompt_is_short_and_no_option(text: str, short: str) -> None:
    assert short_prompt(text) == short


@pytest.mark.parametrize("prompt", ["Was nun?", "it's", 'say "no"', "$HOME `id` \\ !!", "요즘 잠을 못 자요"])
@pytest.mark.parametrize("model", ["mine", "my model"])
def test_a_shell_reads_a_suggested_command_as_it_is_meant(model: str, prompt: str) -> None:
    assert shlex.split(asking(model, prompt)) == ["sweeps", "generate", "--model", model, prompt]


def test_a_suggested_command_is_readable_and_stands_for_any_prompt_where_none_is_known() -> None:
    assert asking("mine", "Was nun?", ".venv/bin/sweeps") == '.venv/bin/sweeps generate --model mine "Was nun?"'
    assert asking("mine", "") == 'sweeps generate --model mine "…"'
    assert asking("mine", "$HOME") == "sweeps generate --model mine '$HOME'"
