"""The compose file and the Kubernetes manifests say what their schemas allow, and fit the Dockerfile and each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import kubernetes_validate
import pytest
import ray
import yaml
from compose_spec import PyCompose, PyOptions
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sweeps.host.secret_files import NAMES

DOCKER = Path(__file__).resolve().parents[2] / "docker"
COMPOSE = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
CLUSTER = (DOCKER / "kuberay" / "cluster.yaml").read_text(encoding="utf-8")
JOB = (DOCKER / "kuberay" / "job.yaml").read_text(encoding="utf-8")
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")


# ---- Docker Compose -------------------------------------------------------------------------------------------------


def compose(text: str = COMPOSE) -> PyCompose:
    options = PyOptions(apply_merge=True)
    parsed = options.from_yaml(text)
    parsed.validate()
    return parsed


def services() -> dict[str, Any]:
    """The services with `<<` merged, as plain values."""
    return yaml.safe_load(COMPOSE)["services"]


def test_the_compose_file_is_one():
    assert set(compose().service_names()) == {"postgres", "mlflow", "head", "worker-cpu", "worker-cuda"}


@pytest.mark.parametrize(
    ("written", "wrong"),
    [("healthcheck:", "healthchek:"), ("secrets: [postgres_password]", "secrets: [postgres_pasword]")],
)
def test_what_the_schema_does_not_know_is_noticed(written, wrong):
    with pytest.raises(ValueError, match=r"healthchek|postgres_pasword"):
        compose(COMPOSE.replace(written, wrong, 1))


def test_its_images_are_targets_of_the_dockerfile():
    built = {service["build"]["target"] for service in services().values() if "build" in service}
    assert built <= targets()


def test_every_secret_is_a_file_that_the_script_makes():
    script = (DOCKER / "secrets.sh").read_text()
    for name, secret in yaml.safe_load(COMPOSE)["secrets"].items():
        assert secret == {"file": f"secrets/{name}"}
        assert f"keep {name} " in script


def test_no_secret_is_written_in_a_manifest():
    for name, value in variables():
        if re.search("PASSWORD|SECRET|TOKEN|LEDGER|URI|KEY", name) and not isinstance(value, dict):
            assert name.endswith(("_FILE", "_PATH")) or value == "http://mlflow:5000", name


def test_variables_with_files_are_those_that_are_read():
    known = {f"{name}_FILE" for name in NAMES}
    for service in ("head", "worker-cpu", "worker-cuda"):
        given = {name for name in services()[service]["environment"] if name.endswith("_FILE")}
        assert given <= known


def variables() -> Iterator[tuple[str, Any]]:
    """Every environment variable of every container, with its value or where it comes from."""
    for service in services().values():
        yield from service.get("environment", {}).items()
    for group in groups():
        for container in group.template["spec"]["containers"]:
            for each in container.get("env", ()):
                yield each["name"], each.get("value", each.get("valueFrom"))


# ---- KubeRay --------------------------------------------------------------------------------------------------------


class _Strict(BaseModel):
    """What KubeRay's resources have of keys that are used here (docs.ray.io, API reference of ray.io/v1)."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class _Metadata(_Strict):
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=50)


class _HeadGroup(_Strict):
    ray_start_params: dict[str, str]
    template: dict[str, Any]


class _WorkerGroup(_HeadGroup):
    group_name: str
    replicas: int = Field(ge=0)
    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=0)
    num_of_hosts: int = Field(default=1, ge=1)


class _AuthOptions(_Strict):
    mode: Literal["disabled", "token"]


class _ClusterSpec(_Strict):
    ray_version: str
    enable_in_tree_autoscaling: bool
    auth_options: _AuthOptions
    head_group_spec: _HeadGroup
    worker_group_specs: list[_WorkerGroup]


class _RayCluster(_Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: _Metadata
    spec: _ClusterSpec


class _JobSpec(_Strict):
    cluster_selector: dict[str, str]
    entrypoint: str
    backoff_limit: int = Field(ge=0)


class _RayJob(_Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: _Metadata
    spec: _JobSpec


def ray_cluster() -> _RayCluster:
    return _RayCluster.model_validate(yaml.safe_load(CLUSTER))


def groups() -> list[_HeadGroup]:
    spec = ray_cluster().spec
    return [spec.head_group_spec, *spec.worker_group_specs]


def targets() -> set[str]:
    return set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))


def test_the_cluster_has_groups_for_gpus_and_tpus():
    limits = {
        name
        for group in ray_cluster().spec.worker_group_specs
        for container in group.template["spec"]["containers"]
        for name in container["resources"]["limits"]
    }
    assert {"nvidia.com/gpu", "google.com/tpu"} <= limits


def test_pods_are_what_kubernetes_takes():
    for group in groups():
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": group.template}
        kubernetes_validate.validate(pod, "1.33", strict=True)


def test_a_pod_with_a_misspelt_key_is_noticed():
    template = ray_cluster().spec.head_group_spec.template
    template["spec"]["containers"][0]["volumeMount"] = []
    pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}
    with pytest.raises(kubernetes_validate.ValidationError, match="volumeMount"):
        kubernetes_validate.validate(pod, "1.33", strict=True)


def test_nobody_runs_as_root():
    for group in groups():
        assert group.template["spec"]["securityContext"]["runAsNonRoot"] is True
    users = re.findall(r"^FROM system AS (\S+)\n(?:(?!FROM).*\n)*?USER sweeps$", DOCKERFILE, re.MULTILINE)
    assert set(users) == {"head", "worker-cpu", "worker-cuda", "worker-tpu", "mlflow"}


def test_images_of_the_cluster_are_targets_of_the_dockerfile():
    for group in groups():
        for container in group.template["spec"]["containers"]:
            assert container["image"].removeprefix("gemma-sweeps-").removesuffix(":latest") in targets()


def test_the_cluster_runs_the_locked_ray():
    assert ray_cluster().spec.ray_version == ray.__version__


def test_the_job_belongs_to_the_cluster():
    job = _RayJob.model_validate(yaml.safe_load(JOB))
    assert job.spec.cluster_selector == {"ray.io/cluster": ray_cluster().metadata.name}
