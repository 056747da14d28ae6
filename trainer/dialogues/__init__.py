"""Dialogues from the files that people have: AI Hub's corpus (JSON, Excel, CSV), chat messages, two-column tables.

The way of a record: `files` (bytes → text) → `json_records` or `tables` (text → numbered records) → `formats`
(record → draft) → `drafts` (draft → dialogue) → `selecting` (filters) → `reading` (all of it).

How strict: a record that cannot be read as a dialogue stops the reading, with its number and key. A dialogue that
reads well but has no reply to learn from is left out and counted in `DialogueSet.dropped`.
"""

from trainer.dialogues.reading import FORMATS, read_dialogues
from trainer.dialogues.selecting import DialogueFilter
from trainer.dialogues.values import Dialogue, DialogueSet, Role, Turn, digest_of

__all__ = ["FORMATS", "Dialogue", "DialogueFilter", "DialogueSet", "Role", "Turn", "digest_of", "read_dialogues"]
