"""The short form of `make chaos`: every part of a sweep dies at least once, and the sweep ends as if none had."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.chaos.arena import Arena, arena, until
from tests.chaos.invariants import Undisturbed, broken
from tests.chaos.rounds import in_peace, run_round
from tests.postgres import postgres_programs

SEED = 5

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed"),
]


@pytest.fixture(scope="module")
def ground() -> Iterator[Arena]:
    with arena() as built:
        yield built


@pytest.fixture(scope="module")
def truth(ground: Arena) -> list[Undisturbed]:
    return in_peace(ground, "peace", seed=SEED, trials=8)


@pytest.mark.parametrize(
    "victims", [("trial client", "mlflow", "worker", "driver"), ("database", "raylet", "worker", "gcs")]
)
def test_a_sweep_is_exact_although_each_of_its_parts_is_killed(
    ground: Arena, truth: list[Undisturbed], victims: tuple[str, ...]
) -> None:
    rng = random.Random(len(victims[0]))
    plan = [(victim, 7.0 if i == 0 else rng.uniform(1.0, 2.5)) for i, victim in enumerate(victims)]
    result = run_round(ground, f"chaos-{victims[0].replace(' ', '-')}", plan, rng, seed=SEED, truth=truth)
    assert result.wrong == ()
    assert result.killed


def test_a_sweep_is_complete_when_its_mlflow_server_is_killed_twice(ground: Arena, truth: list[Undisturbed]) -> None:
    """MLflow and the ledger are in PostgreSQL; the driver lives on, and nothing is there twice."""
    ground.begin("two-kills", trials=8, seed=SEED)
    ground.drive()
    for count in (1, 3):
        until(lambda count=count: evaluations(ground) >= count, 60)
        ground.mlflow.kill()
        time.sleep(2.0)
        ground.mlflow.start()
    ground.wait(120)
    assert ground.ended() == 0, ground.last_words()
    with ground.tracker() as tracker:
        assert broken(ground.ledger, tracker, 8, truth) == []


def test_a_sweep_goes_on_elsewhere_from_the_two_addresses_alone(ground: Arena, truth: list[Undisturbed]) -> None:
    """Another folder, an empty home, a new Ray: nothing is left of the first but what ledger and MLflow hold."""
    ground.begin("elsewhere", trials=8, seed=SEED)
    first = ground.drive()
    until(lambda: evaluations(ground) >= 2, 60)
    family = ground.end()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    shutil.rmtree(first)
    unfinished = {t.number for t in ground.ledger.trials() if t.state == "running"}
    assert unfinished
    second = ground.drive()
    assert second != first
    ground.wait(120)
    assert ground.ended() == 0, ground.last_words()
    with ground.tracker() as tracker:
        assert broken(ground.ledger, tracker, 8, truth) == []


def evaluations(ground: Arena) -> int:
    return sum(len(trial.evaluations) for trial in ground.ledger.trials())
