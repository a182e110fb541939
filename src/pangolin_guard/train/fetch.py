"""Where a source's files are: on this machine, or brought here first.

A source of a recipe enters, the local paths of its files leave.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pangolin_guard.errors import DatasetError, DownloadError
from pangolin_guard.train.download import download, offline_message
from pangolin_guard.train.hub import hub_files
from pangolin_guard.train.lock import Lock
from pangolin_guard.train.recipe import Source

CACHE_VARIABLE = "PANGOLIN_CACHE"


def default_cache() -> Path:
    """Return where downloads are kept: PANGOLIN_CACHE, or pangolin-guard in the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pangolin-guard"


@dataclass(frozen=True)
class Fetcher:
    """Finds or fetches the files of sources.

    `root`: where relative paths start. `lock`: the file that holds what downloads must be.
    """

    root: Path
    lock: Path
    cache: Path | None = None
    offline: bool = False
    progress: Callable[[str, int, int], None] | None = None

    def files(self, source: Source) -> tuple[Path, ...]:
        """Return the local paths of a source's files, in order.

        Raises:
            DatasetError: If a local file is missing.
            DownloadError: If a file cannot be fetched, or is not the one of the lock.
        """
        if source.path is not None:
            return self._local(source, source.path)
        if source.hub is not None:
            return hub_files(source, Lock(self.lock), offline=self.offline)
        return (self._fetched(source, str(source.url)),)

    def _local(self, source: Source, pattern: str) -> tuple[Path, ...]:
        path = self.root / pattern
        if path.is_file():
            return (path,)
        found = () if Path(pattern).is_absolute() else sorted(self.root.glob(pattern))
        if not found:
            raise DatasetError(
                f"no file {path}; say with --root where the recipe's relative paths start",
                source=source.name,
                field="path",
            )
        return tuple(found)

    def _fetched(self, source: Source, url: str) -> Path:
        """Take the file from the cache if it is the locked one, else fetch it."""
        name = Path(unquote(urlsplit(url).path)).name or source.name
        tag = sha256(url.encode()).hexdigest()[:8]
        target = (self.cache or default_cache()) / "sources" / f"{source.name}-{tag}" / name
        lock = Lock(self.lock)
        if not target.is_file() or not lock.agrees(url, target):
            if self.offline:
                raise DownloadError(offline_message(url, target), url)
            fresh = target.with_name(target.name + ".new")
            download(url, fresh, step=self._step(source.name))
            try:
                lock.check(url, fresh)
            except DownloadError:
                fresh.unlink()
                raise
            fresh.replace(target)
        lock.check(url, target)
        return target

    def _step(self, name: str) -> Callable[[int, int], None] | None:
        if self.progress is None:
            return None
        tell = self.progress
        return lambda done, total: tell(f"fetch {name}", done, total)
