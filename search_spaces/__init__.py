"""Search spaces: typed distributions, conditions and constants, from YAML or Python; ready-made ones beside them.

    space = load_space("quickstart")
    params = space.sample(trial)      # an Optuna trial, or anything with its suggest_* methods

Knows nothing of trials' meaning: which names and values make sense is checked by `sweeps.spec`.
"""

from search_spaces.conditions import Condition
from search_spaces.distributions import Choice, Constant, Distribution, TrialLike
from search_spaces.errors import DocumentError, Mistake, SearchSpaceError
from search_spaces.loading import load_space, ready_spaces
from search_spaces.ranges import Float, Int
from search_spaces.scalars import Scalar
from search_spaces.space import SearchSpace

__all__ = [
    "Choice",
    "Condition",
    "Constant",
    "Distribution",
    "DocumentError",
    "Float",
    "Int",
    "Mistake",
    "Scalar",
    "SearchSpace",
    "SearchSpaceError",
    "TrialLike",
    "load_space",
    "ready_spaces",
]
