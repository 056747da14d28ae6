"""Imports Keras and KerasHub on the JAX backend; every module of `trainer` that needs them asks here.

Keras takes its backend and its settings from a file in the user's home, which any project may have written, from
variables of the environment, and from whoever has set them in this process. None of them is asked for here: what a
base model computes depends on itself alone.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from trainer.errors import TrainerError


@contextlib.contextmanager
def _nobodys_environment() -> Iterator[None]:
    theirs = {name: os.environ.pop(name) for name in tuple(os.environ) if name.startswith("KERAS_")}
    ours = {"KERAS_BACKEND": "jax", "KERAS_HOME": os.devnull}  # where no file can be, or be written
    os.environ |= ours
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
        os.environ |= theirs


with _nobodys_environment():
    import keras
    import keras_hub

if keras.backend.backend() != "jax":
    raise TrainerError(
        f"Keras must run on the jax backend, but it was imported with {keras.backend.backend()!r} before trainer was. "
        "Set KERAS_BACKEND=jax, or import trainer first."
    )

__all__ = ["keras", "keras_hub", "own_settings", "tracing"]


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """While open, Keras has the settings that it is delivered with; base models are built and traced so."""
    of = keras.config
    theirs = (of.floatx(), of.epsilon(), of.image_data_format(), of.dtype_policy())
    _set("float32", 1e-7, "channels_last", "float32")
    try:
        yield
    finally:
        _set(*theirs)


@contextlib.contextmanager
def tracing(variables: list[Any], values: list[Any]) -> Iterator[None]:
    """While open, Keras's variables have these values, and its settings are our own."""
    state = list(zip(variables, values, strict=True))
    with own_settings(), keras.StatelessScope(state_mapping=state):
        yield


def _set(floatx: str, epsilon: float, image_data_format: str, dtype_policy: Any) -> None:
    keras.config.set_floatx(floatx)
    keras.config.set_epsilon(epsilon)
    keras.config.set_image_data_format(image_data_format)
    keras.config.set_dtype_policy(dtype_policy)
