"""The section `data`: which dialogues, how they are read, and what is learned from them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_serializer, model_validator

from search_spaces import Mistake
from search_spaces.wording import choices, did_you_mean, show
from sweeps.errors import SpecError
from sweeps.host.data_files import check_address, is_address, is_builtin
from sweeps.spec.fields import AnySequence, AsSets, AsSource, Line, SetNames
from sweeps.spec.section import Section
from trainer.dialogues import FORMATS, DialogueFilter
from trainer.dialogues.reading import BUILTIN_SPLITS
from trainer.dialogues.tokens import MAX_TOKENS
from trainer.errors import DataError
from trainer.metrics import PRIMARY


class SourceSpec(Section):
    """Where dialogues come from: a path, an address or `builtin:train`; how to read them; the columns of a table.

    roles   who speaks by which name, such as {client: user, counselor: model}, where it is not well known
    digest  SHA-256 of the file, in hex; where it is an address, the launch fills it in
    part   share of the dialogues, such as [0, 0.9] for training and [0.9, 1] for validation from one file; all
           dialogues that begin with the same question are in the same part
    """

    source: Line
    digest: Line | None = None
    format: Line = "auto"
    prompt_column: Line | None = None
    response_column: Line | None = None
    roles: dict[Line, Literal["user", "model", "system"]] | None = None
    part: Annotated[tuple[float, float], AnySequence] | None = None

    @field_validator("source")
    @classmethod
    def _is_a_place(cls, source: str) -> str:
        known = [f"builtin:{split}" for split in BUILTIN_SPLITS]
        if is_builtin(source) and source not in known:
            rule = f"must be the path of a file, an address, or one of {choices(known)}"
            raise ValueError(f"{rule}, but got {show(source)}.{did_you_mean(source, known)}")
        if is_address(source):
            check_address(source)
        return source

    @field_validator("digest")
    @classmethod
    def _is_a_digest(cls, digest: str | None) -> str | None:
        if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"must be a SHA-256 of 64 hexadecimal digits, but got {show(digest)}.")
        return digest

    @field_validator("format")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(f"must be one of {choices(FORMATS)}, but got {show(name)}.")
        return name

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if (self.prompt_column is None) != (self.response_column is None):
            missing = "prompt_column" if self.prompt_column is None else "response_column"
            raise SpecError.at(missing, "is missing; `prompt_column` and `response_column` are given together.")
        if self.prompt_column is not None and self.format not in ("auto", "csv"):
            raise SpecError.at("format", f"must be auto or csv where columns are named, but got {show(self.format)}.")
        return self

    @field_validator("part")
    @classmethod
    def _is_a_part(cls, part: tuple[float, float] | None) -> tuple[float, float] | None:
        if part is not None and not 0 <= part[0] < part[1] <= 1:
            raise ValueError(f"must be two numbers with 0 ≤ from < to ≤ 1, but got {list(part)}.")
        return part

    @model_serializer
    def _short(self) -> Any:
        given = {key: value for key, value in self if value != type(self).model_fields[key].default}
        if self.part is not None:
            given["part"] = list(self.part)
        return self.source if len(given) == 1 else given


class SelectSpec(Section):
    """Which dialogues are used (emotion and age group, of all sets), and how many (of the training set)."""

    emotions: Annotated[tuple[Line, ...], AnySequence] | None = None
    age_groups: Annotated[tuple[Line, ...], AnySequence] | None = None
    limit: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        mistakes = []
        for key in ("emotions", "age_groups"):
            try:
                DialogueFilter(**{key: getattr(self, key)})
            except DataError as error:
                mistakes.append(Mistake(key, str(error)))
        if mistakes:
            raise SpecError(mistakes)
        return self


class DataSpec(Section):
    """Training and validation dialogues, and what is learned from them.

    max_tokens  of an example: a longer dialogue is cut at turns into several, and each of its replies is learned once
    """

    train: Annotated[SourceSpec, AsSource]
    validation: Annotated[dict[str, Annotated[SourceSpec, AsSource]], AsSets, SetNames]
    loss_on: Literal["response", "last_response", "all"] = "response"
    max_tokens: int = Field(default=256, ge=8, le=MAX_TOKENS)
    select: SelectSpec = SelectSpec()
    validation_limit: int | None = Field(default=None, ge=1)

    @property
    def validation_sets(self) -> dict[str, SourceSpec]:
        """Sources under the names that metrics use: the first is `val`, whatever it is called in the spec."""
        return {PRIMARY if i == 0 else name: source for i, (name, source) in enumerate(self.validation.items())}

    @property
    def first_set(self) -> str:
        """The first validation set's own name, which its metrics do not bear; '' where it has none but `val`."""
        name = next(iter(self.validation))
        return "" if name == PRIMARY else name

    def label(self, set_name: str) -> str:
        """How a set is called before people: `val (semi)`, where the first validation set is named `semi`."""
        return f"{PRIMARY} ({self.first_set})" if set_name == PRIMARY and self.first_set else set_name

    @property
    def sources(self) -> dict[str, SourceSpec]:
        """Every source by its key below `data`: `train`, `validation.NAME`."""
        return {"train": self.train} | {f"validation.{name}": each for name, each in self.validation.items()}
