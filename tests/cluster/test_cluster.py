"""A sweep on a cluster whose machines share no files: launched, left alone, watched from elsewhere, hit by faults."""

from __future__ import annotations

import functools
import io
import json
import re
import shlex
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import yaml

from adapter_registry.runs.adapter_files import epoch_folder
from adapter_registry.runs.mlflow_tracker import MlflowTracker
from sweeps.home import Home
from sweeps.launch import create_ledger
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.live_note import read_workers
from sweeps.ledger.trial_record import TrialRecord
from sweeps.spec import parse_spec
from tests import services
from tests.cluster.cluster import Client, Cluster, cluster
from tests.cluster.hosts import HOME, SHARED, can_make_hosts
from tests.postgres import postgres_programs
from trainer.lora.files import WEIGHTS_FILE

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not can_make_hosts(), reason="network namespaces cannot be made by this user"),
    pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed"),
]

SPEC = """
name: {name}
base: {{model: builtin}}
data: {{train: dialogues.jsonl, validation: {{val: "builtin:validation"}}, validation_limit: 16, max_tokens: 96}}
search:
  space: {{rank: {{type: choice, values: [2, 4]}}, learning_rate: {{type: float, low: 1e-4, high: 1e-2, log: true}}}}
  trials: {trials}
  sampler: random
  pruner: {{kind: none}}
training: {{targets: attention_qv, batch_size: 4, epochs: 4}}
compute: {{workers: 2, slots: 2}}
"""

# Who asks ten times a second takes an eighth of two cores from what is waited for.
until = functools.partial(services.until, pause_s=1.0)


@pytest.fixture(scope="module")
def head(tmp_path_factory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def there(head: Cluster) -> Iterator[Cluster]:
    """A cluster that no other test's nodes, sweeps or failures are left in."""
    yield head
    head.clear()


def write_sweep(client: Client, name: str, *, trials: int) -> str:
    """Write a spec and its data on a client; the spec's path there."""
    client.write("dialogues.jsonl", "".join(f"{json.dumps(_dialogue(n), ensure_ascii=False)}\n" for n in range(240)))
    return client.write(f"{name}.yaml", SPEC.format(name=name, trials=trials))


def _dialogue(number: int) -> dict[str, object]:
    asked, told = f"요즘 {number}시간밖에 못 자요", f"{number}시간이면 많이 힘드시겠어요."
    return {"messages": [{"role": "user", "content": asked}, {"role": "model", "content": told}]}


def shown(document: str, after: str) -> list[list[str]]:
    """Arguments of the `sweeps` commands in the first console block after a text: what readers type is what is run."""
    text = (SHARED / document).read_text(encoding="utf-8").split(after, 1)[1]
    lines = text.split("```console\n", 1)[1].split("```", 1)[0].splitlines()
    return [shlex.split(line, comments=True)[2:] for line in lines]


def test_a_sweep_outlives_its_client_a_node_and_its_driver(there):
    there.add("one")
    two = there.add("two")
    with services.hearing(there.here) as heard:
        hook = {"SWEEPS_WEBHOOK_URL": heard.url, "SWEEPS_WEBHOOK_SECRET": "a secret of ours"}
        laptop, other = there.client("laptop", **hook), there.client("other")
        write_sweep(laptop, "emotions", trials=6)
        launch, watch = shown("README.md", "On a Ray cluster")
        _, _, logs, *_ = shown("docs/clusters.md", "# On a Ray cluster")

        begun = laptop.run(*there.addressed(launch))
        assert begun.code == 0, begun.text
        laptop.host.die()
        watching, seen = other.start(*watch)
        following, read = other.start(*there.addressed(logs))

        def ledger() -> Ledger:
            return Ledger.open(there.ledger_url, "emotions")

        until(lambda: any(trial.evaluations for trial in ledger().trials()), 300, "an evaluation")
        two.die()
        there.add("three")
        (driver,) = there.processes("sweeps.cli.cluster_driver emotions driver")
        driver.kill()
        until(lambda: ledger().record.state == "complete", 500, "the end of the sweep")
        until(lambda: not there.processes("sweeps.cli.cluster_driver emotions"), 120, "the end of its job")
        kinds = [json.loads(body)["type"] for _, body in heard.requests]
        assert kinds == ["sweep.complete", "champion.changed"]

    assert watching.wait(60) == 0, seen.read_text()
    assert "emotions is complete" in seen.read_text()
    assert following.wait(60) == 0, read.read_text()
    assert "The driver ended with code -9; the next begins in 5 s." in read.read_text()
    asked = other.run("generate", "요즘 잠을 못 자요", "--sweep", "emotions")
    assert asked.code == 0, asked.text
    assert "emotions version 1" in asked.text

    undisturbed = run_in_peace(there, other, "emotions")
    with MlflowTracker(there.mlflow_url, "gemma-sweeps") as tracker:
        expected, found = (read_trials(tracker, name, there) for name in (undisturbed, "emotions"))
    assert [(trial.params, trial.state) for trial in found] == [(trial.params, "complete") for trial in expected]
    assert len(found) == 6
    for trial, same in zip(found, expected, strict=True):
        assert list(trial.mlflow) == list(zip((60, 120, 180, 240), trial.losses, strict=True)), "each once, and in turn"
        # In another slot, sums are rounded otherwise; learning rates above those of the spec would make much of it.
        assert trial.losses == pytest.approx(same.losses, rel=1e-4)
        assert trial.adapter.keys() == same.adapter.keys()
        for name, values in trial.adapter.items():
            np.testing.assert_allclose(values, same.adapter[name], atol=5e-3, err_msg=name)


def run_in_peace(there: Cluster, client: Client, name: str) -> str:
    """Run the same sweep once more, and disturb nothing: begun on one machine, gone on with on the cluster, watched."""
    peace = f"{name}-in-peace"
    write_sweep(client, peace, trials=6)
    spec = parse_spec(yaml.safe_load(SPEC.format(name=peace, trials=6)), folder=Path(HOME))
    create_ledger(spec, Home(Path(HOME), there.ledger_url, there.mlflow_url, None))  # its machine died at this moment
    changed = ["--set", "compute.max_failures=3"]
    ended = client.run("resume", peace, *changed, "--address", there.address, timeout_s=400)
    assert ended.code == 0, ended.text
    assert f"{peace} is complete" in ended.text
    return peace


@dataclass(frozen=True)
class Trained:
    """What is left of a trial, wherever and however often it was begun."""

    params: Mapping[str, object]
    state: str
    losses: Sequence[float]
    mlflow: Sequence[tuple[int, float]]
    adapter: Mapping[str, npt.NDArray[np.float32]]


def read_trials(tracker: MlflowTracker, name: str, there: Cluster) -> list[Trained]:
    """Read the trials of a sweep from ledger and MLflow, which must agree; each has one run."""
    trials = Ledger.open(there.ledger_url, name).trials()
    runs = tracker.trials(tracker.find_sweep(name) or "")
    assert [(run.number, run.run_id, run.state) for run in runs] == [(t.number, t.run_id, t.state) for t in trials]
    return [
        Trained(
            params=trial.params,
            state=trial.state,
            losses=[trial.evaluations[number] for number in (1, 2, 3, 4)],
            mlflow=tracker.history(run.run_id, "val_loss"),
            adapter=_arrays(tracker.read_file(run.run_id, f"{epoch_folder(4)}/{WEIGHTS_FILE}") or b""),
        )
        for trial, run in zip(trials, runs, strict=True)
    ]


def _arrays(content: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """All arrays of an HDF5 file."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


# ---- accelerators ---------------------------------------------------------------------------------------------------


# Trials train without end, while workers and Ray's nodes start beside them: on two slow cores 114 s were too few.
PATIENCE_S = 300


@pytest.mark.parametrize(("kind", "options"), [("gpu", ["--num-gpus=1"]), ("tpu", ['--resources={"TPU": 1}'])])
def test_every_accelerator_has_one_worker_and_a_late_one_is_used_within_a_minute(there, kind, options):
    for number in (1, 2):
        there.add(f"{kind}{number}", *options)
    laptop = there.client(f"{kind}-laptop")
    spec = write_sweep(laptop, kind, trials=8)
    endless = ["--set", "training.epochs=1000", "--set", "compute.workers=3", "--set", "compute.slots=1"]
    asked = ["--set", f"compute.accelerator={kind}", "--address", there.address, "--detach"]
    begun = laptop.run("launch", spec, *endless, *asked)
    assert begun.code == 0, begun.text

    until(lambda: len(there.workers()) == 2, 120, "two workers")
    until(lambda: trains(there, kind) == 2, PATIENCE_S, "two trials in slots")
    assert len({node for node, _ in there.workers()}) == 2, "never two on one"
    there.add(f"{kind}3", *options)
    until(lambda: len(there.workers()) == 3, 60, "a worker on the late node")
    assert len({node for node, _ in there.workers()}) == 3
    until(lambda: trains(there, kind) == 3, PATIENCE_S, "a trial in the late worker")
    taken = rf'ray_sweeps_slots_taken{{[^}}]*sweep="{kind}"[^}}]*}} 3'
    until(lambda: re.search(taken, there.metrics()), 60, "the number of taken slots in Ray's metrics")
    stopped = laptop.run("stop", kind, "--now", "--wait")
    assert stopped.code == 0, stopped.text
    until(lambda: not there.workers(), 60, "the end of the workers")


def test_a_second_sweep_gets_its_part_and_nothing_is_lost_by_who_gives_it(there):
    for number in (1, 2):
        there.add(f"shared{number}", "--num-gpus=1")
    client = there.client("both")
    greedy = ["--set", "training.epochs=1000", "--set", "compute.workers=2", "--set", "compute.accelerator=gpu"]

    def begin(name: str) -> None:
        spec = write_sweep(client, name, trials=3)
        begun = client.run("launch", spec, *greedy, "--address", there.address, "--detach")
        assert begun.code == 0, begun.text

    def first() -> list[TrialRecord]:
        return Ledger.open(there.ledger_url, "first").trials()

    begin("first")
    until(lambda: trains(there, "first") == 3, 180, "three trials in the slots of two workers")
    begin("second")
    until(lambda: sorted(_workers_each(there)) == [1, 1], 240, "a worker for each of the two sweeps")
    until(lambda: trains(there, "second") == 2, 120, "trials of the second in its one worker")
    known = [trial.evaluations for trial in first()]
    stopped = client.run("stop", "second", "--now", "--wait")
    assert stopped.code == 0, stopped.text
    until(lambda: trains(there, "first") == 3, 180, "all trials of the first, in two workers again")
    assert all(trial.evaluations.items() >= before.items() for trial, before in zip(first(), known, strict=True))
    assert [(trial.state, trial.failures) for trial in first()] == [("running", 0)] * 3
    stopped = client.run("stop", "first", "--now", "--wait")
    assert stopped.code == 0, stopped.text


def _workers_each(there: Cluster) -> list[int]:
    """How many workers each sweep has."""
    return list(Counter(name.rpartition("-")[0] for _, name in there.workers()).values())


def trains(there: Cluster, name: str) -> int:
    """How many trials of a sweep are in slots, as its ledger tells who watches."""
    workers = read_workers(Ledger.open(there.ledger_url, name).record.workers)
    return sum(len(worker.taken) for worker in workers)


# ---- what cannot be begun -------------------------------------------------------------------------------------------


def test_what_is_wrong_is_told_in_a_sentence_and_nothing_is_begun(there):
    laptop = there.client("wrong")
    spec = write_sweep(laptop, "wrong", trials=2)
    address = ("--address", there.address)
    own = "http://127.0.0.1:8000/dialogues.jsonl"  # which the laptop itself can read
    laptop.serve(8000)
    hidden = Path(sysconfig.get_paths()["purelib"]) / "sentencepiece"
    cases = {
        "refuses this machine's token": ([spec, *address], {"RAY_AUTH_TOKEN": "wrong"}),
        "Nobody answers at http://10.213.77.250:8265": ([spec, "--address", "http://10.213.77.250:8265"], {}),
        "SWEEPS_LEDGER": ([spec, *address], {"SWEEPS_LEDGER": "postgresql://me:x@10.213.77.1:1/nowhere"}),
        "cannot be read from here": ([spec, *address, "--set", f"data.train={own}"], {}),
    }
    for said, (arguments, environment) in cases.items():
        ended = laptop.run("launch", *arguments, "--detach", **environment)
        assert ended.code == 2, ended.text
        assert said in ended.text
        assert "Traceback" not in ended.text
    poor = there.add("poor", hidden=[hidden])
    ended = laptop.run("launch", spec, *address, "--detach")
    poor.die()
    assert ended.code == 2
    assert f"On the node {poor.name}, the Python packages sentencepiece are missing" in ended.text
    assert "wrong" not in [sweep.name for sweep in Ledger.sweeps(there.ledger_url)]
