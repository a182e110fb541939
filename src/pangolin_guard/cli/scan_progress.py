"""What `pangolin scan` shows on a terminal while it runs: a bar by bytes, and bad rows.

Counts and places enter, lines on stderr leave; rows are named by file and number, never by text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pangolin_guard.scan import Counts, InputFile, Watcher

if TYPE_CHECKING:
    from rich.progress import Progress

_MOST_SHOWN = 20


class TerminalWatcher(Watcher):
    """Moves the bar, where there is one, and reports the first bad rows."""

    def __init__(self, bar: Progress | None, total: int | None, bad_path: Path | None) -> None:
        """Show progress against a total of bytes; None where it is not known."""
        self._bar = bar
        self._bad_path = bad_path
        self._n_bad = 0
        self._task = bar.add_task("scan", total=total, note="") if bar else None

    def progress(self, bytes_done: int, counts: Counts) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            note = f"{counts.rows:,} rows, {counts.unsafe:,} unsafe, {counts.bad:,} bad"
            self._bar.update(self._task, completed=bytes_done, note=note)

    def bad(self, file: str, row: int, reason: str) -> None:
        """Report a row without a verdict."""
        self._n_bad += 1
        if self._n_bad <= _MOST_SHOWN:
            self._say(f"{file}, row {row}: {reason}")
        elif self._n_bad == _MOST_SHOWN + 1:
            where = f"; all are in {self._bad_path}" if self._bad_path else ""
            self._say(f"more rows without a verdict are not shown{where}")

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(f"pangolin: {line}", markup=False, highlight=False)
        else:
            print(f"pangolin: {line}", file=sys.stderr)


@contextmanager
def watch(inputs: Sequence[InputFile], *, bad_path: Path | None) -> Iterator[Watcher]:
    """Yield a watcher for a scan; its bar shows only where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield TerminalWatcher(None, None, bad_path)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    sizes = [file.size() for file in inputs]
    known = [size for size in sizes if size is not None]
    total = sum(known) if len(known) == len(sizes) else None
    columns = (
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield TerminalWatcher(bar, total, bad_path)
