import subprocess
from types import SimpleNamespace

from pangolin_guard import __version__
from pangolin_guard.bench import environment
from pangolin_guard.bench.environment import describe_environment


def test_the_machine_and_the_versions_are_named():
    found = describe_environment()
    assert found.cores >= 1
    assert found.cpu
    assert found.versions["pangolin-guard"] == __version__
    assert "numpy" in found.versions


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package",))
    assert list(describe_environment().versions) == ["pangolin-guard"]


def test_a_mac_is_asked_for_its_cpu(monkeypatch):
    monkeypatch.setattr(environment.Path, "is_file", lambda self: False)
    monkeypatch.setattr(environment.platform, "system", lambda: "Darwin")
    answer = SimpleNamespace(returncode=0, stdout="Apple M9\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert environment._cpu_name() == "Apple M9"


def test_a_cpu_without_a_name_is_unknown(monkeypatch):
    monkeypatch.setattr(environment.Path, "is_file", lambda self: False)
    monkeypatch.setattr(environment.platform, "system", lambda: "Plan9")
    monkeypatch.setattr(environment.platform, "processor", lambda: "")
    monkeypatch.setattr(environment.platform, "machine", lambda: "")
    assert environment._cpu_name() == "unknown"
