"""Importing the package, or asking for help, loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "onnx",
    "onnxruntime",
    "pyarrow",
    "pandas",
    "datasketch",
    "matplotlib",
    "httpx",
    "huggingface_hub",
    "pydantic",
    "yaml",
    "zstandard",
)


def loaded_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return which heavy modules it loaded."""
    report = f"import sys; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


@pytest.mark.parametrize(
    "code",
    [
        "import pangolin_guard",
        "import pangolin_guard.scan",
        "import pangolin_guard.cli.check, pangolin_guard.cli.scan, pangolin_guard.cli.demo",
    ],
)
def test_importing_loads_nothing_heavy(code):
    assert loaded_after(code) == set()


@pytest.mark.parametrize("arguments", [[], ["check"], ["train"], ["data", "build"], ["benchmark"]])
def test_help_loads_nothing_heavy(arguments):
    line = [*arguments, "--help"]
    code = (
        "import contextlib, io\n"
        "from pangolin_guard.cli import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    cli.main({line!r})"
    )
    assert loaded_after(code) == set()


def test_importing_changes_nothing_around_it():
    code = (
        "import logging, os\n"
        "before = dict(os.environ), list(logging.root.handlers)\n"
        "import pangolin_guard\n"
        "assert before == (dict(os.environ), list(logging.root.handlers))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
