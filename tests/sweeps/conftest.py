"""What the tests of running sweeps share: a small search space, ledgers, one Ray, one MLflow store."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from search_spaces import SearchSpace, load_space
from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    """Learning rates, of which those from 0.05 on diverge in a rehearsal; two ranks; one to three epochs."""
    return load_space(
        {
            "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "rank": {"type": "choice", "values": [2, 8]},
            "epochs": {"type": "int", "low": 1, "high": 3},
        }
    )


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without sweeps; making its tables takes longer than most tests."""
    from sweeps.ledger.storage import open_storage

    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    open_storage(f"sqlite:///{path}")
    return path


@pytest.fixture
def ledger_url(tmp_path: Path, empty_ledger: Path) -> str:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(empty_ledger)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One Ray for all tests that need one, started as the driver starts its own."""
    from sweeps.host.local_ray import prepare_environment, ray_session
    from sweeps.settings import ComputeSettings

    prepare_environment()
    with ray_session(ComputeSettings(workers=2)):
        yield


@pytest.fixture(scope="session")
def tracker_factory(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], object]:
    """Builds trackers of one real MLflow store, in any process."""
    from adapter_registry.runs.mlflow_tracker import MlflowTracker

    home = tmp_path_factory.mktemp("mlflow")
    factory = functools.partial(MlflowTracker, f"sqlite:///{home / 'mlflow.db'}", "tests", str(home / "artifacts"))
    tracker = factory()
    tracker.prepare()
    tracker.close()
    return factory


@pytest.fixture(scope="session")
def empty_postgres_ledger(postgres: PostgresServer) -> str:
    """The name of a database with a ledger without sweeps."""
    from sweeps.ledger.storage import open_storage

    url = postgres.create_database()
    storage = open_storage(url)
    storage._backend.engine.dispose()  # type: ignore[attr-defined]  # a database in use cannot be copied
    return url.rpartition("/")[2]


@pytest.fixture
def postgres_ledger(postgres: PostgresServer, empty_postgres_ledger: str) -> str:
    """The URL of a ledger of one's own in PostgreSQL."""
    return postgres.create_database(template=empty_postgres_ledger)


@pytest.fixture(params=["sqlite", "postgres"])
def any_ledger(request: pytest.FixtureRequest) -> str:
    """The URL of a ledger in each of the databases."""
    url: str = request.getfixturevalue({"sqlite": "ledger_url", "postgres": "postgres_ledger"}[request.param])
    return url


@pytest.fixture
def begin(
    request: pytest.FixtureRequest, ledger_url: str, space: SearchSpace, tracker_factory: Callable[[], object]
) -> Callable[..., object]:
    """Creates a sweep that is named like the test; see `tests.sweeps.whole_sweeps.Sweep`."""
    from tests.sweeps.whole_sweeps import Sweep

    return functools.partial(Sweep, request.node.name[:60].rstrip("_"), ledger_url, space, tracker_factory)
