"""Checks before anything starts: what only the data and the base model's shape can tell about a spec."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeps.datasets import SweepData, own_prompt, pinned, read_data, tokenize_data
from sweeps.errors import SpecError
from sweeps.host.accelerators import check_enough
from sweeps.host.local_ray import count_accelerators
from sweeps.progress import Preparing, ProgressEvent
from sweeps.spec.paths import file_mistakes
from sweeps.webhook import Webhook
from sweeps.workers.pack_factory import pack_needs, too_large, widest_targets
from trainer.base.names import read_vocabulary
from trainer.base.shapes import BaseShape, check_rank, read_shape
from trainer.errors import ConfigError

if TYPE_CHECKING:
    from sweeps.home import Home
    from sweeps.spec import SweepSpec
    from trainer.dialogues import DialogueSet
    from trainer.dialogues.tokens import TokenSet


@dataclass(frozen=True)
class Preflight:
    """What was found.

    spec       with the digests of all data at addresses
    digests    of each set: they tell whether two sweeps scored the same
    dialogues  how many of them are left in each set
    slots      of each worker
    fits       whether its memory is known to hold so many; else the worker may take fewer
    prompt     that a champion of this sweep may be asked, in the language of its data
    remarks    worth showing: what was left out, and where the vocabulary is at hand what was cut or lost
    """

    spec: SweepSpec
    digests: Mapping[str, str]
    dialogues: Mapping[str, int]
    slots: int
    fits: bool
    prompt: str
    remarks: tuple[str, ...]


def check_launch(
    spec: SweepSpec, home: Home, on_event: Callable[[ProgressEvent], None], *, afar: bool = False
) -> Preflight:
    """Check everything that can be wrong with a new sweep before a trace of it is left anywhere; as `check_run`.

    Raises:
        SweepsError, TrainerError, RegistryError: naming what is to be mended.
    """
    from sweeps.ledger.ledger import Ledger

    home.check()
    Ledger.check_is_free(home.ledger, spec.name)
    return check_run(spec, home, on_event, trials=spec.search.trials, afar=afar)


def check_run(
    spec: SweepSpec,
    home: Home,
    on_event: Callable[[ProgressEvent], None],
    *,
    trials: int,
    afar: bool = False,
    marks: Collection[str] = (),
) -> Preflight:
    """Check what a sweep needs, new or not: its data, its base model, and MLflow; makes nothing.

    Args:
        spec: of the sweep.
        home: where ledger and MLflow are.
        on_event: receives progress.
        trials: that it is to end with; more than the spec says where it was extended.
        afar: its workers are on other machines, whose memory and accelerators are not seen from here.
        marks: by which its own run in MLflow is known, as `Ledger.marks`; a new sweep has none.

    Raises:
        SweepsError, TrainerError, RegistryError: naming what is to be mended.
    """
    Webhook.of_environment()
    _check_accelerators(spec, afar=afar)
    on_event(Preparing(what="checking the data and the base model"))
    checked = check_spec(spec, home.tracking_uri, trials=trials, afar=afar)
    on_event(Preparing(what="looking for MLflow"))
    check_mlflow(spec, home, marks, largest_file=largest_file(spec))
    return checked


def check_mlflow(spec: SweepSpec, home: Home, marks: Collection[str], *, largest_file: int) -> None:
    """Check that a sweep can be recorded under its name, and its best adapter promoted.

    Args:
        spec: of the sweep.
        home: where MLflow is.
        marks: as for `check_run`.
        largest_file: bytes of the largest file that this machine's way to MLflow has to take; 0: not known.

    Raises:
        RegistryError: naming what is to be mended.
    """
    from adapter_registry.store.holders import check_name
    from adapter_registry.store.inspection import inspect_store
    from adapter_registry.store.rights import check_rights

    inspect_store(home.tracking_uri, spec.experiment, home.artifact_root)
    check_name(home.tracking_uri, spec.experiment, spec.name, marks)
    model = spec.promotion.model if spec.promotion.automatic else None
    check_rights(home.tracking_uri, spec.experiment, model=model, largest_file=largest_file)


def check_spec(
    spec: SweepSpec, tracking_uri: str | None = None, *, trials: int | None = None, afar: bool = False
) -> Preflight:
    """Check a spec against its data and its base model; `tracking_uri` is of MLflow, where data may have been sent.

    `trials` and `afar` are as for `check_run`; None stands for the spec's own number.

    Raises:
        SpecError: files or the base model are not there, a rank is above a matrix's size, or not one slot fits memory.
        DataError: a dataset cannot be read, or nothing of it is left.
        BaseModelError: the base model's folder is not a Gemma 2's.
    """
    if mistakes := file_mistakes(spec):
        raise SpecError(mistakes)
    shape = read_shape(spec.base.model)
    if shape is not None:
        _check_ranks(spec, shape)
        _check_split(spec, shape)
    spec = pinned(spec, tracking_uri)
    data = read_data(spec, tracking_uri)
    sets = [data.train, *data.validation.values()]
    left, remarks = {each.name: len(each.dialogues) for each in sets}, _remarks(sets, spec)
    examples, cut = left[data.train.name], set(left)
    encoded = _encode(spec, data)
    if encoded is not None:
        left = {each.name: left[each.name] - sum(each.dropped.values()) for each in encoded}
        examples, cut = len(encoded[0].examples), {each.name for each in encoded if each.cut}
        remarks += _remarks(encoded, spec) + [line for each in encoded for line in _fitting(each, spec)]
    _check_evaluations(spec, examples)
    digests = {each.name: data.digest(each.name, spec, cut=each.name in cut) for each in sets}
    trials, afar = trials or spec.search.trials, afar or spec.compute.address is not None
    slots, fits = _slots(spec, shape, encoded, trials=trials, afar=afar)
    return Preflight(spec, digests, left, slots, fits, own_prompt(spec, data), tuple(remarks))


def _encode(spec: SweepSpec, data: SweepData) -> list[TokenSet] | None:
    """The training set, then those for validation, as tokens; None while the vocabulary is not at hand."""
    vocabulary = read_vocabulary(spec.base.model)
    if vocabulary is None:
        return None
    from trainer.base.tokenizer import Tokenizer

    train, validation = tokenize_data(data, Tokenizer(vocabulary), spec)
    return [train, *validation.values()]


def largest_file(spec: SweepSpec) -> int:
    """Bytes of the largest file that a sweep has to store, its largest trial's checkpoint; 0 where nobody can tell."""
    shape = read_shape(spec.base.model)
    return 0 if shape is None else shape.checkpoint_bytes(widest_targets(spec), max(spec.extremes("rank")))


def _check_accelerators(spec: SweepSpec, *, afar: bool) -> None:
    """Refuse what this machine cannot give to all workers; one chip of whatever there is it always can."""
    compute = spec.compute
    if afar or compute.address is not None or compute.accelerator == "cpu":
        return
    if compute.accelerator != "auto" or compute.workers * compute.chips > 1:
        check_enough(compute.accelerator, workers=compute.workers, chips=compute.chips, have=_counted(compute.workers))


def _counted(workers: int) -> Mapping[str, float]:
    """What Ray will count here: a Ray of our own is told of a core for each worker at least."""
    have = count_accelerators()
    return {**have, "CPU": max(have["CPU"], float(workers))}


def _check_ranks(spec: SweepSpec, shape: BaseShape) -> None:
    key = "search.space.rank" if "rank" in spec.search.space.parameters else "training.rank"
    try:
        check_rank(shape.kernels(widest_targets(spec)), max(spec.extremes("rank")))
    except ConfigError as error:
        raise SpecError.at(key, str(error)) from None


def _check_split(spec: SweepSpec, shape: BaseShape) -> None:
    try:
        shape.check_split(spec.compute.chips_per_base)
    except ConfigError as error:
        raise SpecError.at("compute.chips_per_base", str(error)) from None


def _check_evaluations(spec: SweepSpec, examples: int) -> None:
    """Refuse more evaluations than steps: some would score the same adapter twice, the first an untrained one."""
    wanted, largest = spec.training.evaluations_per_epoch, max(spec.extremes("batch_size"))
    steps = -(-examples // largest)
    if wanted > steps:
        raise SpecError.at(
            "training.evaluations_per_epoch",
            f"must be at most {steps}, the steps of an epoch of {examples:,} examples in batches of {largest}, "
            f"but got {wanted}. Ask for fewer evaluations, or choose a smaller batch size.",
        )


def _remarks(sets: Sequence[DialogueSet | TokenSet], spec: SweepSpec) -> list[str]:
    return [
        f"{spec.data.label(each.name)}: left out "
        + ", ".join(f"{count:,} × {reason}" for reason, count in each.dropped.items())
        for each in sets
        if each.dropped
    ]


def _fitting(tokens: TokenSet, spec: SweepSpec) -> list[str]:
    """What `data.max_tokens` did to a set: how many dialogues were cut, and how many replies are lost."""
    if not tokens.cut:
        return []
    label, max_tokens = spec.data.label(tokens.name), spec.data.max_tokens
    dialogues = "1 dialogue is" if tokens.cut == 1 else f"{tokens.cut:,} dialogues are"
    told = [
        f"{label}: {dialogues} longer than {max_tokens} tokens and cut at turns, each reply learned once with "
        f"the history that fits; {len(tokens.examples):,} examples in all"
    ]
    if tokens.lost:
        enough, left = tokens.enough
        kept = f"all but {left:,}" if left else "all"
        told.append(
            f"{label}: lost {len(tokens.lost):,} of {tokens.replies:,} replies, which with the user's turn "
            f"before them are longer than {max_tokens} tokens; `data.max_tokens: {enough}` keeps {kept}"
        )
    return told


def _slots(
    spec: SweepSpec, shape: BaseShape | None, sets: Sequence[TokenSet] | None, *, trials: int, afar: bool
) -> tuple[int, bool]:
    """As many slots as asked for, or as fit, never more than there are trials; and whether they are known to fit."""
    from sweeps.host.accelerators import accelerator_memory
    from trainer.pack.memory import MAX_SLOTS

    compute = spec.compute
    per_worker = -(-trials // compute.workers)
    groups = compute.chips // compute.chips_per_base
    kind, available = accelerator_memory(compute.accelerator)
    if shape is None or available is None or afar:
        if compute.slots == "auto":
            return min(MAX_SLOTS["accelerator"] * groups, per_worker), False
        return min(compute.slots, per_worker), True
    needs = pack_needs(spec, shape, sets)
    # The workers of a CPU have one memory, and so have what each of them passes off as chips.
    each = available // (compute.workers * groups if kind == "cpu" else 1)
    fitting = groups * needs.slots_that_fit(each, most=MAX_SLOTS[needs.backend])
    if fitting == 0:
        raise SpecError.at("compute.slots", too_large(needs, each))
    if compute.slots != "auto":
        return min(compute.slots, per_worker), True
    # JAX takes a part of an accelerator's memory only, which its worker alone can tell.
    return min(fitting, per_worker), kind == "cpu"
