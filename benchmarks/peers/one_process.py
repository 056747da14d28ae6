"""A notebook's loop: one process trains one trial after the other with stock `fit`.

python -m benchmarks.peers.one_process PLAN.yaml OUT.json --cache FOLDER --adapters FOLDER [--buckets]
"""

from __future__ import annotations

import time

from benchmarks.arms.processes import plan_parser
from benchmarks.instruments.outcome import TrialOutcome, write_outcome


def main() -> None:
    """Train a plan's trials."""
    parser = plan_parser(__doc__)
    parser.add_argument("--buckets", action="store_true", help="pad batches as the trainer does")
    arguments = parser.parse_args()
    began = time.perf_counter()

    from benchmarks.arms.plan import configs, read_plan
    from benchmarks.peers.bucketed_fit import BucketedFit
    from benchmarks.peers.keras_fit import KerasFit
    from benchmarks.peers.plan_data import fit_options, read_tokens
    from trainer.machine.compilation import keep_compiled
    from trainer.machine.keras_backend import keras

    keep_compiled(str(arguments.cache))
    arguments.adapters.mkdir(parents=True, exist_ok=True)
    spec = read_plan(arguments.plan)
    train, validation = read_tokens(spec)
    kind = BucketedFit if arguments.buckets else KerasFit
    outcomes = []
    for number, config in enumerate(configs(spec)):
        keras.utils.clear_session()
        trial = kind.load(spec.base.model, train=train, validation=validation, **fit_options(spec, config))
        losses = []
        for epoch in range(1, config.epochs + 1):
            trial.epoch()
            losses.append(trial.validation_loss())
            trial.save(arguments.adapters / f"trial_{number}_epoch_{epoch}.lora.h5")
        outcomes.append(TrialOutcome(number=number, state="complete", losses=tuple(losses)))
    write_outcome(arguments.out, outcomes, {"inside_s": time.perf_counter() - began})


if __name__ == "__main__":
    main()
