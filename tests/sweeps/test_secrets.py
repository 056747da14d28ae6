"""A password in an address is told to nobody: not on the streams, not in files, not in MLflow, not by an error."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from adapter_registry import Dataset, MlflowTracker, check_tracking
from adapter_registry.errors import RegistryError
from adapter_registry.runs.provenance import provenance
from adapter_registry.store.inspection import inspect_store
from adapter_registry.store.server import free_port, local_server
from search_spaces import SearchSpace
from sweeps.cli import main
from sweeps.cli.shared.exit_codes import tell
from sweeps.errors import LedgerError, SweepsError
from sweeps.home import find_home
from sweeps.ledger.ledger import Ledger
from sweeps.settings import SearchSettings
from sweeps.spec import load_spec
from tests.postgres import PostgresServer

PASSWORD = "p@ss/w:rd%"
ENCODED = quote(PASSWORD, safe="")
PARTS = (PASSWORD, ENCODED, "ss/w", "w:rd", "w%3Ard", "%40ss")  # a part of it is as bad

LEDGERS = [
    "postgresql://me:{password}@127.0.0.1:{port}/db",
    "postgresql+nodriver://me:{password}@127.0.0.1/db",
    "nosuch://me:{password}@127.0.0.1/db",
    "postgresql://me:{password}@127.0.0.1:port/db",
    "postgresql://127.0.0.1:{port}/db?user=me&password={password}",
    "me:{password}@127.0.0.1/db",
]
STORES = [
    "http://me:{password}@127.0.0.1:{port}",
    "https://me:{password}@127.0.0.1:{port}/mlflow",
    "http://127.0.0.1:{port}?token={password}",
    "ftp://me:{password}@127.0.0.1",
    "mysql://me:{password}@127.0.0.1:{port}/db",
    "postgresql+psycopg://me:{password}@127.0.0.1:{port}/db",
    "postgresql+psycopg://me:{password}@127.0.0.1:port/db",
    "postgresql+psycopg://127.0.0.1:{port}/db?user=me&password={password}",
    "me:{password}@127.0.0.1",
]
COMMANDS = [
    ["launch", "quickstart", "--dry-run"],
    ["launch", "quickstart"],
    ["list"],
    ["status", "quickstart"],
    ["resume", "quickstart"],
    ["stop", "quickstart"],
    ["promote", "quickstart"],
    ["generate", "안녕"],
]


def keeps(text: str) -> bool:
    return not any(part in text for part in PARTS)


def told_by(error: BaseException) -> str:
    return "\n".join([str(error), repr(error), *traceback.format_exception(error)])


@pytest.fixture(params=[PASSWORD, ENCODED], ids=["raw", "encoded"])
def fill(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Puts the password, and a port that nobody listens on, into an address."""
    return lambda address: address.format(password=request.param, port=free_port())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return tmp_path / "home"


def check_files(folder: Path) -> None:
    """No file and no name below a folder has it; what SQLite and MLflow wrote is looked at as bytes."""
    for each in folder.rglob("*"):
        assert keeps(each.name)
        content = each.read_bytes() if each.is_file() else b""
        assert not any(part.encode() in content for part in PARTS), each


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("variable", "address"),
    [("SWEEPS_LEDGER", LEDGERS[0]), ("MLFLOW_TRACKING_URI", STORES[0]), ("MLFLOW_TRACKING_URI", STORES[5])],
    ids=["ledger", "server", "database"],
)
def test_no_command_tells_it(
    home: Path,
    fill: Callable[[str], str],
    variable: str,
    address: str,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, fill(address))
    code = main(command)
    written = capfd.readouterr()
    assert keeps(written.out + written.err)
    assert (code, "Error: " in written.err) in {(2, True), (0, False)}
    check_files(home)


@pytest.mark.parametrize(
    ("variable", "address"),
    [("SWEEPS_LEDGER", each) for each in LEDGERS] + [("MLFLOW_TRACKING_URI", each) for each in STORES],
)
def test_no_address_that_is_wrong_tells_it(
    home: Path,
    fill: Callable[[str], str],
    variable: str,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, fill(address))
    code = main(["launch", "quickstart", "--dry-run"])
    written = capfd.readouterr()
    assert code == 2
    assert written.err.startswith("Error: ")
    assert keeps(written.out + written.err)
    check_files(home)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("variable", ["SWEEPS_LEDGER", "MLFLOW_TRACKING_URI"])
def test_a_password_that_is_not_encoded_is_refused_with_the_fix(variable: str) -> None:
    """Its end would be taken for the host: `ss` of `p@ss` would be in every error."""
    with pytest.raises(SweepsError, match=rf"{variable} must have .* percent-encoded \(@ as %40") as caught:
        find_home({variable: f"postgresql://me:{PASSWORD}@127.0.0.1/db"})
    assert keeps(told_by(caught.value))
    find_home({variable: f"postgresql://me:{ENCODED}@127.0.0.1/db"})


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("address", LEDGERS[:5])
def test_no_error_of_a_ledger_tells_it(fill: Callable[[str], str], address: str, space: SearchSpace) -> None:
    url = fill(address)
    for call in (
        lambda: Ledger.create(url, "s", SearchSettings(trials=1), space),
        lambda: Ledger.open(url, "s"),
        lambda: Ledger.sweeps(url),
        lambda: Ledger.check_is_free(url, "s"),
    ):
        with pytest.raises(LedgerError) as caught:
            call()
        assert keeps(str(caught.value) + repr(caught.value))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("address", STORES)
def test_no_error_of_a_tracker_tells_it(fill: Callable[[str], str], address: str) -> None:
    uri = fill(address)
    tracker = MlflowTracker(uri, "e", patience_s=0.1)
    for call in (lambda: check_tracking(uri), lambda: inspect_store(uri, "e"), tracker.prepare):
        with pytest.raises(RegistryError) as caught:
            call()
        assert keeps(told_by(caught.value))
    assert keeps(repr(tracker))


def test_a_server_that_has_gone_is_told_without_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracker = MlflowTracker(f"http://me:{ENCODED}@127.0.0.1:{free_port()}", "e", patience_s=0.1)
    with pytest.raises(RegistryError) as caught:
        tracker.open_sweep("s", spec_yaml="", tags={}, params={})
    assert keeps(told_by(caught.value))
    check_files(home)


def test_a_surprise_is_logged_without_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(ValueError(f"no answer from http://me:{PASSWORD}@host:5000/api, twice")) == 1
    assert keeps(capsys.readouterr().err)
    assert len(list((home / "logs").iterdir())) == 1
    check_files(home)


@pytest.fixture
def refused_ledger(postgres: PostgresServer) -> Iterator[str]:
    """A database that knows a user of this password, and does not let him in."""
    database = postgres.create_database().rpartition("/")[2]
    postgres.execute(f"CREATE ROLE refused LOGIN PASSWORD '{PASSWORD}'")
    postgres.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    yield f"postgresql://refused:{ENCODED}@127.0.0.1:{postgres.port}/{database}"
    postgres.execute("DROP ROLE refused")


@pytest.mark.usefixtures("home")
def test_a_database_that_refuses_is_told_without_it(refused_ledger: str) -> None:
    with pytest.raises(LedgerError, match="permission denied") as caught:
        Ledger.sweeps(refused_ledger)
    assert keeps(told_by(caught.value))
    with pytest.raises(LedgerError, match="authentication failed") as caught:
        Ledger.open(refused_ledger.replace("%25@", "@"), "s")
    assert keeps(told_by(caught.value))


@pytest.mark.slow
def test_nothing_that_a_sweep_records_holds_it(home: Path) -> None:
    """Tags, parameters, the spec, the notes: all that the server keeps in its database and its files."""
    store = home / "server"
    store.mkdir(parents=True)
    spec = load_spec("quickstart")
    with local_server(f"sqlite:///{store / 'mlflow.db'}", str(store / "artifacts")) as server:
        uri = server.url.replace("://", f"://me:{ENCODED}@")
        with MlflowTracker(uri, "e") as tracker:
            tracker.prepare()
            run = tracker.open_sweep(
                "s",
                spec_yaml=spec.to_yaml(),
                tags=provenance(),
                params={"base.model": spec.base.model},
                datasets=[Dataset("train", "7a" * 32, "builtin:train", "training")],
            )
            trial = tracker.open_trial(run, "s", 0, {"rank": 8})
            tracker.log_metrics(trial, {"val_loss": 1.0}, 1)
            tracker.set_note(run, "a note")
            tracker.set_state(trial, "complete")
            tracker.flush()
            assert tracker.history(trial, "val_loss") == [(1, 1.0)]
    assert (store / "mlflow.db").stat().st_size > 10_000
    check_files(home)
