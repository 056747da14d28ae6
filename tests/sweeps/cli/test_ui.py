"""`sweeps ui`: a server for as long as the command runs, or the address of the one that is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from sweeps.cli import main


def test_a_server_that_is_there_is_only_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example:8443")
    assert main(["ui"]) == 0
    assert capsys.readouterr().out == "https://me:***@mlflow.example:8443\n"


@pytest.mark.slow
def test_the_server_answers_until_ctrl_c_and_none_of_its_processes_stays(tmp_path: Path) -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "SWEEPS_HOME": str(tmp_path / "home"), "MLFLOW_TRACKING_URI": ""}
    with subprocess.Popen(
        [sys.executable, "-m", "sweeps", "ui"], stdout=subprocess.PIPE, text=True, env=environment
    ) as serving:
        assert serving.stdout is not None
        url = serving.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
            assert answer.status == 200
        children = psutil.Process(serving.pid).children(recursive=True)
        assert children
        serving.send_signal(signal.SIGINT)
        try:
            assert serving.wait(30) == 0
        finally:
            serving.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
