"""The command line: `pangolin`, a group whose commands are imported when they are called for.

Arguments enter, an exit code leaves: 0 everything safe, 1 something unsafe, 2 wrong use or error,
130 interrupted. The commands parse, call a room and print; they decide nothing.
"""

from __future__ import annotations

import io
import sys

from pangolin_guard.cli.group import cli


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "≥" is no reason to fail
    cli.main(prog_name="pangolin")


__all__ = ["cli", "main"]
