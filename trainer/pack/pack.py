"""A pack: one base model whose slots train many adapters together.

`tick()` does one thing, a training step of the slots that can share one or a batch of the evaluation of those that are
due, and tells what happened. A trial may join or leave between any two ticks; what it computes depends on itself alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from trainer import lora
from trainer.base.base import BaseModel
from trainer.base.shapes import check_rank
from trainer.config import Targets, TrialConfig
from trainer.dialogues.tokens import TokenSet
from trainer.errors import CapacityError
from trainer.events import Diverged, EpochEnded, Evaluated, Event, Finished, Progress, Snapshot
from trainer.lora.checkpoint import SlotCheckpoint
from trainer.lora.files import write_adapter
from trainer.lora.optimizer import Hyperparameters
from trainer.machine.chips import Seats
from trainer.machine.host_memory import give_back_memory
from trainer.pack.call_sizes import CallSizes
from trainer.pack.data_on_device import put
from trainer.pack.evaluation import Evaluation, put_for_evaluation
from trainer.pack.generation import Generator, SamplePlan
from trainer.pack.lanes import Lane
from trainer.pack.occupant import Occupant
from trainer.pack.order import NO_ROW, EpochOrder
from trainer.pack.sizes import TOKENS_PER_PASS, backend
from trainer.pack.slot_states import SlotStates
from trainer.pack.step import NEVER, NOBODY, Programs

# Enough for the accelerator never to wait for the host. Were it more, a slot that has been freed would be offered only
# when many steps without it are under way.
STEPS_AHEAD = 2


class Pack:
    """Slots over one base model.

    Args:
        base: the frozen model.
        train: training set, the same for all slots.
        validation: named sets; the first should be called `val`.
        slots: adapters that can train at once.
        rank_capacity: the largest rank; every adapter is zero-padded to it.
        targets: the largest choice of targets that a trial may make.
        dropout: whether trials may use dropout; masks are drawn for all slots then.
        samples: prompts to answer after each epoch, or None.
        evaluations_per_epoch: evenly spread; the last one closes the epoch.
        log_every_steps: steps between two `Progress` events of a trial; its first step is told, too.
        tokens_per_pass: slots go through the base together up to so many tokens; None: what is fastest.
        remat: recompute each block in the backward pass instead of keeping its activations.

    Raises:
        ConfigError: the rank capacity is above the size of a matrix.
    """

    def __init__(
        self,
        base: BaseModel,
        train: TokenSet,
        validation: Mapping[str, TokenSet],
        *,
        slots: int,
        rank_capacity: int,
        targets: Targets,
        dropout: bool = False,
        samples: SamplePlan | None = None,
        evaluations_per_epoch: int = 1,
        log_every_steps: int = 10,
        tokens_per_pass: int | None = None,
        remat: bool = False,
    ) -> None:
        self._base = base
        self._sites = lora.select_sites(lora.find_sites(base.backbone), targets)
        check_rank({site.target: site.kernel_shape for site in self._sites}, rank_capacity)
        self._rank, self._targets, self._dropout, self._slots = rank_capacity, targets, dropout, slots
        self._programs = Programs(
            base, self._sites, tokens_per_pass=tokens_per_pass or TOKENS_PER_PASS[backend()], remat=remat
        )
        self._seats = Seats.of(slots, base.chips.groups)
        self._train_set = put(train, base.chips)
        self._validation = {name: put_for_evaluation(tokens, base.chips) for name, tokens in validation.items()}
        self._generator = Generator(base, self._sites)
        self._samples = samples
        self._evaluations_per_epoch = evaluations_per_epoch
        self._log_every_steps = log_every_steps
        self._occupants: dict[str, Occupant] = {}
        self._orders: dict[int, EpochOrder] = {}
        self._lanes: dict[int, Lane] = {}
        self._turn = 0
        self._under_way: deque[Any] = deque()
        self._evaluation: Evaluation | None = None
        self._evaluated: dict[str, Occupant] = {}  # by the one that is under way
        self._states = SlotStates(self._programs, self._sites, rank_capacity, self._seats.total, base.chips)
        self._sizes = CallSizes(self._seats.in_group)

    # ---- joining and leaving ------------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """All slots, taken or free."""
        return self._slots

    @property
    def free_slots(self) -> int:
        """Slots that no trial holds."""
        return self._slots - len(self._occupants)

    def join(self, key: str, config: TrialConfig, checkpoint: bytes | None = None) -> tuple[Evaluated, ...]:
        """Let a trial begin, or go on from a checkpoint, in a free slot; the evaluations that the checkpoint knows.

        Raises:
            CapacityError: no slot is free, or the trial needs a larger rank or more targets than the pack has.
            AdapterError: the checkpoint is damaged or belongs to another trial.
        """
        self._check_fits(key, config)
        order = self._order(config.batch_size)
        slot = self._seats.free([occupant.slot for occupant in self._occupants.values()])
        occupant = Occupant(key, slot, config, order, self._evaluations_per_epoch)
        sites = lora.select_sites(self._sites, config.targets)
        if checkpoint is None:
            start = SlotCheckpoint.fresh(lora.first_values(sites, config.rank, config.seed))
        else:
            start = SlotCheckpoint.from_bytes(checkpoint, key, config, sites)
        occupant.done = start.done
        occupant.told += [replace(each, evaluations_total=occupant.evaluations_total) for each in start.evaluations]
        occupant.epochs_ended = occupant.evaluations // self._evaluations_per_epoch
        occupant.losses += [(np.array([loss], np.float32), 0) for loss in start.losses]
        self._states.place(slot, start, Hyperparameters.of(config, occupant.steps_total))
        self._occupants[key] = occupant
        self._lanes.setdefault(order.batch_size, Lane()).join(occupant)
        return tuple(occupant.told)

    def leave(self, key: str) -> None:
        """Free a trial's slot at once. A key that is not here is ignored: the trial has just finished."""
        occupant = self._occupants.pop(key, None)
        if occupant is not None:
            self._lanes[occupant.order.batch_size].leave(occupant)
            self._evaluated.pop(key, None)

    def checkpoint(self, key: str) -> Snapshot:
        """Everything that the trial needs to go on elsewhere as if it had never stopped, as it is now."""
        return self._states.snapshot(self._occupants[key])

    @property
    def evaluation_due(self) -> bool:
        """Whether trials are to be evaluated before the next step."""
        return any(occupant.evaluation_due for occupant in self._occupants.values())

    @cached_property
    def base_metrics(self) -> dict[str, float]:
        """Metrics of the base model without any adapter; they compile the programs that trials are evaluated by."""
        slots = np.full(self._seats.total, NOBODY, np.int32)
        slots[0] = self._seats.in_group
        evaluation = Evaluation(self._programs, self._base.weights, slots, self._validation)
        while evaluation.batches_left:
            evaluation.score_batch(self._states.now)
        return evaluation.metrics()[0]

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """Compile the steps of some batch sizes, and what joining, saving and sampling needs; nothing is changed."""
        orders = {order.batch_size: order for order in map(self._order, batch_sizes)}
        for order in orders.values():
            numbers = np.full((self._seats.total, order.batch_size), NO_ROW, np.int32)
            for bucket in order.filled_buckets:
                arguments, sizes = self._train_arguments(numbers, None, bucket)
                give_back_memory()  # neither compiling and running, nor one program and the next, add up
                self._programs.train.lower(*arguments, **sizes).compile()
                give_back_memory()
                self._call_train(numbers, None, bucket)
        own = self._states.read(0)
        self._states.put(0, own)
        if self._samples:
            self._generator.sample(own.adapter, 1.0, self._samples)
        _ = self._base.digest
        give_back_memory()

    # ---- the loop -----------------------------------------------------------------------------------------------

    def tick(self) -> list[Event]:
        """Do the next piece of work and tell what happened; nothing when no trial is here."""
        if finished := self._finish():
            return finished
        ending = [occupant for occupant in self._occupants.values() if occupant.epoch_end_due]
        if ending:
            return self._end_epoch(ending)
        due = [occupant for occupant in self._occupants.values() if occupant.evaluation_due]
        if due:
            return [*self._evaluate(due), *self._finish()]
        busy = [lane for lane in self._lanes.values() if lane.occupants]
        if not busy:
            return []
        lane = min(busy, key=lambda lane: lane.turn)
        self._turn += 1
        lane.turn = self._turn
        group = lane.next_group()
        self._train(group)
        reporting = [each for each in group if each.done == 1 or each.done % self._log_every_steps == 0]
        return self._report(reporting)

    def _train(self, group: Sequence[Occupant]) -> None:
        bucket, batch_size = group[0].next_step.bucket, group[0].order.batch_size
        taking = [occupant.slot for occupant in group]
        size = self._sizes.choose(self._seats.busiest(taking), (bucket, batch_size))
        rows = self._seats.rows(taking, size)
        numbers = np.full((self._seats.groups * size, batch_size), NO_ROW, np.int32)
        numbers[rows] = [occupant.next_rows for occupant in group]
        whole = size == self._seats.in_group
        slots = None if whole else self._seats.numbers(taking, size, empty=self._seats.in_group)
        losses = self._call_train(numbers, slots, bucket)
        self._go_ahead_of(losses)
        for row, occupant in zip(rows, group, strict=True):
            taken = occupant.next_rows
            occupant.tokens += int(self._train_set.lengths[taken[taken != NO_ROW]].sum())
            occupant.losses.append((losses, row))
            occupant.done += 1

    def _go_ahead_of(self, results: Any) -> None:
        """Let the accelerator compute while the host goes on, but for no more than some calls."""
        self._under_way.append(results)
        if len(self._under_way) > STEPS_AHEAD:
            jax.block_until_ready(self._under_way.popleft())  # type: ignore[no-untyped-call]  # jax leaves it untyped

    def _call_train(self, numbers: Any, slots: Any, bucket: int) -> Any:
        arguments, sizes = self._train_arguments(numbers, slots, bucket)
        self._states.now, losses = self._programs.train(*arguments, **sizes)
        return losses

    def _train_arguments(self, numbers: Any, slots: Any, bucket: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        sizes = {
            "length": self._train_set.buckets.lengths[bucket],
            "width": self._train_set.bucket_targets[bucket],
            "dropout": self._dropout,
        }
        return (self._base.weights, self._train_set.rows, self._states.now, numbers, slots), sizes

    def _order(self, batch_size: int) -> EpochOrder:
        size = min(batch_size, len(self._train_set.lengths))
        return self._orders.setdefault(size, EpochOrder(self._train_set.buckets, size))

    def _report(self, occupants: Sequence[Occupant]) -> list[Event]:
        """Fetch what the trials have computed since their last report; failed trials leave."""
        if not occupants:
            return []
        failed_at = np.asarray(self._states.now.failed_at)
        events: list[Event] = []
        for occupant in occupants:
            step = int(failed_at[occupant.slot])
            if step != NEVER:
                self.leave(occupant.key)
                reason = f"the loss or a gradient was not a finite number at step {step}"
                events.append(Diverged(key=occupant.key, step=step, reason=reason))
            elif occupant.losses:
                events.append(_progress(occupant))
        return events

    def _evaluate(self, due: Sequence[Occupant]) -> list[Event]:
        """Score a batch of the evaluation that is under way, or of one that begins; tell of it after its last batch."""
        events = [] if self._evaluated else self._begin_evaluation(due)
        if self._evaluation is None or not self._evaluated:
            return events
        if self._evaluation.batches_left:
            self._go_ahead_of(self._evaluation.score_batch(self._states.now))
        if self._evaluation.batches_left:
            return events
        metrics = self._evaluation.metrics()
        for key, occupant in self._evaluated.items():
            occupant.told.append(
                Evaluated(
                    key=key,
                    step=occupant.done,
                    evaluation=occupant.evaluations + 1,
                    evaluations_total=occupant.evaluations_total,
                    epoch=occupant.epoch,
                    metrics=metrics[occupant.slot],
                )
            )
            events.append(occupant.told[-1])
            # Evaluating and sampling are not training: the trial's throughput is counted from here on.
            occupant.reported_at = time.perf_counter()
        self._evaluation, self._evaluated = None, {}
        return events

    def _begin_evaluation(self, due: Sequence[Occupant]) -> list[Event]:
        """Report those who are due, and begin with who ends with it: meanwhile others are found for these slots."""
        events = self._report(due)
        due = [occupant for occupant in due if occupant.key in self._occupants]
        due = [occupant for occupant in due if occupant.evaluations + 1 == occupant.evaluations_total] or due
        if due:
            # A program for fewer slots would gain nothing: a batch fills a pass with one slot's dialogues.
            taking = [occupant.slot for occupant in due]
            slots = self._seats.numbers(taking, self._seats.in_group, empty=NOBODY)
            self._evaluation = Evaluation(self._programs, self._base.weights, slots, self._validation)
            self._evaluated = {occupant.key: occupant for occupant in due}
        return events

    def _finish(self) -> list[Event]:
        """Free the slots of those who have done everything."""
        finished = [occupant for occupant in self._occupants.values() if occupant.finished]
        for occupant in finished:
            self.leave(occupant.key)
        return [Finished(key=occupant.key, step=occupant.done) for occupant in finished]

    def _end_epoch(self, occupants: Sequence[Occupant]) -> list[Event]:
        """Hand out adapters before they are evaluated: whoever stores them can do so meanwhile."""
        events = self._report(occupants)
        for occupant in occupants:
            if occupant.key in self._occupants:
                events.append(self._epoch_ended(occupant))
                occupant.epochs_ended = occupant.epochs_trained
        return events

    def _epoch_ended(self, occupant: Occupant) -> EpochEnded:
        config = occupant.config
        sites = lora.select_sites(self._sites, config.targets)
        padded = self._states.read(occupant.slot).adapter
        factors = lora.cut(padded, sites, config.rank)
        files = write_adapter(factors, sites, config, self._base.name, (self._base.digest, self._base.dtype))
        samples = self._generator.sample(padded, config.lora_scale, self._samples) if self._samples else ()
        return EpochEnded(
            key=occupant.key, step=occupant.done, epoch=occupant.epochs_trained, adapter=files, samples=samples
        )

    def _check_fits(self, key: str, config: TrialConfig) -> None:
        if key in self._occupants:
            raise CapacityError(f"The trial {key!r} is in this pack already.")
        if not self.free_slots:
            raise CapacityError(f"All {self._slots} slots of this pack are taken.")
        if config.dropout > 0 and not self._dropout:
            raise CapacityError(f"The pack was made without dropout, but the trial has {config.dropout}.")
        if config.rank > self._rank:
            raise CapacityError(f"The pack was made for ranks up to {self._rank}, but the trial has {config.rank}.")
        if not set(lora.TARGET_LAYERS[config.targets]) <= set(lora.TARGET_LAYERS[self._targets]):
            raise CapacityError(f"The pack was made for targets {self._targets}, but the trial has {config.targets}.")


def _progress(occupant: Occupant) -> Progress:
    now = time.perf_counter()
    metrics = {
        "train_loss": float(np.mean(occupant.fetch_losses())),
        "tokens_per_second": occupant.tokens / max(now - occupant.reported_at, 1e-9),
    }
    occupant.losses, occupant.tokens, occupant.reported_at = [], 0, now
    return Progress(
        key=occupant.key,
        step=occupant.done,
        steps_total=occupant.steps_total,
        epoch=occupant.epoch,
        metrics=metrics,
    )
