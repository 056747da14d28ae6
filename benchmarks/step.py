"""Training speed of packs, against the best factored solo step and against stock KerasHub.

python -m benchmarks.step [--rounds 5] [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median

from benchmarks.arms.models import random_tokens
from benchmarks.arms.processes import restarted_as_a_worker
from benchmarks.arms.step_arms import Feed, KerasArm, OwnProcess, PackArm, SoloArm, Timed, compare, trials
from benchmarks.instruments.measuring import Ratio, ratio
from benchmarks.instruments.reporting import Report, Table
from trainer.base.base import BaseModel, load_base
from trainer.config import Targets, TrialConfig
from trainer.dialogues import read_dialogues
from trainer.dialogues.tokens import TokenSet, tokenize
from trainer.machine.host_memory import keep_freed_memory

RANK = 8
TOKEN_LIMIT = 256  # the notebook's: what it pads every dialogue to
UNIT_STEPS = 1000  # at most, so many examples are made for each measurement
HAND_WRITTEN, STOCK, PADDED = "hand-written step", "KerasHub fit", "KerasHub fit, padded to the limit"
ONE_BATCH = "one batch"

Rates = dict[str, list[float]]


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    rounds         measurements of each arm
    unit_seconds   of one measurement, about
    real_seconds   of one with real dialogues, whose steps differ
    lengths        tokens of an example, in the comparison of one step
    slots          pack sizes, the first of them 1
    targets        choices of targets
    batch_sizes    of the real dialogues
    packed         slots that train real dialogues together
    dialogues      real ones, the shortest; None: all
    """

    rounds: int = 5
    unit_seconds: float = 0.5
    real_seconds: float = 1.5
    lengths: tuple[int, ...] = (32, 80, 256)
    slots: tuple[int, ...] = (1, 2, 4, 8, 16)
    targets: tuple[Targets, ...] = ("attention_qv", "all_linear")
    batch_sizes: tuple[int, ...] = (1, 8)
    packed: int = 8
    dialogues: int | None = None


QUICK = Plan(
    rounds=2,
    unit_seconds=0.1,
    real_seconds=0.1,
    lengths=(32,),
    slots=(1, 2),
    targets=("attention_qv",),
    batch_sizes=(1,),
    packed=2,
    dialogues=64,
)


@dataclass(frozen=True)
class Cell:
    """Useful tokens per second of every arm in every round, for one choice of targets and lengths or batch size.

    of   tokens of an example, or examples of a batch
    """

    targets: Targets
    of: int
    rates: Rates

    def middle(self, arm: str) -> float:
        """Median rate of an arm."""
        return median(self.rates[arm])

    def against(self, ours: str, theirs: str) -> Ratio:
        """Compare two arms round by round."""
        return ratio(self.rates[ours], self.rates[theirs])

    @property
    def best_solo(self) -> str:
        """The faster of the two factored steps of one trial."""
        return max((packed(1), HAND_WRITTEN), key=self.middle)


def packed(slots: int) -> str:
    """Name the arm of a pack."""
    return f"{slots} slot{'s' if slots > 1 else ''}"


def measure(plan: Plan) -> Report:
    """Measure everything of a plan."""
    started = time.perf_counter()
    keep_freed_memory()  # as a worker does
    base = load_base("builtin")
    steps = [_one_step(base, targets, length, plan) for targets in plan.targets for length in plan.lengths]
    corpus = real_dialogues(base, plan.dialogues)
    real = [_real_lengths(base, corpus, targets, size, plan) for targets in plan.targets for size in plan.batch_sizes]
    return Report(
        name="step",
        command=f"python -m benchmarks.step --rounds {plan.rounds}{' --quick' if plan.dialogues else ''}",
        question=(
            f"How fast do packs train? The built-in model, rank {RANK}, float32; all arms of a row take turns in one "
            f"run, {plan.rounds} times, and nothing is compiled meanwhile. Medians; ratios of the same round with the "
            "lowest and the highest. KerasHub is in a process of its own, with the C library's defaults."
        ),
        tables=[*_step_tables(steps, plan), *_real_tables(real, corpus, plan)],
        data={"one step": [asdict(cell) for cell in steps], "real dialogues": [asdict(cell) for cell in real]},
        seconds=time.perf_counter() - started,
    )


def real_dialogues(base: BaseModel, limit: int | None = None) -> TokenSet:
    """Read and tokenise the built-in training set as sweeps do.

    Args:
        base: whose tokenizer to use.
        limit: take only so many, of nearly one length, so that little is compiled; None: all.
    """
    dialogues = read_dialogues("builtin:train", name="train")
    tokens = tokenize(dialogues, base.tokenizer, loss_on="response", max_tokens=TOKEN_LIMIT)
    if limit is None:
        return tokens
    by_length = sorted(tokens.examples, key=lambda example: len(example.token_ids))
    return replace(tokens, examples=tuple(by_length[:limit]))


# ---- measuring ------------------------------------------------------------------------------------------------------


def _one_step(base: BaseModel, targets: Targets, length: int, plan: Plan) -> Cell:
    """Examples of one length, without padding; one example per step of a trial."""
    vocabulary_size = base.backbone.vocabulary_size
    feed = Feed(random_tokens(UNIT_STEPS * (plan.rounds + 1), length, vocabulary_size), batch_size=1)
    config = trials(1, targets=targets, ranks=(RANK,))[0]
    arms: dict[str, Timed] = {
        packed(slots): PackArm(base, feed, trials(slots, targets=targets, ranks=(RANK,))) for slots in plan.slots
    }
    arms[HAND_WRITTEN] = SoloArm(base, feed, config)
    batch = trials(1, targets=targets, ranks=(RANK,), batch_size=plan.packed)[0]
    arms[ONE_BATCH] = SoloArm(base, Feed(feed.tokens, plan.packed), batch)
    arms[STOCK] = _stock(feed, config)
    return _told(Cell(targets, length, compare(arms, rounds=plan.rounds, unit_seconds=plan.unit_seconds)), "tokens")


def _real_lengths(base: BaseModel, corpus: TokenSet, targets: Targets, batch_size: int, plan: Plan) -> Cell:
    """The corpus itself: loss on the replies, buckets on our side, padding on theirs."""
    feed = Feed(whole_batches(corpus, batch_size), batch_size)
    configs = trials(plan.packed, targets=targets, batch_size=batch_size, ranks=(RANK,))
    together = plan.packed * batch_size
    one_batch = trials(1, targets=targets, batch_size=together, ranks=(RANK,))[0]
    repeated = replace(corpus, examples=plan.packed * corpus.examples)  # as many steps as the other arms have
    arms: dict[str, Timed] = {
        packed(plan.packed): PackArm(base, feed, configs),
        packed(1): PackArm(base, feed, configs[:1]),
        ONE_BATCH: PackArm(base, Feed(whole_batches(repeated, together), together), [one_batch]),
        STOCK: _stock(feed, configs[0]),
        PADDED: _stock(feed, configs[0], pad_to=TOKEN_LIMIT),
    }
    rates = compare(arms, rounds=plan.rounds, unit_seconds=plan.real_seconds)
    return _told(Cell(targets, batch_size, rates), "dialogues a step")


def _stock(feed: Feed, config: TrialConfig, pad_to: int | None = None) -> OwnProcess:
    return OwnProcess(partial(_keras_arm, feed, config, pad_to))


def _keras_arm(feed: Feed, config: TrialConfig, pad_to: int | None) -> KerasArm:
    return KerasArm(load_base("builtin").causal_lm, feed, config, pad_to=pad_to)


def whole_batches(tokens: TokenSet, batch_size: int) -> TokenSet:
    """Leave out the last examples that do not fill a batch."""
    kept = len(tokens.examples) // batch_size * batch_size
    return replace(tokens, examples=tokens.examples[:kept])


def _told(cell: Cell, unit: str) -> Cell:
    middles = ", ".join(f"{arm} {median(rates):,.0f}" for arm, rates in cell.rates.items())
    print(f"{cell.targets}, {cell.of} {unit}: {middles} tokens/s", flush=True)
    return cell


# ---- telling --------------------------------------------------------------------------------------------------------


def _step_tables(cells: Sequence[Cell], plan: Plan) -> list[Table]:
    solo = [packed(slots) for slots in plan.slots]
    more = [name for name in solo if name != packed(1)]
    arms = [HAND_WRITTEN, STOCK, *solo]
    shared_base = f"{plan.packed} examples as one batch"
    shared = [*more, ONE_BATCH]

    def rows(texts: Sequence[Sequence[str]]) -> list[list[str]]:
        return [[cell.targets, f"{cell.of}", *each] for cell, each in zip(cells, texts, strict=True)]

    key = ["targets", "tokens"]
    return [
        Table(
            "One step: trial-steps per second",
            [*key, *arms],
            rows([[f"{cell.middle(arm) / cell.of:,.1f}" for arm in arms] for cell in cells]),
            "One example per trial and step, none of its tokens padding, all but the first learned.",
        ),
        Table(
            "One step: useful tokens per second",
            [*key, *arms],
            rows([[f"{cell.middle(arm):,.0f}" for arm in arms] for cell in cells]),
        ),
        Table(
            "One step: packed against the best factored solo step",
            [*key, "best solo step", *more, shared_base],
            rows([[_name(cell), *(f"{cell.against(arm, cell.best_solo)}" for arm in shared)] for cell in cells]),
            "The best solo step is the faster of our pack with one slot and a step written by hand for one adapter. "
            f"What sharing the base gives by itself: {plan.packed} examples as one batch of the hand-written step, "
            "which trains a single adapter, so that nothing at all is done by slot. It is no bound: packs may pass it.",
        ),
        Table(
            "One step: packed against stock KerasHub",
            [*key, "best solo step", *solo],
            rows(
                [[f"{cell.against(arm, STOCK)}" for arm in (cell.best_solo, *solo)] for cell in cells],
            ),
            "Stock KerasHub is `enable_lora` + Keras AdamW + compiled `fit`, one trial; it pads nothing here.",
        ),
    ]


def _name(cell: Cell) -> str:
    return "our pack of one" if cell.best_solo == packed(1) else HAND_WRITTEN


def _real_tables(cells: Sequence[Cell], corpus: TokenSet, plan: Plan) -> list[Table]:
    many = packed(plan.packed)
    lengths = [len(example.token_ids) for example in corpus.examples]
    factors = {
        "padding": (STOCK, PADDED),
        "buckets, factored, loss on replies only": (packed(1), STOCK),
        f"{many} packed": (many, packed(1)),
        "all, against the longest": (many, STOCK),
        "all, against the limit": (many, PADDED),
        "one slot, all in one batch": (ONE_BATCH, PADDED),
    }
    return [
        Table(
            "Real dialogue lengths: useful tokens per second",
            ["targets", "batch", PADDED, STOCK, packed(1), many],
            [
                [cell.targets, f"{cell.of}", *(f"{cell.middle(arm):,.0f}" for arm in (PADDED, STOCK, packed(1), many))]
                for cell in cells
            ],
            f"{len(lengths):,} dialogues of the built-in corpus, {min(lengths)} to {max(lengths)} tokens, median "
            f"{median(lengths):.0f}; loss on the replies. KerasHub pads to the longest dialogue, or, as the notebook, "
            f"to the limit of {TOKEN_LIMIT} tokens.",
        ),
        Table(
            "Real dialogue lengths: factor by factor",
            ["targets", "batch", *factors],
            [
                [cell.targets, f"{cell.of}", *(f"{cell.against(ours, theirs)}" for ours, theirs in factors.values())]
                for cell in cells
            ],
            "padding: `fit` padded to the longest dialogue against `fit` padded to the limit; then our pack of one "
            "against the former; then the pack against the pack of one. What sharing the base gives by itself, against "
            "the limit: one slot that trains all slots' dialogues as one batch, so that nothing is done by slot. It "
            "is no bound: packs may pass it.",
        ),
    ]


def main() -> None:
    """Measure, write the report, print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="measurements of each arm (default: 5)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, in a minute: shows that it works")
    given = parser.parse_args()
    restarted_as_a_worker("benchmarks.step")
    plan = QUICK if given.quick else Plan()
    if given.rounds:
        plan = replace(plan, rounds=given.rounds)
    report = measure(plan)
    report.tell(keep=not given.quick)


if __name__ == "__main__":
    main()
