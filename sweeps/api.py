"""The Python API, for notebooks and programs: its names are those of the package, `sweeps.load_champion("NAME")`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from adapter_registry.models.prompts import MESSAGES_COLUMN, PROMPT_COLUMN, conversations

if TYPE_CHECKING:
    from adapter_registry.models.champions import Champion
    from adapter_registry.models.engines import Engine

Message = Mapping[str, str]


@final
@dataclass(frozen=True)
class LoadedChampion:
    """A champion with its base model in memory; `version` says which adapter it is, and what it was measured at."""

    version: Champion
    engine: Engine

    def predict(
        self,
        prompts: Sequence[str] | Sequence[Sequence[Message]],
        *,
        max_new_tokens: int = 96,
        temperature: float = 0.0,
        top_p: float = 0.95,
        seed: int = 0,
    ) -> list[str]:
        """Answer.

        Args:
            prompts: texts, or conversations: lists of `{"role": "user", "content": …}` that end with the user's.
            max_new_tokens: of each reply at most.
            temperature: 0 takes the likeliest token always.
            top_p: draw from the likeliest tokens of this mass.
            seed: of what is drawn.

        Raises:
            PromptError: one is empty, or no conversation.
        """
        asked = [prompts] if isinstance(prompts, str) else list(prompts)
        column = PROMPT_COLUMN if all(isinstance(each, str) for each in asked) else MESSAGES_COLUMN
        options = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
        return self.engine(conversations(column, asked), **options) if asked else []  # type: ignore[arg-type]  # mixed


def load_champion(model: str | None = None, *, base: str | None = None) -> LoadedChampion:
    """Load a champion and its base model, from the MLflow that the command line uses.

    That is `MLFLOW_TRACKING_URI`, else the store in `SWEEPS_HOME`, else in `./sweeps-data`; none is made.

    Args:
        model: a registered model's name; None: the one with the newest champion.
        base: where the base model is found on this machine; None: under the name that it was trained with.

    Raises:
        NotFoundError: there is no such champion, and what there is.
        AdapterFilesError: its files are missing or have changed.
        trainer.errors.TrainerError: its base model cannot be found, or is another one.
    """
    from adapter_registry.models.champions import champion_engine
    from sweeps.champions import reach_champion
    from sweeps.home import find_home
    from sweeps.host.jax_setup import prepare_jax

    home = find_home()
    version = reach_champion(home, model)
    if version.engine == "gemma":
        prepare_jax()
    return LoadedChampion(version, champion_engine(home.tracking_uri, version, base=base))
