"""What a person sees while a run goes on: a bar on a terminal, lines elsewhere; always stderr.

Enters: counts and log entries. Leaves: nothing. No prompt text passes through here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SHOWN = ("loss", "learning_rate", "eval_loss", "eval_accuracy", "eval_f1", "eval_recall_at_1fpr")


class RunProgress:
    """A reporter to stderr; `quiet` silences it."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Open the console; nothing is drawn yet."""
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bar: Progress | None = None
        self._task: Any = None
        self._started = 0.0

    def say(self, message: str) -> None:
        """Print one line."""
        self._console.print(message, markup=False, soft_wrap=True)

    def track(self, items: Iterable[int], *, what: str, total: int) -> Iterator[int]:
        """Yield the items while a bar named `what` moves."""
        if not self._console.is_terminal:
            self.say(f"{what}: {total}")
            yield from items
            return
        with self._new_bar() as bar:
            yield from bar.track(items, total=total, description=what)

    def start_steps(self, total: int, done: int) -> None:
        """Begin the bar of training steps."""
        self._started = time.monotonic()
        self._first = done
        self._total = total
        if self._console.is_terminal:
            self._bar = self._new_bar()
            self._bar.start()
            self._task = self._bar.add_task("train", total=total, completed=done)

    def step(self, done: int) -> None:
        """Move the bar to this step."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def entry(self, entry: dict[str, Any]) -> None:
        """Print one log entry, with the pace so far."""
        shown = [f"{key} {entry[key]:.4g}" for key in _SHOWN if key in entry]
        if not shown:
            return
        pace = (entry["step"] - self._first) / max(time.monotonic() - self._started, 1e-9)
        self.say(f"step {entry['step']}/{self._total}  " + "  ".join(shown) + f"  {pace:.2f} it/s")

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _new_bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
