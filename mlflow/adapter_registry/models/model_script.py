"""A promoted adapter as MLflow loads it: this file is stored with the model, and holds no logic of its own."""

from mlflow.models import set_model

try:
    from adapter_registry.models.model import AdapterModel
except ImportError as error:
    raise ImportError(
        "This model is an adapter made by Gemma Sweeps, and needs that package to answer, but its module "
        f"{error.name!r} is not installed here. Install the version in the model's requirements.txt: "
        "pip install gemma-sweeps (its wheel, or a checkout of the project)."
    ) from error

set_model(AdapterModel())
