"""A ledger whose database goes away in the middle: the driver waits, and everything is there once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search_spaces import SearchSpace
from sweeps.errors import LedgerError
from sweeps.ledger import storage as ledger_storage
from sweeps.ledger.ledger import Ledger
from sweeps.settings import SearchSettings
from tests.lossy_proxy import LossyProxy, lossy_proxy
from tests.postgres import PostgresServer

SETTINGS = SearchSettings(trials=30, seed=3, sampler="random")

# Of a few refused connections in a thousand, on a busy machine, libpq says the second though nobody listens.
REFUSED = "(Connection refused|server closed the connection unexpectedly)"


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[LossyProxy]:
    with lossy_proxy(postgres.port) as running:
        yield running


@pytest.fixture
def remote(postgres: PostgresServer, postgres_ledger: str, proxy: LossyProxy, space: SearchSpace) -> Ledger:
    """A driver's ledger behind a network that can lose answers."""
    return Ledger.create(postgres_ledger.replace(f":{postgres.port}/", f":{proxy.port}/"), "s", SETTINGS, space)


@contextmanager
def later(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Do something while the block runs."""
    timer = threading.Timer(seconds, call)
    timer.start()
    yield
    timer.join()


def train_all(ledger: Ledger) -> None:
    """Ask, report twice and tell until there is no more."""
    while (trial := ledger.next_trial()) is not None:
        ledger.report(trial.number, 1, 2.0 + trial.number)
        ledger.report(trial.number, 2, 1.0 + trial.number)
        ledger.tell(trial.number, "complete", value=1.0 + trial.number)


def assert_exact(ledger: Ledger) -> None:
    trials = ledger.trials()
    assert [t.number for t in trials] == list(range(SETTINGS.trials))
    assert {t.state for t in trials} == {"complete"}
    assert [t.value for t in trials] == [1.0 + t.number for t in trials]
    assert [t.evaluations for t in trials] == [{1: 2.0 + t.number, 2: 1.0 + t.number} for t in trials]
    assert {t.attempts for t in trials} == {1}


def test_a_server_killed_and_restarted_under_a_sweep_loses_and_doubles_nothing(
    postgres: PostgresServer, postgres_ledger: str, space: SearchSpace
) -> None:
    undisturbed = Ledger.create(postgres_ledger, "undisturbed", SETTINGS, space)
    train_all(undisturbed)
    ledger = Ledger.create(postgres_ledger, "s", SETTINGS, space)
    heard: list[str | None] = []
    ledger.patience.on_outage = heard.append
    sweep = threading.Thread(target=train_all, args=(ledger,))
    sweep.start()
    for crash, at_trial in ((postgres.kill, 5), (postgres.stop, 15), (postgres.kill, 25)):
        while len(ledger.trials()) < at_trial and sweep.is_alive():
            time.sleep(0.01)
        crash()
        time.sleep(0.5)
        postgres.start()
    sweep.join(timeout=60)
    assert not sweep.is_alive()
    assert_exact(Ledger.open(postgres_ledger, "s"))
    assert [t.params for t in ledger.trials()] == [t.params for t in undisturbed.trials()]
    assert heard.count(None) >= 3
    assert heard[-1] is None
    assert any("Connection refused" in (text or "") for text in heard)


def test_a_server_whose_sessions_are_killed_at_any_moment_loses_and_doubles_nothing(
    postgres: PostgresServer, postgres_ledger: str, space: SearchSpace
) -> None:
    ledger = Ledger.create(postgres_ledger, "s", SETTINGS, space)
    sweep = threading.Thread(target=train_all, args=(ledger,))
    sweep.start()
    name = postgres_ledger.rpartition("/")[2]
    while sweep.is_alive():
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        time.sleep(0.04)
    assert_exact(Ledger.open(postgres_ledger, "s"))


def test_a_trial_whose_creation_was_not_answered_is_not_created_again(
    remote: Ledger, postgres_ledger: str, proxy: LossyProxy
) -> None:
    proxy.lose_answer("INSERT INTO trials", "COMMIT")
    assert remote.study.ask().number == 0
    assert proxy.lost == 1
    assert remote.study.ask().number == 1
    assert len(Ledger.open(postgres_ledger, "s").trials()) == 2


def test_a_creation_that_arrives_while_it_is_looked_for_is_found(
    remote: Ledger, postgres_ledger: str, proxy: LossyProxy
) -> None:
    proxy.lose_answer("INSERT INTO trials", "COMMIT", held_s=1.0)
    assert remote.study.ask().number == 0
    assert proxy.lost == 1
    time.sleep(0.2)
    assert len(Ledger.open(postgres_ledger, "s").trials()) == 1


def test_a_trial_whose_creation_never_arrived_is_created_again(
    remote: Ledger, postgres_ledger: str, proxy: LossyProxy
) -> None:
    proxy.lose_answer("INSERT INTO trials")
    assert remote.study.ask().number == 0
    assert proxy.lost == 1
    assert len(Ledger.open(postgres_ledger, "s").trials()) == 1


def test_an_enqueued_trial_whose_creation_or_start_was_not_answered_is_there_once(
    remote: Ledger, postgres_ledger: str, proxy: LossyProxy
) -> None:
    for rank in (2, 8):
        proxy.lose_answer("INSERT INTO trials", "COMMIT")
        remote.study.enqueue_trial({"learning_rate": 1e-3, "rank": rank, "epochs": 1})
    proxy.lose_answer("UPDATE trials SET state", "COMMIT")
    first = remote.next_trial()
    second = remote.next_trial()
    assert first and second
    assert [(t.number, t.params["rank"]) for t in (first, second)] == [(0, 2), (1, 8)]
    assert proxy.lost == 3
    assert len(Ledger.open(postgres_ledger, "s").trials()) == 2


@pytest.mark.parametrize("statements", [("INSERT", "COMMIT"), ("UPDATE", "COMMIT"), ("INSERT",), ("SELECT",)])
def test_every_write_is_exact_when_its_answer_is_lost(
    remote: Ledger, postgres_ledger: str, proxy: LossyProxy, statements: tuple[str, ...]
) -> None:
    trial = remote.study.ask()
    proxy.lose_answer(*statements)
    assert trial.suggest_float("learning_rate", 1e-4, 1e-1) == trial.params["learning_rate"]
    for step in (1, 2):
        proxy.lose_answer(*statements)
        assert remote.report(0, step, step / 2)
        proxy.lose_answer(*statements)
        remote.note(0, worker=f"w{step}")
    proxy.lose_answer(*statements)
    remote.note_sweep(run_id="r")
    for state in ("pruned", "failed"):
        proxy.lose_answer(*statements)
        remote.tell(0, state, because=state)  # type: ignore[arg-type]
    assert proxy.lost >= 3
    seen = Ledger.open(postgres_ledger, "s")
    told = seen.trial(0)
    assert (told.state, told.value, told.evaluations, told.worker) == ("pruned", 1.0, {1: 0.5, 2: 1.0}, "w2")
    assert told.ended_because == "pruned"
    assert told.params == trial.params
    assert seen.record.run_id == "r"


def test_the_end_of_a_trial_is_exact_when_its_answer_is_lost(
    remote: Ledger, postgres_ledger: str, proxy: LossyProxy
) -> None:
    trial = remote.study.ask()
    proxy.lose_answer("UPDATE trials SET state", "COMMIT")
    storage, trial_id = remote._storage, trial._trial_id
    assert storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.25])
    assert proxy.lost == 1
    assert Ledger.open(postgres_ledger, "s").trial(0).value == 0.25


def test_an_outage_that_outlasts_the_patience_is_an_error_and_the_next_calls_do_not_wait_again(
    postgres: PostgresServer, postgres_ledger: str, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.create(postgres_ledger, "s", SETTINGS, space)
    heard: list[str | None] = []
    ledger.patience.on_outage, ledger.patience.limit_s = heard.append, 0.5
    postgres.stop()
    try:
        with pytest.raises(LedgerError, match=rf"{REFUSED}\. Check .* SWEEPS_LEDGER") as error:
            ledger.next_trial()
        ledger.patience.limit_s = 0.1  # the outage has lasted longer, now that there were two pauses
        pauses: list[float] = []
        with monkeypatch.context() as patch, pytest.raises(LedgerError):
            patch.setattr(ledger.patience._given_up, "wait", pauses.append)
            ledger.note_sweep(state="stopped")
        assert pauses == []
    finally:
        postgres.start()
    assert postgres.password not in f"{error.value} {heard}"
    assert ledger.next_trial() is not None
    assert heard[-1] is None


def test_a_driver_that_is_told_to_end_waits_no_more(
    postgres: PostgresServer, postgres_ledger: str, space: SearchSpace
) -> None:
    ledger = Ledger.create(postgres_ledger, "s", SETTINGS, space)
    postgres.stop()
    try:
        with later(0.5, ledger.patience.give_up), pytest.raises(LedgerError, match=REFUSED):
            ledger.next_trial()
    finally:
        postgres.start()


def test_readers_and_the_first_opening_do_not_wait(
    postgres: PostgresServer, postgres_ledger: str, space: SearchSpace
) -> None:
    reader = Ledger.create(postgres_ledger, "s", SETTINGS, space) and Ledger.open(postgres_ledger, "s")
    postgres.stop()
    try:
        begun = time.monotonic()
        for call in (
            reader.trials,
            lambda: Ledger.open(postgres_ledger, "s", space),
            lambda: Ledger.sweeps(reader.url),
        ):
            with pytest.raises(LedgerError, match=REFUSED):
                call()
        assert time.monotonic() - begun < 2.0
    finally:
        postgres.start()


def test_a_refusal_is_not_waited_for(postgres: PostgresServer, postgres_ledger: str, space: SearchSpace) -> None:
    ledger = Ledger.create(postgres_ledger, "s", SETTINGS, space)
    heard: list[str | None] = []
    ledger.patience.on_outage = heard.append
    name = postgres_ledger.rpartition("/")[2]
    for statement, words in (
        (f"ALTER DATABASE {name} SET default_transaction_read_only = on", "read-only transaction"),
        (f"ALTER DATABASE {name} RENAME TO {name}_away", "does not exist"),
    ):
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        postgres.execute(statement)
        with pytest.raises(LedgerError, match=words):
            ledger.next_trial()
    assert [text for text in heard if text and "terminat" not in text] == []


def test_a_locked_sqlite_file_is_waited_for(
    ledger_url: str, space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_storage, "BUSY_TIMEOUT_S", 0.2)
    ledger = Ledger.create(ledger_url, "s", SETTINGS, space)
    heard: list[str | None] = []
    ledger.patience.on_outage = heard.append
    with closing(sqlite3.connect(tmp_path / "ledger.db", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with later(2.0, other.rollback):
            begun = time.monotonic()
            trial = ledger.next_trial()
            assert time.monotonic() - begun > 1.5
    assert heard == ["database is locked", None]
    assert trial is not None
    train_all(ledger)
    assert [t.number for t in Ledger.open(ledger_url, "s").trials()] == list(range(SETTINGS.trials))


def test_a_sqlite_file_that_is_gone_or_read_only_is_not_waited_for(
    ledger_url: str, space: SearchSpace, tmp_path: Path
) -> None:
    ledger = Ledger.create(ledger_url, "s", SETTINGS, space)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        other.execute("DROP TABLE trials")
    with pytest.raises(LedgerError, match="no such table"):
        ledger.next_trial()
