"""`sources.lock`: what every downloaded file was the first time, so that later ones must agree.

An address and a file enter; the lock's entry, or an error where the file differs, leaves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pangolin_guard.errors import DownloadError
from pangolin_guard.runtime.bundle import file_sha256

_FORMAT = 1


@dataclass(frozen=True)
class Lock:
    """The lock file of a recipe folder; read anew each time, so that no entry is lost."""

    path: Path

    def entries(self) -> dict[str, dict[str, Any]]:
        """Return address -> {sha256, bytes, …}; empty where there is no lock yet.

        Raises:
            DownloadError: If the file is there but no lock file that this version understands.
        """
        if not self.path.exists():
            return {}
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            entries: dict[str, dict[str, Any]] = document["files"]
            if document["format"] != _FORMAT or not isinstance(entries, dict):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise DownloadError(
                f"{self.path} is no lock file that this version understands; "
                "restore it, or delete it to take today's files as they are"
            ) from exc
        return entries

    def agrees(self, address: str, file: Path) -> bool:
        """Return whether a file is the one of the lock; True where the lock does not know it."""
        entry = self.entries().get(address)
        return entry is None or entry["sha256"] == file_sha256(file)

    def check(self, address: str, file: Path, **facts: str) -> None:
        """Compare a file with its entry, or make the entry if there is none.

        Args:
            address: What was fetched.
            file: Where it lies now.
            facts: More to keep in a new entry, such as the commit.

        Raises:
            DownloadError: If the file is not the one that was fetched the first time, or the
                lock cannot be written.
        """
        entries = self.entries()
        digest = file_sha256(file)
        known = entries.get(address)
        if known is None:
            entries[address] = {"sha256": digest, "bytes": file.stat().st_size, **facts}
            self._write(entries)
        elif known["sha256"] != digest:
            raise DownloadError(
                f"{address} changed: SHA-256 is {digest}, {self.path} says {known['sha256']}. "
                "If the new file is wanted, remove its entry from the lock and run again",
                address,
            )

    def _write(self, entries: dict[str, dict[str, Any]]) -> None:
        document = {"format": _FORMAT, "files": dict(sorted(entries.items()))}
        draft = self.path.with_name(self.path.name + ".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
            draft.replace(self.path)
        except OSError as exc:
            raise DownloadError(
                f"cannot write {self.path}: {exc.strerror}; choose another place with --lock"
            ) from exc
