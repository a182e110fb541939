"""Fail where a test was skipped for a reason other than a missing GPU or a missing ../shared.

    python scripts/check_report.py report.xml

Reads the JUnit file that `pytest --junitxml` writes. Also fails where a folder of tests is absent,
so that tests which are never collected are noticed too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

FOLDERS = ("unit", "contract", "golden", "train", "package")
ALLOWED = ("GPU", "../shared")


def read_cases(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield every test's name with the reason it was skipped for, None where it ran."""
    for case in ElementTree.parse(path).iter("testcase"):
        skipped = case.find("skipped")
        name = f"{case.get('classname')}::{case.get('name')}"
        yield name, None if skipped is None else skipped.get("message", "")


def find_problems(cases: list[tuple[str, str | None]]) -> list[str]:
    """Return a line for each skip without a good reason and each folder without tests."""
    problems = [
        f"skipped: {name}: {reason}"
        for name, reason in cases
        if reason is not None and not any(word in reason for word in ALLOWED)
    ]
    for folder in FOLDERS:
        if not any(name.startswith(f"tests.{folder}.") for name, _ in cases):
            problems.append(f"no test of tests/{folder} was collected")
    return problems


def main() -> None:
    """Check the report that the command line names."""
    cases = list(read_cases(Path(sys.argv[1])))
    problems = find_problems(cases)
    for problem in problems:
        print(problem, file=sys.stderr)
    n_skipped = sum(reason is not None for _, reason in cases)
    print(f"{len(cases)} tests, {n_skipped} skipped, {len(problems)} without a good reason")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
