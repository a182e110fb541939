"""Where a source's files are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pangolin_guard.errors import DatasetError
from pangolin_guard.train.recipe import Source


@dataclass(frozen=True)
class Fetcher:
    """Finds files."""

    root: Path
    lock: Path
    cache: Path | None = None
    offline: bool = False
    progress: Callable[[str, int, int], None] | None = None

    def files(self, source: Source) -> tuple[Path, ...]:
        """Return the files of a source."""
        path = self.root / str(source.path)
        if not path.is_file():
            raise DatasetError(f"no file {path}; --root", source=source.name)
        return (path,)
