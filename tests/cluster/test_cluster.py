"""A sweep on a cluster whose machines share no files: launched, left alone, watched from elsewhere, hit by faults."""

from __future__ import annotations

import json
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_registry.mlflow_tracker import MlflowTracker
from sweeps.ledger import Ledger
from sweeps.live_note import read_workers
from tests.cluster.cluster import Client, Cluster, cluster
from tests.cluster.hosts import can_make_hosts
from tests.postgres import postgres_programs
from tests.services import until

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
  space: {{rank: {{type: choice, values: [2, 4]}}, learning_rate: {{type: float, low: 1e-3, high: 1e-1, log: true}}}}
  trials: {trials}
  sampler: random
  pruner: {{kind: none}}
training: {{targets: attention_qv, batch_size: 4, epochs: 4}}
compute: {{workers: 2, slots: 2}}
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


def write_sweep(client: Client, name: str, *, trials: int) -> str:
    """Write a spec and its data on a client; the spec's path there."""
    turns = [{"role": "user", "content": "요즘 잠을 못 자요"}, {"role": "model", "content": "많이 힘드시겠어요."}]
    client.write("dialogues.jsonl", (json.dumps({"messages": turns}, ensure_ascii=False) + "\n") * 240)
    return client.write(f"{name}.yaml", SPEC.format(name=name, trials=trials))


def test_a_sweep_outlives_its_client_a_node_and_its_driver(there):
    there.add("one")
    two = there.add("two")
    laptop, other = there.client("laptop"), there.client("other")
    spec = write_sweep(laptop, "faults", trials=6)

    begun = laptop.run("launch", spec, "--address", there.address, "--detach", "--keep-alive")
    assert begun.code == 0, begun.text
    laptop.host.die()
    watching, seen = other.start("status", "faults", "--watch")

    def ledger() -> Ledger:
        return Ledger.open(there.ledger_url, "faults")

    until(lambda: any(trial.evaluations for trial in ledger().trials()), 300, "an evaluation")
    two.die()
    there.add("three")
    (driver,) = there.processes("sweeps.cluster.driver faults driver")
    driver.kill()
    until(lambda: ledger().record.state == "complete", 500, "the end of the sweep")
    until(lambda: not there.processes("sweeps.cluster.driver faults"), 120, "the end of its job")

    trials = ledger().trials()
    assert [trial.state for trial in trials] == ["complete"] * 6
    with MlflowTracker(there.mlflow_url, "gemma-sweeps") as tracker:
        run_id = tracker.find_sweep("faults")
        runs = tracker.trials(run_id)
        assert [run.number for run in runs] == list(range(6))
        for trial, run in zip(trials, runs, strict=True):
            points = tracker.history(run.run_id, "val_loss")
            assert len(points) == len({step for step, _ in points}) == 4
            assert [value for _, value in points] == pytest.approx([trial.evaluations[i] for i in (1, 2, 3, 4)])
    assert watching.wait(60) == 0, seen.read_text()
    assert "faults is complete" in seen.read_text()
    asked = other.run("generate", "요즘 잠을 못 자요", "--sweep", "faults")
    assert asked.code == 0, asked.text
    assert "faults version 1" in asked.text


# ---- accelerators ---------------------------------------------------------------------------------------------------


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
    until(lambda: trains(there, kind) == 2, 120, "two trials in slots")
    assert len({node for node, _ in there.workers()}) == 2, "never two on one"
    there.add(f"{kind}3", *options)
    until(lambda: len(there.workers()) == 3, 60, "a worker on the late node")
    assert len({node for node, _ in there.workers()}) == 3
    until(lambda: trains(there, kind) == 3, 120, "a trial in the late worker")
    taken = rf'ray_sweeps_slots_taken{{[^}}]*sweep="{kind}"[^}}]*}} 3'
    until(lambda: re.search(taken, there.metrics()), 60, "the number of taken slots in Ray's metrics")
    stopped = laptop.run("stop", kind, "--now", "--wait")
    assert stopped.code == 0, stopped.text
    until(lambda: not there.workers(), 60, "the end of the workers")


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
    assert "On the node sweeps-poor, the Python packages sentencepiece are missing" in ended.text
    assert "wrong" not in [sweep.name for sweep in Ledger.sweeps(there.ledger_url)]
