"""What only MLflow can get wrong: duplicates, crashes half-way, many processes, outages, tags that the UI reads."""

import io
import json
import math
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pandas
import pytest

from adapter_registry import MlflowTracker, Tracker
from adapter_registry.errors import MetricsRejectedError, TrackingStoreError, TrackingUnreachableError
from adapter_registry.runs import run_store
from adapter_registry.runs.run_store import find_run, settled
from trainer.events import Sample

MakeSweep = Callable[[Tracker, str], str]
PARAMS = {"rank": 8, "learning_rate": 1e-3, "epochs": 1}
WRITERS, STEPS = 2, 100


class Wire:
    """A TCP relay to the server that can be cut and mended: an outage without a restart."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._pairs: list[socket.socket] = []
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]

    def cut(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for end in self._pairs:
            end.close()
        self._pairs = []

    def mend(self) -> None:
        self._listener = self._listen(self.port)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._thread.start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            end.close()


@pytest.fixture
def wire(server: Any) -> Iterator[Wire]:
    url = urlparse(server.url)
    relay = Wire((url.hostname or "", url.port or 0))
    yield relay
    relay.cut()


def test_a_sweep_carries_tags_params_and_datasets(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    """What the UI shows of a sweep: digests whole in tags and short in its Datasets column."""
    sweep = opened.open_sweep(
        "full",
        spec_yaml="name: full\n",
        space_yaml="rank: {choice: [2]}\n",
        tags={"git.commit": "abc", "long": "x" * 9000},
        params={"search.trials": 12},
        datasets=(),
    )
    assert sweep != make_sweep(opened, "data")
    run = opened.client.get_run(sweep)
    assert run.info.run_name == "full"
    assert run.data.tags["git.commit"] == "abc"
    assert run.data.tags["long"].endswith("(9000 characters)")
    assert run.data.params == {"search.trials": "12"}
    assert opened.read_file(sweep, "search_space.yaml") == b"rank: {choice: [2]}\n"
    data = opened.client.get_run(make_sweep(opened, "data"))
    assert data.data.tags["data.val.digest"] == "c1" * 32
    assert data.data.tags["sweep.validation"] == "val"
    assert [(i.dataset.name, i.dataset.digest) for i in data.inputs.dataset_inputs] == [
        ("train", "7a" * 6),
        ("val", "c1" * 6),
    ]


def test_a_trial_is_nested_below_its_sweep(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(opened, "nest")
    run = opened.client.get_run(opened.open_trial(sweep, "nest", 3, PARAMS))
    tags = {key: run.data.tags[key] for key in ("mlflow.parentRunId", "sweep.name", "sweep.trial", "sweep.state")}
    assert tags == {
        "mlflow.parentRunId": sweep,
        "sweep.name": "nest",
        "sweep.trial": "3",
        "sweep.state": "waiting",
    }
    assert run.info.run_name == "trial-03 r=8 lr=1.0e-3 ep=1"


def test_a_crash_between_creation_and_parameters_is_mended(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    """The tags are given with the creation, so the run is found, and gets what it lacks."""
    sweep = make_sweep(opened, "crash")
    tags = {"sweep.name": "crash", "sweep.trial": "0", "mlflow.parentRunId": sweep, "sweep.state": "waiting"}
    half = opened.client.create_run(opened.experiment_id, tags=tags).info.run_id
    assert opened.open_trial(sweep, "crash", 0, PARAMS) == half
    run = opened.client.get_run(half)
    assert run.data.params == {"rank": "8", "learning_rate": "0.001", "epochs": "1"}
    assert run.info.status == "SCHEDULED"


def test_a_trial_that_is_new_is_opened_in_its_state_and_looked_for_once(
    opened: MlflowTracker, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(opened, "new")
    calls: list[str] = []
    for name in ("create_run", "search_runs", "log_batch", "update_run"):
        real = getattr(opened.client, name)
        monkeypatch.setattr(opened.client, name, lambda *a, n=name, r=real, **k: (calls.append(n), r(*a, **k))[1])
    run = opened.open_trial(sweep, "new", 0, PARAMS, state="running", is_new=True)
    assert calls == ["create_run", "search_runs", "log_batch"]
    assert opened.client.get_run(run).info.status == "RUNNING"
    assert [(trial.run_id, trial.state) for trial in opened.trials(sweep)] == [(run, "running")]


def test_a_trial_that_only_seems_new_keeps_its_run(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(opened, "seems")
    run = opened.open_trial(sweep, "seems", 0, PARAMS)
    opened.set_state(run, "complete")
    assert opened.open_trial(sweep, "seems", 0, PARAMS, state="running", is_new=True) == run
    assert [(trial.run_id, trial.state) for trial in opened.trials(sweep)] == [(run, "running")]
    assert opened.client.get_run(run).info.status == "RUNNING"


def test_of_two_runs_created_at_once_both_sides_keep_the_same(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(opened, "race")
    tags = {"sweep.name": "race", "sweep.trial": "0", "mlflow.parentRunId": sweep}
    first, second = (
        opened.client.create_run(opened.experiment_id, tags=tags, start_time=moment) for moment in (1000, 2000)
    )
    where = "tags.`sweep.name` = 'race' and tags.`sweep.trial` = '0'"
    kept = {settled(opened.client, created, where).info.run_id for created in (second, first)}
    assert kept == {first.info.run_id}
    assert opened.open_trial(sweep, "race", 0, {}) == first.info.run_id
    assert len(opened.trials(sweep)) == 1


def test_a_run_that_all_who_created_it_left_to_each_other_is_created_anew(
    opened: MlflowTracker, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(opened, "polite")
    gone: list[str] = []

    def leave_it_once(client: Any, created: Any, where: str) -> Any:
        if gone:
            return settled(client, created, where)
        gone.append(created.info.run_id)
        client.delete_run(created.info.run_id)
        return None

    monkeypatch.setattr(run_store, "settled", leave_it_once)
    run = opened.open_trial(sweep, "polite", 0, PARAMS)
    assert [run] == [trial.run_id for trial in opened.trials(sweep)] != gone


def test_a_run_counts_when_it_was_kept_or_its_creator_has_died(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    """Until then an older one may be on its way, before which it would go."""
    make_sweep(opened, "kept")
    tags = {"sweep.name": "alone", "sweep.trial": "0"}
    where = "tags.`sweep.name` = 'alone'"
    looking = threading.Thread(target=lambda: found.append(find_run(opened.client, opened.experiment_id, where)))
    found: list[Any] = []
    twin = opened.client.create_run(opened.experiment_id, tags=tags)
    looking.start()
    looking.join(1)
    assert not found
    older = opened.client.create_run(opened.experiment_id, tags=tags, start_time=1000)
    assert settled(opened.client, twin, where).info.run_id == older.info.run_id
    looking.join(30)
    assert [run.info.run_id for run in found] == [older.info.run_id]


def test_of_an_older_run_that_was_stored_late_and_a_kept_one_the_kept_one_stays(
    opened: MlflowTracker, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(opened, "late")
    run = opened.open_trial(sweep, "late", 0, {})
    tags = {"sweep.name": "late", "sweep.trial": "0", "mlflow.parentRunId": sweep}
    late = opened.client.create_run(opened.experiment_id, tags=tags, start_time=1000)
    where = "tags.`sweep.name` = 'late' and tags.`sweep.trial` = '0'"
    assert settled(opened.client, late, where).info.run_id == run
    assert [trial.run_id for trial in opened.trials(sweep)] == [run]


def test_trials_beyond_one_page_are_all_found(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(opened, "pages")
    for number in range(5):
        opened.open_trial(sweep, "pages", number, {})
    where = f"tags.`mlflow.parentRunId` = '{sweep}'"
    before, run_store.PAGE = run_store.PAGE, 2
    try:
        assert len(run_store.search_all(opened.client, opened.experiment_id, where)) == 5
    finally:
        run_store.PAGE = before


def test_the_ui_is_told_that_samples_are_a_table(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    run = opened.open_trial(make_sweep(opened, "table"), "table", 0, PARAMS)
    opened.log_samples(run, 1, [Sample(prompt="안녕", reply="네", tokens=1, seconds=0.1)])
    tag = opened.client.get_run(run).data.tags["mlflow.loggedArtifacts"]
    assert json.loads(tag) == [{"path": "samples.json", "type": "table"}]
    frame = pandas.read_json(io.BytesIO(opened.read_file(run, "samples.json") or b""), orient="split")
    assert frame["reply"].tolist() == ["네"]


def test_timestamps_are_of_the_measurement(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(opened, "time")
    before = time.time_ns() // 1_000_000
    opened.log_metrics(sweep, {"x": 1.0}, 1)
    after = time.time_ns() // 1_000_000
    time.sleep(0.05)
    opened.flush()
    (point,) = opened.client.get_metric_history(sweep, "x")
    assert before <= point.timestamp <= after


def test_metrics_of_a_deleted_run_are_told_and_others_arrive(opened: MlflowTracker, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(opened, "deleted")
    gone, kept = (opened.open_trial(sweep, "deleted", number, {}) for number in (0, 1))
    opened.client.delete_run(gone)
    opened.log_metrics(gone, {"x": 1.0}, 1)
    opened.log_metrics(kept, {"x": 1.0}, 1)
    with pytest.raises(MetricsRejectedError, match=gone):
        opened.flush()
    assert opened.history(kept, "x") == [(1, 1.0)]


def test_a_deleted_experiment_names_its_fix(opened: MlflowTracker) -> None:
    opened.client.delete_experiment(opened.experiment_id)
    again = MlflowTracker(opened.tracking_uri, opened.experiment)
    with pytest.raises(TrackingStoreError, match="experiments restore"):
        again.prepare()


def test_an_artifact_store_that_refuses_is_named(sqlite_store: Any, tmp_path: Path, make_sweep: MakeSweep) -> None:
    with MlflowTracker(sqlite_store.uri, "refusing", str(tmp_path)) as tracker:
        run = tracker.open_trial(make_sweep(tracker, "refusing"), "refusing", 0, PARAMS)
        tracker.log_file(run, "table.json", b"{}")
        folder = tmp_path / run / "artifacts"
        (folder / "table.json").unlink()
        (folder / "table.json").symlink_to(tmp_path / "gone")  # listed, but not to be read
        with pytest.raises(TrackingStoreError, match=f"read from .*{folder}"):
            tracker.read_file(run, "table.json")
        (folder / "in the way").write_bytes(b"")
        with pytest.raises(TrackingStoreError, match=f"written to .*{folder}"):
            tracker.log_file(run, "in the way/table.json", b"{}")


def _write(uri: str, experiment: str, run_ids: list[str], writer: int, shared: str) -> None:
    with MlflowTracker(uri, experiment) as tracker:
        for step in range(STEPS):
            tracker.log_metrics(run_ids[writer], {"loss": step, "other": -step}, step)
            tracker.log_metrics(shared, {f"worker{writer}": step}, step)
            if step % 20 == 0:
                tracker.set_state(run_ids[writer], "running")
                tracker.flush()


def test_processes_that_share_a_sqlite_file_lose_nothing(sqlite_store: Any, make_sweep: MakeSweep) -> None:
    """A worker and this process write at once, to runs of their own and to one run together."""
    tracker: MlflowTracker = sqlite_store.open("crowd")
    sweep = make_sweep(tracker, "crowd")
    runs = [tracker.open_trial(sweep, "crowd", number, {}) for number in range(WRITERS)]
    spawn = multiprocessing.get_context("spawn")
    uri = tracker.tracking_uri
    workers = [spawn.Process(target=_write, args=(uri, "crowd", runs, number, sweep)) for number in range(1, WRITERS)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        tracker.set_state(runs[0], "running")  # this process's share of the traffic
        time.sleep(0.02)
    _write(uri, "crowd", runs, 0, sweep)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
    expected = [(step, float(step)) for step in range(STEPS)]
    assert all(tracker.history(run, "loss") == expected for run in runs)
    assert all(tracker.history(sweep, f"worker{number}") == expected for number in range(WRITERS))


def test_whoever_opens_at_the_same_moment_gets_the_same_runs(store: Any) -> None:
    """Four connections of their own, let go at once; the runs have no parameters that would tell of a lost one."""
    trackers = [store.open(f"together-{Path(store.uri).name}") for _ in range(4)]
    answers: list[tuple[str, str]] = []
    barrier = threading.Barrier(len(trackers))

    def open_both(tracker: MlflowTracker) -> None:
        barrier.wait(30)
        sweep = tracker.open_sweep("together", spec_yaml="", tags={}, params={})
        answers.append((sweep, tracker.open_trial(sweep, "together", 0, PARAMS)))

    threads = [threading.Thread(target=open_both, args=(tracker,)) for tracker in trackers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == len(trackers)
    ((sweep, trial),) = set(answers)
    assert trackers[0].find_sweep("together") == sweep
    assert [found.run_id for found in trackers[0].trials(sweep)] == [trial]


def test_an_outage_of_the_server_loses_nothing(server: Any, wire: Wire, make_sweep: MakeSweep) -> None:
    """Metrics that are logged while the server is away arrive in order, once, when it is back."""
    with MlflowTracker(f"http://127.0.0.1:{wire.port}", "outage", patience_s=1) as tracker:
        sweep = make_sweep(tracker, "outage")
        tracker.log_metrics(sweep, {"x": 0.0}, 0)
        tracker.flush()
        wire.cut()
        for step in range(1, 40):
            tracker.log_metrics(sweep, {"x": float(step), "nan": math.nan}, step)
        with pytest.raises(TrackingUnreachableError, match="78 metrics wait"):
            tracker.flush(1.5)
        with pytest.raises(TrackingUnreachableError):
            tracker.set_tags(sweep, {"a": "b"})
        wire.mend()
        tracker.flush(30)
        assert tracker.history(sweep, "x") == [(step, float(step)) for step in range(40)]
        assert len(tracker.history(sweep, "nan")) == 39


def test_nothing_heavy_is_imported_before_the_first_call() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from adapter_registry import MlflowTracker; MlflowTracker('sqlite:///x.db', 'e');"
        "heavy = ('mlflow', 'optuna', 'jax', 'pandas', 'matplotlib', 'ray');"
        "print([name for name in heavy if getattr(sys.modules.get(name), '__file__', None)])"
    )
    root = Path(__file__).parents[3]
    environment = {"PYTHONPATH": f"{root}:{root}/mlflow"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
