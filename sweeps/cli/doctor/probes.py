"""What `sweeps doctor` can only find out by trying: in processes of their own, which may crash, hang or keep memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

from sweeps.cli.doctor.findings import Finding, fail, ok, warn

PATIENCE_S = 180.0

JAX = """
import jax
devices = [str(d.device_kind) for d in jax.devices()]
report(backend=jax.default_backend(), devices=devices, version=jax.__version__)
"""

RAY = """
from sweeps.host.local_ray import prepare_environment, ray_session
from sweeps.settings import ComputeSettings
prepare_environment()
with ray_session(ComputeSettings()):
    import ray
    report(resources={k: v for k, v in ray.cluster_resources().items() if k in ("CPU", "GPU", "TPU")})
"""

MODEL = """
from trainer.base.base import load_base
base = load_base("builtin")
report(parameters=base.backbone.count_params(), vocabulary=base.tokenizer.vocabulary_size)
"""

_REPORT = """
import json, sys
def report(**values):
    print("REPORT " + json.dumps(values), flush=True)
"""


def probe_jax() -> Finding:
    """Let JAX name its devices."""
    seen = _run(JAX)
    if isinstance(seen, str):
        return fail(f"JAX does not start: {seen}", "Install it again: pip install -r requirements.lock")
    kinds = {kind: seen["devices"].count(kind) for kind in seen["devices"]}
    text = f"JAX {seen['version']} computes on {', '.join(f'{count} × {kind}' for kind, count in kinds.items())}"
    if seen["backend"] == "cpu" and shutil.which("nvidia-smi"):
        return warn(f"{text}, but there is an NVIDIA driver", 'Install JAX for it: pip install "gemma-sweeps[cuda]"')
    return ok(text)


def probe_ray() -> Finding:
    """Start a Ray as a sweep does, and end it."""
    seen = _run(RAY)
    if isinstance(seen, str):
        return fail(
            f"a local Ray does not start: {seen}", "Free memory and /dev/shm, and check that TMPDIR can be written."
        )
    return ok("a local Ray starts with " + ", ".join(f"{count:g} {kind}" for kind, count in seen["resources"].items()))


def probe_model() -> Finding:
    """Load the built-in model."""
    seen = _run(MODEL)
    if isinstance(seen, str):
        return fail(
            f"the built-in model does not load: {seen}", "Install the package again; its model folder is damaged."
        )
    return ok(f"{seen['parameters']:,} parameters, {seen['vocabulary']:,} tokens")


def _run(script: str) -> dict[str, Any] | str:
    """Run a script in a new process; returns what it reported, or why it could not."""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        done = subprocess.run(  # noqa: S603  (our own script, no shell)
            [sys.executable, "-c", _REPORT + script],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"nothing happened in {PATIENCE_S:.0f} s"
    reports = [line for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    if reports:
        values: dict[str, Any] = json.loads(reports[-1].removeprefix("REPORT "))
        return values
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"
