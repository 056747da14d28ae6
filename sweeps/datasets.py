"""The dialogues of a spec: read, filtered, and made tokens for its base model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweeps.host.data_files import at_hand, digest_of, is_address
from trainer.dialogues import DialogueFilter, DialogueSet, read_dialogues
from trainer.dialogues.cutting import RULE

if TYPE_CHECKING:
    from sweeps.spec import SweepSpec
    from sweeps.spec.data import SourceSpec
    from trainer.base.tokenizer import Tokenizer
    from trainer.dialogues.tokens import TokenSet

TRAIN = "train"


@dataclass(frozen=True)
class SweepData:
    """Dialogues of a sweep: the training set, and the validation sets by the names that metrics use."""

    train: DialogueSet
    validation: Mapping[str, DialogueSet]

    def digest(self, name: str, spec: SweepSpec, *, cut: bool) -> str:
        """Tell whether two sweeps scored the same: the set's content, what is learned of it, and its token limit.

        `cut` tells whether some of its dialogues are longer than the limit, or may be: the rule by which they are cut
        counts then. Where none is, the digest is that of the time before there was a rule: its champions stay
        comparable.
        """
        chosen = self.train if name == TRAIN else self.validation[name]
        key = f"{chosen.digest} {spec.data.loss_on} {spec.data.max_tokens}{f' {RULE}' if cut else ''}"
        return hashlib.sha256(key.encode()).hexdigest()


def read_data(spec: SweepSpec, tracking_uri: str | None = None) -> SweepData:
    """Read all dialogues of a spec; from an address, by way of this machine's cache.

    Args:
        spec: of the sweep.
        tracking_uri: of MLflow, where data may have been sent; None: as the environment says.

    Raises:
        DataError: a file is missing, damaged or another one than at the launch, or no dialogue is left.
    """
    data = spec.data
    sets = data.validation_sets.items()
    return SweepData(
        train=read_source(spec, data.train, TRAIN, tracking_uri),
        validation={name: read_source(spec, source, name, tracking_uri) for name, source in sets},
    )


def own_prompt(spec: SweepSpec, data: SweepData) -> str:
    """Return what a champion of this sweep may be asked: its first prompt, or how its validation data begin."""
    from adapter_registry.models.prompts import short_prompt

    first, *_ = (*spec.samples.prompts, *(each.dialogues[0].turns[0].text for each in data.validation.values()))
    return short_prompt(first)


def read_source(spec: SweepSpec, source: SourceSpec, name: str, tracking_uri: str | None = None) -> DialogueSet:
    """Read one of a spec's sources under a name, with the spec's filters and limits.

    Raises:
        DataError: as for `read_data`.
    """
    select = spec.data.select
    if name == TRAIN:
        limit, key = select.limit, "data.select.limit"
    else:
        limit, key = spec.data.validation_limit, "data.validation_limit"
    return read_dialogues(
        place_of(source, tracking_uri),
        name=name,
        format=source.format,
        prompt_column=source.prompt_column,
        response_column=source.response_column,
        roles=source.roles,
        select=DialogueFilter(select.emotions, select.age_groups, limit, source.part, limit_key=key),
    )


def place_of(source: SourceSpec, tracking_uri: str | None = None) -> str:
    """Where the dialogues of a source are on this machine; what is elsewhere is fetched."""
    given = source.source
    return str(at_hand(given, source.digest, tracking_uri)) if is_address(given) else given


def pinned(spec: SweepSpec, tracking_uri: str | None = None) -> SweepSpec:
    """Return the spec with the digests of all data at addresses: nobody trains on anything else from now on.

    Raises:
        DataError: it cannot be read from here.
    """
    unpinned = {k: s for k, s in spec.data.sources.items() if is_address(s.source) and s.digest is None}
    digests = {
        address: digest_of(at_hand(address, None, tracking_uri)) for address in {s.source for s in unpinned.values()}
    }
    return with_sources(spec, {key: {"digest": digests[source.source]} for key, source in unpinned.items()})


def with_sources(spec: SweepSpec, changes: Mapping[str, Mapping[str, Any]]) -> SweepSpec:
    """Return the spec with some keys of its data sources changed; `changes` by the keys of `DataSpec.sources`."""
    from sweeps.spec import parse_spec

    if not changes:
        return spec
    raw = spec.to_mapping()
    for key, values in changes.items():
        first, _, name = key.partition(".")
        holder, last = (raw["data"][first], name) if name else (raw["data"], first)
        given = holder[last]
        holder[last] = {**({"source": given} if isinstance(given, str) else given), **values}
    return parse_spec(raw)


def tokenize_data(data: SweepData, tokenizer: Tokenizer, spec: SweepSpec) -> tuple[TokenSet, dict[str, TokenSet]]:
    """Make tokens of a sweep's dialogues: the training set, and the validation sets by name.

    Raises:
        DataError: `data.max_tokens` has no room for most replies of a set.
    """
    from trainer.dialogues.tokens import tokenize

    def encode(dialogues: DialogueSet) -> TokenSet:
        return tokenize(dialogues, tokenizer, loss_on=spec.data.loss_on, max_tokens=spec.data.max_tokens)

    return encode(data.train), {name: encode(each) for name, each in data.validation.items()}
