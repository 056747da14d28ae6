"""The arms of the step comparisons: each trains by some steps at a call, on the same examples in the same order.

An arm is built, warmed and given its unit of work before the clock runs; a call returns the useful tokens that it
trained on, when they are done.
"""

from __future__ import annotations

import multiprocessing
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from operator import methodcaller
from typing import Any, Protocol, TypeVar

import jax
import numpy as np
import numpy.typing as npt

from benchmarks.instruments.compilations import none_expected
from benchmarks.instruments.measuring import take_turns
from benchmarks.peers.keras_fit import KerasFit
from benchmarks.peers.solo_step import SoloStep
from trainer.base.base import BaseModel
from trainer.config import Targets, TrialConfig
from trainer.dialogues.tokens import TokenSet
from trainer.events import Progress
from trainer.pack.order import NO_ROW, EpochOrder, make_buckets
from trainer.pack.pack import Pack

LEARNING_RATE, WEIGHT_DECAY = 1e-4, 0.01  # the notebook's
FEW_STEPS = 4  # enough to tell how long a step takes

T = TypeVar("T")


@dataclass(frozen=True)
class Feed:
    """One epoch of a training set in batches.

    tokens      the set; whole batches only
    batch_size  examples per step

    Raises:
        ValueError: the last batch would be short.
    """

    tokens: TokenSet
    batch_size: int

    def __post_init__(self) -> None:
        short = len(self.tokens.examples) % self.batch_size
        if short:
            raise ValueError(f"The examples must fill whole batches of {self.batch_size}, but {short} are left over.")

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each example."""
        return np.array([len(example.token_ids) for example in self.tokens.examples], np.int64)

    @cached_property
    def order(self) -> EpochOrder:
        """The order in which the trainer visits its buckets."""
        return EpochOrder(make_buckets(self.lengths.tolist()), self.batch_size)

    @property
    def cycle(self) -> int:
        """Steps in which all lengths occur in their proportion: units of work are whole cycles."""
        return len(self.order.phases) if len(self.order.buckets.lengths) > 1 else 1

    @property
    def steps(self) -> int:
        """Steps of the epoch."""
        return len(self.order.steps)

    def rows(self, seed: int) -> npt.NDArray[np.int32]:
        """Row numbers of each step `(steps, batch_size)` for the trial with this seed."""
        return self.order.rows(seed, epoch=0)

    def useful(self, seed: int) -> npt.NDArray[np.int64]:
        """Tokens of each step `(steps,)` that are not padding, for the trial with this seed."""
        useful: npt.NDArray[np.int64] = self.lengths[self.rows(seed)].sum(axis=1)
        return useful


class Timed(Protocol):
    """What a comparison needs of an arm."""

    def __call__(self) -> float:
        """Do a unit of work; the useful tokens of all trials."""

    def prepare(self, unit_seconds: float, *, rounds: int) -> None:
        """Compile, then choose a unit of about `unit_seconds`, enough of which are left for all rounds."""


class Arm(ABC):
    """Trains one or more trials on a feed, from step to step; called, it does a unit of work.

    feed      what it trains on
    unit      steps of each trial per call
    patience  how much longer than other arms it is measured, for what each call costs beside its steps
    """

    patience = 1

    def __init__(self, feed: Feed, seeds: Sequence[int]) -> None:
        self.feed = feed
        self.unit = feed.cycle
        self._useful = np.sum([feed.useful(seed) for seed in seeds], axis=0)
        self._done = 0

    def __call__(self) -> float:
        """Do a unit of work; the useful tokens of all trials."""
        return self.advance(self.unit)

    def advance(self, steps: int) -> float:
        """Train every trial by some steps; the useful tokens of all of them.

        Raises:
            RuntimeError: the feed has not that many left.
        """
        begin, end = self._done, self._done + steps
        if end > self.feed.steps:
            raise RuntimeError(
                f"The feed has {self.feed.steps} steps, but {end} were asked for; give it more examples."
            )
        self._train(begin, end)
        self._done = end
        return float(self._useful[begin:end].sum())

    def prepare(self, unit_seconds: float, *, rounds: int) -> None:
        """Compile, then choose a unit of about `unit_seconds`, of which the feed has enough for all rounds.

        Raises:
            RuntimeError: the feed is too short for units of even one cycle.
        """
        cycle = self.feed.cycle
        few = cycle * -(-FEW_STEPS // cycle)
        self.advance(few)
        started = time.perf_counter()
        self.advance(few)
        wanted = round(self.patience * unit_seconds / (time.perf_counter() - started) * few / cycle)
        left = (self.feed.steps - self._done) // cycle
        self.unit = cycle * max(1, min(wanted, left // rounds))

    @abstractmethod
    def _train(self, begin: int, end: int) -> None:
        """Train every trial from one step of the feed to another, and wait for the result."""


class PackArm(Arm):
    """Our pack: one trial for each configuration, a slot each, through `tick()` as a worker drives it."""

    def __init__(self, base: BaseModel, feed: Feed, configs: Sequence[TrialConfig]) -> None:
        super().__init__(feed, [config.seed for config in configs])
        rank = max(config.rank for config in configs)
        self._pack = Pack(base, feed.tokens, {}, slots=len(configs), rank_capacity=rank, targets=configs[0].targets)
        self._pack.warm_up([feed.batch_size])
        for number, config in enumerate(configs):
            self._pack.join(f"{number}", config)

    def _train(self, begin: int, end: int) -> None:
        for _ in range(begin, end):
            strange = [event for event in self._pack.tick() if not isinstance(event, Progress)]
            if strange:
                raise RuntimeError(f"Only training steps may be timed, but this happened: {strange[0]}.")
        # A pack waits only for what it reports, a benchmark for everything.
        jax.block_until_ready(self._pack._states.now)  # type: ignore[no-untyped-call]  # jax leaves it untyped
        done = {occupant.done for occupant in self._pack._occupants.values()}
        if done != {end}:
            raise RuntimeError(f"All trials must have done {end} steps together, but have done {sorted(done)}.")

    def plan(self) -> Any:
        """XLA's analysis of the memory of the compiled step, the longest one."""
        pack = self._pack
        numbers = np.full((pack.slots, self.feed.batch_size), NO_ROW, np.int32)
        arguments, sizes = pack._train_arguments(numbers, None, self.feed.order.filled_buckets[-1])
        return pack._programs.train.lower(*arguments, **sizes).compile().memory_analysis()


class SoloArm(Arm):
    """The hand-written step, for one trial."""

    def __init__(self, base: BaseModel, feed: Feed, config: TrialConfig) -> None:
        super().__init__(feed, [config.seed])
        self._rows = feed.rows(config.seed)
        self._trial = SoloStep(
            base,
            feed.tokens,
            rank=config.rank,
            targets=config.targets,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            seed=config.seed,
        )

    def _train(self, begin: int, end: int) -> None:
        self._trial.train(self._rows[begin:end])


class KerasArm(Arm):
    """Stock KerasHub, one trial; a unit of work is one call of `fit`. `pad_to` None: the longest example."""

    patience = 6  # a call of `fit` costs a tenth of a second, whatever it trains; an epoch hardly feels it

    def __init__(self, causal_lm: Any, feed: Feed, config: TrialConfig, *, pad_to: int | None = None) -> None:
        super().__init__(feed, [config.seed])
        self._rows = feed.rows(config.seed)
        self._trial = KerasFit(
            causal_lm,
            rank=config.rank,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            targets=config.targets,
            train=feed.tokens,
            batch_size=config.batch_size,
            pad_to=pad_to,
            seed=config.seed,
        )

    def _train(self, begin: int, end: int) -> None:
        self._trial.train(self._rows[begin:end].reshape(-1))


class OwnProcess:
    """An arm in a process of its own: there a peer has the C library's memory as its user would, not as we set it.

    Args:
        build: makes the arm, in that process; to be pickled.
    """

    def __init__(self, build: Callable[[], Arm]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        context.Process(target=_serve, args=(build, theirs), daemon=True).start()
        theirs.close()

    def __call__(self) -> float:
        """Let it do a unit of work."""
        return self._ask(_unit)

    def prepare(self, unit_seconds: float, *, rounds: int) -> None:
        """Let it compile and choose its unit."""
        self._ask(methodcaller("prepare", unit_seconds, rounds=rounds))

    def _ask(self, question: Callable[[Arm], T]) -> T:
        try:
            self._connection.send(question)
            answer: T = self._connection.recv()
        except (EOFError, ConnectionError):
            raise RuntimeError("The process of an arm has ended; it has said why.") from None
        return answer


def _serve(build: Callable[[], Arm], connection: Connection) -> None:
    """Ask an arm what its `OwnProcess` sends, until that is gone."""
    arm = build()
    while True:
        try:
            question = connection.recv()
        except EOFError:
            return
        connection.send(question(arm))


def _unit(arm: Arm) -> float:
    with none_expected():
        return arm()


def trials(count: int, *, targets: Targets, ranks: Sequence[int], batch_size: int = 1) -> tuple[TrialConfig, ...]:
    """Configure `count` trials with seeds of their own; the ranks take turns."""
    return tuple(
        TrialConfig(
            rank=ranks[number % len(ranks)],
            targets=targets,
            batch_size=batch_size,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            seed=number,
        )
        for number in range(count)
    )


def compare(arms: Mapping[str, Timed], *, rounds: int, unit_seconds: float) -> dict[str, list[float]]:
    """Time arms in turn, all of them warm; useful tokens per second of each round.

    Raises:
        RuntimeError: something was compiled while the clock ran.
    """
    for arm in arms.values():
        arm.prepare(unit_seconds, rounds=rounds)
    with none_expected():
        return take_turns(arms, rounds=rounds)
