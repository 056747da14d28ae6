"""The dialogues of a spec: read, filtered, and made tokens for its base model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.dialogues import DialogueFilter, DialogueSet, read_dialogues

if TYPE_CHECKING:
    from sweeps.spec import SweepSpec
    from sweeps.spec.data import SourceSpec
    from trainer.tokens import Tokenizer, TokenSet

TRAIN = "train"


@dataclass(frozen=True)
class SweepData:
    """Dialogues of a sweep: the training set, and the validation sets by the names that metrics use."""

    train: DialogueSet
    validation: Mapping[str, DialogueSet]

    def digest(self, name: str, spec: SweepSpec) -> str:
        """Tell whether two sweeps scored the same: the set's content, what is learned of it, and its token limit."""
        chosen = self.train if name == TRAIN else self.validation[name]
        return hashlib.sha256(f"{chosen.digest} {spec.data.loss_on} {spec.data.max_tokens}".encode()).hexdigest()


def read_data(spec: SweepSpec) -> SweepData:
    """Read all dialogues of a spec.

    Raises:
        DataError: a file is missing or damaged, or no dialogue is left.
    """
    select, data = spec.data.select, spec.data

    def read(source: SourceSpec, name: str, limit: int | None) -> DialogueSet:
        return read_dialogues(
            source.source,
            name=name,
            format=source.format,
            prompt_column=source.prompt_column,
            response_column=source.response_column,
            select=DialogueFilter(select.emotions, select.age_groups, limit, source.part),
        )

    return SweepData(
        train=read(data.train, TRAIN, select.limit),
        validation={name: read(source, name, data.validation_limit) for name, source in data.validation_sets.items()},
    )


def tokenize_data(data: SweepData, tokenizer: Tokenizer, spec: SweepSpec) -> tuple[TokenSet, dict[str, TokenSet]]:
    """Make tokens of a sweep's dialogues: the training set, and the validation sets by name.

    Raises:
        DataError: no dialogue of a set is short enough.
    """
    from trainer.tokens import tokenize

    def encode(dialogues: DialogueSet) -> TokenSet:
        return tokenize(dialogues, tokenizer, loss_on=spec.data.loss_on, max_tokens=spec.data.max_tokens)

    return encode(data.train), {name: encode(each) for name, each in data.validation.items()}
