"""The bare training loop: trials through an engine, with nothing around it but the adapters' files.

python -m benchmarks.arms.bare PLAN.yaml OUT.json --slots 8 --cache FOLDER --adapters FOLDER
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.arms.processes import plan_parser
from benchmarks.instruments.outcome import TrialOutcome, write_outcome

if TYPE_CHECKING:
    from sweeps.workers.engine import Engine
    from trainer.config import TrialConfig
    from trainer.events import Event


def train_all(
    engine: Engine, configs: Sequence[TrialConfig], hear: Callable[[Event], None] = lambda event: None
) -> list[TrialOutcome]:
    """Train every configuration to its end, a freed slot being taken by the next at once.

    Args:
        engine: with all its slots free.
        configs: by trial number; a trial's key in the engine is its number.
        hear: receives every event.
    """
    from trainer.events import Diverged, Evaluated, Finished

    waiting = deque(enumerate(configs))
    losses: dict[int, list[float]] = {number: [] for number in range(len(configs))}
    states: dict[int, str] = {}
    while len(states) < len(configs):
        while waiting and engine.free_slots:
            number, config = waiting.popleft()
            engine.join(str(number), config)
        for event in engine.tick():
            hear(event)
            if isinstance(event, Evaluated):
                losses[int(event.key)].append(event.metrics["val_loss"])
            elif isinstance(event, Finished | Diverged):
                states[int(event.key)] = "complete" if isinstance(event, Finished) else "failed"
    return [TrialOutcome(number=n, state=states[n], losses=tuple(losses[n])) for n in sorted(states)]


def keep_adapters(folder: Path) -> Callable[[Event], None]:
    """Return a listener that writes the adapter of every epoch below `folder`, as a notebook would."""
    from trainer.events import EpochEnded

    def hear(event: Event) -> None:
        if isinstance(event, EpochEnded):
            _write_files(folder / event.key / str(event.epoch), event.adapter)

    return hear


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def main() -> None:
    """Train a plan's trials in one pack."""
    parser = plan_parser(__doc__)
    parser.add_argument("--slots", type=int, required=True)
    arguments = parser.parse_args()
    began = time.perf_counter()

    from benchmarks.arms.plan import configs, read_plan
    from benchmarks.arms.watched import WatchedFactory
    from sweeps.workers.pack_factory import PackFactory

    spec = read_plan(arguments.plan)
    recipe = PackFactory(spec=spec, cache_folder=str(arguments.cache))
    log = arguments.out.with_suffix(".watch.json")
    engine = WatchedFactory(inner=recipe, log=str(log))(slots=arguments.slots)
    outcomes = train_all(engine, configs(spec), keep_adapters(arguments.adapters))
    marks = {"inside_s": time.perf_counter() - began, "watch": asdict(engine.watch)}
    write_outcome(arguments.out, outcomes, marks)


if __name__ == "__main__":
    main()
