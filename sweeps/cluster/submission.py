"""Begins a sweep on a cluster, or lets one go on there: checks first, then the ledger, then the driver's job."""

from __future__ import annotations

import contextlib
import json
import shlex
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.cluster import addresses
from sweeps.cluster.jobs import Job, Jobs, Purpose
from sweeps.cluster.probe import REQUEST, Findings, Request, read_findings
from sweeps.errors import ClusterError, SpecError
from sweeps.host.data_files import RUNS, digest_of, is_address, is_file
from sweeps.host.local_ray import PACKAGES, package_folder
from sweeps.progress import Preparing, ProgressEvent
from sweeps.spec.paths import file_mistakes

if TYPE_CHECKING:
    from adapter_registry.runs.mlflow_tracker import MlflowTracker
    from sweeps.home import Home
    from sweeps.ledger.ledger import Ledger
    from sweeps.spec import SweepSpec

PROBE_S = 300.0
DATA_FOLDER = "data"

Hear = Callable[[ProgressEvent], None]


def launch_there(spec: SweepSpec, home: Home, jobs: Jobs, *, keep_alive: bool, on_event: Hear) -> Job:
    """Begin a new sweep; its driver's job.

    Args:
        spec: of the sweep. Files of this machine are sent along.
        home: where ledger and MLflow are, for this machine and for the cluster.
        jobs: of the cluster.
        keep_alive: start the driver again when it dies.
        on_event: receives progress.

    Raises:
        ClusterError, SweepsError, TrainerError, RegistryError: nothing was begun.
    """
    from sweeps.driver.withdrawal import withdrawn_if_refused
    from sweeps.launch import create_ledger
    from sweeps.ledger.ledger import Ledger

    addresses.check_shared(home)
    Ledger.check_is_free(home.ledger, spec.name)
    spec = _checked(spec, home, jobs, on_event)
    ledger = create_ledger(spec, home)
    with _tracker(spec, home) as tracker, withdrawn_if_refused(ledger, tracker, on_event):
        _ship(spec, ledger, tracker, on_event)
        return submit_driver(spec.name, home, jobs, keep_alive=keep_alive)


def resume_there(
    name: str, home: Home, jobs: Jobs, *, changes: Sequence[str] = (), keep_alive: bool, on_event: Hear
) -> Job:
    """Let a sweep go on; its driver's job. One that was begun on this machine takes its files along.

    Args:
        name: of the sweep.
        home, jobs, keep_alive, on_event: as for `launch_there`.
        changes: as for `sweeps.launch.resume`.

    Raises:
        NotFoundError: no sweep has this name.
        ClusterError, SweepsError, TrainerError, RegistryError: nothing was begun.
    """
    from sweeps.launch import spec_of
    from sweeps.ledger.ledger import Ledger
    from sweeps.spec import change_spec

    addresses.check_shared(home)
    before, ledger = spec_of(name, home), Ledger.open(home.ledger, name)
    spec = _checked(change_spec(before, changes), home, jobs, on_event, ledger.marks)
    if spec != before:
        ledger.note_sweep(spec_yaml=spec.to_yaml())
    with _tracker(spec, home) as tracker:
        _ship(spec, ledger, tracker, on_event)
    return submit_driver(name, home, jobs, keep_alive=keep_alive)


def submit_driver(name: str, home: Home, jobs: Jobs, *, keep_alive: bool) -> Job:
    """Submit the driver of a sweep that is in the ledger."""
    purpose: Purpose = "keep-alive" if keep_alive else "driver"
    return _submit(jobs, purpose, name, f"sweeps.cli.cluster_driver {shlex.quote(name)} {purpose}", home)


def _checked(spec: SweepSpec, home: Home, jobs: Jobs, on_event: Hear, marks: Collection[str] = ()) -> SweepSpec:
    """Check a spec here and there; the same spec, with the digests of its data at addresses."""
    check_here(spec, home, on_event, marks)
    return _pinned(spec, _probe(spec, home, jobs, on_event).digests)


def check_here(spec: SweepSpec, home: Home, on_event: Hear, marks: Collection[str] = ()) -> None:
    """Check what can be seen from this machine: its own files, and MLflow; `marks` are as for `check_run`.

    Raises:
        SpecError, DataError: a file is missing or damaged.
        RegistryError: MLflow cannot be used.
    """
    from sweeps.datasets import read_source
    from sweeps.preflight import check_mlflow

    on_event(Preparing(what="checking the data"))
    if mistakes := [each for each in file_mistakes(spec) if each.key.startswith("data.")]:
        raise SpecError(mistakes)
    for key, source in spec.data.sources.items():
        if not is_address(source.source):
            read_source(spec, source, key)
    on_event(Preparing(what="looking for MLflow"))
    check_mlflow(spec, home, marks, largest_file=0)  # its workers may go another way


def _probe(spec: SweepSpec, home: Home, jobs: Jobs, on_event: Hear) -> Findings:
    on_event(Preparing(what=f"looking at the cluster at {jobs.address}"))
    data = {each.source: each.digest for each in spec.data.sources.values() if is_address(each.source)}
    request = json.dumps(asdict(Request(data, spec.base.model, spec.experiment)))
    job = _submit(jobs, "probe", spec.name, "sweeps.cluster.probe", home, {REQUEST: request})
    try:
        job = jobs.wait(job, PROBE_S)
    except BaseException:  # Ctrl-C, too: nothing is left running there
        with contextlib.suppress(ClusterError):
            jobs.stop(job)
        raise
    log = jobs.logs(job)
    findings = read_findings(log)
    if findings is None:
        last = (log.strip().splitlines() or [job.message or "it wrote nothing"])[-1]
        raise ClusterError(f"The cluster at {jobs.address} cannot run this: {last}")
    if findings.problems:
        raise ClusterError("\n".join(dict.fromkeys(findings.problems)))
    return findings


def _pinned(spec: SweepSpec, digests: Mapping[str, str]) -> SweepSpec:
    """The spec with the digests that the nodes have found: nobody trains on anything else from now on."""
    from sweeps.datasets import with_sources

    sources = spec.data.sources.items()
    return with_sources(spec, {k: {"digest": digests[s.source]} for k, s in sources if s.source in digests})


def _submit(
    jobs: Jobs, purpose: Purpose, sweep: str, module: str, home: Home, files: Mapping[str, str] | None = None
) -> Job:
    with tempfile.TemporaryDirectory(prefix="sweeps-job-") as folder:
        for name, content in (files or {}).items():
            (Path(folder) / name).write_text(content)
        addresses.write(Path(folder), home)
        return jobs.submit(
            purpose,
            sweep,
            f"python -m {module}",
            files=Path(folder),
            modules=[_folder_of(package) for package in PACKAGES],
            hook=addresses.HOOK,
        )


def _folder_of(package: str) -> str:
    folder = package_folder(package)
    if folder is None:
        raise ClusterError(f"The package {package!r} is not installed here, so it cannot be sent to the cluster.")
    return str(folder)


def _tracker(spec: SweepSpec, home: Home) -> MlflowTracker:
    from adapter_registry.runs.mlflow_tracker import MlflowTracker

    return MlflowTracker(home.tracking_uri, spec.experiment, home.artifact_root)


def _ship(spec: SweepSpec, ledger: Ledger, tracker: MlflowTracker, on_event: Hear) -> None:
    """Send the files of this machine to MLflow, as artifacts of the sweep's run; its spec reads them there then."""
    from sweeps.datasets import with_sources

    on_event(Preparing(what="sending the data"))
    own = {key: each for key, each in spec.data.sources.items() if is_file(each.source)}
    if not own:
        return
    places: dict[str, dict[str, Any]] = {}
    tracker.prepare()
    known = ledger.record.run_id
    run_id = tracker.open_sweep(spec.name, spec_yaml="", tags={}, params={}, sweep_id=ledger.id, known_run=known)
    for source in {each.source for each in own.values()}:
        path = Path(source)
        digest = digest_of(path)
        where = f"{DATA_FOLDER}/{digest[:12]}/{path.name}"
        tracker.log_file(run_id, where, path.read_bytes())
        places[source] = {"source": f"{RUNS}{run_id}/{where}", "digest": digest}
    shipped = with_sources(spec, {key: places[each.source] for key, each in own.items()})
    ledger.note_sweep(spec_yaml=shipped.to_yaml())
