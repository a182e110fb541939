"""The machine and the versions that a measurement was made with."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pangolin_guard._version import __version__

PACKAGES = ("onnxruntime", "tokenizers", "numpy", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Environment:
    """CPU, cores that this process may use, operating system, versions of what computes."""

    cpu: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]


def describe_environment() -> Environment:
    """Describe this machine; packages that are not installed are left out."""
    versions = {"pangolin-guard": __version__}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return Environment(
        cpu=_cpu_name(),
        cores=_cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=versions,
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return platform.processor() or platform.machine() or "unknown"
