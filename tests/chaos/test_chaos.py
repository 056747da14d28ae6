"""The short form of `make chaos`: every part of a sweep dies at least once, and the sweep ends as if none had."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.chaos.arena import Arena, arena
from tests.chaos.invariants import Undisturbed
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
    return in_peace(ground, "peace", seed=SEED, trials=6)


def test_a_sweep_is_exact_when_its_mlflow_server_is_killed_twice_and_its_processes_once(
    ground: Arena, truth: list[Undisturbed]
) -> None:
    """MLflow and the ledger are in PostgreSQL; the driver lives through it all."""
    plan = [("mlflow", 7.0), ("worker", 3.0), ("mlflow", 3.0), ("trial client", 3.0)]
    result = run_round(ground, "lived", plan, random.Random(1), seed=SEED, truth=truth)
    assert result.wrong == ()
    assert result.killed.count("mlflow") == 2
    assert result.drivers == 1, ground.last_words()


def test_a_sweep_is_exact_when_it_goes_on_elsewhere_after_its_driver_its_database_and_ray_were_killed(
    ground: Arena, truth: list[Undisturbed]
) -> None:
    """Each driver has a new folder and an empty home, and that of the one before is gone: two addresses are enough."""
    plan = [("driver", 7.0), ("raylet", 6.0), ("database", 4.0), ("gcs", 2.0)]
    result = run_round(ground, "elsewhere", plan, random.Random(2), seed=SEED, truth=truth)
    assert result.wrong == ()
    assert "driver" in result.killed
    assert result.drivers > 1
