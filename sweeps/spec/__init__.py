"""The spec of a sweep: YAML in, a typed value out, every mistake named with its key.

    spec = load_spec("quickstart", ["search.trials=4"])      # a packaged example, or the path of a file
    spec = read_spec(text)                                   # what `spec.to_yaml()` wrote

model, data, search, training   the sections       loading    file, overrides and checks, in order
fields     types of single fields                  overrides  `--set key.sub=value`
sentences  pydantic's errors in our words          paths      what relative paths start from; missing files
checks     rules between sections                  metrics    names of validation metrics, which way is better
"""

from sweeps.spec.data import DataSpec, SelectSpec, SourceSpec
from sweeps.spec.loading import change_spec, example_names, load_spec, parse_spec, read_spec
from sweeps.spec.metrics import direction_of, metric_names
from sweeps.spec.model import BaseSpec, BudgetSpec, ComputeSpec, PromotionSpec, SamplesSpec, SweepSpec
from sweeps.spec.paths import file_mistakes
from sweeps.spec.search import PrunerSpec, SearchSpec
from sweeps.spec.training import TrainingSpec
from trainer.metrics import QUANTITIES

__all__ = [
    "QUANTITIES",
    "BaseSpec",
    "BudgetSpec",
    "ComputeSpec",
    "DataSpec",
    "PromotionSpec",
    "PrunerSpec",
    "SamplesSpec",
    "SearchSpec",
    "SelectSpec",
    "SourceSpec",
    "SweepSpec",
    "TrainingSpec",
    "change_spec",
    "direction_of",
    "example_names",
    "file_mistakes",
    "load_spec",
    "metric_names",
    "parse_spec",
    "read_spec",
]
