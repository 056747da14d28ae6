"""What a worker finds on its machine: in a container, and in an actor of Ray's."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sweeps.host import accelerators
from sweeps.host.accelerators import accelerator_memory, part_of_host


def write_limit(folder: Path, limit: str) -> None:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text("700000\n")
    (folder / "memory.stat").write_text("anon 100\ninactive_file 200000\nactive_file 5\n")


def test_a_container_has_what_is_left_of_its_limit(tmp_path, monkeypatch):
    write_limit(tmp_path, "1000000")
    monkeypatch.setattr(accelerators, "CGROUP", tmp_path)
    assert accelerator_memory("cpu") == ("cpu", 500_000)


def test_a_container_without_a_limit_has_what_the_machine_has(tmp_path, monkeypatch):
    write_limit(tmp_path, "max")
    monkeypatch.setattr(accelerators, "CGROUP", tmp_path)
    kind, free = accelerator_memory("cpu")
    assert kind == "cpu"
    assert free is not None
    assert free > 10**8


def test_outside_of_ray_a_process_has_the_whole_machine():
    assert part_of_host() == 1.0


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_worker_has_the_part_of_the_machine_that_its_cores_are():
    import ray

    class Asked:
        def ask(self) -> list[float]:
            told: list[float] = []
            thread = threading.Thread(target=lambda: told.append(part_of_host()))  # as a worker builds its engine
            thread.start()
            thread.join()
            return told

    cores = ray.cluster_resources()["CPU"]
    actor = ray.remote(Asked).options(num_cpus=1).remote()
    try:
        assert ray.get(actor.ask.remote()) == [1 / cores]
    finally:
        ray.kill(actor)
    assert part_of_host() == 1.0
