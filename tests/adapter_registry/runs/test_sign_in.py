"""A sign-in that expires in mid-sweep is an outage: all is kept, and sent once when the credentials are renewed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_registry import MlflowTracker, check_tracking
from adapter_registry.errors import TrackingStoreError, TrackingUnreachableError
from adapter_registry.store.inspection import inspect_store
from adapter_registry.store.server import LocalServer
from tests.services import until
from tests.sign_in_proxy import AWAY, SIGNED_OUT, SignInProxy, sign_in_proxy


@pytest.fixture
def token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    # Set, so that what is read from the file is forgotten at the end.
    monkeypatch.setenv("SWEEPS_FROM_FILES", "MLFLOW_TRACKING_TOKEN")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "first")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN_FILE", str(path))
    return path


@pytest.fixture
def proxy(server: LocalServer, token_file: Path) -> Iterator[SignInProxy]:
    with sign_in_proxy(server.url, "first") as running:
        yield running


def _told_by_flush(tracker: MlflowTracker) -> str:
    """What holds metrics up; '' before the first answer."""
    with pytest.raises(TrackingUnreachableError) as caught:
        tracker.flush(0.05)
    return "" if "no answer yet" in str(caught.value) else str(caught.value)


@pytest.mark.parametrize("answer", [*SIGNED_OUT, *AWAY])
def test_a_sign_in_that_expires_is_an_outage_and_a_renewed_token_file_ends_it(
    proxy: SignInProxy, token_file: Path, answer: str
) -> None:
    with MlflowTracker(proxy.url, f"sign-in {answer}", patience_s=60) as tracker:
        run = tracker.open_sweep("expires", spec_yaml="", tags={}, params={})
        for step in range(10):
            tracker.log_metrics(run, {"loss": 1 / (step + 1)}, step)
        tracker.flush()
        tracker.log_file(run, "note.txt", b"stored")  # from now on MLflow knows where the run's files go

        proxy.expire(answer, then="second")
        for step in range(10, 20):
            tracker.log_metrics(run, {"loss": 1 / (step + 1)}, step)
        told = until(lambda: _told_by_flush(tracker), 60, "the metrics refused")
        remedy = "new credentials are needed" if answer in SIGNED_OUT else f"error code {answer}.*Start it"
        assert re.search(rf"10 metrics wait .*{remedy}", told)

        storing = threading.Thread(target=tracker.log_adapter, args=(run, 1, {"adapter.lora.h5": b"weights"}))
        storing.start()
        until(lambda: any("artifacts" in path for path in proxy.refused), 60, "an adapter refused")
        token_file.write_text("second\n")
        storing.join(60)
        tracker.flush(60)
        assert [step for step, _ in tracker.history(run, "loss")] == list(range(20))
        assert tracker.read_file(run, "adapters/epoch_0001/adapter.lora.h5") == b"weights"


@pytest.mark.parametrize("answer", SIGNED_OUT)
def test_before_a_sweep_it_is_told_at_once(proxy: SignInProxy, answer: str) -> None:
    proxy.expire(answer, then="another")
    told = r"answers, but not as MLflow should.*[Cc]heck.*credentials"
    with pytest.raises(TrackingStoreError, match=told):
        inspect_store(proxy.url, "sign-in")
    if answer != "foreign JSON":  # to a question whose answer may be empty any JSON is one
        with pytest.raises(TrackingStoreError, match=told):
            check_tracking(proxy.url)
    with pytest.raises(TrackingStoreError, match=told):
        MlflowTracker(proxy.url, "sign-in").open_sweep("denied", spec_yaml="", tags={}, params={})


def test_a_sign_in_that_does_not_come_back_is_told_when_patience_ends(proxy: SignInProxy) -> None:
    with MlflowTracker(proxy.url, "sign-in ends", patience_s=0.3) as tracker:
        run = tracker.open_sweep("ends", spec_yaml="", tags={}, params={})
        proxy.expire("401", then="another")
        told = r"does not let this process in any more \(error code 401\).* new credentials are needed"
        with pytest.raises(TrackingUnreachableError, match=told):
            tracker.set_tags(run, {"a": "b"})
        with pytest.raises(TrackingUnreachableError, match=told):
            tracker.bring_back(run)
