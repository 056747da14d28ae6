"""`sweeps doctor`: its checks see what is there, and each failure names its fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.cli import main
from sweeps.cli.doctor import checks, doctor, probes
from sweeps.cli.doctor.checks import Check
from sweeps.cli.doctor.findings import Finding, fail, ok, warn


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "home"))
    for name in ("SWEEPS_LEDGER", "MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)


def doctor_with(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> int:
    each = [Check(f"check {i}", lambda found=found: found) for i, found in enumerate(findings)]  # type: ignore[misc]
    monkeypatch.setattr(checks, "CHECKS", each)
    return main(["doctor"])


def test_doctor_ends_with_0_when_nothing_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor_with(monkeypatch, ok("all well"), warn("little memory", "Buy some.")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok    check 0         all well"
    assert lines[1] == "warn  check 1         little memory → Buy some."
    assert lines[-1] == "Sweeps can run here. 1 remark above. Begin with:  sweeps launch quickstart"


def test_doctor_ends_with_1_when_a_check_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor_with(monkeypatch, fail("no disk", "Make room."), ok("well")) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fail  check 0         no disk → Make room."
    assert lines[-1] == "Sweeps cannot run here yet: 1 check failed."


def test_a_check_that_crashes_is_a_failed_check() -> None:
    def crash() -> Finding:
        raise ZeroDivisionError("oh")

    found = Check("x", crash).run()
    assert (found.grade, found.text) == ("fail", "could not be checked: ZeroDivisionError: oh")


def test_the_quick_checks_pass_here_and_leave_nothing_behind(tmp_path: Path) -> None:
    for check in (checks.check_python, checks.check_home, checks.check_ledger, checks.check_tracking_store):
        assert check().grade == "ok"
    assert checks.check_machine().grade in {"ok", "warn"}
    assert list(tmp_path.iterdir()) == []


def test_packages_are_named_with_their_versions() -> None:
    found = checks.check_packages()
    assert found.grade in {"ok", "warn"}  # a checkout that is not installed is worth a remark
    assert "jax 0." in found.text
    assert "missing" not in found.text


def test_a_package_of_another_version_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "importlib.metadata.requires", lambda name: ["optuna<1", "no-such-package>=2", "ray; extra == 'x'"]
    )
    found = checks.check_packages()
    assert found.grade == "fail"
    assert "optuna is 5" in found.text
    assert "but must be <1" in found.text
    assert "no-such-package is missing" in found.text
    assert "ray" not in found.text


def test_bytecode_that_is_not_kept_is_worth_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert checks.check_python().grade == "warn"


def test_a_home_ledger_or_mlflow_that_cannot_be_used_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no database, but text that is longer than its header")
    monkeypatch.setenv("SWEEPS_HOME", str(tmp_path / "file" / "below"))
    assert checks.check_home().grade == "fail"
    monkeypatch.setenv("SWEEPS_LEDGER", f"sqlite:///{tmp_path / 'file'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'file'}")
    for look, variable in (
        (checks.check_ledger, "SWEEPS_LEDGER"),
        (checks.check_tracking_store, "MLFLOW_TRACKING_URI"),
    ):
        found = Check("x", look).run()
        assert found.grade == "fail"
        assert variable in found.text


def test_jax_names_its_devices_in_a_process_of_its_own() -> None:
    found = probes.probe_jax()
    assert found.grade in {"ok", "warn"}
    assert "computes on" in found.text


def test_a_probe_that_fails_is_told_by_its_last_line_and_one_that_hangs_by_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert probes._run("raise ValueError('no such device')") == "ValueError: no such device"
    assert probes._run("import os; os._exit(7)") == "exit code 7"
    assert probes._run("print('noise'); report(a=1); print('more')") == {"a": 1}
    monkeypatch.setattr(probes, "PATIENCE_S", 0.5)
    assert probes._run("import time; time.sleep(60)") == "nothing happened in 0 s"


def test_every_check_has_a_name_that_fits_its_column() -> None:
    assert len({check.name for check in checks.CHECKS}) == len(checks.CHECKS) == 9
    assert max(len(check.name) for check in checks.CHECKS) <= 14
    assert set(doctor.STYLES) == {"ok", "warn", "fail"}
