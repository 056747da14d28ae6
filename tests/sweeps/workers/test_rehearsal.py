"""The rehearsal is an honest stand-in for a pack: same events, same independence of neighbours."""

from __future__ import annotations

import pytest

from sweeps.workers.rehearsal import RehearsalEngine, RehearsalSettings, loss_at
from trainer.config import TrialConfig
from trainer.errors import CapacityError
from trainer.events import Diverged, EpochEnded, Evaluated, Event, Finished, Progress

SETTINGS = RehearsalSettings(tick_s=0.0, steps_per_epoch=10, evaluations_per_epoch=2)
GOOD = TrialConfig(learning_rate=1e-3, rank=8, epochs=2)


def run(engine: RehearsalEngine, key: str, ticks: int = 1000) -> list[Event]:
    events: list[Event] = []
    for _ in range(ticks):
        events += [event for event in engine.tick() if event.key == key]
        if any(isinstance(event, Finished | Diverged) for event in events):
            break
    return events


def test_a_trial_tells_all_that_a_pack_tells() -> None:
    engine = SETTINGS(slots=2)
    engine.join("a", GOOD)
    events = run(engine, "a")
    assert [e.evaluation for e in events if isinstance(e, Evaluated)] == [1, 2, 3, 4]
    assert {e.evaluations_total for e in events if isinstance(e, Evaluated)} == {4}
    assert [e.epoch for e in events if isinstance(e, EpochEnded)] == [1, 2]
    assert [e.step for e in events if isinstance(e, Progress)] == [5, 10, 15, 20]
    assert isinstance(events[-1], Finished)
    assert engine.free_slots == 2
    assert engine.tick() == []


def test_neighbours_change_nothing() -> None:
    alone, crowded = SETTINGS(slots=2), SETTINGS(slots=2)
    alone.join("a", GOOD)
    crowded.join("b", TrialConfig(learning_rate=3e-3, epochs=1))
    crowded.tick()
    crowded.join("a", GOOD)
    assert run(alone, "a") == run(crowded, "a")


def test_a_checkpoint_goes_on_where_it_was_taken() -> None:
    whole, resumed = SETTINGS(slots=2), SETTINGS(slots=2)
    whole.join("a", GOOD)
    events = run(whole, "a", ticks=12)
    snapshot = whole.checkpoint("a")
    known = resumed.join("a", GOOD, checkpoint=snapshot.to_bytes())
    assert snapshot.step == 12
    assert list(known) == [event for event in events if isinstance(event, Evaluated)]
    assert run(resumed, "a") == run(whole, "a")


def test_an_absurd_learning_rate_diverges_and_frees_its_slot() -> None:
    engine = SETTINGS(slots=2)
    engine.join("a", TrialConfig(learning_rate=0.1))
    assert run(engine, "a") == [Diverged(key="a", step=5, reason="train_loss is nan")]
    assert engine.free_slots == 2


def test_whoever_leaves_is_not_heard_of_again() -> None:
    engine = SETTINGS(slots=2)
    engine.join("a", GOOD)
    engine.tick()
    engine.leave("a")
    engine.leave("never seen")
    assert engine.free_slots == 2
    assert engine.tick() == []


def test_a_full_engine_refuses() -> None:
    engine = SETTINGS(slots=2)
    engine.join("a", GOOD)
    engine.join("b", GOOD)
    with pytest.raises(CapacityError, match="all 2 are taken"):
        engine.join("c", GOOD)


def test_the_best_learning_rate_is_in_the_middle() -> None:
    """The search has something to find: the loss after training falls and rises again with the learning rate."""
    losses = [loss_at(TrialConfig(learning_rate=rate, rank=8), 2.0) for rate in (1e-4, 1e-3, 1e-2)]
    assert losses[1] < min(losses[0], losses[2])
    assert loss_at(TrialConfig(learning_rate=1e-3, rank=2), 2.0) > losses[1]


def test_failures_are_rehearsed_when_asked_for() -> None:
    with pytest.raises(RuntimeError, match="no such preset"):
        RehearsalSettings(fails_to_start="no such preset")(slots=1)
    engine = RehearsalSettings(tick_s=0.0, breaks_at_tick=2)(slots=1)
    engine.join("a", GOOD)
    engine.tick()
    with pytest.raises(RuntimeError, match="break at tick 2"):
        engine.tick()
