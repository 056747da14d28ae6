"""Nobody's Keras settings reach a base model: not another project's file, nor the process that it is loaded in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.small_pack import numbers_of
from trainer.base.base import load_base
from trainer.machine.keras_backend import keras

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def expected():
    return numbers_of(load_base("builtin"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"floatx": "float16", "epsilon": 0.5, "image_data_format": "channels_first", "backend": "torch"},
        {"floatx": "bfloat16", "epsilon": 1, "backend": "nobody's", "nnx_enabled": True},  # Keras itself refuses these
    ],
    ids=["of another project", "that Keras refuses"],
)
def test_a_file_of_settings_changes_no_number(tmp_path, expected, settings):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    hostile = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow", "KERAS_NNX_ENABLED": "1"}
    command = [sys.executable, "-m", "tests.trainer.small_pack"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | hostile, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected
    assert json.loads((tmp_path / "keras.json").read_text()) == settings


def test_what_the_process_has_set_changes_no_number_and_stays(expected):
    """As in a notebook that uses Keras for something else and answers with a champion."""
    of = keras.config
    fresh = (of.floatx(), of.epsilon(), of.image_data_format(), of.dtype_policy())

    def set_all(floatx, epsilon, image_data_format, policy):
        of.set_floatx(floatx)
        of.set_epsilon(epsilon)
        of.set_image_data_format(image_data_format)
        of.set_dtype_policy(policy)

    set_all("float16", 0.5, "channels_first", "mixed_bfloat16")
    try:
        assert numbers_of(load_base("builtin")) == expected
        found = (of.floatx(), of.epsilon(), of.image_data_format(), of.dtype_policy().name)
        assert found == ("float16", 0.5, "channels_first", "mixed_bfloat16")
    finally:
        set_all(*fresh)


def test_the_environment_is_left_as_it_was():
    """What is started from here is somebody else's: its Keras may run on another backend."""
    code = (
        "import os; before = dict(os.environ); import trainer.machine.keras_backend as _; "
        "print(before == dict(os.environ))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "torch", "TF_FORCE_GPU_ALLOW_GROWTH": "true"},  # Keras sets the second
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True"
