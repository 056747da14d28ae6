"""The Dockerfile's steps run, in folders that begin as a Debian of their own, and what comes out can do its work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.rehearsal import DOCKERFILE, INSTRUCTIONS, LAST_WORDS, Rehearsal, read_stages

NO_TENSORFLOW = "python -c 'import importlib.util as u; assert u.find_spec(\"tensorflow\") is None'"
NOT_ROOT = 'test "$(id -u)" = 10001 && touch here'
WORKS = {
    "head": "ray --version && sweeps examples && python -c 'import mlflow, psycopg, s3fs, gcsfs, huggingface_hub' && "
    "python -c 'from trainer.base.base import load_base; print(load_base(\"builtin\").digest)'",
    "mlflow": "mlflow --version && python -c 'import psycopg, flask_wtf' && sh -n /usr/local/bin/serve-mlflow",
}


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory) -> Iterator[Rehearsal]:
    folder: Path = tmp_path_factory.mktemp("images")
    yield Rehearsal(folder)
    shutil.rmtree(folder)


def test_every_instruction_of_the_dockerfile_can_be_rehearsed():
    stages = read_stages(DOCKERFILE)
    assert {"head", "worker-cpu", "worker-cuda", "worker-tpu", "mlflow"} <= set(stages)
    used = {instruction for _, steps in stages.values() for instruction, _ in steps}
    assert used <= {*INSTRUCTIONS, *LAST_WORDS}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a Debian of its own")
@pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed")
@pytest.mark.parametrize("target", WORKS)
def test_the_steps_of_a_target_run_and_what_comes_out_works(rehearsal, target):
    stage = rehearsal.make(target)
    for command in (WORKS[target], NO_TENSORFLOW, NOT_ROOT):
        stage.run(command)
