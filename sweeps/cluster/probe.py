"""Looks at a cluster before a sweep is begun there; a job of its own, `python -m sweeps.cluster.probe`.

It reads `probe.json` in its folder, and prints one line that begins with `PROBE ` and holds what was found: sentences,
each of which keeps the sweep from being begun, and the accelerators that the cluster has.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sweeps.cluster.jobs import HERE

MARK = "PROBE "
REQUEST = "probe.json"
WORKER_PACKAGES = (
    "jax",
    "keras",
    "keras_hub",
    "numpy",
    "sentencepiece",
    "safetensors",
    "h5py",
    "optuna",
    "mlflow",
    "psutil",
)
NODE_S = 60.0
TRIES = 3


@dataclass(frozen=True)
class Request:
    """What the sweep needs.

    sources      of its data, addresses only, with their digests where they are known
    base         model
    experiment   in MLflow
    """

    sources: Mapping[str, str | None]
    base: str
    experiment: str


@dataclass
class Findings:
    """What was found.

    problems    sentences; none: the sweep can be begun
    digests     of the data at addresses, as the nodes see it
    nodes       alive nodes, and the accelerators that they have together
    """

    problems: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    nodes: int = 0
    resources: dict[str, float] = field(default_factory=dict)


def read_findings(log: str) -> Findings | None:
    """Find the line in a job's log; None: it was not reached."""
    lines = [line.removeprefix(MARK) for line in log.splitlines() if line.startswith(MARK)]
    return Findings(**json.loads(lines[-1])) if lines else None


def look_around(request: Request) -> Findings:
    """Look at the head from here, and at every node by a task on it."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    findings = Findings(problems=_head_problems(request))
    ray.init(address=HERE, log_to_driver=False)
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # Ray has no types here
    findings.nodes = len(alive)
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    findings.resources = {name: count for name, count in there.items() if name in ("CPU", "GPU", "TPU")}
    ask = ray.remote(num_cpus=0, max_retries=0)(look_here)
    asked = {
        node["NodeManagerHostname"] or node["NodeID"][:8]: ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(request)
        for node in alive
    }
    for host, answer in asked.items():
        try:
            problems, digests = ray.get(answer, timeout=NODE_S)
        except Exception as error:
            problems, digests = [f"it did not answer: {type(error).__name__}."], {}
        findings.problems += [f"On the node {host}, {problem}" for problem in problems]
        findings.problems += [
            f"On the node {host}, the data at {source} is not what other nodes find there."
            for source, digest in digests.items()
            if findings.digests.setdefault(source, digest) != digest
        ]
    return findings


def _head_problems(request: Request) -> list[str]:
    from sweeps.home import find_home
    from sweeps.ledger.ledger import Ledger
    from sweeps.sentences import sentence_of

    try:
        Ledger.sweeps(find_home().ledger)
    except Exception as error:
        return [f"From the cluster's head, {sentence_of(error)}"]
    return []


def look_here(request: Request) -> tuple[list[str], dict[str, str]]:
    """What is missing on this node, as sentences; and the digests of the data that it could read."""
    missing = [name for name in WORKER_PACKAGES if not _is_installed(name)]
    if missing:
        names = ", ".join(missing)
        return [f"the Python packages {names} are missing. Install them there: pip install gemma-sweeps."], {}
    from adapter_registry.store.inspection import inspect_store
    from sweeps.home import find_home
    from sweeps.host.data_files import at_hand, digest_of
    from sweeps.sentences import sentence_of
    from trainer.base.names import find_base

    home = find_home()
    problems: list[str] = []
    digests: dict[str, str] = {}

    def see_store() -> None:
        inspect_store(home.tracking_uri, request.experiment)

    for look in (lambda: _insist(see_store), lambda: find_base(request.base)):
        try:
            look()
        except Exception as error:
            problems.append(sentence_of(error))
    for source, digest in request.sources.items():
        try:
            digests[source] = digest_of(at_hand(source, digest, home.tracking_uri))
        except Exception as error:
            problems.append(sentence_of(error))
    return problems, digests


def _insist(look: Callable[[], object]) -> None:
    """Look again while a server does not answer: all nodes ask it at once."""
    from adapter_registry.errors import TrackingUnreachableError

    for left in reversed(range(TRIES)):
        try:
            look()
        except TrackingUnreachableError:
            if not left:
                raise
        else:
            return


def _is_installed(package: str) -> bool:
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None  # an empty folder of that name has a spec, but no origin


def main() -> None:
    """Print what was found."""
    raw: dict[str, Any] = json.loads(Path(REQUEST).read_text())
    print(MARK + json.dumps(asdict(look_around(Request(**raw)))), flush=True)


if __name__ == "__main__":
    main()
