"""Marks on a record or a message that say whether it is to be learned: each is followed or refused, never passed over.

{"role": "assistant", "content": …, "weight": 0}        history only: `train` and others say the same
{"prompt": …, "completion": …, "label": false}          a reply that was rejected: left out, and counted
{"prompt": …, "chosen": …, "rejected": …}               a preference, which is not what is trained here: refused
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.dialogues.drafts import describe
from trainer.errors import DataError

_OF_RECORDS = ("weight", "loss_weight", "loss_scale", "sample_weight", "train", "trainable")
ON_MESSAGES = (*_OF_RECORDS, "training", "loss")
_VERDICTS = ("label", "kto_tag")
ON_RECORDS = (*_OF_RECORDS, *_VERDICTS)
_PREFERENCES = (
    *("chosen", "rejected", "preferred_output", "non_preferred_output"),
    *("chosen_response", "rejected_response", "rejected_messages"),
)
_UNKNOWN = ("train_detail", "training_detail", "tool_calls", "function_call")
_YES, _NO = ("1", "1.0", "true"), ("0", "0.0", "false")


def is_learned(message: Mapping[str, Any], path: str) -> bool:
    """Whether a message is to be learned; one without a mark is.

    Raises:
        DataError: a weight other than 0 and 1, or what cannot be followed, such as marks on parts of the text.
    """
    for key in _UNKNOWN:
        if message.get(key):
            raise DataError(f"`{path}.{key}` cannot be followed here: a reply is text, learned whole or not at all")
    return not [key for key in ON_MESSAGES if key in message and not _is_set(message[key], f"{path}.{key}")]


def reason_to_leave_out(record: Mapping[str, Any]) -> str:
    """Why a record's marks leave it out; "" where they do not.

    Raises:
        DataError: a weight other than 0 and 1.
    """
    for key in _VERDICTS:
        if _said(record.get(key)) == "false":
            return f"rejected reply (`{key}: false`)"
    unset = [key for key in _OF_RECORDS if key in record and not _is_set(record[key], key)]
    return f"not to be learned (`{unset[0]}: {record[unset[0]]}`)" if unset else ""


def refuse_preferences(record: Mapping[str, Any]) -> None:
    """Refuse pairs of a better and a worse reply.

    Raises:
        DataError: the record holds some.
    """
    if found := [key for key in _PREFERENCES if record.get(key)]:
        raise DataError(
            f"it holds preferences ({', '.join(found)}), but preference tuning is not what is done here. To learn the "
            "better reply, name its columns (`prompt_column: prompt`, `response_column: chosen`), or keep its messages "
            "alone, as `messages`"
        )


def _is_set(value: Any, key: str) -> bool:
    """Whether a mark says yes; none, as null or an empty cell, does.

    Raises:
        DataError: it says neither yes nor no.
    """
    said = _said(value)
    if value is None or said == "" or said in _YES:
        return True
    if said in _NO:
        return False
    raise DataError(
        f"`{key}` must be 1 or true (learned), or 0 or false (not), but got {describe(value)}: a reply has no weight "
        "between. Round it; if it does not weigh the loss, give it another name"
    )


def _said(value: Any) -> str | None:
    """A mark as a table would have it; None for what is no mark at all."""
    return str(value).strip().casefold() if isinstance(value, str | int | float) else None
