"""Every exception that `trainer` raises on purpose.

TrainerError
├── ConfigError (ValueError)      a trial's configuration is impossible
├── DataError (ValueError)        a dataset file cannot be read as dialogues
├── BaseModelError (ValueError)   a base model cannot be found or is not a Gemma 2
├── AdapterError (ValueError)     an adapter or checkpoint file is damaged or does not fit the base model
└── CapacityError (RuntimeError)  no slot is free, or a trial needs more than a slot holds

Every message gives the rule, what it got, the choices, and the fix where it is known. All can be pickled,
because Ray carries them between processes: each is built from one message and nothing else.
"""


class TrainerError(Exception):
    """Base of all errors that `trainer` raises on purpose."""


class ConfigError(TrainerError, ValueError):
    """A trial's configuration is impossible."""


class DataError(TrainerError, ValueError):
    """A dataset file cannot be read as dialogues."""


class BaseModelError(TrainerError, ValueError):
    """A base model cannot be found, or is not a Gemma 2."""


class AdapterError(TrainerError, ValueError):
    """An adapter or checkpoint file is damaged, or does not fit the base model."""


class CapacityError(TrainerError, RuntimeError):
    """No slot is free, or a trial needs more than a slot holds."""
