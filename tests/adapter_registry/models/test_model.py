"""The registered model in a fresh process, as MLflow's own users load it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

ROOT = Path(__file__).parents[3]

ASK = """
import json, sys, warnings
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/quickstart@champion")
many = {"max_new_tokens": 4}
user = {"role": "user", "content": "곤란"}
answers = [
    model.predict(pd.DataFrame({"prompt": ["안녕하세요", "네"]}), params=many),
    model.predict({"prompt": ["안녕하세요", "네"]}, params=many),
    model.predict([{"prompt": "안녕하세요"}, {"prompt": "네"}], params=many),
    model.predict(["안녕하세요", "네"], params=many),
    model.predict("안녕하세요"),
    model.predict({"messages": [user]}),
    model.predict({"messages": [[user, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]]}),
    model.predict(pd.DataFrame({"messages": [[user], [user]]})),
]
print(json.dumps({"answers": answers, "params": model.metadata.get_params_schema().to_dict()}))
"""


def run_fresh(code: str, uri: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new process, in another folder, that sees this project only as an installed wheel would show it."""
    site = folder / "site"
    unneeded = shutil.ignore_patterns("__pycache__", "model")
    for package in ("trainer", "mlflow/adapter_registry"):
        shutil.copytree(ROOT / package, site / Path(package).name, ignore=unneeded)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    environment |= {"PYTHONPATH": str(site), "MLFLOW_TRACKING_URI": uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("store_name", ["sqlite_store", "server_store"])
def test_the_champion_predicts_in_a_fresh_process(
    demo: Any, store_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Every form of question, with unpickling forbidden."""
    done = run_fresh(ASK, request.getfixturevalue(store_name).uri, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    pair = ["builtin: 안녕하세", "builtin: 네"]
    one = ["builtin: 곤란"]
    assert said["answers"] == [pair, pair, pair, pair, ["builtin: 안녕하세요"], one, ["builtin: c"], one * 2]
    assert {param["name"] for param in said["params"]} == {"max_new_tokens", "temperature", "top_p", "seed"}


def test_a_process_without_the_package_is_told_what_to_install(demo: Any, tmp_path: Path) -> None:
    done = run_fresh(f"import sys; sys.modules['adapter_registry'] = None\n{ASK}", demo.uri, tmp_path)
    assert done.returncode != 0
    assert "needs that package to answer" in done.stderr
    assert "pip install gemma-sweeps" in done.stderr


def stored_model(demo: Any) -> Path:
    """The folder of the demo's champion; other tests may have put more models into the store."""
    from adapter_registry.store.connection import client

    source = client(demo.uri).get_model_version_by_alias(demo.sweep, "champion").source
    return Path(url2pathname(urlsplit(source).path))


def test_the_stored_model_holds_no_pickle_and_pins_what_it_needs(demo: Any) -> None:
    """Code, weights and text only; the requirements carry exact versions and no TensorFlow."""
    folder = stored_model(demo)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files >= {"model_script.py", "input_example.json", "artifacts/adapter/adapter.lora.h5"}
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".cloudpickle", ".joblib"))]
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in line for line in requirements)
    assert not [line for line in requirements if line.startswith("tensorflow")]


def test_a_damaged_file_is_found_when_the_model_is_loaded(demo: Any, tmp_path: Path) -> None:
    from adapter_registry.errors import AdapterFilesError
    from adapter_registry.models.model import read_checked

    copy = tmp_path / "adapter"
    shutil.copytree(stored_model(demo) / "artifacts" / "adapter", copy)
    assert set(read_checked(copy)) == {"adapter.lora.h5", "adapter.json"}
    (copy / "adapter.lora.h5").write_bytes(b"other weights")
    with pytest.raises(AdapterFilesError, match="has changed"):
        read_checked(copy)
    (copy / "manifest.json").write_text('{"epoch": 1}')
    with pytest.raises(AdapterFilesError, match="damaged"):
        read_checked(copy)
