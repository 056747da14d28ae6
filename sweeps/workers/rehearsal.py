"""A model-free engine: believable loss curves as a function of a trial's configuration, at any speed.

Shipped for tests, and to measure what orchestration costs by itself. The curves have one optimum (learning rate near
1e-3, higher rank a little better), noise that depends on the trial's seed, and divergence at absurd learning rates.
The "adapter" is a chain of digests, one link a step: a step that was lost or done twice shows in all that follow.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass, field

from trainer.config import TrialConfig
from trainer.errors import CapacityError
from trainer.events import Diverged, EpochEnded, Evaluated, Event, Finished, Progress, Sample, Snapshot

START_LOSS = 4.0
BEST_LOSS = 1.5
BEST_LEARNING_RATE = 1e-3
DIVERGING_LEARNING_RATE = 0.05
DIVERGING_STEP = 5


@dataclass(frozen=True, kw_only=True)
class RehearsalSettings:
    """Builds a `RehearsalEngine` in the process that runs it: these settings are an engine factory.

    tick_s            seconds that one packed step takes
    start_s           seconds that loading "the base model" takes
    fails_to_start    message of the error that loading ends in, to rehearse a base model that does not load
    breaks_at_tick    the tick that raises, to rehearse an accelerator that gives up
    memory_slots      trials that fit in "memory"; one more is an error that says so
    """

    tick_s: float = 0.01
    start_s: float = 0.0
    steps_per_epoch: int = 20
    evaluations_per_epoch: int = 1
    log_every_steps: int = 5
    fails_to_start: str | None = None
    breaks_at_tick: int | None = None
    memory_slots: int | None = None

    def __call__(self, *, slots: int) -> RehearsalEngine:
        """Pretend to load a base model, and return the engine."""
        time.sleep(self.start_s)
        if self.fails_to_start is not None:
            raise RuntimeError(self.fails_to_start)
        return RehearsalEngine(self, slots)


@dataclass
class _Slot:
    config: TrialConfig
    step: int = 0
    chain: str = ""
    told: list[Evaluated] = field(default_factory=list)


class RehearsalEngine:
    """An `Engine` whose trials only pretend to train."""

    def __init__(self, settings: RehearsalSettings, slots: int) -> None:
        self._settings = settings
        self._slots = slots
        self._taken: dict[str, _Slot] = {}
        self._ticks = 0

    @property
    def base_metrics(self) -> dict[str, float]:
        """The loss that every curve begins at."""
        return {"val_loss": START_LOSS, "val_perplexity": math.exp(START_LOSS)}

    @property
    def slots(self) -> int:
        """Number of slots, taken or free."""
        return self._slots

    @property
    def free_slots(self) -> int:
        """Number of slots that may still be taken."""
        return self._slots - len(self._taken)

    @property
    def evaluation_due(self) -> bool:
        """Never: evaluations are part of a step."""
        return False

    def join(self, key: str, config: TrialConfig, checkpoint: bytes | None = None) -> tuple[Evaluated, ...]:
        """Take a slot; the evaluations that the checkpoint knows."""
        if self.free_slots == 0:
            raise CapacityError(f"No slot is free for trial {key}: all {self.slots} are taken.")
        slot = _Slot(config)
        if checkpoint is not None:
            step, slot.chain = json.loads(checkpoint)
            for slot.step in range(1, step + 1):
                slot.told += self._evaluation(key, slot)
            slot.step = step
        self._taken[key] = slot
        return tuple(slot.told)

    def checkpoint(self, key: str) -> Snapshot:
        """Step and chain; the curve behind them can be drawn again."""
        slot = self._taken[key]
        content = json.dumps([slot.step, slot.chain]).encode()
        return Snapshot(slot.step, lambda: content)

    def leave(self, key: str) -> None:
        """Free the slot of `key`, if it has one."""
        self._taken.pop(key, None)

    def tick(self) -> list[Event]:
        """Free the slots of those who have finished, which takes no time, or advance every taken slot by one step."""
        finished = [(key, slot) for key, slot in self._taken.items() if slot.step == self._steps_total(slot.config)]
        for key, _ in finished:
            self.leave(key)
        if finished or not self._taken:
            return [Finished(key=key, step=slot.step) for key, slot in finished]
        self._ticks += 1
        if self._ticks == self._settings.breaks_at_tick:
            raise RuntimeError(f"the rehearsal was told to break at tick {self._ticks}")
        if self._settings.memory_slots is not None and self._slots > self._settings.memory_slots:
            raise MemoryError(f"out of memory with {self._slots} slots, {self._settings.memory_slots} would fit")
        time.sleep(self._settings.tick_s)
        return [event for key in list(self._taken) for event in self._advance(key)]

    def _advance(self, key: str) -> list[Event]:
        slot = self._taken[key]
        slot.step += 1
        slot.chain = hashlib.blake2b(f"{slot.chain}/{slot.config}/{slot.step}".encode(), digest_size=16).hexdigest()
        if slot.config.learning_rate >= DIVERGING_LEARNING_RATE and slot.step >= DIVERGING_STEP:
            self.leave(key)
            return [Diverged(key=key, step=slot.step, reason="train_loss is nan")]
        slot.told += self._evaluation(key, slot)
        evaluated = [event for event in slot.told[-1:] if event.step == slot.step]
        return [*self._progress(key, slot), *self._epoch_end(key, slot), *evaluated]

    def _progress(self, key: str, slot: _Slot) -> list[Event]:
        if slot.step % self._settings.log_every_steps:
            return []
        metrics = {
            "train_loss": loss_at(slot.config, self._epoch(slot)),
            "learning_rate": slot.config.learning_rate,
            "tokens_per_second": 32.0 * slot.config.batch_size / max(self._settings.tick_s, 1e-6),
        }
        total = self._steps_total(slot.config)
        return [Progress(key=key, step=slot.step, steps_total=total, epoch=self._epoch(slot), metrics=metrics)]

    def _evaluation(self, key: str, slot: _Slot) -> list[Evaluated]:
        per_epoch = self._settings.evaluations_per_epoch
        done, before = (s * per_epoch // self._settings.steps_per_epoch for s in (slot.step, slot.step - 1))
        if done == before:
            return []
        loss = loss_at(slot.config, self._epoch(slot))
        metrics = {"val_loss": loss, "val_perplexity": math.exp(loss), "val_accuracy": 1 / loss}
        metrics["val_bits_per_byte"] = loss / math.log(2) / 3
        total = slot.config.epochs * per_epoch
        return [
            Evaluated(
                key=key,
                step=slot.step,
                evaluation=done,
                evaluations_total=total,
                epoch=self._epoch(slot),
                metrics=metrics,
            )
        ]

    def _epoch_end(self, key: str, slot: _Slot) -> list[Event]:
        epoch, rest = divmod(slot.step, self._settings.steps_per_epoch)
        if rest:
            return []
        sample = Sample(prompt="Good morning!", reply=f"Good morning from epoch {epoch}.", tokens=5, seconds=0.0)
        adapter = {"rehearsal.txt": f"epoch {epoch} of {slot.config}: {slot.chain}".encode()}
        return [EpochEnded(key=key, step=slot.step, epoch=epoch, adapter=adapter, samples=(sample,))]

    def _steps_total(self, config: TrialConfig) -> int:
        return config.epochs * self._settings.steps_per_epoch

    def _epoch(self, slot: _Slot) -> float:
        return slot.step / self._settings.steps_per_epoch


def loss_at(config: TrialConfig, epoch: float) -> float:
    """Loss of a trial after `epoch` epochs: falls towards a floor that its learning rate and rank decide."""
    off = abs(math.log10(config.learning_rate / BEST_LEARNING_RATE))
    floor = BEST_LOSS + 0.3 * off**2 + 0.2 / config.rank + 0.02 * _noise(config.seed, "floor")
    speed = 2.5 / (1 + off)
    start = max(START_LOSS, floor)
    return floor + (start - floor) * math.exp(-speed * epoch) + 0.005 * _noise(config.seed, f"{epoch:.6f}")


def _noise(seed: int, what: str) -> float:
    """Return a number from -1 to 1 that depends on nothing but the arguments."""
    digest = hashlib.blake2b(f"{seed}/{what}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**63 - 1
