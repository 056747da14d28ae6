"""An MLflow that asks who one is: what a sweep may not do there is told before it begins, and by a promotion."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from adapter_registry import Dataset, MlflowTracker
from adapter_registry.errors import PromotionRefusedError, TrackingStoreError
from adapter_registry.models.promotion import Promotion, promote
from adapter_registry.store.connection import client
from adapter_registry.store.rights import check_rights
from sweeps.cli import main
from tests.services import MlflowServer, until

pytestmark = pytest.mark.slow

ADMIN, EVE = ("admin", "horse-battery-9"), ("eve", "staple-correct-8")
CARD = {"base_name": "builtin", "base_digest": "5e" * 32, "base_dtype": "float32"}
FILES = {"adapter.lora.h5": b"weights", "adapter.json": json.dumps(CARD).encode()}

As = Callable[[tuple[str, str]], None]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose users may read everything, and change what they have made."""
    pytest.importorskip("flask_wtf", reason="MLflow's basic-auth needs Flask-WTF")
    folder = tmp_path_factory.mktemp("auth")
    config = folder / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    server = MlflowServer(
        f"sqlite:///{folder / 'mlflow.db'}",
        folder,
        options=["--app-name", "basic-auth"],
        environment={"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "for tests"},
    )
    server.start()
    try:
        until(lambda: _answers(server.url), 120, "an answer of the server")
        user = {"username": EVE[0], "password": EVE[1]}
        requests.post(f"{server.url}/api/2.0/mlflow/users/create", json=user, auth=ADMIN, timeout=30).raise_for_status()
        yield server.url
    finally:
        server.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> As:
    def become(user: tuple[str, str]) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user[0])
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", user[1])

    return become


@pytest.fixture
def of_admin(url: str, as_user: As, request: pytest.FixtureRequest) -> str:
    """An experiment and a registered model of somebody else, of one name."""
    as_user(ADMIN)
    name = f"of-admin-{request.node.name}"
    client(url).create_experiment(name)
    client(url).create_registered_model(name)
    as_user(EVE)
    return name


def promoted(url: str, model: str) -> Promotion:
    """Record a sweep of one trial, and promote it."""
    data = [Dataset("val", "c1" * 32, "builtin:validation", "validation")]
    with MlflowTracker(url, "of-eve", patience_s=20) as tracker:
        sweep = tracker.open_sweep("mine", spec_yaml="", tags={}, params={}, datasets=data)
        run = tracker.open_trial(sweep, "mine", 0, {"rank": 8})
        tracker.log_metrics(run, {"val_loss": 2.0}, 1)
        tracker.log_adapter(run, 1, FILES, step=1)
        tracker.set_state(run, "complete")
    return promote(url, run, model=model, engine="echo")


def test_who_may_not_log_is_told_before_anything_starts(
    url: str, of_admin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TrackingStoreError, match=rf"user 'eve' log to the experiment '{of_admin}'.* EDIT"):
        check_rights(url, of_admin, model=None, largest_file=1000)
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.delenv("SWEEPS_LEDGER", raising=False)
    assert main(["launch", "quickstart", "--dry-run", "--set", f"experiment={of_admin}"]) == 2
    assert "permission EDIT" in capsys.readouterr().err


def test_who_may_not_promote_is_told_before_anything_starts(url: str, of_admin: str) -> None:
    with pytest.raises(TrackingStoreError, match=rf"alias of the registered model '{of_admin}'.* EDIT .*automatic"):
        check_rights(url, "not yet", model=of_admin, largest_file=1000)
    check_rights(url, "not yet", model=None, largest_file=1000)
    check_rights(url, "not yet", model="not yet", largest_file=1000)
    assert client(url).get_experiment_by_name("not yet") is None
    assert client(url).search_registered_models("name = 'not yet'") == []


def test_an_ordinary_user_promotes_to_a_model_that_is_not_there(url: str, as_user: As) -> None:
    as_user(EVE)
    assert promoted(url, "of-eve").moved
    assert not promoted(url, "of-eve").moved


def test_a_promotion_that_is_not_allowed_is_refused_with_what_to_type(url: str, of_admin: str) -> None:
    with pytest.raises(PromotionRefusedError, match=r"permission EDIT on it.*`sweeps promote mine --trial 0`"):
        promoted(url, of_admin)
