"""What a sweep will need of a tracking server, tried before it begins by requests that can leave nothing.

Each lacks a value that it must have, or names a file that cannot be: who may not do it is told so, and who may is told
of the mistake. The file is as long as the longest that will be stored: a proxy refuses it by its length.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from adapter_registry.errors import TrackingStoreError
from adapter_registry.names import quoted
from adapter_registry.store.connection import BODY_LIMIT, probe_server
from adapter_registry.store.environment import SERVERS, prepare_mlflow
from trainer.masking import redact

_API = "/api/2.0/mlflow/"
_NO_FILE = "/api/2.0/mlflow-artifacts/artifacts/C:/gemma-sweeps"  # MLflow refuses paths of another system's drives
_ANSWER_S, _UPLOAD_S = 10, 120
_FORBIDDEN, _TOO_LARGE = 403, 413


def check_rights(uri: str, experiment: str, *, model: str | None, largest_file: int) -> None:
    """Check that a sweep can be recorded, and its best adapter promoted; stores without a server have no such rights.

    Args:
        uri: of the tracking store, which answers.
        experiment: its name; there may be none of it yet.
        model: the registered model that the best adapter is promoted to; None: it is not promoted.
        largest_file: bytes of the largest file that the sweep has to store; 0: not known.

    Raises:
        TrackingUnreachableError: the server does not answer.
        TrackingStoreError: it refuses, with what to ask for.
    """
    if uri.startswith(SERVERS):
        probe_server(uri, lambda client: _check(client, uri, experiment, model, largest_file))


def _check(client: Any, uri: str, experiment: str, model: str | None, largest_file: int) -> None:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        _try(uri, "experiments/create", {}, f"create the experiment {experiment!r}. Let an administrator create it")
    else:
        run = {"experiment_id": found.experiment_id, "start_time": "never"}
        needed = "permission EDIT on it, or choose another `experiment`, or your own MLFLOW_TRACKING_USERNAME"
        _try(uri, "runs/create", run, f"log to the experiment {experiment!r}. Ask for the {needed}")
    if model is not None:
        _check_model(client, uri, model)
    if largest_file and _goes_through_server(client, found):
        _check_size(uri, largest_file)


def _check_model(client: Any, uri: str, model: str) -> None:
    """A model that is not seen may be there all the same; then only the promotion tells."""
    otherwise = "or choose another `promotion.model`, or `promotion.automatic: false`"
    _try(uri, "registered-models/create", {}, f"register models. Ask for the permission to, {otherwise}")
    if client.search_registered_models(f"name = {quoted(model)}", max_results=1):
        alias = {"name": model, "alias": "champion"}
        ask = f"Ask for the permission EDIT on it, {otherwise}"
        _try(uri, "registered-models/alias", alias, f"set an alias of the registered model {model!r}. {ask}")


def _goes_through_server(client: Any, experiment: Any) -> bool:
    """Whether files go through the server, as far as can be known before there is an experiment."""
    if experiment is None:
        from mlflow.exceptions import MlflowException

        try:
            experiment = client.get_experiment("0")  # MLflow's own, whose files go where those of new ones go
        except MlflowException:
            return True
    return str(experiment.artifact_location).startswith(("mlflow-artifacts:", "http:", "https:"))


def _check_size(uri: str, size: int) -> None:
    """Send a file of zeros where none can be."""
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        file.seek(0)
        answer = _ask(uri, _NO_FILE, "PUT", data=file, timeout=_UPLOAD_S)
    if answer == _TOO_LARGE:
        raise TrackingStoreError(
            f"A checkpoint of this sweep can have {size:,} bytes, but {redact(uri)} takes no file of that size (HTTP "
            f"413). {BODY_LIMIT}"
        )


def _try(uri: str, what: str, content: Mapping[str, Any], may_not: str) -> None:
    if _ask(uri, _API + what, "POST", json=content, timeout=_ANSWER_S) == _FORBIDDEN:
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        who = f"the user {user!r}" if user else "this user"
        raise TrackingStoreError(f"MLflow at {redact(uri)} does not let {who} {may_not}.")


def _ask(uri: str, endpoint: str, method: str, **options: Any) -> int | None:
    """The status of an answer; None where the connection was cut: others will say so with more right."""
    prepare_mlflow()
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    ask: Any = http_request  # MLflow has no types here
    host: Any = get_default_host_creds
    try:
        return int(ask(host(uri), endpoint, method, max_retries=0, raise_on_status=False, **options).status_code)
    except MlflowException:
        return None
