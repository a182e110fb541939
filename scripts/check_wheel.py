"""Look into a built wheel: what has to be there is there, nothing else is, and it is small enough.

python scripts/check_wheel.py dist/pangolin_guard-0.1.0-py3-none-any.whl
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

MOST_BYTES = 45 * 10**6
NEEDED = (
    "pangolin_guard/__init__.py",
    "pangolin_guard/py.typed",
    "pangolin_guard/gallery.json",
    "pangolin_guard/recipes/default.yaml",
    "pangolin_guard/recipes/base.yaml",
    "pangolin_guard/recipes/large.yaml",
    "pangolin_guard/recipes/sources/collected.yaml",
    "pangolin_guard/recipes/sources/piguard.yaml",
    "pangolin_guard/models/default_v1/model.onnx",
    "pangolin_guard/models/default_v1/tokenizer.json",
    "pangolin_guard/models/default_v1/config.json",
    "pangolin_guard/models/default_v1/metadata.json",
    "pangolin_guard/models/default_v1/manifest.json",
    "pangolin_guard/models/default_v1/README.md",
)
REFUSED = (".pkl", ".pickle", ".pt", ".bin", ".pyc", ".so")


def find_problems(path: Path) -> list[str]:
    """Return a line for everything that is wrong with the wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
    problems = [f"{name} is missing" for name in NEEDED if name not in names]
    if not any(name.endswith("licenses/LICENSE") for name in names):
        problems.append("the license is missing")
    problems += [f"{name} does not belong in a wheel" for name in names if name.endswith(REFUSED)]
    problems += [
        f"{name} lies outside the package"
        for name in names
        if not name.startswith(("pangolin_guard/", "pangolin_guard-"))
    ]
    size = path.stat().st_size
    if size > MOST_BYTES:
        problems.append(f"{size:,} bytes, more than {MOST_BYTES:,}")
    return problems


def main() -> None:
    """Check the wheel that the command line names."""
    path = Path(sys.argv[1])
    problems = find_problems(path)
    for problem in problems:
        print(f"{path.name}: {problem}", file=sys.stderr)
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
