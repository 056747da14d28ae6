"""Imports Keras and KerasHub on the JAX backend; every module of `trainer` that needs them asks here.

Keras reads its backend once, when it is first imported, and takes TensorFlow if nobody says otherwise.
"""

import os
import sys

from trainer.errors import TrainerError

if "keras" not in sys.modules:
    os.environ["KERAS_BACKEND"] = "jax"

import keras
import keras_hub

if keras.backend.backend() != "jax":
    raise TrainerError(
        f"Keras must run on the jax backend, but it was imported with {keras.backend.backend()!r} before trainer was. "
        "Set KERAS_BACKEND=jax, or import trainer first."
    )

__all__ = ["keras", "keras_hub"]
