"""The tiny model of `tests.trainer.tiny`, one for the session."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.trainer import tiny
from trainer.base.base import BaseModel
from trainer.base.tokenizer import Tokenizer
from trainer.dialogues.tokens import TokenSet
from trainer.machine.compilation import keep_compiled


@pytest.fixture(scope="session", autouse=True)
def compiled_programs(tmp_path_factory):
    """Packs of one shape compile the same programs: keep them for the session."""
    keep_compiled(str(tmp_path_factory.mktemp("compiled")))


@pytest.fixture(scope="session")
def proto() -> bytes:
    return tiny.make_proto()


@pytest.fixture(scope="session")
def new_causal_lm(proto) -> Callable[..., Any]:
    """Makes equal random models: KerasHub's LoRA can be enabled only once per layer."""

    def make(dtype: str = "float32"):
        return tiny.make_causal_lm(proto, dtype)

    return make


@pytest.fixture(scope="session")
def base(new_causal_lm, proto) -> BaseModel:
    return BaseModel("tiny", "float32", new_causal_lm(), Tokenizer(proto))


@pytest.fixture(scope="session")
def token_set() -> Callable[..., TokenSet]:
    return tiny.make_token_set
