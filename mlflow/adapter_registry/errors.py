"""Every exception that `adapter_registry` raises on purpose.

RegistryError
├── TrackingUnreachableError (ConnectionError)  the tracking server or database does not answer
├── TrackingStoreError (RuntimeError)           it answers, but refuses or cannot be used
├── MetricsRejectedError (ValueError)           metrics were refused for good in the background
├── AdapterFilesError (ValueError)              an adapter's files are missing, damaged or not what was promoted
├── PromptError (ValueError)                    what a model was asked is not a prompt
├── ModelNotFoundError (LookupError)            no such registered model, champion or run
├── PromotionRefusedError (ValueError)          the adapter is not better than the champion, or cannot be compared
└── LocalServerError (RuntimeError)             a local `mlflow server` did not come up

Every message gives the rule, what it got, the choices, and the fix where it is known; passwords and tokens in URIs
are masked. All can be pickled, because Ray carries them between processes: each is built from one message.
"""


class RegistryError(Exception):
    """Base of all errors that `adapter_registry` raises on purpose."""


class TrackingUnreachableError(RegistryError, ConnectionError):
    """The tracking server or database does not answer."""


class TrackingStoreError(RegistryError, RuntimeError):
    """The tracking store answers, but refuses or cannot be used."""


class MetricsRejectedError(RegistryError, ValueError):
    """Metrics were refused for good by the tracking store, in the background."""


class AdapterFilesError(RegistryError, ValueError):
    """An adapter's files are missing, damaged, or not what was promoted."""


class PromptError(RegistryError, ValueError):
    """What a model was asked is neither a prompt nor a conversation."""


class ModelNotFoundError(RegistryError, LookupError):
    """There is no such registered model, champion or run."""


class PromotionRefusedError(RegistryError, ValueError):
    """The adapter is not better than the present champion, or cannot be compared with it."""


class LocalServerError(RegistryError, RuntimeError):
    """A local `mlflow server` did not come up."""
